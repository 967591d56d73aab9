//! Looking for what makes scores untrue or training hard: rows that are in two parts, values far from all
//! others, classes that can hardly be learnt.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::{ColumnValues, DataError, Dataset, Inputs, Split, Targets};

/// What is suspicious about a data set and its split. Nothing of it stops a training.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Screening {
    /// Rows of the validation part whose inputs are also in the training part.
    pub validation: Duplicates,
    /// Rows of the test part whose inputs are also in the training or validation part.
    pub test: Duplicates,
    /// Numeric columns, and the target if it is a number, with the number of training rows whose value is
    /// an outlier: more than three interquartile ranges below the first or above the third quartile (the
    /// outer fences of Tukey 1977). Columns of which half of the values are equal are not looked at.
    pub outliers: Vec<(String, usize)>,
    /// Classes without any row.
    pub empty_classes: Vec<String>,
    /// Classes with a single row.
    pub single_classes: Vec<String>,
    /// Pairs of classes whose names differ only in case or blanks.
    pub alike_classes: Vec<(String, String)>,
}

/// Rows of one part whose inputs come again in another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Duplicates {
    /// Rows whose target is the same too: a model may know them by heart, and its score looks better than
    /// it is.
    pub leaked: usize,
    /// Rows whose target is another there: no model can be right about both.
    pub contradicted: usize,
    /// The first such row and the row that it equals, counted from 1.
    pub example: Option<(usize, usize)>,
}

impl Screening {
    /// Screens `data`, which has been divided by `split`. Images on disk are all read for it.
    ///
    /// # Errors
    /// Those of [`Inputs::row_hashes`].
    pub fn of(data: &Dataset, split: &Split) -> Result<Self, DataError> {
        let mut known =
            Known { hashes: data.inputs.row_hashes()?, targets: &data.targets, seen: HashMap::new() };
        known.add(&split.train);
        let validation = known.compare(&split.validation);
        known.add(&split.validation);
        let test = known.compare(&split.test);
        let mut screening = Self { validation, test, ..Self::default() };
        screening.look_for_outliers(data, &split.train);
        screening.look_at_classes(&data.targets);
        Ok(screening)
    }

    fn look_for_outliers(&mut self, data: &Dataset, train: &[usize]) {
        let mut look = |name: &str, values: &[f64]| {
            let rows = outliers(values, train);
            if rows > 0 {
                self.outliers.push((name.to_owned(), rows));
            }
        };
        if let Inputs::Table(table) = &data.inputs {
            for column in &table.columns {
                if let ColumnValues::Numeric(values) = &column.values {
                    look(&column.name, values);
                }
            }
        }
        if let Targets::Numbers { values, name } = &data.targets {
            look(name, values);
        }
    }

    fn look_at_classes(&mut self, targets: &Targets) {
        let Targets::Classes { labels, names, .. } = targets else { return };
        let mut counts = vec![0_usize; names.len()];
        for label in labels {
            counts[*label as usize] += 1;
        }
        let with = |count: usize| {
            let of_count = names.iter().zip(&counts).filter(move |(_, found)| **found == count);
            of_count.map(|(name, _)| name.clone()).collect()
        };
        self.empty_classes = with(0);
        self.single_classes = with(1);
        let mut plain: HashMap<String, &String> = HashMap::new();
        for name in names {
            let words: Vec<&str> = name.split_whitespace().collect();
            if let Some(other) = plain.insert(words.join(" ").to_lowercase(), name) {
                self.alike_classes.push((other.clone(), name.clone()));
            }
        }
    }

    /// One sentence for each thing that a person should know.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        for (part, others, found) in [
            ("validation", "the training part", &self.validation),
            ("test", "the training or validation part", &self.test),
        ] {
            let Some((row, first)) = found.example else { continue };
            let example = format!("such as row {row}, which equals row {first}");
            if found.leaked > 0 {
                notices.push(format!(
                    "{} rows of the {part} part are in {others} too, {example}: scores there look better than \
                     they are; remove them, or keep such rows together with `group`",
                    found.leaked
                ));
            }
            if found.contradicted > 0 {
                notices.push(format!(
                    "{} rows of the {part} part have the inputs of rows in {others} and another target, {example}",
                    found.contradicted
                ));
            }
        }
        for (name, rows) in &self.outliers {
            notices
                .push(format!("`{name}` has {rows} training values more than 3 interquartile ranges away"));
        }
        for name in &self.empty_classes {
            notices.push(format!("no row is of the class `{name}`"));
        }
        for name in &self.single_classes {
            notices.push(format!("only one row is of the class `{name}`"));
        }
        for (a, b) in &self.alike_classes {
            notices.push(format!("the classes `{a}` and `{b}` differ only in case or blanks"));
        }
        notices
    }
}

impl fmt::Display for Screening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notices().iter().try_for_each(|notice| writeln!(f, "note: {notice}"))
    }
}

/// The rows that have been looked at.
struct Known<'a> {
    /// The hash of the inputs of every row of the data.
    hashes: Vec<u128>,
    targets: &'a Targets,
    /// For each hash, the first row that has it and the targets of all of them.
    seen: HashMap<u128, (usize, Vec<u64>)>,
}

impl Known<'_> {
    fn add(&mut self, rows: &[usize]) {
        for row in rows {
            let (_, targets) = self.seen.entry(self.hashes[*row]).or_insert_with(|| (*row, Vec::new()));
            let target = target_bits(self.targets, *row);
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }

    fn compare(&self, rows: &[usize]) -> Duplicates {
        let mut found = Duplicates::default();
        for row in rows {
            let Some((first, targets)) = self.seen.get(&self.hashes[*row]) else { continue };
            if targets.contains(&target_bits(self.targets, *row)) {
                found.leaked += 1;
            } else {
                found.contradicted += 1;
            }
            found.example.get_or_insert((row + 1, first + 1));
        }
        found
    }
}

fn target_bits(targets: &Targets, row: usize) -> u64 {
    match targets {
        Targets::Classes { labels, .. } => u64::from(labels[row]),
        Targets::Numbers { values, .. } => values[row].to_bits(),
    }
}

/// How many of the values of `rows` are beyond Tukey's outer fences.
fn outliers(values: &[f64], rows: &[usize]) -> usize {
    let mut known: Vec<f64> = rows.iter().map(|row| values[*row]).filter(|value| !value.is_nan()).collect();
    if known.is_empty() {
        return 0;
    }
    known.sort_by(f64::total_cmp);
    let (first, third) = (quantile(&known, 0.25), quantile(&known, 0.75));
    let range = third - first;
    if range <= 0.0 {
        return 0;
    }
    let (low, high) = (first - 3.0 * range, third + 3.0 * range);
    known.iter().filter(|value| **value < low || **value > high).count()
}

/// The quantile of sorted numbers by linear interpolation, as NumPy's default (type 7 of Hyndman and
/// Fan 1996).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests;
