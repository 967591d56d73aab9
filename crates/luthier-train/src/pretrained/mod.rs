//! Weights that somebody trained before: state dicts of PyTorch, torchvision's files, word vectors.
//!
//! A [`StateDict`] is what a file holds: tensors by the names that PyTorch gives them. A network of
//! Luthier has the same names, so loading is comparing two lists of names, and every difference is told
//! at once. [`Transfer`] says which of the tensors stay as they are while training, and which move slowly.

mod float_format;
mod imagenet;
mod library;
mod load;
mod pattern;
mod source;
mod state_dict;
mod transfer;
mod word_vectors;

use std::io;
use std::path::PathBuf;

use crate::data::DataError;

pub use library::Library;
pub use pattern::Pattern;
pub use source::WeightsSource;
pub use state_dict::StateDict;
#[allow(unused_imports, reason = "for the training loop")]
pub(crate) use transfer::frozen_prefix;
pub use transfer::{LearningRates, Thaw, Transfer};
pub use word_vectors::WordVectors;

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainedError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: io::Error,
    },
    /// A file is neither safetensors nor PyTorch's, or is damaged.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, and what to do.
        problem: String,
    },
    /// The tensors of a file are not those of the model. All differences are in the message.
    #[error("the weights in {} do not fit the model: {problem}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Which tensors are missing, misshapen or left over, and what to do.
        problem: String,
    },
    /// A line of a file of word vectors is not what was expected.
    #[error("{}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What was expected and what was found.
        problem: String,
    },
    /// torchvision has no weights for a model.
    #[error("{0}")]
    NoFile(String),
    /// A file is missing, or could not be downloaded.
    #[error(transparent)]
    Data(#[from] DataError),
}

#[cfg(test)]
mod tests;
