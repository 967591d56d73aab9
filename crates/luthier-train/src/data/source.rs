//! Where data comes from.

use std::path::{Path, PathBuf};

use luthier_core::config::{Decode, Node, Problems};

use super::aside::Aside;
use super::classification::ClassificationSource;
use super::images::{ArraySource, ImagesSource};
use super::table_csv::{self, CsvSource, ParquetSource, Roles};
use super::text::{self, TextSource};
use super::{DataError, Dataset, SplitConfig, TestSplit, mnist};

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
    /// A Parquet file.
    Parquet(ParquetSource),
    /// Texts from a table or from folders.
    Text(TextSource),
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
        self.load_for(&SplitConfig::default(), base, progress)
    }

    /// Loads the data and what `split` needs of it: the test file if it names one, whose rows become the
    /// last ones, and the columns of groups or times.
    ///
    /// # Errors
    /// Those of [`Source::load`], and a test file or columns where the source can have none.
    pub fn load_for(
        &self,
        split: &SplitConfig,
        base: &Path,
        progress: Progress<'_>,
    ) -> Result<Dataset, DataError> {
        let aside = Aside::from(split);
        let file = match &split.test {
            TestSplit::File(file) => Some(file),
            _ => None,
        };
        let kinds: &[&str] = match self {
            Self::Csv(_) | Self::Parquet(_) => &["csv", "parquet"],
            Self::Text(_) => &["text"],
            _ => &[],
        };
        if let Some(file) = file.filter(|file| !kinds.contains(&file.kind)) {
            let kind = file.kind;
            return Err(DataError::Split(match kinds {
                [] => format!("`test = {{ {kind} = … }}` is for tables and texts; give a share or \"given\""),
                _ => format!(
                    "`test = {{ {kind} = … }}` does not go with this source, expected {}",
                    kinds.join(" or ")
                ),
            }));
        }
        if let ([], Some(name)) = (kinds, aside.names().first()) {
            return Err(DataError::Split(format!(
                "the rows are to be divided by the column `{name}`, but this source has no columns"
            )));
        }
        let test = file.map(|file| resolve(base, &file.path)).transpose()?;
        let test = test.as_deref();
        match self {
            Self::Mnist => mnist::load(progress),
            Self::Csv(source) => {
                table_csv::load(&resolve(base, &source.csv)?, test, &Roles::from(source), &aside)
            }
            Self::Parquet(source) => {
                table_csv::load(&resolve(base, &source.parquet)?, test, &Roles::from(source), &aside)
            }
            Self::Text(source) => text::load(&resolve(base, &source.text)?, test, source, &aside),
            Self::Images(source) => source.load(&resolve(base, &source.images)?),
            Self::Array(source) => source.load(base),
            Self::Classification(source) => source.generate(),
        }
    }
}

impl Decode for Source {
    const EXPECTED: &'static str = "\"mnist\", { csv = \"file.csv\", target = \"column\" }, \
         { parquet = \"file.parquet\", target = \"column\" }, \
         { text = \"file.csv\", column = \"text\", target = \"label\" }, { text = \"folder\" }, \
         { images = \"folder\" }, { array = \"x.npy\", targets = \"y.npy\" } or { classification = { … } }";

    fn schema() -> luthier_core::config::Schema {
        luthier_core::config::Schema::words(
            Self::EXPECTED,
            vec![
                CsvSource::schema(),
                ParquetSource::schema(),
                TextSource::schema(),
                ImagesSource::schema(),
                ArraySource::schema(),
            ],
        )
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        if node.as_str() == Some("mnist") {
            return Some(Self::Mnist);
        }
        if node.get("csv").is_some() {
            return CsvSource::decode(node, path, problems).map(Self::Csv);
        }
        if node.get("parquet").is_some() {
            return ParquetSource::decode(node, path, problems).map(Self::Parquet);
        }
        if node.get("text").is_some() {
            return TextSource::decode(node, path, problems).map(Self::Text);
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
