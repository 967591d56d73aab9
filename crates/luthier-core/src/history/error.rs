//! Why an event cannot follow those before it.

use thiserror::Error;

use crate::{Moment, Origin, Revision, TrialId};

/// Why an event cannot follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HistoryError {
    /// Trials are numbered from 0 without gaps.
    #[error("trial {found} was started where {expected} was due")]
    Number {
        /// The number that was due.
        expected: TrialId,
        /// The one that came.
        found: TrialId,
    },
    /// The event is about a trial that was never started.
    #[error("trial {0} does not exist")]
    NoSuchTrial(TrialId),
    /// A finished trial never changes.
    #[error("trial {0} has ended and cannot change")]
    Ended(TrialId),
    /// Steps rise within a trial.
    #[error("trial {trial} reported step {found} after step {last}")]
    Step {
        /// The trial.
        trial: TrialId,
        /// The last step before.
        last: u64,
        /// The step that came.
        found: u64,
    },
    /// A trial begins with a checkpoint of a step that the other trial has not reached.
    #[error("trial {trial} begins with trial {} at step {}, which that one has not reached", .origin.trial, .origin.step)]
    Origin {
        /// The trial.
        trial: TrialId,
        /// What it is to begin with.
        origin: Origin,
    },
    /// Something was decided at a moment at which it was not due.
    #[error("trial {trial} was decided on at time {} in slot {}, where something else was due", .at.time, .at.slot)]
    Moment {
        /// The trial.
        trial: TrialId,
        /// The moment.
        at: Moment,
    },
    /// In a study with a logical clock, whatever begins has a slot.
    #[error("trial {0} has no slot, and the study has a logical clock")]
    NoMoment(TrialId),
    /// A revision is missing or came twice.
    #[error("revision {found} came where {expected} was due")]
    Revision {
        /// The revision that was due.
        expected: Revision,
        /// The one that came.
        found: Revision,
    },
}
