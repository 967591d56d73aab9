//! Where data comes from.

use std::path::{Path, PathBuf};

use luthier_core::config::{Decode, Node, Problems};

use super::classification::ClassificationSource;
use super::images::{ArraySource, ImagesSource};
use super::table_csv::{self, CsvSource};
use super::{DataError, Dataset, mnist};

/// Is told what is being loaded, how many bytes have come, and how many there are where that is known.
pub type Progress<'a> = &'a dyn Fn(&str, u64, Option<u64>);

/// A source of data: the key `source` in `[data]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// 70,000 handwritten digits of 28 by 28 pixels; the last 10,000 are the test set (`LeCun`, Cortes,
    /// Burges, <https://yann.lecun.com/exdb/mnist/>).
    Mnist,
    /// A file of comma-separated values.
    Csv(CsvSource),
    /// Pictures in a folder for each class.
    Images(ImagesSource),
    /// NumPy arrays.
    Array(ArraySource),
    /// A generated problem of classification.
    Classification(ClassificationSource),
}

impl Source {
    /// Loads the data.
    ///
    /// Relative paths are relative to `base`, the folder of the study file, and to the current folder
    /// where they do not exist there. MNIST is looked for in `$LUTHIER_DATA/mnist`, `$LUTHIER_DATA` and
    /// the user's cache folder, and downloaded into the latter if it is in none of them; `progress`
    /// hears of that.
    ///
    /// # Errors
    /// Files that are missing or cannot be read, contents that are not what they should be, settings
    /// that contradict each other, and a download that fails.
    pub fn load(&self, base: &Path, progress: Progress<'_>) -> Result<Dataset, DataError> {
        match self {
            Self::Mnist => mnist::load(progress),
            Self::Csv(source) => table_csv::load(&resolve(base, &source.csv)?, source),
            Self::Images(source) => source.load(&resolve(base, &source.images)?),
            Self::Array(source) => source.load(base),
            Self::Classification(source) => source.generate(),
        }
    }
}

impl Decode for Source {
    const EXPECTED: &'static str = "\"mnist\", { csv = \"file.csv\", target = \"column\" }, { images = \"folder\" }, \
         { array = \"x.npy\", targets = \"y.npy\" } or { classification = { … } }";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        if node.as_str() == Some("mnist") {
            return Some(Self::Mnist);
        }
        if node.get("csv").is_some() {
            return CsvSource::decode(node, path, problems).map(Self::Csv);
        }
        if node.get("images").is_some() {
            return ImagesSource::decode(node, path, problems).map(Self::Images);
        }
        if node.get("array").is_some() {
            return ArraySource::decode(node, path, problems).map(Self::Array);
        }
        match node.as_table() {
            Some(table) if table.len() == 1 => {
                if let Some(inner) = table.get("classification") {
                    let path = format!("{path}.classification");
                    return ClassificationSource::decode(inner, &path, problems).map(Self::Classification);
                }
            }
            _ => {}
        }
        problems.add(node.line, path, Self::EXPECTED, node.describe());
        None
    }
}

pub(crate) fn resolve(base: &Path, path: &Path) -> Result<PathBuf, DataError> {
    let mut tried: Vec<PathBuf> = Vec::new();
    for candidate in [base.join(path), path.to_path_buf()] {
        let candidate = std::path::absolute(&candidate).unwrap_or(candidate);
        if candidate.exists() {
            return Ok(candidate);
        }
        if !tried.contains(&candidate) {
            tried.push(candidate);
        }
    }
    Err(DataError::NotFound { tried })
}
