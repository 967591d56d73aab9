//! A session by the study's logical clock: what counts, and what follows from it, in an order that no worker's speed
//! has a part in.

use luthier_core::{Decision, Due, Event, Moment, Next, Outcome, Purpose, Stop, Streams, Trial, TrialId};

use super::worker::{Job, resume, take};
use super::{RunError, Shared};
use crate::Ledger;

impl Shared<'_> {
    /// What a worker does next: the trial whose next report is waited for first, unless it is `polite` and others have
    /// waited longer for it.
    pub(super) fn next_ordered(&self, ledger: &mut Ledger, polite: bool) -> Result<Job, RunError> {
        self.advance(ledger)?;
        if let Some(job) = self.next_only(ledger)? {
            return Ok(job);
        }
        if self.stop().is_some() {
            return Ok(Job::End);
        }
        let history = ledger.history();
        let runnable = history.runnable();
        if let Some(id) = self.free(ledger, runnable.iter().filter_map(|id| history.trial(*id)))? {
            let is_first = !polite || !Self::others_first(ledger, |_| true);
            return if is_first { take(ledger, id) } else { Ok(Job::StepBack) };
        }
        if history.due() != Due::Nothing {
            return Ok(Job::Wait);
        }
        let full = history.limit().is_some_and(|trials| history.configurations() >= trials);
        Ok(self.finished(if full { Stop::Finished } else { Stop::Exhausted }))
    }

    /// Lets all count that is known, in its order, and decides what is to be decided. Where the work is to end by what
    /// counts, nothing after it does.
    pub(crate) fn advance(&self, ledger: &mut Ledger) -> Result<(), RunError> {
        loop {
            self.end_if_reached(ledger.history());
            let stop = self.stop();
            if matches!(stop, Some(Stop::Target | Stop::Failing)) {
                return Ok(());
            }
            match ledger.history().due() {
                Due::Report(at, trial) => {
                    ledger.count(at, trial);
                    self.judge(ledger, at, trial)?;
                }
                Due::End(at, trial) => ledger.count(at, trial),
                Due::Next(at) if stop.is_none() && self.only.is_none() => self.propose(ledger, at)?,
                Due::Next(_) | Due::Unknown(_) | Due::Nothing => return Ok(()),
            }
        }
    }

    /// Stops a trial that has reported, if the search says so.
    fn judge(&self, ledger: &mut Ledger, at: Moment, id: TrialId) -> Result<(), RunError> {
        if !self.search.decides() {
            return Ok(());
        }
        let view = ledger.history().view();
        let Some(trial) = view.get_unfinished(id) else { return Ok(()) };
        let step = trial.losses().last().map_or(0, |last| last.0);
        let seed = ledger.study().definition.seed;
        let mut rng = Streams::new(seed).of_decision(id, step);
        let Decision::Stop(reason) = self.search.decide(&view, &trial, &mut rng) else { return Ok(()) };
        let best = ledger.history().trial(id).and_then(Trial::best_report);
        let outcome = Outcome::Stopped { reason, value: best.map(|report| report.value) };
        Ok(ledger.add(Event::TrialStopped { trial: id, outcome, at })?)
    }

    /// Asks the search what a slot is to run.
    fn propose(&self, ledger: &mut Ledger, at: Moment) -> Result<(), RunError> {
        let history = ledger.history();
        let number = history.trials().len() as u64;
        let full = history.limit().is_some_and(|trials| history.configurations() >= trials);
        if full && !history.open().any(|trial| trial.paused == Some(Stop::Search)) {
            ledger.wait(at);
            return Ok(());
        }
        let seed = ledger.study().definition.seed;
        let mut rng = Streams::new(seed).at(Purpose::Sampler, number);
        match self.search.next(&history.view().closing(full), self.space, &mut rng)? {
            Next::New { params, from, until } if !full => {
                Self::begin(ledger, params, from, until, Some(at))?;
            }
            Next::Resume { trial, until } => resume(ledger, trial, until, Some(at))?,
            Next::New { .. } | Next::Wait | Next::Done => ledger.wait(at),
        }
        Ok(())
    }
}
