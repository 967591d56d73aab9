//! Where rows are unlike the training data.

use std::fmt;

use serde::Serialize;

use super::TextEncoding;

/// Where a row is unlike the training data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowFlags {
    /// The line on which the row begins, or its number where a file has no lines; counted from 1.
    pub line: u64,
    /// What is unlike; empty for most rows.
    pub flags: Vec<Flag>,
}

/// One way in which a row is unlike the training data.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// A category that no training row had; it is encoded as zeros.
    UnseenCategory {
        /// The column.
        column: String,
        /// The category.
        value: String,
    },
    /// A number outside the range of the training rows.
    OutOfRange {
        /// The column.
        column: String,
        /// The number.
        value: f64,
        /// The smallest training value.
        min: f64,
        /// The largest training value.
        max: f64,
    },
    /// A missing value in a column that was never missing in training.
    Missing {
        /// The column.
        column: String,
    },
    /// More than half of a text's words are not in the vocabulary.
    UnknownWords {
        /// How many are not.
        unknown: usize,
        /// How many words the text has; 0 for a text without any.
        words: usize,
    },
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnseenCategory { column, value } => {
                write!(f, "`{column}` is `{value}`, which training never had")
            }
            Self::OutOfRange { column, value, min, max } => {
                write!(f, "`{column}` is {value}, in training it was from {min} to {max}")
            }
            Self::Missing { column } => write!(f, "`{column}` is missing, in training it never was"),
            Self::UnknownWords { words: 0, .. } => f.write_str("the text has no words"),
            Self::UnknownWords { unknown, words } => {
                write!(f, "{unknown} of {words} words are not in the vocabulary")
            }
        }
    }
}

impl TextEncoding {
    /// Where a text is unlike those of training.
    pub(super) fn flag(&self, text: &str) -> Option<Flag> {
        let (words, unknown) = self.vocabulary.count(text);
        (words == 0 || unknown * 2 > words).then_some(Flag::UnknownWords { unknown, words })
    }
}
