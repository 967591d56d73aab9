//! The logical clock: the order in which what happens in a study counts, whatever order it came in.
//!
//! A study has W slots. Each runs a trial at a time, and each report is a unit of time, as is the end of a trial. All
//! that happens is ordered by (time, slot), as if W machines of equal speed worked in step: a slot whose trial
//! has ended, or pauses, asks the search for the next one at once. A proposal or a decision sees exactly what
//! comes before it in this order.
//!
//! So neither the number of workers nor their speed has a part in what is proposed. Workers run ahead: what a
//! trial has said before its time has come is known, and does not count yet. Where the next in order is not
//! known, everything behind it waits.
//!
//! A slot for which the search has nothing asks again after the next report, pause or end.

use serde::{Deserialize, Serialize};

use crate::TrialId;

/// A moment of a study's own time. Moments are ordered by time, then by slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// Reports and ends since the beginning.
    pub time: u64,
    /// The slot, from 0.
    pub slot: u32,
}

/// What is next by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A slot is free, and asks for a trial.
    Next(Moment),
    /// A trial's next report counts.
    Report(Moment, TrialId),
    /// A trial's end counts.
    End(Moment, TrialId),
    /// Nothing before this trial says more.
    Unknown(TrialId),
    /// Nothing: every slot has asked, and the search had nothing.
    Nothing,
}

/// What a trial has said that does not count yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Report,
    End,
}

/// The slots of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clock {
    slots: Vec<Slot>,
    last: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// It asks at this time.
    Asks(u64),
    /// The search had nothing for it.
    Waits,
    /// It runs a trial, whose last event was at this time.
    Runs(TrialId, u64),
}

impl Clock {
    /// The beginning of a study with so many slots; 0 counts as 1.
    pub(crate) fn new(slots: u32) -> Self {
        Self { slots: vec![Slot::Asks(0); slots.max(1) as usize], last: None }
    }

    /// The last moment that counted.
    pub(crate) fn last(&self) -> Option<Moment> {
        self.last
    }

    /// The trials in the slots, the earliest first.
    pub(crate) fn running(&self) -> Vec<TrialId> {
        let mut running: Vec<(u64, TrialId)> = Vec::new();
        for slot in &self.slots {
            if let Slot::Runs(trial, time) = slot {
                running.push((*time, *trial));
            }
        }
        running.sort_by_key(|(time, _)| *time);
        running.into_iter().map(|(_, trial)| trial).collect()
    }

    /// What is next. `said` tells what a trial has said ahead.
    pub(crate) fn due(&self, said: impl Fn(TrialId) -> Said) -> Due {
        let moments = self.slots.iter().zip(0..).filter_map(|(slot, number)| {
            let (time, slot) = match slot {
                Slot::Asks(time) => (*time, slot),
                Slot::Runs(_, time) => (time + 1, slot),
                Slot::Waits => return None,
            };
            Some((Moment { time, slot: number }, *slot))
        });
        match moments.min_by_key(|(moment, _)| *moment) {
            None | Some((_, Slot::Waits)) => Due::Nothing,
            Some((moment, Slot::Asks(_))) => Due::Next(moment),
            Some((moment, Slot::Runs(trial, _))) => match said(trial) {
                Said::Nothing => Due::Unknown(trial),
                Said::Report => Due::Report(moment, trial),
                Said::End => Due::End(moment, trial),
            },
        }
    }

    fn set(&mut self, at: Moment, slot: Slot) {
        if let Some(place) = self.slots.get_mut(at.slot as usize) {
            *place = slot;
        }
        self.last = self.last.max(Some(at));
    }

    /// A slot begins a trial, or goes on with one.
    pub(crate) fn begin(&mut self, at: Moment, trial: TrialId) {
        self.set(at, Slot::Runs(trial, at.time));
    }

    /// The search had nothing for a slot that asked.
    pub(crate) fn wait(&mut self, at: Moment) {
        self.set(at, Slot::Waits);
    }

    /// A trial reported, and goes on.
    pub(crate) fn report(&mut self, at: Moment, trial: TrialId) {
        self.set(at, Slot::Runs(trial, at.time));
        self.wake(at);
    }

    /// A trial ended, was stopped or pauses: its slot is free.
    pub(crate) fn leave(&mut self, at: Moment) {
        self.set(at, Slot::Asks(at.time));
        self.wake(at);
    }

    /// The slots that the search had nothing for ask again, as soon after `at` as their place in the order allows.
    pub(crate) fn wake(&mut self, at: Moment) {
        for (slot, number) in self.slots.iter_mut().zip(0..) {
            if *slot == Slot::Waits {
                *slot = Slot::Asks(if number > at.slot { at.time } else { at.time + 1 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(time: u64, slot: u32) -> Moment {
        Moment { time, slot }
    }

    const A: TrialId = TrialId(0);
    const B: TrialId = TrialId(1);

    #[test]
    fn slots_ask_in_order_and_the_earliest_report_counts_first() {
        let mut clock = Clock::new(2);
        assert_eq!(clock.due(|_| Said::Nothing), Due::Next(at(0, 0)));
        clock.begin(at(0, 0), A);
        assert_eq!(clock.due(|_| Said::Nothing), Due::Next(at(0, 1)));
        clock.begin(at(0, 1), B);
        // B is ahead, but A comes before it.
        let b_only = |trial| if trial == B { Said::Report } else { Said::Nothing };
        assert_eq!(clock.due(b_only), Due::Unknown(A));
        assert_eq!(clock.due(|_| Said::Report), Due::Report(at(1, 0), A));
        clock.report(at(1, 0), A);
        assert_eq!(clock.due(b_only), Due::Report(at(1, 1), B));
        clock.report(at(1, 1), B);
        assert_eq!(clock.due(|_| Said::End), Due::End(at(2, 0), A));
        clock.leave(at(2, 0));
        assert_eq!(clock.due(|_| Said::End), Due::Next(at(2, 0)));
        assert_eq!(clock.running(), [B]);
    }

    #[test]
    fn who_waits_asks_after_the_next_event() {
        let mut clock = Clock::new(3);
        for slot in 0..3 {
            clock.begin(at(0, slot), TrialId(u64::from(slot)));
        }
        for slot in [0, 2] {
            clock.leave(at(1, slot));
            clock.wait(at(1, slot));
        }
        assert_eq!(clock.due(|_| Said::Report), Due::Report(at(1, 1), B));
        clock.report(at(1, 1), B);
        assert_eq!(clock.due(|_| Said::Report), Due::Next(at(1, 2)));
        clock.wait(at(1, 2));
        assert_eq!(clock.due(|_| Said::Report), Due::Next(at(2, 0)));
        clock.wait(at(2, 0));
        clock.leave(at(2, 1));
        assert_eq!(clock.due(|_| Said::Report), Due::Next(at(2, 1)));
        clock.wait(at(2, 1));
        assert_eq!(clock.due(|_| Said::Report), Due::Next(at(2, 2)));
        clock.wait(at(2, 2));
        assert_eq!(clock.due(|_| Said::Report), Due::Next(at(3, 0)));
        clock.wait(at(3, 0));
        assert_eq!(clock.due(|_| Said::Report), Due::Nothing);
    }
}
