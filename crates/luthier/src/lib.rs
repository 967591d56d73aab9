//! Studies: the search, the tuned training loop and the storage, put together.
//!
#![doc = include_str!("../../../README.md")]

mod ask_tell;
pub mod exchange;
pub mod launch;
pub mod reference;
mod study;
mod study_file;

pub use ask_tell::{AskTell, AskTellError};
pub use luthier_core as core;
pub use luthier_core::{Decision, Direction, StopReason, TrialId, Value};
pub use luthier_runner as runner;
pub use luthier_search as search;
pub use luthier_storage as storage;
pub use luthier_train as train;
pub use study::{Best, BoxError, Study, StudyBuilder, StudyError, Suggest, Trial};
pub use study_file::{
    LoadError, Loaded, OneOrMore, PieceSettings, SearchSection, StudyFile, StudyFileError, StudySection,
    Task, Training, TrialSection, WarmStartError, difference,
};

/// The program and its version, as studies record it.
pub const PROGRAM: &str = concat!("luthier ", env!("CARGO_PKG_VERSION"));

/// The machine and the number of the process, as sessions record it.
pub fn this_process() -> String {
    format!("{} process {}", gethostname::gethostname().to_string_lossy(), std::process::id())
}
