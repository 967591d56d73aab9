//! Asynchronous successive halving (ASHA): most trials get few steps, the best of them more and more.
//!
//! Li et al. 2020, "A system for massively parallel hyperparameter tuning". Symbols: r the steps of the first rung,
//! η the reduction factor, R the steps of a whole trial; rung k is at step r η^k, as long as r η^(k+1) is no more
//! than R, and behind the last rung a trial runs to its end. A trial's loss at a rung is its best finite loss up to
//! that step, infinite if it has none. Of the n trials that have reached a rung the best ⌊n / η⌋ go on, equal
//! ones in the order of their numbers.
//!
//! In the form that **promotes**, each trial pauses at its rung. Whenever there is room, the highest rung that has
//! a paused trial among its best is looked for, and that trial goes on to the next rung; without one, a new trial
//! begins. Where none may begin and no trial has come to its end, the best at the highest rung runs to it, so
//! that every study has a winner. In the form that **stops**, nothing pauses: at each rung a trial goes on if it is
//! among the best of those that have been there, itself included, or the first of them. That wastes less where
//! trials cannot pause, but a trial that was stopped early by good company does not come back.
//!
//! Both take O(n) for n trials, sorted once for each rung that is looked at.

use std::cmp::Ordering;

use luthier_core::{Admission, Budget, Decision, Pruner, Rng, StopReason, TrialId, Unfinished, View};

use super::best_until;

/// What happens to a trial at a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Promote,
    Stop,
}

/// Asynchronous successive halving.
///
/// ```
/// use luthier_core::{Admission, Budget, Direction, History, Pruner};
/// use luthier_search::pruner::Asha;
/// let history = History::new(Direction::Minimize);
/// // Each trial begins with a single step.
/// assert_eq!(Asha::promoting().admit(&history.view()), Admission::New(Budget::Until(1)));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Asha {
    /// Steps of the first rung, r. 1 by default.
    pub first: u64,
    /// The reduction factor η, at least 2: one of so many goes on. 3 by default.
    pub factor: u64,
    form: Form,
}

/// A trial at a rung.
struct Entry {
    loss: f64,
    trial: TrialId,
    /// Whether it waits at this very rung.
    waits: bool,
}

impl Asha {
    /// The form that pauses trials, and lets the best of them go on.
    pub fn promoting() -> Self {
        Self { first: 1, factor: 3, form: Form::Promote }
    }

    /// The form that stops trials for good.
    pub fn stopping() -> Self {
        Self { form: Form::Stop, ..Self::promoting() }
    }

    /// The steps of the rungs; where R is not known, those that are of use when the last report was at `last`.
    fn rungs(&self, view: &View<'_>, last: u64) -> Vec<u64> {
        let (first, factor) = (self.first.max(1), self.factor.max(2));
        let mut rungs = vec![first];
        let mut next = first.saturating_mul(factor);
        while view.steps().map_or(next / factor <= last, |steps| next.saturating_mul(factor) <= steps) {
            rungs.push(next);
            next = next.saturating_mul(factor);
        }
        rungs
    }
}

/// The trials that have reached the rung at this step, best first.
fn at_rung(view: &View<'_>, rung: u64, next: u64) -> Vec<Entry> {
    let reached = |losses: &[(u64, f64)]| losses.last().is_some_and(|last| last.0 >= rung);
    let finished = view.finished().filter(|trial| reached(trial.losses())).map(|trial| Entry {
        loss: best_until(trial.losses(), rung),
        trial: trial.id(),
        waits: false,
    });
    let unfinished = view.unfinished().filter(|trial| reached(trial.losses())).map(|trial| Entry {
        loss: best_until(trial.losses(), rung),
        trial: trial.id(),
        waits: trial.is_paused() && trial.losses().last().is_some_and(|last| last.0 < next),
    });
    let mut entries: Vec<Entry> = finished.chain(unfinished).collect();
    entries.sort_by(|a, b| a.loss.total_cmp(&b.loss).then(a.trial.cmp(&b.trial)));
    entries
}

/// The last step that any trial has reported.
fn last_step(view: &View<'_>) -> u64 {
    let last = |losses: &[(u64, f64)]| losses.last().map_or(0, |last| last.0);
    let finished = view.finished().map(|trial| last(trial.losses()));
    finished.chain(view.unfinished().map(|trial| last(trial.losses()))).max().unwrap_or(0)
}

