//! From data to what a model is given, learnt from the training rows alone.
//!
//! A [`Preprocessor`] is fitted once, stored with the model, and encodes every other row in the same
//! way: missing numbers are filled in, numbers are scaled, a category becomes one column of 0 and 1 each
//! (one-hot), where training rows missed values a column says so, columns that never change are left
//! out, and the words of texts become numbers of a vocabulary. Nothing of validation and test rows enters
//! it.

mod decode;
mod encode;
mod fit;
mod flags;
mod new_rows;

pub use encode::EncodedTargets;
pub use flags::{Flag, RowFlags};
pub use new_rows::NewRows;

use serde::{Deserialize, Serialize};

use super::{Task, Vocabulary};
use crate::shape::Shape;

/// How inputs and targets are transformed: keys of `[data]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransformConfig {
    /// How numbers and pixels are scaled.
    pub scale: Scale,
    /// What missing numbers are filled in with.
    pub impute: Impute,
    /// Whether a column of 0 and 1 says where a value was missing, for columns that miss any in training.
    pub missing_flags: bool,
    /// Whether the target is standardised; only for regression.
    pub standardize_target: bool,
    /// The most words that the vocabulary of texts has.
    pub max_words: usize,
    /// How often a word has to come in the training texts to be in the vocabulary.
    pub min_count: usize,
    /// The most words of a text that are kept: its first ones.
    pub max_length: usize,
}

impl Default for TransformConfig {
    fn default() -> Self {
        Self {
            scale: Scale::Standardize,
            impute: Impute::Median,
            missing_flags: true,
            standardize_target: true,
            max_words: 20_000,
            min_count: 1,
            max_length: 256,
        }
    }
}

/// How numbers are scaled, column by column, and pixels, channel by channel. What is needed for it is
/// learnt from the training rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// `(x - mean) / std`, with the standard deviation of the population; pixels likewise.
    Standardize,
    /// `(x - min) / (max - min)`, so that training values are in `[0, 1]`; pixels are divided by 255.
    Normalize,
    /// As they are; pixels from 0 to 255.
    None,
}

/// What missing numbers are filled in with, column by column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impute {
    /// The mean of the training values.
    Mean,
    /// The median of the training values.
    Median,
    /// The most frequent training value, the smallest if there are several.
    MostFrequent,
    /// This number.
    Constant(f64),
}

/// How rows become numbers. Made by [`Preprocessor::fit`]; serialisable, to be kept with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessor {
    /// The inputs.
    pub inputs: InputEncoding,
    /// The targets.
    pub targets: TargetEncoding,
    /// The name of the target column, where the data is a table that has one.
    pub target_name: Option<String>,
    /// What a person should know, such as a column that never changes.
    pub notices: Vec<String>,
}

/// How inputs become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputEncoding {
    /// The columns of a table, in the order of the training data.
    Table {
        /// One for each column that is used.
        columns: Vec<ColumnEncoding>,
        /// How numbers are scaled.
        scale: Scale,
    },
    /// Images.
    Images(ImageEncoding),
    /// Texts.
    Text(TextEncoding),
}

/// What is known of texts from the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextEncoding {
    /// The column of text in tables.
    pub column: String,
    /// The words that have a number of their own.
    pub vocabulary: Vocabulary,
    /// The number of tokens of every encoded text: that of the longest training text, or the most that
    /// was allowed.
    pub length: usize,
}

/// How a column becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnEncoding {
    /// A number.
    Numeric(NumericEncoding),
    /// A category.
    Categorical(CategoricalEncoding),
}

/// What is known of a numeric column from the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumericEncoding {
    /// The name of the column.
    pub name: String,
    /// The mean, after missing values were filled in.
    pub mean: f64,
    /// The standard deviation of the population, after missing values were filled in; 1 for a column that
    /// never changes.
    pub std: f64,
    /// What missing values are filled in with.
    pub fill: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// Whether any value was missing.
    pub missing: bool,
    /// Whether the column `NAME=missing` is added.
    pub flag: bool,
}

