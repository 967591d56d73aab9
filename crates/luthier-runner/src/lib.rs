//! Runs trials: keeps a study's history and its storage in step, and works on several trials at once.
//!
//! [`Ledger`] is the one who writes: every event goes to the storage first and into the history when it
//! is durable. [`Session`] is a stretch of work on a study: it asks the search what to run, runs it,
//! and stops at the limits or when it is told to. [`CommandObjective`] makes an objective of any program.

mod closure;
mod command;
mod handle;
mod ledger;
mod origin;
mod session;
mod verify;

pub use closure::{Closure, ClosureError, EndHere, Run};
pub use command::{
    ByteSize, CommandConfig, CommandObjective, Keep, RegexReport, ReportConfig, Supervisor, stderr_name,
    stdout_name, supervise_if_asked,
};
pub use ledger::{Ledger, LedgerError, read_history};
pub use origin::{Remade, checkpoint_at, origin_name};
pub use session::{Interrupt, Limits, Observer, Quiet, RunError, Session, Trials};
pub use verify::{Verified, VerifyError, repeat, verify};

use luthier_core::TrialId;

/// The name under which a trial's model is kept.
pub fn model_name(trial: TrialId) -> String {
    format!("trial-{trial}.safetensors")
}

/// The name under which a trial's checkpoint is kept.
pub fn checkpoint_name(trial: TrialId) -> String {
    format!("trial-{trial}.checkpoint")
}
