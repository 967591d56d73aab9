//! Workers placed by an engine that is there already: Slurm, Ray or Kubernetes.
//!
//! An engine is asked for workers and told nothing of trials: each of its jobs is one `luthier worker` that lives as
//! long as the study. Which trial runs where is settled between the workers by their storage, so an engine may kill
//! one, lose a node or leave an orphan behind, and the study comes to the same end. [`Watch`] decides when workers
//! are submitted again.

mod kubernetes;
mod ray;
mod resources;
mod slurm;
mod tools;
mod watch;

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use thiserror::Error;

pub use kubernetes::Kubernetes;
pub use ray::Ray;
pub use resources::{Memory, Resources};
pub use slurm::Slurm;
pub use watch::{Step, Watch};

/// Workers of one study, as an engine is asked for them. All are alike.
#[derive(Debug, Clone)]
pub struct Job {
    /// What the engine knows them by; see [`job_name`].
    pub name: String,
    /// The program and its arguments. It reads the storage's URL from the variable [`STORAGE_VARIABLE`].
    pub command: Vec<String>,
    /// The folder that the program runs in, on the engine's machines.
    pub folder: PathBuf,
    /// The URL of the storage. It may hold a password, so it is passed as a variable and never shown.
    pub storage: String,
    /// The folder for what workers say, where the engine does not keep that itself.
    pub logs: PathBuf,
    /// What each worker needs.
    pub resources: Resources,
    /// Further options in the engine's own words, as `KEY=VALUE` or `KEY`.
    pub options: Vec<String>,
}

/// The environment variable by which workers are told where the study is kept.
pub const STORAGE_VARIABLE: &str = "LUTHIER_STORAGE";

/// A worker, as an engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// What the engine calls it.
    pub id: String,
    /// How it is.
    pub state: WorkerState,
}

/// How a worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// It waits for a place; with the engine's reason, where it gives one.
    Pending(Option<String>),
    /// It is at work.
    Running,
    /// It ended by itself: there is nothing more to do.
    Done,
    /// Somebody cancelled it.
    Cancelled,
    /// It ended with an error, was killed, or its machine was lost. `started` is false where it never ran, because the
    /// engine gave up waiting for a place.
    Gone {
        /// In the engine's words.
        cause: String,
        /// Whether it ever ran.
        started: bool,
    },
}

impl WorkerState {
    /// Whether it runs, or waits for a place.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Pending(_) | Self::Running)
    }
}

/// Something that runs programs on many machines.
pub trait Engine {
    /// Submits so many workers and gives what it calls them.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] where the engine is not there or refuses them.
    fn submit(&self, job: &Job, workers: u32) -> Result<Vec<String>, LaunchError>;

    /// All workers of this name that the engine knows of, those of earlier launches included.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] where the engine is not there.
    fn workers(&self, job: &Job) -> Result<Vec<Worker>, LaunchError>;

    /// Asks all active workers of this name to end: first by SIGTERM, upon which a worker leaves its trials to others.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] where the engine is not there or refuses.
    fn cancel(&self, job: &Job) -> Result<(), LaunchError>;

    /// What a worker said, as far as it is to be had.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] where it is not.
    fn log(&self, job: &Job, id: &str) -> Result<String, LaunchError>;

    /// What is submitted for so many workers: a batch script, a request or a manifest. The storage's URL is not in it.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] where options make no sense.
    fn submission(&self, job: &Job, workers: u32) -> Result<String, LaunchError>;

    /// How to look at the workers by the engine's own tools.
    fn how_to_look(&self, job: &Job) -> String;
}

/// Why an engine could not do what it was asked.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// A command of the engine that is not there.
    #[error("`{program}` was not found: {help}")]
    Missing {
        /// The command.
        program: String,
        /// What to do.
        help: &'static str,
    },
    /// A command or a request that the engine refused.
    #[error("{what} was refused: {said}")]
    Refused {
        /// The command or the request.
        what: String,
        /// What the engine said.
        said: String,
    },
    /// An engine that does not answer.
    #[error("there is no answer from {address}: {reason}; {help}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why.
        reason: String,
        /// What to do.
        help: &'static str,
    },
    /// An answer that makes no sense.
    #[error("{what} answered with something unexpected: {found}")]
    Unreadable {
        /// Who answered.
        what: String,
        /// What was found.
        found: String,
    },
    /// An option that makes no sense.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// Which.
        option: String,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A file or a process of this machine.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// The name for the workers of a study: letters, digits and `-` that tell the study, and some that tell it from others of
/// a like name or in another storage. At most 56 characters, as Kubernetes takes them.
///
/// ```
/// use luthier::launch::job_name;
/// let name = job_name("MNIST, wide", "postgres://me:secret@db.example/studies?lease=10");
/// assert!(name.starts_with("luthier-mnist-wide-"), "{name}");
/// // Who asks, and how, changes nothing.
/// assert_eq!(name, job_name("MNIST, wide", "postgres://you@db.example/studies"));
/// assert_ne!(name, job_name("MNIST; wide", "postgres://you@db.example/studies"));
/// ```
pub fn job_name(study: &str, storage: &str) -> String {
    let mut slug = String::new();
    for letter in study.chars().map(|letter| letter.to_ascii_lowercase()) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(36);
    let slug = slug.trim_end_matches('-');
    let place = match storage.split_once("://") {
        Some((_, rest)) => {
            let rest = rest.split('?').next().unwrap_or(rest);
            rest.rsplit_once('@').map_or(rest, |(_, place)| place)
        }
        None => storage,
    };
    let digest = Sha256::digest(format!("{study}\n{place}"));
    let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    if slug.is_empty() { format!("luthier-{hash}") } else { format!("luthier-{slug}-{hash}") }
}

#[cfg(test)]
mod tests;
