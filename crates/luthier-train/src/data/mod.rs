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
//! let config = SplitConfig { validation: 0.1, test: TestSplit::Share(0.2), stratify: true, seed: 0 };
//! let split = config.split(&data)?;
//! let preprocessor = Preprocessor::fit(&data, &split.train, &TransformConfig::default())?;
//! let mut batch = Vec::new();
//! preprocessor.encode(&data.inputs, &split.train[..32], &mut batch)?;
//! assert_eq!(batch.len(), 32 * preprocessor.input_shape().size());
//! # Ok::<(), luthier_train::data::DataError>(())
//! ```

mod classification;
pub(crate) mod download;
mod error;
mod idx;
mod images;
mod mnist;
mod preprocess;
mod raw_csv;
pub(crate) mod source;
mod split;
mod summary;
mod table_csv;

pub use classification::ClassificationSource;
pub use error::DataError;
pub use images::{ArraySource, ByteSize, Channels, ImageSize, Images, ImagesSource, Layout, NewImages};
pub use preprocess::{
    CategoricalEncoding, ColumnEncoding, EncodedTargets, Flag, ImageEncoding, Impute, InputEncoding, NewRows,
    NumericEncoding, Preprocessor, RowFlags, TargetEncoding, TransformConfig,
};
pub use source::{Progress, Source};
pub use split::{Split, SplitConfig, TestSplit};
pub use summary::{InputSummary, Summary, TargetSummary};
pub use table_csv::CsvSource;

use luthier_core::config::{Decode, Node, Problems};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
}

/// The inputs of every row.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Named columns of numbers and categories.
    Table(Table),
    /// Images of one size.
    Images(Images),
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
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// 16 hexadecimal digits that change when any value, name, class or shape changes. The name of the
    /// data itself does not count, so a file may be moved. Images on disk are all read for it.
    ///
    /// # Errors
    /// Those of [`Images::read`].
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let mut hash = ContentHash(Sha256::new());
        match &self.inputs {
            Inputs::Table(table) => {
                hash.text("table");
                hash.number(table.rows as u64);
                table.columns.iter().for_each(|column| hash.column(column));
            }
            Inputs::Images(images) => {
                hash.text("images");
                for size in [images.channels, images.height, images.width] {
                    hash.number(size as u64);
                }
                hash.number((images.len() * images.size()) as u64);
                let rows: Vec<usize> = (0..images.len()).collect();
                images.for_each(&rows, |pixels| hash.0.update(pixels))?;
            }
        }
        match &self.targets {
            Targets::Classes { labels, names, column } => {
                hash.text("classes");
                hash.texts(names);
                hash.text(column.as_deref().unwrap_or_default());
                hash.numbers(labels.iter().map(|label| u64::from(*label)));
            }
            Targets::Numbers { values, name } => {
                hash.text("numbers");
                hash.text(name);
                hash.numbers(values.iter().map(|value| value.to_bits()));
            }
        }
        hash.number(self.given_test.map_or(u64::MAX, |rows| rows as u64));
        let digest = hash.0.finalize();
        Ok(digest[..8].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
    }

    /// What the data holds, for people: rows, columns by kind, missing values, classes or the range of the target.
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }
}

/// A hash of values that cannot be confused with each other: every text carries its length.
struct ContentHash(Sha256);

impl ContentHash {
    fn number(&mut self, value: u64) {
        self.0.update(value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
    }

    fn numbers(&mut self, values: impl ExactSizeIterator<Item = u64>) {
        self.number(values.len() as u64);
        for value in values {
            self.number(value);
        }
    }

    fn column(&mut self, column: &Column) {
        self.text(&column.name);
        match &column.values {
            ColumnValues::Numeric(values) => {
                self.text("numeric");
                // Every NaN is the same missing value.
                let bits = |value: &f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
                self.numbers(values.iter().map(bits));
            }
            ColumnValues::Categorical { codes, categories } => {
                self.text("categorical");
                self.texts(categories);
                self.numbers(codes.iter().map(|code| code.map_or(u64::MAX, u64::from)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
