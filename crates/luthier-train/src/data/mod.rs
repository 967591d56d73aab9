//! Data: where it comes from, how it is split, and how it becomes numbers for a model.
//!
//! A [`Source`] is loaded into a [`Dataset`], [`SplitConfig::split`] divides its rows, and a
//! [`Preprocessor`], fitted on the training rows alone, encodes rows as `f32`. The preprocessor
//! travels with the model and reads new data in the same way.
//!
//! ```
//! use luthier_train::data::{ClassificationSource, Preprocessor, Source, SplitConfig, TestSplit, TransformConfig};
//! let source = Source::Classification(ClassificationSource { samples: 200, ..Default::default() });
//! let data = source.load(".".as_ref(), &|_, _, _| {})?;
//! let config = SplitConfig { validation: 0.1, test: TestSplit::Share(0.2), stratify: true, ..Default::default() };
//! let split = config.split(&data)?;
//! let preprocessor = Preprocessor::fit(&data, &split.train, &TransformConfig::default())?;
//! let mut batch = Vec::new();
//! preprocessor.encode(&data.inputs, &split.train[..32], &mut batch)?;
//! assert_eq!(batch.len(), 32 * preprocessor.input_shape().size());
//! # Ok::<(), luthier_train::data::DataError>(())
//! ```

mod aside;
mod classification;
mod download;
mod error;
mod fingerprint;
mod idx;
mod images;
mod mnist;
mod preprocess;
mod raw_csv;
mod raw_parquet;
mod raw_table;
mod screening;
mod source;
mod split;
mod summary;
mod table_csv;
mod text;

pub use classification::ClassificationSource;
pub use error::{DataError, Place};
pub use images::{ArraySource, ByteSize, Channels, ImageSize, Images, ImagesSource, Layout, NewImages};
pub use preprocess::{
    CategoricalEncoding, ColumnEncoding, EncodedTargets, Flag, ImageEncoding, Impute, InputEncoding, NewRows,
    NumericEncoding, Preprocessor, RowFlags, Scale, TargetEncoding, TextEncoding, TransformConfig,
};
pub use screening::{Duplicates, Screening};
pub use source::{Progress, Source};
pub use split::{Split, SplitConfig, TestFile, TestSplit};
pub use summary::{InputSummary, Summary, TargetSummary};
pub use table_csv::{CsvSource, ParquetSource};
pub use text::{TextSource, Texts, Vocabulary};

use luthier_core::config::{Decode, Node, Problems};
use serde::{Deserialize, Serialize};

/// What a model learns to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// One of several classes.
    Classification,
    /// A number.
    Regression,
}

impl Decode for Task {
    const EXPECTED: &'static str = "\"classification\" or \"regression\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match node.as_str() {
            Some("classification") => Some(Self::Classification),
            Some("regression") => Some(Self::Regression),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

/// Rows of inputs with the target of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What the data is called in messages, such as `mnist` or the stem of a file's name.
    pub name: String,
    /// What the model is given, one row an example.
    pub inputs: Inputs,
    /// What it is to predict, as many as there are rows.
    pub targets: Targets,
    /// How many of the last rows are the source's own test set, where it has one.
    pub given_test: Option<usize>,
    /// Columns that the split goes by: groups and times. They are no inputs.
    pub aside: Vec<Column>,
    /// What a person should know of the source.
    pub notices: Vec<String>,
}

/// The inputs of every row.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Named columns of numbers and categories.
    Table(Table),
    /// Images of one size.
    Images(Images),
    /// Texts.
    Text(Texts),
}

/// Columns of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The columns, in the order of the source.
    pub columns: Vec<Column>,
    /// The length of each.
    pub rows: usize,
}

/// One column of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name, unique in the table.
    pub name: String,
    /// Its values, one a row.
    pub values: ColumnValues,
}

/// The values of a [`Column`].
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnValues {
    /// Finite numbers; NaN stands for a missing value.
    Numeric(Vec<f64>),
    /// Categories; `None` stands for a missing value.
    Categorical {
        /// The position of each row's category in `categories`.
        codes: Vec<Option<u32>>,
        /// The categories: in the order of their numbers where all are numbers, else sorted as text.
        categories: Vec<String>,
    },
}

/// The target of every row.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Classes.
    Classes {
        /// The position of each row's class in `names`.
        labels: Vec<u32>,
        /// The names of the classes, in the order of the model's outputs.
        names: Vec<String>,
        /// The name of the column, where they come from a table that has one.
        column: Option<String>,
    },
    /// Numbers.
    Numbers {
        /// One finite number a row.
        values: Vec<f64>,
        /// The name of the column.
        name: String,
    },
}

impl Inputs {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Table(table) => table.rows,
            Self::Images(images) => images.len(),
            Self::Text(texts) => texts.texts.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Targets {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::Numbers { values, .. } => values.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be learnt from them.
    pub fn task(&self) -> Task {
        match self {
            Self::Classes { .. } => Task::Classification,
            Self::Numbers { .. } => Task::Regression,
        }
    }
}

impl Dataset {
    /// A data set without a test set of its own.
    pub fn new(name: impl Into<String>, inputs: Inputs, targets: Targets) -> Self {
        let (aside, notices) = (Vec::new(), Vec::new());
        Self { name: name.into(), inputs, targets, given_test: None, aside, notices }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that the parts fit each other: as many targets as inputs, labels that have a name, numbers
    /// that are finite.
    ///
    /// # Errors
    /// [`DataError::Encoding`] with the first row at fault.
    pub fn check(&self) -> Result<(), DataError> {
        let (rows, targets, name) = (self.inputs.len(), self.targets.len(), &self.name);
        if rows != targets {
            return Err(DataError::Encoding(format!(
                "{name} has {rows} rows of inputs and {targets} targets"
            )));
        }
        let fault = match &self.targets {
            Targets::Classes { labels, names, .. } => {
                let row = labels.iter().position(|label| *label as usize >= names.len());
                row.map(|row| {
                    let (label, most) = (labels[row], names.len().saturating_sub(1));
                    format!("row {} has the label {label}, expected 0 to {most}", row + 1)
                })
            }
            Targets::Numbers { values, .. } => {
                let row = values.iter().position(|value| !value.is_finite());
                row.map(|row| format!("row {} has the target {}, expected a number", row + 1, values[row]))
            }
        };
        fault.map_or(Ok(()), |fault| Err(DataError::Encoding(format!("{name}: {fault}"))))
    }

    /// What the data holds, for people: rows, columns by kind, missing values, classes or the range of the target.
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }
}

#[cfg(test)]
mod tests;
