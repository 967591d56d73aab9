//! A table before its columns have kinds: a header, rows of text, and the place of each row.
//!
//! CSV and Parquet files are both read into this, so that everything behind it is the same for both.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Place, list};
use super::{DataError, raw_csv, raw_parquet};

/// Rows that all have as many fields as the header.
pub(super) struct RawTable {
    pub(super) path: PathBuf,
    pub(super) header: Vec<String>,
    rows: Vec<csv::StringRecord>,
    places: Vec<Place>,
    /// The row at which another file begins, where one has been appended, and its path.
    appended: Option<(usize, PathBuf)>,
}

impl RawTable {
    pub(super) fn new(path: &Path, header: Vec<String>) -> Self {
        Self { path: path.into(), header, rows: Vec::new(), places: Vec::new(), appended: None }
    }

    pub(super) fn push(&mut self, row: csv::StringRecord, place: Place) {
        self.rows.push(row);
        self.places.push(place);
    }

    /// Reads a file. It is told by its first bytes whether it is Parquet; else it is CSV.
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        if path.is_dir() {
            return Err(DataError::format(path, "expected a file, CSV or Parquet, found a folder"));
        }
        Self::parse(path, fs::read(path).map_err(|error| DataError::read(path, error))?)
    }

    /// Parses the bytes of a file that is called `path` in messages.
    pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, DataError> {
        if bytes.starts_with(raw_parquet::MAGIC) {
            raw_parquet::parse(path, bytes)
        } else {
            raw_csv::parse(path, &bytes)
        }
    }

    /// Appends the rows of another table, whose columns may be in any order. Columns that are only there
    /// are left out; those of `optional` may be missing there and are empty then.
    pub(super) fn append(&mut self, other: Self, optional: &[String]) -> Result<(), DataError> {
        let from: Vec<Option<usize>> = self.header.iter().map(|name| other.column(name)).collect();
        let is_missing =
            |(name, from): &(&String, &Option<usize>)| from.is_none() && !optional.contains(name);
        let missing: Vec<&String> =
            self.header.iter().zip(&from).filter(is_missing).map(|(name, _)| name).collect();
        if !missing.is_empty() {
            let (missing, found) = (list(&missing), list(&other.header));
            return Err(other.error(format!("the test file lacks the columns {missing}; it has {found}")));
        }
        self.appended = Some((self.rows.len(), other.path.clone()));
        for (row, place) in other.rows.iter().zip(other.places) {
            self.push(from.iter().map(|from| from.map_or("", |column| &row[column])).collect(), place);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The position of a column that has to be there.
    pub(super) fn require(&self, what: &str, name: &str) -> Result<usize, DataError> {
        self.column(name).ok_or_else(|| {
            let hint = match self.header.as_slice() {
                [only] if only.contains(';') => {
                    "; its fields seem to be separated by semicolons, expected commas".into()
                }
                [only] if only.contains('\t') => {
                    "; its fields seem to be separated by tabs, expected commas".into()
                }
                names => super::error::did_you_mean(name, names),
            };
            let names = list(&self.header);
            self.error(format!("there is no {what} `{name}`{hint}; the columns are {names}"))
        })
    }

    /// Where a row stands in its file: the line on which it begins, or its number; both from 1.
    pub(super) fn place(&self, row: usize) -> Place {
        self.places[row]
    }

    /// The fields of a column; `None` is a missing value.
    pub(super) fn cells(&self, column: usize) -> impl Iterator<Item = Option<&str>> + Clone {
        self.rows.iter().map(move |row| Some(&row[column]).filter(|text| !is_missing(text)))
    }

    /// The fields of a column as they are written, so that a text may be `?` or `NA`.
    pub(super) fn texts(&self, column: usize) -> impl Iterator<Item = &str> + Clone {
        self.rows.iter().map(move |row| &row[column])
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> DataError {
        DataError::Table { path: self.path.clone(), place: None, problem: problem.into() }
    }

    pub(super) fn error_in(&self, row: usize, problem: impl Into<String>) -> DataError {
        let path = match &self.appended {
            Some((start, path)) if row >= *start => path,
            _ => &self.path,
        };
        DataError::Table { path: path.clone(), place: Some(self.place(row)), problem: problem.into() }
    }
}

/// Whether a field stands for a missing value: empty, `NA`, `NaN`, `null` or `?`, in any case.
fn is_missing(text: &str) -> bool {
    text.is_empty() || text == "?" || ["na", "nan", "null"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The finite number that a field holds.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}
