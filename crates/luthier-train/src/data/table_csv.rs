//! A table from a file of comma-separated values: which columns are numbers, which are categories, and
//! which one is the target.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::error::{did_you_mean, list};
use super::raw_csv::{RawCsv, number};
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

/// A column of categories may have this many, whatever the number of rows.
const FEW_CATEGORIES: usize = 50;
/// No column may have more categories than this.
const MOST_CATEGORIES: usize = 1_000;
/// A target of whole numbers has at most this many values if it is taken for classes.
pub(super) const INFERRED_CLASSES: usize = 20;

/// Reads the file at `path`, which is `source.csv` made absolute.
pub(super) fn load(path: &Path, source: &CsvSource) -> Result<Dataset, DataError> {
    let raw = RawCsv::read(path)?;
    let target = check_names(&raw, source)?;
    let targets = targets(&raw, target, source.task)?;
    let mut columns = Vec::new();
    for (i, name) in raw.header.iter().enumerate() {
        if i != target && !source.drop.contains(name) {
            let values = column(&raw, i, source.categorical.contains(name))?;
            columns.push(Column { name: name.clone(), values });
        }
    }
    if columns.is_empty() {
        return Err(raw.error("no column is left to learn from; expected at least one beside the target"));
    }
    let name = path.file_stem().map_or_else(|| "csv".into(), |stem| stem.to_string_lossy().into_owned());
    Ok(Dataset { name, inputs: Inputs::Table(Table { columns, rows: raw.len() }), targets, given_test: None })
}

/// Checks that every name in `source` is that of a column; returns the position of the target.
fn check_names(raw: &RawCsv, source: &CsvSource) -> Result<usize, DataError> {
    let Some(target) = raw.column(&source.target) else {
        let hint = match raw.header.as_slice() {
            [only] if only.contains(';') => {
                "; its fields seem to be separated by semicolons, expected commas".into()
            }
            [only] if only.contains('\t') => {
                "; its fields seem to be separated by tabs, expected commas".into()
            }
            names => did_you_mean(&source.target, names),
        };
        let (name, names) = (&source.target, list(&raw.header));
        return Err(raw.error(format!("there is no target column `{name}`{hint}; the columns are {names}")));
    };
    for (key, names) in [("categorical", &source.categorical), ("drop", &source.drop)] {
        for name in names {
            if raw.column(name).is_none() {
                let (hint, all) = (did_you_mean(name, &raw.header), list(&raw.header));
                return Err(raw.error(format!(
                    "`{key}` names `{name}`, which is no column{hint}; the columns are {all}"
                )));
            }
            if *name == source.target {
                return Err(
                    raw.error(format!("`{key}` names `{name}`, which is the target; take it out of there"))
                );
            }
        }
    }
    Ok(target)
}

fn column(raw: &RawCsv, i: usize, as_categories: bool) -> Result<ColumnValues, DataError> {
    let name = &raw.header[i];
    let texts: Vec<Option<&str>> = raw.cells(i).collect();
    let Some(present) = texts.iter().position(Option::is_some) else {
        return Err(raw.error(format!("the column `{name}` holds no value; list it under `drop`")));
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

enum Numbers {
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

fn numbers(texts: &[Option<&str>]) -> Numbers {
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
fn encode(texts: &[Option<&str>]) -> (Vec<Option<u32>>, Vec<String>) {
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

fn targets(raw: &RawCsv, i: usize, task: Option<Task>) -> Result<Targets, DataError> {
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
