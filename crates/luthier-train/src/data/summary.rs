//! What a data set holds, for people and for `--json`.

use std::fmt;

use serde::Serialize;

use super::text::word_count;
use super::{ColumnValues, Dataset, Inputs, Targets};

/// What a [`Dataset`] holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// What the data is called.
    pub name: String,
    /// The number of rows.
    pub rows: usize,
    /// How many of the last rows are the source's own test set.
    pub given_test: Option<usize>,
    /// The inputs.
    pub inputs: InputSummary,
    /// The target.
    pub target: TargetSummary,
}

/// The inputs in a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputSummary {
    /// A table.
    Table {
        /// The number of numeric columns.
        numeric: usize,
        /// The number of categorical columns.
        categorical: usize,
        /// The columns that miss values, with the number of rows that do.
        missing: Vec<(String, usize)>,
    },
    /// Texts.
    Text {
        /// The words of the shortest, the median and the longest text.
        words: [usize; 3],
    },
    /// Images.
    Images {
        /// Values a pixel.
        channels: usize,
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
    },
}

/// The target in a [`Summary`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetSummary {
    /// The classes, with the number of rows of each.
    Classes(Vec<(String, usize)>),
    /// Numbers.
    Numbers {
        /// The column.
        name: String,
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
        /// The mean.
        mean: f64,
    },
}

impl Summary {
    pub(super) fn of(data: &Dataset) -> Self {
        let inputs = match &data.inputs {
            Inputs::Table(table) => {
                let is_numeric = |values: &ColumnValues| matches!(values, ColumnValues::Numeric(_));
                let numeric = table.columns.iter().filter(|column| is_numeric(&column.values)).count();
                let counted =
                    table.columns.iter().map(|column| (column.name.clone(), missing(&column.values)));
                InputSummary::Table {
                    numeric,
                    categorical: table.columns.len() - numeric,
                    missing: counted.filter(|(_, rows)| *rows > 0).collect(),
                }
            }
            Inputs::Text(texts) => {
                let mut words: Vec<usize> = texts.texts.iter().map(|text| word_count(text)).collect();
                words.sort_unstable();
                let at = |share: usize| words.get(words.len().saturating_sub(1) * share / 2).copied();
                InputSummary::Text { words: [0, 1, 2].map(|share| at(share).unwrap_or_default()) }
            }
            Inputs::Images(images) => {
                InputSummary::Images { channels: images.channels, height: images.height, width: images.width }
            }
        };
        let target = match &data.targets {
            Targets::Classes { labels, names, .. } => {
                let mut counts: Vec<(String, usize)> = names.iter().map(|name| (name.clone(), 0)).collect();
                for label in labels {
                    counts[*label as usize].1 += 1;
                }
                TargetSummary::Classes(counts)
            }
            Targets::Numbers { values, name } => TargetSummary::Numbers {
                name: name.clone(),
                min: values.iter().copied().fold(f64::INFINITY, f64::min),
                max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                mean: values.iter().sum::<f64>() / values.len() as f64,
            },
        };
        Self { name: data.name.clone(), rows: data.len(), given_test: data.given_test, inputs, target }
    }
}

fn missing(values: &ColumnValues) -> usize {
    match values {
        ColumnValues::Numeric(values) => values.iter().filter(|value| value.is_nan()).count(),
        ColumnValues::Categorical { codes, .. } => codes.iter().filter(|code| code.is_none()).count(),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} rows", self.name, self.rows)?;
        if let Some(rows) = self.given_test {
            write!(f, " (the last {rows} are its test set)")?;
        }
        match &self.inputs {
            InputSummary::Table { numeric, categorical, missing } => {
                write!(f, "\ncolumns: {numeric} numeric, {categorical} categorical")?;
                for (name, rows) in missing {
                    write!(f, "\nmissing: {rows} in `{name}`")?;
                }
            }
            InputSummary::Text { words: [least, median, most] } => {
                write!(f, "\ntexts: {least} to {most} words, half of them up to {median}")?;
            }
            InputSummary::Images { channels, height, width } => {
                write!(f, "\nimages: {channels} x {height} x {width} (channels, height, width)")?;
            }
        }
        match &self.target {
            TargetSummary::Classes(counts) => {
                let shown: Vec<String> =
                    counts.iter().take(20).map(|(name, rows)| format!("{name} ({rows})")).collect();
                let more = counts.len() - shown.len();
                write!(f, "\nclasses: {}", shown.join(", "))?;
                if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            TargetSummary::Numbers { name, min, max, mean } => {
                write!(f, "\ntarget: `{name}` from {min} to {max}, mean {mean:.6}")
            }
        }
    }
}
