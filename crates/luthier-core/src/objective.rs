//! The contract of an objective: what a trial does when it runs.

use std::time::Duration;

use thiserror::Error;

use crate::{Ending, FailCause, Lineage, Metrics, Params, Stop, StopReason, TrialId};

/// What an objective can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// It reports while it runs, so it can be stopped early.
    pub reports: bool,
    /// It saves checkpoints and goes on from them, so it can pause.
    pub pauses: bool,
    /// It can begin a trial with the checkpoint of another one, under other parameters and with other draws.
    pub forks: bool,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Go on.
    Continue,
    /// End here: the trial cannot win.
    Stop(StopReason),
}

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluation {
    /// It has a value.
    Complete {
        /// The objective, in the study's own direction.
        value: f64,
        /// The step with that value, where there are steps.
        step: Option<u64>,
        /// How it came to its end.
        ending: Ending,
        /// What to keep of it if it is the best: for a training, the model file.
        model: Option<Vec<u8>>,
    },
    /// It ended because a report was answered by [`Decision::Stop`].
    Stopped(StopReason),
    /// It was set aside: because of `until`, or because [`TrialHandle::interrupted`] said so.
    Paused,
    /// The configuration makes no sense.
    Infeasible(String),
    /// It has no value.
    Failed(FailCause),
}

/// An objective that cannot work at all: the study stops, and no trial is blamed.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct ObjectiveError {
    /// What is wrong, and what to do.
    pub message: String,
    /// Where it comes from.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl From<String> for ObjectiveError {
    fn from(message: String) -> Self {
        Self { message, source: None }
    }
}

/// A running trial, as its objective sees it.
pub trait TrialHandle: Send {
    /// Its number.
    fn id(&self) -> TrialId;

    /// Its parameters.
    fn params(&self) -> &Params;

    /// The seed of its random streams.
    fn seed(&self) -> u64;

    /// The step at which it has to pause, if any.
    fn until(&self) -> Option<u64>;

    /// Tells how the trial stands after `step`, and hears whether to go on.
    ///
    /// A step that was reported before the trial was set aside may be reported again; it is not
    /// counted twice.
    ///
    /// # Errors
    ///
    /// [`ObjectiveError`] if the report could not be stored; the objective passes it on.
    fn report(&mut self, step: u64, value: f64, metrics: Metrics) -> Result<Decision, ObjectiveError>;

    /// Tells a person something that changes no result.
    fn notice(&mut self, text: &str) {
        let _ = text;
    }

    /// Whether the trial is to be set aside now: the time is up, or the user wants to stop. Cheap
    /// enough to ask at every batch.
    fn interrupted(&self) -> Option<Stop>;

    /// The trial's last checkpoint, if it goes on from one.
    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError>;

    /// The trial that it goes on from, where it does not begin anew. [`TrialHandle::checkpoint`] comes first: without
    /// one of its own, it begins with [`TrialHandle::inherited`].
    fn lineage(&self) -> Option<&Lineage> {
        None
    }

    /// The checkpoint of the other trial that it begins with.
    ///
    /// # Errors
    ///
    /// [`ObjectiveError`] if it goes on from no other trial.
    fn inherited(&mut self) -> Result<Vec<u8>, ObjectiveError> {
        Err(format!("trial {} goes on from no other trial", self.id()).into())
    }

    /// Whether a checkpoint at this moment would be of use: it will pause, or enough time has passed
    /// since the last one that losing the work in between would hurt.
    fn wants_checkpoint(&self) -> bool;

    /// Whether a checkpoint of the trial's end is of use, if it ends with this value.
    fn wants_end(&self, value: f64) -> bool {
        let _ = value;
        false
    }

    /// Stores a checkpoint in place of the last one.
    fn save_checkpoint(&mut self, checkpoint: Vec<u8>) -> Result<(), ObjectiveError>;
}

/// What a study optimises.
pub trait Objective: Send + Sync {
    /// What it can do.
    fn abilities(&self) -> Abilities;

    /// Time that the work behind the last trial will take, such as a final evaluation. It is kept free
    /// when there is a limit of time.
    fn wrap_up(&self) -> Duration {
        Duration::ZERO
    }

    /// Runs `trial` until it ends or pauses.
    ///
    /// # Errors
    ///
    /// [`ObjectiveError`] where no trial could succeed; a trial that fails alone is
    /// [`Evaluation::Failed`].
    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError>;
}
