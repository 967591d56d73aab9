//! How a command fails, and the exit code of it.

use std::process::ExitCode;

use luthier::{LoadError, StudyFileError};
use luthier_core::config::Problems;

/// Why a command could not do what it was asked.
pub(crate) enum Failure {
    /// A study file that cannot be used, or words that make no sense. Exit code 2.
    Usage(anyhow::Error),
    /// Anything else. Exit code 1.
    Failed(anyhow::Error),
    /// The user stopped it. Exit code 130.
    Interrupted,
    /// Nobody reads the output any more. Exit code 0: that is how `head` ends a pipe.
    Unread,
}

impl Failure {
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::Usage(anyhow::anyhow!("{message}"))
    }

    pub(crate) fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(anyhow::anyhow!("{message}"))
    }

    /// Says what is wrong on stderr and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (error, code) = match self {
            Self::Usage(error) => (error, 2),
            Self::Failed(error) => (error, 1),
            Self::Interrupted => return ExitCode::from(130),
            Self::Unread => return ExitCode::SUCCESS,
        };
        super::output::tell(&format!("error: {}", explain(&error)));
        ExitCode::from(code)
    }
}

/// The error and what it comes from, without saying anything twice.
fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text += ": ";
            }
            text += &cause;
        }
    }
    text
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let is_usage = error.is::<Problems>()
            || error.is::<StudyFileError>()
            || matches!(error.downcast_ref::<LoadError>(), Some(LoadError::Problems(_)));
        if is_usage { Self::Usage(error) } else { Self::Failed(error) }
    }
}