/// What is known of a categorical column from the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoricalEncoding {
    /// The name of the column.
    pub name: String,
    /// The categories, one column each, in the order of the data set.
    pub categories: Vec<String>,
    /// Whether any value was missing.
    pub missing: bool,
    /// Whether the column `NAME=missing` is added.
    pub flag: bool,
}

/// What is known of images from the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageEncoding {
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// The mean of each channel, of pixels in `[0, 1]`.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel, of pixels in `[0, 1]`; 1 for a channel that never changes.
    pub std: Vec<f64>,
    /// How pixels are scaled.
    pub scale: Scale,
    /// Whether images of other sizes are resized to this one, as those of training were.
    #[serde(default)]
    pub resize: bool,
}

/// How targets become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetEncoding {
    /// Classes.
    Classes {
        /// Their names, in the order of the model's outputs.
        names: Vec<String>,
    },
    /// Numbers.
    Numbers {
        /// The name of the column.
        name: String,
        /// The mean of the training rows.
        mean: f64,
        /// The standard deviation of the training rows; 1 if it never changes.
        std: f64,
        /// The smallest training value.
        min: f64,
        /// The largest training value.
        max: f64,
        /// Whether the model learns standardised values.
        standardize: bool,
    },
}

impl Preprocessor {
    /// The names of the encoded columns: `NAME`, `NAME=CATEGORY` and `NAME=missing`. Empty for images and
    /// texts.
    pub fn features(&self) -> Vec<String> {
        let InputEncoding::Table { columns, .. } = &self.inputs else { return Vec::new() };
        columns.iter().flat_map(ColumnEncoding::features).collect()
    }

    /// The shape of one encoded row.
    pub fn input_shape(&self) -> Shape {
        match &self.inputs {
            InputEncoding::Table { columns, .. } => {
                Shape::Flat(columns.iter().map(ColumnEncoding::width).sum())
            }
            &InputEncoding::Images(ImageEncoding { channels, height, width, .. }) => {
                Shape::Image { channels, height, width }
            }
            InputEncoding::Text(TextEncoding { vocabulary, length, .. }) => {
                Shape::Tokens { length: *length, vocabulary: vocabulary.tokens() }
            }
        }
    }

    /// The number of outputs that a model needs: one a class, or 1 for a number.
    pub fn outputs(&self) -> usize {
        match &self.targets {
            TargetEncoding::Classes { names } => names.len(),
            TargetEncoding::Numbers { .. } => 1,
        }
    }

    /// What the model learns.
    pub fn task(&self) -> Task {
        match &self.targets {
            TargetEncoding::Classes { .. } => Task::Classification,
            TargetEncoding::Numbers { .. } => Task::Regression,
        }
    }
}

impl ColumnEncoding {
    /// The name of the column in the data.
    pub fn name(&self) -> &str {
        match self {
            Self::Numeric(numeric) => &numeric.name,
            Self::Categorical(categorical) => &categorical.name,
        }
    }

    /// Whether a training row missed the value.
    pub fn missing(&self) -> bool {
        match self {
            Self::Numeric(numeric) => numeric.missing,
            Self::Categorical(categorical) => categorical.missing,
        }
    }

    /// Whether the column `NAME=missing` is added.
    fn flag(&self) -> bool {
        match self {
            Self::Numeric(numeric) => numeric.flag,
            Self::Categorical(categorical) => categorical.flag,
        }
    }

    /// The number of encoded columns.
    fn width(&self) -> usize {
        let values = match self {
            Self::Numeric(_) => 1,
            Self::Categorical(categorical) => categorical.categories.len(),
        };
        values + usize::from(self.flag())
    }

    fn features(&self) -> Vec<String> {
        let name = self.name();
        let mut features = match self {
            Self::Numeric(_) => vec![name.to_owned()],
            Self::Categorical(categorical) => {
                categorical.categories.iter().map(|category| format!("{name}={category}")).collect()
            }
        };
        if self.flag() {
            features.push(format!("{name}=missing"));
        }
        features
    }
}

#[cfg(test)]
mod tests;