impl Pruner for Asha {
    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, _: &mut Rng) -> Decision {
        let Some(&(step, _)) = trial.losses().last() else { return Decision::Continue };
        let rungs = self.rungs(view, step);
        // Steps may be further apart than rungs: the highest rung that this report has reached counts.
        let before = trial.losses().iter().rev().nth(1).map_or(0, |report| report.0);
        let Some(&rung) = rungs.iter().rev().find(|rung| before < **rung && **rung <= step) else {
            return Decision::Continue;
        };
        if self.form == Form::Promote {
            return Decision::Continue;
        }
        let entries = at_rung(view, rung, rung);
        let kept = (entries.len() as u64 / self.factor.max(2)).max(1);
        let rank = 1 + entries.iter().position(|entry| entry.trial == trial.id()).unwrap_or(0) as u64;
        match rank.cmp(&kept) {
            Ordering::Greater => {
                Decision::Stop(StopReason::BehindRung { step: rung, rank, kept, of: entries.len() as u64 })
            }
            _ => Decision::Continue,
        }
    }

    fn admit(&self, view: &View<'_>) -> Admission {
        if self.form == Form::Stop {
            return Admission::New(Budget::Full);
        }
        let rungs = self.rungs(view, last_step(view));
        let mut highest = None;
        for (k, rung) in rungs.iter().enumerate().rev() {
            let next = rungs.get(k + 1).copied();
            let budget = next.map_or(Budget::Full, Budget::Until);
            let entries = at_rung(view, *rung, next.unwrap_or(u64::MAX));
            let kept = entries.len() / self.factor.max(2) as usize;
            // Without R, nobody has reached the last of them.
            if let Some(entry) = entries[..kept].iter().find(|entry| entry.waits) {
                return Admission::Resume(entry.trial, budget);
            }
            highest = highest.or(entries.iter().find(|entry| entry.waits).map(|entry| entry.trial));
        }
        let is_open = |trial: Unfinished<'_>| !trial.is_paused();
        let may_win = view.finished().any(|trial| trial.loss().is_some()) || view.unfinished().any(is_open);
        match highest.filter(|_| view.is_closed() && !may_win) {
            Some(trial) => Admission::Resume(trial, Budget::Full),
            None => Admission::New(Budget::Until(rungs[0])),
        }
    }

    fn decides(&self) -> bool {
        self.form == Form::Stop
    }
}

#[cfg(test)]
mod tests {
    use luthier_core::{
        Direction, Ending, Event, History, Metrics, Outcome, Params, Purpose, Recorded, Report, Stop, Streams,
    };

    use super::*;

    /// A history that grows event by event.
    struct Played(History);

    impl Played {
        fn new() -> Self {
            Self(History::new(Direction::Minimize))
        }

        fn add(&mut self, event: Event) {
            let revision = self.0.revision() + 1;
            self.0.apply(&Recorded { revision, at_ms: 0, event }).expect("an event that can follow");
        }

        fn start(&mut self, until: Option<u64>) -> TrialId {
            let trial = TrialId(self.0.trials().len() as u64);
            self.add(Event::TrialStarted {
                trial,
                params: Params::new(),
                seed: 0,
                until,
                at: None,
                from: None,
            });
            trial
        }

        fn report(&mut self, trial: TrialId, step: u64, value: f64) {
            self.add(Event::Reported { trial, report: Report { step, value, metrics: Metrics::default() } });
        }

        fn pause(&mut self, trial: TrialId) {
            self.add(Event::TrialPaused { trial, cause: Stop::Search });
        }

        fn decide(&self, asha: &Asha, trial: TrialId) -> Decision {
            let view = self.0.view();
            let trial = view.get_unfinished(trial).expect("it runs");
            asha.decide(&view, &trial, &mut Streams::new(0).at(Purpose::Pruner, 0))
        }
    }

    #[test]
    fn the_best_third_of_a_rung_goes_on() {
        let (asha, mut played) = (Asha::promoting(), Played::new());
        for value in [0.5, 0.3, 0.9, 0.1] {
            assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
            let trial = played.start(Some(1));
            played.report(trial, 1, value);
            played.pause(trial);
            if trial.0 == 2 {
                // One of three: the one with 0.3.
                let promoted = TrialId(1);
                assert_eq!(asha.admit(&played.0.view()), Admission::Resume(promoted, Budget::Until(3)));
                played.add(Event::TrialResumed { trial: promoted, until: Some(3), at: None });
                played.report(promoted, 2, 0.25);
                played.report(promoted, 3, 0.2);
                played.pause(promoted);
            }
        }
        // One of four is one, and that is the new best, which waits at the first rung.
        assert_eq!(asha.admit(&played.0.view()), Admission::Resume(TrialId(3), Budget::Until(3)));
        played.add(Event::TrialResumed { trial: TrialId(3), until: Some(3), at: None });
        assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
    }

