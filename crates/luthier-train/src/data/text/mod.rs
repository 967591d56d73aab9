//! Texts with a label each: from a table with a column of text, or from a folder for each class.

mod folders;
mod vocabulary;

use std::path::{Path, PathBuf};

pub use vocabulary::Vocabulary;
pub(super) use vocabulary::word_count;

use super::aside::Aside;
use super::raw_table::RawTable;
use super::table_csv::{self, stem};
use super::{DataError, Dataset, Inputs, Targets, Task};

luthier_core::settings! {
    /// Texts: a CSV or Parquet file with a column of text, or a folder that holds a folder of `.txt` files
    /// (UTF-8) for each class. If such a folder holds just the folders `train` and `test`, with the
    /// classes in each, the latter is the test set for `test = "given"`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TextSource {
        /// The file or folder; a relative path starts at the study file's folder.
        text: PathBuf;
        /// The column that holds the text; for files only.
        column: String = "text".to_owned();
        /// The column that is to be predicted; for files only.
        target: String = "label".to_owned();
        /// What is to be learnt: "classification" or "regression". If it is left out, text and whole
        /// numbers with at most 20 distinct values are classes, and other numbers are regressed.
        task: Option<Task> = None;
    }
}

/// Raw texts, one a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The texts; one may be empty.
    pub texts: Vec<String>,
    /// The name of the column of text in tables.
    pub column: String,
}

/// Loads the texts at `path`, and those of a test file or folder at `test` behind them.
pub(super) fn load(
    path: &Path,
    test: Option<&Path>,
    source: &TextSource,
    aside: &Aside<'_>,
) -> Result<Dataset, DataError> {
    if path.is_dir() {
        if let Some(name) = aside.names().first() {
            return Err(DataError::Split(format!(
                "the rows are to be divided by the column `{name}`, but texts in folders have no columns"
            )));
        }
        return folders::load(path, test, source);
    }
    let (raw, given_test) = table_csv::read(path, test, &[])?;
    let text = raw.require("column of text", &source.column)?;
    let target = raw.require("target column", &source.target)?;
    if text == target {
        return Err(raw.error(format!("`column` and `target` are both `{}`", source.column)));
    }
    let aside = aside.read(&raw, target)?;
    let targets = table_csv::targets(&raw, target, source.task)?;
    let texts = of_column(&raw, text);
    let notices = notice_of_empty(&texts).into_iter().collect();
    let inputs = Inputs::Text(Texts { texts, column: source.column.clone() });
    Ok(Dataset { given_test, aside, notices, ..Dataset::new(stem(path), inputs, targets) })
}

/// The texts of a column as they are written.
pub(super) fn of_column(raw: &RawTable, column: usize) -> Vec<String> {
    raw.texts(column).map(str::to_owned).collect()
}

fn notice_of_empty(texts: &[String]) -> Option<String> {
    let empty = texts.iter().filter(|text| text.trim().is_empty()).count();
    (empty > 0).then(|| format!("{empty} of {} texts are empty", texts.len()))
}

/// New texts from a `.txt` file or from a folder with a folder of them for each of the classes `names`.
pub(super) fn read_new(path: &Path, names: &[String]) -> Result<(Vec<String>, Option<Vec<u32>>), DataError> {
    if !path.is_dir() {
        return Ok((vec![folders::read_text(path)?], None));
    }
    let (texts, classes) = folders::read_classes(path)?;
    let label = |class: &String| {
        names.iter().position(|name| name == class).map(|label| label as u32).ok_or_else(|| {
            let known = super::error::list(names);
            DataError::format(
                path,
                format!("the folder `{class}` is not one of the trained classes: {known}"),
            )
        })
    };
    let labels: Vec<u32> = classes.iter().map(label).collect::<Result<_, _>>()?;
    Ok((texts, Some(labels)))
}

/// Classes from the name of each row's class.
fn classes(of_rows: &[String], path: &Path) -> Result<Targets, DataError> {
    let mut names: Vec<String> = of_rows.to_vec();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        let found = super::error::list(&names);
        return Err(DataError::format(
            path,
            format!("expected a folder of .txt files for each of at least 2 classes, found {found}"),
        ));
    }
    let label = |class: &String| names.binary_search(class).unwrap_or_default() as u32;
    let labels = of_rows.iter().map(label).collect();
    Ok(Targets::Classes { labels, names, column: None })
}

#[cfg(test)]
mod tests;
