//! A table from a CSV or Parquet file: which columns are numbers, which are categories, and
//! which one is the target.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::aside::Aside;
use super::error::{did_you_mean, list};
use super::raw_table::{RawTable, number};
use super::{Column, ColumnValues, DataError, Dataset, Inputs, Table, Targets, Task};

luthier_core::settings! {
    /// A file of comma-separated values with a header row.
    ///
    /// A field that is empty, `NA`, `NaN`, `null` or `?` is a missing value. A column is numeric if all its
    /// values are finite numbers, and categorical otherwise; text in a column of which more than 90 % are
    /// numbers is refused as a slip.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CsvSource {
        /// The file; a relative path starts at the study file's folder.
        csv: PathBuf;
        /// The column that is to be predicted.
        target: String;
        /// What is to be learnt: "classification" or "regression". If it is left out, text and whole
        /// numbers with at most 20 distinct values are classes, and other numbers are regressed.
        task: Option<Task> = None;
        /// Columns of numbers that are to be taken as categories.
        categorical: Vec<String> = Vec::new();
        /// Columns that are to be left out.
        drop: Vec<String> = Vec::new();
    }
}

luthier_core::settings! {
    /// A Parquet file. Its booleans, texts, numbers, dates (days since 1970-01-01) and timestamps (seconds
    /// since then) are taken as those of a CSV file; a null is a missing value.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ParquetSource {
        /// The file; a relative path starts at the study file's folder.
        parquet: PathBuf;
        /// The column that is to be predicted.
        target: String;
        /// What is to be learnt: "classification" or "regression". If it is left out, text and whole
        /// numbers with at most 20 distinct values are classes, and other numbers are regressed.
        task: Option<Task> = None;
        /// Columns of numbers that are to be taken as categories.
        categorical: Vec<String> = Vec::new();
        /// Columns that are to be left out.
        drop: Vec<String> = Vec::new();
    }
}

/// What the columns of a table are for.
pub(super) struct Roles<'a> {
    target: &'a str,
    task: Option<Task>,
    categorical: &'a [String],
    drop: &'a [String],
}

impl<'a> From<&'a CsvSource> for Roles<'a> {
    fn from(source: &'a CsvSource) -> Self {
        let CsvSource { target, task, categorical, drop, .. } = source;
        Self { target, task: *task, categorical, drop }
    }
}

impl<'a> From<&'a ParquetSource> for Roles<'a> {
    fn from(source: &'a ParquetSource) -> Self {
        let ParquetSource { target, task, categorical, drop, .. } = source;
        Self { target, task: *task, categorical, drop }
    }
}

/// A column of categories may have this many, whatever the number of rows.
const FEW_CATEGORIES: usize = 50;
/// No column may have more categories than this.
const MOST_CATEGORIES: usize = 1_000;
/// A target of whole numbers has at most this many values if it is taken for classes.
pub(super) const INFERRED_CLASSES: usize = 20;

/// Reads the file at `path`, and the test file at `test` where there is one, its rows behind the others.
pub(super) fn load(
    path: &Path,
    test: Option<&Path>,
    roles: &Roles<'_>,
    aside: &Aside<'_>,
) -> Result<Dataset, DataError> {
    let (raw, given_test) = read(path, test, roles.drop)?;
    let target = check_names(&raw, roles)?;
    let aside_columns = aside.read(&raw, target)?;
    let targets = targets(&raw, target, roles.task)?;
    let mut columns = Vec::new();
    for (i, name) in raw.header.iter().enumerate() {
        if i != target && !roles.drop.contains(name) && !aside.is_no_input(name) {
            let values = column(&raw, i, roles.categorical.contains(name))?;
            columns.push(Column { name: name.clone(), values });
        }
    }
    if columns.is_empty() {
        return Err(raw.error("no column is left to learn from; expected at least one beside the target"));
    }
    let inputs = Inputs::Table(Table { columns, rows: raw.len() });
    let aside = aside_columns;
    Ok(Dataset { given_test, aside, ..Dataset::new(stem(path), inputs, targets) })
}

/// The rows of a file, and those of a test file behind them with their number.
pub(super) fn read(
    path: &Path,
    test: Option<&Path>,
    optional: &[String],
) -> Result<(RawTable, Option<usize>), DataError> {
    let mut raw = RawTable::read(path)?;
    let Some(test) = test else { return Ok((raw, None)) };
    let test = RawTable::read(test)?;
    let rows = test.len();
    raw.append(test, optional)?;
    Ok((raw, Some(rows)))
}

/// The name of a file without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "data".into(), |stem| stem.to_string_lossy().into_owned())
}

/// Checks that every name in `roles` is that of a column; returns the position of the target.
fn check_names(raw: &RawTable, roles: &Roles<'_>) -> Result<usize, DataError> {
    let target = raw.require("target column", roles.target)?;
    for (key, names) in [("categorical", roles.categorical), ("drop", roles.drop)] {
        for name in names {
            if raw.column(name).is_none() {
                let (hint, all) = (did_you_mean(name, &raw.header), list(&raw.header));
                return Err(raw.error(format!(
                    "`{key}` names `{name}`, which is no column{hint}; the columns are {all}"
                )));
            }
            if *name == roles.target {
                return Err(
                    raw.error(format!("`{key}` names `{name}`, which is the target; take it out of there"))
                );
            }
        }
    }
    Ok(target)
}