    #[test]
    fn a_higher_rung_comes_first_and_no_trial_twice() {
        let (asha, mut played) = (Asha::promoting(), Played::new());
        for number in 0..9 {
            let trial = played.start(Some(1));
            played.report(trial, 1, f64::from(number));
            played.pause(trial);
        }
        for number in 0..3 {
            let trial = TrialId(number);
            assert_eq!(asha.admit(&played.0.view()), Admission::Resume(trial, Budget::Until(3)));
            played.add(Event::TrialResumed { trial, until: Some(3), at: None });
            played.report(trial, 3, number as f64);
            played.pause(trial);
        }
        assert_eq!(asha.admit(&played.0.view()), Admission::Resume(TrialId(0), Budget::Until(9)));
        played.add(Event::TrialResumed { trial: TrialId(0), until: Some(9), at: None });
        // It ended before the rung: nobody waits any more among the best.
        let outcome = Outcome::Complete { value: 0.0, step: Some(3), ending: Ending::Full };
        played.add(Event::TrialFinished { trial: TrialId(0), outcome, seconds: 0.0 });
        assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
    }

    #[test]
    fn behind_the_last_rung_a_trial_runs_to_its_end_and_one_always_does() {
        let asha = Asha::promoting();
        let mut played = Played(History::new(Direction::Minimize).with_steps(Some(10)));
        for number in 0..5 {
            let trial = played.start(Some(1));
            played.report(trial, 1, f64::from(number));
            played.pause(trial);
        }
        let resume = |played: &Played| asha.admit(&played.0.view().closing(true));
        assert_eq!(resume(&played), Admission::Resume(TrialId(0), Budget::Until(3)));
        played.add(Event::TrialResumed { trial: TrialId(0), until: Some(3), at: None });
        // While it runs, it may win.
        assert_eq!(resume(&played), Admission::New(Budget::Until(1)));
        played.report(TrialId(0), 3, 0.0);
        played.pause(TrialId(0));
        // One of one is no third, and yet somebody has to come to an end.
        assert_eq!(resume(&played), Admission::Resume(TrialId(0), Budget::Full));
        assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
        for (number, value) in [(1, 0.1), (2, 0.2)] {
            let trial = TrialId(number);
            played.add(Event::TrialResumed { trial, until: Some(3), at: None });
            played.report(trial, 3, value);
            played.pause(trial);
        }
        // 9 is no rung where 27 is beyond the end.
        assert_eq!(asha.admit(&played.0.view()), Admission::Resume(TrialId(0), Budget::Full));
    }

    #[test]
    fn a_trial_without_a_number_is_the_last() {
        let (asha, mut played) = (Asha::promoting(), Played::new());
        for value in [f64::NAN, f64::INFINITY, 4.0] {
            let trial = played.start(Some(1));
            played.report(trial, 1, value);
            played.pause(trial);
        }
        assert_eq!(asha.admit(&played.0.view()), Admission::Resume(TrialId(2), Budget::Until(3)));
    }

    #[test]
    fn who_is_behind_at_a_rung_stops() {
        let (asha, mut played) = (Asha::stopping(), Played::new());
        assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Full));
        let mut decide = |value: f64| {
            let trial = played.start(None);
            played.report(trial, 1, value);
            played.decide(&asha, trial)
        };
        assert_eq!(decide(0.5), Decision::Continue);
        let behind = |rank, of| Decision::Stop(StopReason::BehindRung { step: 1, rank, kept: 1, of });
        assert_eq!(decide(0.6), behind(2, 2));
        assert_eq!(decide(0.4), Decision::Continue);
        assert_eq!(decide(f64::NAN), behind(4, 4));
        // Between the rungs nothing is judged.
        played.report(TrialId(0), 2, 9.0);
        assert_eq!(played.decide(&asha, TrialId(0)), Decision::Continue);
    }
}
