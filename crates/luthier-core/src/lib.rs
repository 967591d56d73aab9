//! The vocabulary and the contracts of Luthier.
//!
//! Everything that the other crates agree on is here: what a parameter, a space, a trial, a study
//! and its history are, and the traits of those who act on them ([`Search`], [`Sampler`],
//! [`Pruner`], [`Objective`], [`Storage`]). The crate does no I/O, reads no clock and starts no
//! thread, so all of it can be tested in memory.
//!
//! The suites in [`testing`] are for whoever implements a contract: every implementation has to pass them.

mod clock;
pub mod config;
mod constraint;
mod distribution;
mod event;
mod history;
mod lineage;
mod objective;
mod prior;
mod random;
mod search;
mod space;
mod start;
mod storage;
mod study;
pub mod testing;
mod trial;
mod value;

pub use clock::{Due, Moment};
pub use constraint::{Constraint, ConstraintError};
pub use distribution::{Distribution, DistributionError};
pub use event::{Event, Recorded, Revision, SessionId, Stop};
pub use history::{FinishedTrial, History, HistoryError, SessionRecord, Trial, Tried, Unfinished, View};
pub use lineage::{Lineage, Origin, Request};
pub use objective::{Abilities, Decision, Evaluation, Objective, ObjectiveError, TrialHandle};
pub use prior::{Prior, Role};
pub use random::{Purpose, Rng, Streams, fingerprint, trial_seed};
pub use search::{
    Admission, Budget, Next, Pruner, Sampler, SamplerAndPruner, Search, SearchError, StopReason,
};
pub use space::{Condition, Parameter, Space, SpaceError};
pub use start::StartError;
pub use storage::{MemoryStorage, Presence, Storage, StorageError, Turn};
pub use study::{Attributes, Criteria, Direction, Goal, Study, StudyDefinition, StudyId, dominates};
pub use trial::{Ending, FailCause, Metrics, Outcome, Report, TrialId, number};
pub use value::{Params, Value};