fn column(raw: &RawTable, i: usize, as_categories: bool) -> Result<ColumnValues, DataError> {
    let name = &raw.header[i];
    let texts: Vec<Option<&str>> = raw.cells(i).collect();
    let Some(present) = texts.iter().position(Option::is_some) else {
        // Nothing is known of it: the preprocessor leaves it out and says so.
        return Ok(ColumnValues::Numeric(vec![f64::NAN; texts.len()]));
    };
    if !as_categories {
        match numbers(&texts) {
            Numbers::All(values) => return Ok(ColumnValues::Numeric(values)),
            Numbers::Mostly { row, count, present } => {
                let text = texts[row].unwrap_or_default();
                return Err(raw.error_in(
                    row,
                    format!(
                        "the column `{name}` holds `{text}`, but {count} of its {present} values are numbers; \
                         mend the row, or list the column under `categorical`"
                    ),
                ));
            }
            Numbers::Text => {}
        }
    }
    let (codes, categories) = encode(&texts);
    let (count, rows) = (categories.len(), texts.len());
    if count > MOST_CATEGORIES || (count > FEW_CATEGORIES && count * 2 > rows) {
        let example = texts[present].unwrap_or_default();
        return Err(raw.error(format!(
            "the column `{name}` holds {count} different texts in {rows} rows (the first is `{example}`), \
             too many for categories; list it under `drop`"
        )));
    }
    Ok(ColumnValues::Categorical { codes, categories })
}

pub(super) enum Numbers {
    /// Every value is a number, or missing (NaN).
    All(Vec<f64>),
    /// So many values are numbers that the text in `row` is likely a slip.
    Mostly {
        row: usize,
        count: usize,
        present: usize,
    },
    Text,
}

pub(super) fn numbers(texts: &[Option<&str>]) -> Numbers {
    let values: Vec<Option<f64>> = texts.iter().map(|text| text.map_or(Some(f64::NAN), number)).collect();
    let Some(row) = values.iter().position(Option::is_none) else {
        return Numbers::All(values.into_iter().flatten().collect());
    };
    let present = texts.iter().flatten().count();
    let count = values.iter().flatten().filter(|value| !value.is_nan()).count();
    if count >= 20 && count * 10 > present * 9 {
        Numbers::Mostly { row, count, present }
    } else {
        Numbers::Text
    }
}

/// The code of each text and the names of the codes. Where all texts are numbers, `1` and `1.0` are the
/// same, and the order is that of the numbers.
pub(super) fn encode(texts: &[Option<&str>]) -> (Vec<Option<u32>>, Vec<String>) {
    let mut distinct: Vec<&str> =
        texts.iter().copied().flatten().collect::<BTreeSet<_>>().into_iter().collect();
    let are_numbers = distinct.iter().all(|text| number(text).is_some());
    if are_numbers {
        distinct.sort_by(|a, b| number(a).unwrap_or_default().total_cmp(&number(b).unwrap_or_default()));
    }
    let mut names: Vec<String> = Vec::new();
    let mut codes: HashMap<&str, u32> = HashMap::new();
    for text in distinct {
        let name = if are_numbers { canonical(text) } else { text.to_owned() };
        if names.last() != Some(&name) {
            names.push(name);
        }
        codes.insert(text, names.len() as u32 - 1);
    }
    (texts.iter().map(|text| text.map(|text| codes[text])).collect(), names)
}

/// The spelling of a number in the names of categories and classes; other text is left as it is.
pub(super) fn canonical(text: &str) -> String {
    match number(text) {
        // Adding zero turns -0 into 0.
        Some(value) => (value + 0.0).to_string(),
        None => text.to_owned(),
    }
}

pub(super) fn targets(raw: &RawTable, i: usize, task: Option<Task>) -> Result<Targets, DataError> {
    let name = &raw.header[i];
    let texts: Vec<Option<&str>> = raw.cells(i).collect();
    if let Some(row) = texts.iter().position(Option::is_none) {
        return Err(
            raw.error_in(row, format!("the target `{name}` is missing; fill it in or remove the row"))
        );
    }
    let found = numbers(&texts);
    let values = match (found, task) {
        (_, Some(Task::Classification)) | (Numbers::Text, None) => None,
        (Numbers::All(values), Some(Task::Regression)) => Some(values),
        (Numbers::All(values), None) => {
            let distinct: BTreeSet<u64> = values.iter().map(|value| (value + 0.0).to_bits()).collect();
            let are_classes =
                distinct.len() <= INFERRED_CLASSES && values.iter().all(|value| value.fract() == 0.0);
            (!are_classes).then_some(values)
        }
        (Numbers::Mostly { row, count, present }, _) => {
            let text = texts[row].unwrap_or_default();
            return Err(raw.error_in(
                row,
                format!(
                    "the target `{name}` is `{text}`, but {count} of its {present} values are numbers; \
                     mend the row, or set `task = \"classification\"`"
                ),
            ));
        }
        (Numbers::Text, Some(Task::Regression)) => {
            let row = texts.iter().position(|text| text.and_then(number).is_none()).unwrap_or_default();
            let text = texts[row].unwrap_or_default();
            return Err(raw.error_in(
                row,
                format!("the target `{name}` is `{text}`, expected a number for `task = \"regression\"`"),
            ));
        }
    };
    if let Some(values) = values {
        return Ok(Targets::Numbers { values, name: name.clone() });
    }
    let (codes, names) = encode(&texts);
    let (count, rows) = (names.len(), texts.len());
    if count < 2 {
        let only = list(&names);
        return Err(
            raw.error(format!("the target `{name}` is {only} in every row, expected at least 2 classes"))
        );
    }
    if count > MOST_CATEGORIES || (count > FEW_CATEGORIES && count * 2 > rows) {
        return Err(raw.error(format!(
            "the target `{name}` has {count} different values in {rows} rows, too many for classes; \
             set `task = \"regression\"` if they are numbers, else choose another target"
        )));
    }
    Ok(Targets::Classes { labels: codes.into_iter().flatten().collect(), names, column: Some(name.clone()) })
}

#[cfg(test)]
mod tests;
