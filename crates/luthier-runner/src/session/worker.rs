//! The workers of a session: which trial is next, and what follows from its evaluation.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use luthier_core::{
    Direction, Evaluation, Event, FailCause, History, Next, Outcome, Params, Purpose, SearchError, Stop,
    Storage, Streams, StudyId, Trial, TrialId,
};

use super::{FAILURES_IN_A_ROW, RunError, Shared};
use crate::handle::Handle;
use crate::{Ledger, checkpoint_name, model_name, stderr_name, stdout_name};

/// What a worker does next.
pub(super) enum Job {
    Run { trial: TrialId, params: Params, seed: u64, until: Option<u64> },
    Wait,
    End,
}

impl Shared<'_> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Ledger> {
        // An objective's panic is caught outside the lock, so the ledger is never left half changed.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place(&self) -> (&dyn Storage, StudyId) {
        (&*self.place.0, self.place.1)
    }

    /// Whether the work is to stop, and why.
    pub(crate) fn stop(&self) -> Option<Stop> {
        let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.or_else(|| {
            if self.interrupt.is_set() {
                Some(Stop::Interrupted)
            } else if self
                .limits
                .deadline
                .is_some_and(|deadline| Instant::now() + self.objective.wrap_up() >= deadline)
            {
                Some(Stop::Timeout)
            } else {
                None
            }
        })
    }

    pub(super) fn end(&self, cause: Stop) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.get_or_insert(cause);
        self.changed.notify_all();
    }

    /// Removes what a crash may have left: checkpoints of ended trials, models of trials that did not win.
    pub(super) fn tidy(&self) -> Result<(), RunError> {
        let ledger = self.lock();
        let (storage, study) = self.place();
        let history = ledger.history();
        let keep: Vec<String> = history
            .trials()
            .iter()
            .filter(|trial| trial.outcome.is_none())
            .flat_map(|trial| [checkpoint_name(trial.id), model_name(trial.id)])
            .chain(history.best().map(|best| model_name(best.id)))
            .chain(history.trials().iter().flat_map(|trial| [stdout_name(trial.id), stderr_name(trial.id)]))
            .collect();
        for name in storage.artifacts(study)? {
            if !keep.contains(&name) {
                storage.remove_artifact(study, &name)?;
            }
        }
        Ok(())
    }

    /// One worker: a trial after another.
    pub(super) fn work(&self) -> Result<(), RunError> {
        let result = self.work_until_end();
        if result.is_err() {
            // The others set their trials aside; the error is told once they have.
            self.end(Stop::Interrupted);
        }
        self.changed.notify_all();
        result
    }

    fn work_until_end(&self) -> Result<(), RunError> {
        let mut ledger = self.lock();
        loop {
            match self.next(&mut ledger)? {
                Job::End => return Ok(()),
                Job::Wait => {
                    // Woken by every ended trial; the time is looked at now and then besides.
                    let pause = Duration::from_millis(100);
                    let woken = self.changed.wait_timeout(ledger, pause);
                    ledger = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                Job::Run { trial, params, seed, until } => {
                    drop(ledger);
                    self.run(trial, params, seed, until)?;
                    ledger = self.lock();
                    let mut in_hand = self.in_hand();
                    // Once: another worker may have it in hand by now.
                    if let Some(place) = in_hand.iter().position(|(id, _)| *id == trial) {
                        in_hand.swap_remove(place);
                    }
                    drop(in_hand);
                    self.changed.notify_all();
                }
            }
        }
    }

    pub(super) fn in_hand(&self) -> MutexGuard<'_, Vec<(TrialId, Instant)>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, ledger: &mut Ledger) -> Result<Job, RunError> {
        // What a proposal sees is what is stored before it.
        ledger.flush()?;
        if ledger.history().is_ordered() {
            return self.next_ordered(ledger);
        }
        self.end_if_reached(ledger.history());
        if self.stop().is_some() {
            return Ok(Job::End);
        }
        let history = ledger.history();
        // A trial that a crash, the time or the user broke off goes on before anything new.
        let in_hand = self.in_hand().clone();
        let broken_off = history.trials().iter().find(|trial| {
            trial.outcome.is_none()
                && trial.paused != Some(Stop::Search)
                && !in_hand.iter().any(|(id, _)| *id == trial.id)
        });
        if let Some(trial) = broken_off {
            let (id, until) = (trial.id, trial.until);
            return self.resume(ledger, id, until);
        }
        let waiting = history.trials().iter().any(|trial| trial.paused == Some(Stop::Search));
        let due = history.trials().len() as u64;
        let full = self.limits.trials.is_some_and(|trials| due >= trials);
        if full && !waiting {
            if in_hand.is_empty() {
                self.end(Stop::Finished);
                return Ok(Job::End);
            }
            return Ok(Job::Wait);
        }
        let seed = ledger.study().definition.seed;
        let mut rng = Streams::new(seed).at(Purpose::Sampler, due);
        match self.search.next(&history.view().closing(full), self.space, &mut rng)? {
            Next::New { .. } | Next::Done if full && in_hand.is_empty() => {
                self.end(Stop::Finished);
                Ok(Job::End)
            }
            Next::New { .. } if full => Ok(Job::Wait),
            Next::New { params, until } => {
                let trial = ledger.start(params, until, None)?;
                Ok(self.take(ledger, trial))
            }
            Next::Resume { trial, until } => {
                let paused = history.trial(trial).is_some_and(|trial| trial.paused == Some(Stop::Search));
                if !paused {
                    let message = format!("it asked to resume trial {trial}, which is not paused");
                    return Err(SearchError { message }.into());
                }
                self.resume(ledger, trial, until)
            }
            Next::Wait if in_hand.is_empty() => {
                let message = "it waits for a trial, and none is running".to_owned();
                Err(SearchError { message }.into())
            }
            Next::Done if in_hand.is_empty() => {
                self.end(Stop::Exhausted);
                Ok(Job::End)
            }
            Next::Wait | Next::Done => Ok(Job::Wait),
        }
    }

    /// Ends the work where the target is reached, or too many trials have failed.
    pub(super) fn end_if_reached(&self, history: &History) {
        let reached = |value: f64| {
            self.limits.target.is_some_and(|target| {
                let direction = history.direction();
                direction.loss(value) <= direction.loss(target)
            })
        };
        if history.best().and_then(|best| best.outcome.as_ref()?.value()).is_some_and(reached) {
            self.end(Stop::Target);
        } else if self.failed_in_a_row.load(Ordering::Relaxed) >= FAILURES_IN_A_ROW {
            self.end(Stop::Failing);
        }
    }

    fn resume(&self, ledger: &mut Ledger, trial: TrialId, until: Option<u64>) -> Result<Job, RunError> {
        ledger.append(Event::TrialResumed { trial, until, at: None })?;
        Ok(self.take(ledger, trial))
    }

    pub(super) fn take(&self, ledger: &Ledger, id: TrialId) -> Job {
        let Some(trial) = ledger.history().trial(id) else { return Job::Wait };
        self.in_hand().push((id, Instant::now()));
        self.observer.event(&Event::TrialStarted {
            trial: id,
            params: trial.params.clone(),
            seed: trial.seed,
            until: trial.until,
            at: None,
        });
        Job::Run { trial: id, params: trial.params.clone(), seed: trial.seed, until: trial.until }
    }

    fn run(&self, id: TrialId, params: Params, seed: u64, until: Option<u64>) -> Result<(), RunError> {
        let started = Instant::now();
        let mut handle = Handle { shared: self, id, params, seed, until, saved: started, flushed: started };
        // The handle and the objective are not used again after a panic, or are unharmed by it: what
        // they share is behind locks.
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.objective.evaluate(&mut handle)));
        let evaluation = match evaluated {
            Ok(Ok(evaluation)) => evaluation,
            Ok(Err(error)) => {
                self.lock().append(Event::TrialPaused { trial: id, cause: Stop::Interrupted })?;
                return Err(error.into());
            }
            Err(panic) => Evaluation::Failed(FailCause::Panicked { message: panic_message(&*panic) }),
        };
        let mut ledger = self.lock();
        ledger.flush()?;
        let mut model = None;
        let outcome = match evaluation {
            Evaluation::Paused => {
                let stop = self.stop();
                let cause = stop.unwrap_or(Stop::Search);
                let runnable = ledger.history().trial(id).is_some_and(Trial::is_runnable);
                // A study with a clock knows by the reports where its trials pause; one may be going on by now.
                if !ledger.history().is_ordered() || stop.is_some() && runnable {
                    ledger.append(Event::TrialPaused { trial: id, cause })?;
                }
                self.observer.event(&Event::TrialPaused { trial: id, cause });
                return Ok(());
            }
            Evaluation::Complete { value, .. } if !value.is_finite() => {
                Outcome::Failed { cause: FailCause::NotFinite }
            }
            Evaluation::Complete { value, step, ending, model: bytes } => {
                model = bytes.map(|bytes| (value, bytes));
                Outcome::Complete { value, step, ending }
            }
            Evaluation::Stopped(reason) => {
                let trial = ledger.history().trial(id);
                let value = trial.and_then(Trial::best_report).map(|report| report.value);
                Outcome::Stopped { reason, value }
            }
            Evaluation::Infeasible(reason) => Outcome::Infeasible { reason },
            Evaluation::Failed(cause) => Outcome::Failed { cause },
        };
        // Where the clock has stopped it meanwhile, what it came to does not count.
        if ledger.history().trial(id).is_some_and(|trial| trial.outcome.is_some()) {
            return self.forget(id);
        }
        // The model first: a trial that is known to be complete has one if it is the best.
        let direction = ledger.history().direction();
        if let Some((value, bytes)) = model
            && wins(ledger.history().best(), value, direction)
        {
            self.place.0.put_artifact(self.place.1, &model_name(id), &bytes)?;
        }
        let best = ledger.history().best().map(|best| best.id);
        let seconds = started.elapsed().as_secs_f64();
        ledger.append(Event::TrialFinished { trial: id, outcome, seconds })?;
        if ledger.history().is_ordered() {
            self.advance(&mut ledger)?;
            return Ok(());
        }
        self.conclude(&ledger, id, best)
    }

    /// What follows from the end of a trial, once it counts. `before` was the best until then.
    pub(super) fn conclude(
        &self,
        ledger: &Ledger,
        id: TrialId,
        before: Option<TrialId>,
    ) -> Result<(), RunError> {
        let history = ledger.history();
        let Some((trial, outcome)) = history.trial(id).and_then(|it| Some((it, it.outcome.clone()?))) else {
            return Ok(());
        };
        match &outcome {
            Outcome::Failed { cause: FailCause::Error { .. } | FailCause::Panicked { .. } } => {
                self.failed_in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.failed_in_a_row.store(0, Ordering::Relaxed),
        }
        let best = history.best().map(|best| best.id);
        let beaten = [before, Some(id)].into_iter().flatten().filter(|trial| Some(*trial) != best);
        self.beaten().extend(beaten);
        if !history.is_ordered() {
            self.remove_beaten()?;
        }
        self.place.0.remove_artifact(self.place.1, &checkpoint_name(id))?;
        let seconds = trial.seconds.unwrap_or(0.0);
        self.observer.event(&Event::TrialFinished { trial: id, outcome, seconds });
        Ok(())
    }

    fn beaten(&self) -> MutexGuard<'_, Vec<TrialId>> {
        self.beaten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the models of beaten trials.
    pub(super) fn remove_beaten(&self) -> Result<(), RunError> {
        for trial in std::mem::take(&mut *self.beaten()) {
            self.place.0.remove_artifact(self.place.1, &model_name(trial))?;
        }
        Ok(())
    }

    /// Removes what is kept of a trial that has ended otherwise.
    fn forget(&self, id: TrialId) -> Result<(), RunError> {
        self.place.0.remove_artifact(self.place.1, &model_name(id))?;
        self.place.0.remove_artifact(self.place.1, &checkpoint_name(id))?;
        Ok(())
    }
}

/// Whether `value` would be the best; of equal values the first trial is.
fn wins(best: Option<&Trial>, value: f64, direction: Direction) -> bool {
    let best = best.and_then(|best| best.outcome.as_ref()?.value());
    best.is_none_or(|best| !direction.better(best, value))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
