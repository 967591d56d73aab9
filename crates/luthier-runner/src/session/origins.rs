//! Trials that begin with the checkpoints of others: how they are begun, what they wait for, and what is kept for them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use luthier_core::{
    Evaluation, FailCause, History, Moment, ObjectiveError, Origin, Params, SearchError, Stop, StorageError,
    Trial, TrialId,
};

use super::worker::{Job, panic_message, take};
use super::{RunError, Shared};
use crate::origin::{Remade, checkpoint_at, origin_name, origin_of_name};
use crate::{Ledger, checkpoint_name};

impl Shared<'_> {
    /// What a worker does next that is to run one trial only.
    pub(super) fn next_only(&self, ledger: &mut Ledger) -> Result<Option<Job>, RunError> {
        let Some(only) = self.only else { return Ok(None) };
        // A target that is reached does not end what a person asked for.
        if matches!(self.stop(), Some(Stop::Interrupted | Stop::Timeout)) {
            return Ok(Some(Job::End));
        }
        let trial = ledger.history().trial(only).filter(|trial| trial.end().is_none());
        if trial.is_none() {
            return Ok(Some(self.finished(Stop::Finished)));
        }
        let free = self.free(ledger, trial.into_iter())?;
        free.map_or(Ok(Job::Wait), |id| take(ledger, id)).map(Some)
    }

    /// Begins a trial that the search asks for.
    pub(super) fn begin(
        ledger: &mut Ledger,
        params: Params,
        from: Option<Origin>,
        until: Option<u64>,
        at: Option<Moment>,
    ) -> Result<TrialId, RunError> {
        if let Some(Origin { trial, step }) = from {
            let there = |trial: &Trial| trial.reports.last().is_some_and(|last| last.step >= step);
            if !ledger.history().trial(trial).is_some_and(there) {
                let message =
                    format!("it asked to fork trial {trial} at step {step}, which it has not reached");
                return Err(SearchError { message }.into());
            }
        }
        Ok(ledger.start(params, from, until, at)?)
    }

    /// The checkpoint of another trial that a trial begins with, if it does and has none of its own yet; or what
    /// comes of the trial without it.
    pub(super) fn inherited(&self, trial: &Trial) -> Result<Result<Option<Vec<u8>>, Evaluation>, RunError> {
        let Some(from) = &trial.from else { return Ok(Ok(None)) };
        let (storage, study) = self.place();
        if trial.taken > 1 && storage.artifact(study, &checkpoint_name(trial.id))?.is_some() {
            return Ok(Ok(None));
        }
        let kept = |origin: Origin| {
            storage.artifact(study, &origin_name(origin)).map_err(|error| ObjectiveError {
                message: "a checkpoint could not be read".to_owned(),
                source: Some(Box::new(error)),
            })
        };
        if let Some(bytes) = kept(from.origin)? {
            return Ok(Ok(Some(bytes)));
        }
        let history = self.lock().history().clone();
        let Origin { trial: parent, step } = from.origin;
        self.observer.notice(&format!(
            "trial {}: the checkpoint of trial {parent} at step {step} is gone; it is made again",
            trial.id
        ));
        let again = || checkpoint_at(self.objective, &history, from.origin, &kept, &|| self.stop());
        let remade = match catch_unwind(AssertUnwindSafe(again)) {
            Ok(remade) => remade?,
            Err(panic) => {
                let message = panic_message(&*panic);
                return Ok(Err(Evaluation::Failed(FailCause::Panicked { message })));
            }
        };
        Ok(match remade {
            Remade::Checkpoint(bytes) => {
                storage.put_artifact(study, &origin_name(from.origin), &bytes)?;
                Ok(Some(bytes))
            }
            Remade::SetAside => Err(Evaluation::Paused),
            Remade::Not(reason) => {
                let message = format!(
                    "the checkpoint of trial {parent} at step {step} is gone and cannot be made again: {reason}"
                );
                Err(Evaluation::Failed(FailCause::Error { message }))
            }
        })
    }

    /// Removes checkpoints that no trial will begin with any more.
    pub(super) fn clear_origins(&self, ledger: &Ledger) -> Result<(), StorageError> {
        let (storage, study) = self.place();
        let history = ledger.history();
        for name in storage.artifacts(study)? {
            let Some(origin) = origin_of_name(&name) else { continue };
            // One that has been laid down goes on from its own.
            let begins = |trial: &Trial| {
                trial.laid_down <= origin.step
                    && trial.from.as_ref().is_some_and(|from| from.origin == origin)
            };
            if !history.open().any(begins) && !self.search.may_fork(&history.view(), origin) {
                storage.remove_artifact(study, &name)?;
            }
        }
        Ok(())
    }
}

/// The trial whose checkpoint a trial begins with, as long as somebody has it in hand who has still to write it.
pub(super) fn waits_for<'h>(history: &'h History, trial: &Trial) -> Option<&'h Trial> {
    let origin = trial.from.as_ref().filter(|_| trial.taken == 0)?.origin;
    let parent = history.trial(origin.trial)?;
    let writes = parent.holder.is_some() && parent.end().is_none() && parent.laid_down < origin.step;
    writes.then_some(parent)
}
