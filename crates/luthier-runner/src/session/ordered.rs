//! A session by the study's logical clock: what counts, and what follows from it, in an order that no worker's speed
//! has a part in.

use std::sync::atomic::Ordering;

use luthier_core::{
    Decision, Due, Event, Moment, Next, Outcome, Purpose, SearchError, Stop, Streams, Trial, TrialId,
};

use super::worker::Job;
use super::{RunError, Shared};
use crate::{Ledger, checkpoint_name, model_name};

impl Shared<'_> {
    /// What a worker does next: the trial whose next report is waited for first.
    pub(super) fn next_ordered(&self, ledger: &mut Ledger) -> Result<Job, RunError> {
        self.advance(ledger)?;
        if self.stop().is_some() {
            return Ok(Job::End);
        }
        let in_hand = self.in_hand().clone();
        if let Some(id) =
            ledger.history().runnable().into_iter().find(|id| !in_hand.iter().any(|(other, _)| other == id))
        {
            return Ok(self.take(ledger, id));
        }
        if !in_hand.is_empty() {
            return Ok(Job::Wait);
        }
        if ledger.history().due() != Due::Nothing {
            let message = "it waits for a trial, and none is running".to_owned();
            return Err(SearchError { message }.into());
        }
        self.end(if self.done.load(Ordering::Relaxed) { Stop::Exhausted } else { Stop::Finished });
        Ok(Job::End)
    }

    /// Lets all count that is known, in its order, and decides what is to be decided.
    pub(crate) fn advance(&self, ledger: &mut Ledger) -> Result<(), RunError> {
        loop {
            match ledger.history().due() {
                Due::Report(at, trial) => {
                    ledger.count(at, trial);
                    self.judge(ledger, at, trial)?;
                }
                Due::End(at, trial) => {
                    let best = ledger.history().best().map(|best| best.id);
                    ledger.count(at, trial);
                    self.conclude(ledger, trial, best)?;
                    self.end_if_reached(ledger.history());
                }
                Due::Next(at) if self.stop().is_none() => {
                    let revision = ledger.history().revision();
                    self.propose(ledger, at)?;
                    if ledger.history().revision() > revision {
                        self.remove_beaten()?;
                    }
                }
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
        let since = self.in_hand().iter().find(|(other, _)| *other == id).map(|(_, since)| *since);
        let seconds = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        ledger.append(Event::TrialStopped { trial: id, outcome, at, seconds })?;
        self.place.0.remove_artifact(self.place.1, &model_name(id))?;
        if since.is_none() {
            self.place.0.remove_artifact(self.place.1, &checkpoint_name(id))?;
        }
        if let Some(trial) = ledger.history().trial(id)
            && let Some(outcome) = trial.outcome.clone()
        {
            let seconds = trial.seconds.unwrap_or(0.0);
            self.observer.event(&Event::TrialFinished { trial: id, outcome, seconds });
        }
        Ok(())
    }

    /// Asks the search what a slot is to run.
    fn propose(&self, ledger: &mut Ledger, at: Moment) -> Result<(), RunError> {
        let history = ledger.history();
        let configurations = history.trials().len() as u64;
        let full = self.limits.trials.is_some_and(|trials| configurations >= trials);
        let paused = |trial: &Trial| trial.outcome.is_none() && trial.paused == Some(Stop::Search);
        if full && !history.trials().iter().any(paused) {
            ledger.wait(at);
            return Ok(());
        }
        let seed = ledger.study().definition.seed;
        let mut rng = Streams::new(seed).at(Purpose::Sampler, configurations);
        match self.search.next(&history.view().closing(full), self.space, &mut rng)? {
            Next::New { params, until } if !full => {
                ledger.start(params, until, Some(at))?;
            }
            Next::Resume { trial, until } => {
                if !history.trial(trial).is_some_and(paused) {
                    let message = format!("it asked to resume trial {trial}, which is not paused");
                    return Err(SearchError { message }.into());
                }
                ledger.append(Event::TrialResumed { trial, until, at: Some(at) })?;
            }
            Next::Done if !full => {
                self.done.store(true, Ordering::Relaxed);
                ledger.wait(at);
            }
            Next::New { .. } | Next::Wait | Next::Done => ledger.wait(at),
        }
        Ok(())
    }
}
