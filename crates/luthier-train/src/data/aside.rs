//! Columns that the split goes by: groups and times. They are kept beside the inputs.

use super::raw_table::RawTable;
use super::table_csv::{Numbers, encode, numbers};
use super::{Column, ColumnValues, DataError, SplitConfig};

/// Which columns to keep beside the inputs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Aside<'a> {
    group: Option<&'a str>,
    time: Option<&'a str>,
    /// Whether the time is an input as well.
    keep_time: bool,
}

impl<'a> From<&'a SplitConfig> for Aside<'a> {
    fn from(split: &'a SplitConfig) -> Self {
        Self { group: split.group.as_deref(), time: split.time.as_deref(), keep_time: split.keep_time }
    }
}

impl Aside<'_> {
    /// Whether the column of this name is kept from the model.
    pub(super) fn is_no_input(&self, name: &str) -> bool {
        self.group == Some(name) || (self.time == Some(name) && !self.keep_time)
    }

    /// Reads the columns. Groups are categories, however many there are; times are numbers, or else text
    /// that is sorted as text, which is right for dates such as `2024-01-31`.
    pub(super) fn read(&self, raw: &RawTable, target: usize) -> Result<Vec<Column>, DataError> {
        let mut columns = Vec::new();
        for (key, name) in [("group", self.group), ("time", self.time)] {
            let Some(name) = name else { continue };
            let i = raw.require(&format!("column of {key}s"), name)?;
            if i == target {
                return Err(DataError::Split(format!(
                    "`{key}` names `{name}`, which is the target; the rows cannot be divided by it"
                )));
            }
            let texts: Vec<Option<&str>> = raw.cells(i).collect();
            if let Some(row) = texts.iter().position(Option::is_none) {
                return Err(raw.error_in(
                    row,
                    format!(
                        "`{name}`, by which the rows are divided, is missing; fill it in or remove the row"
                    ),
                ));
            }
            let values = match numbers(&texts) {
                Numbers::All(values) if key == "time" => ColumnValues::Numeric(values),
                _ => {
                    let (codes, categories) = encode(&texts);
                    ColumnValues::Categorical { codes, categories }
                }
            };
            columns.push(Column { name: name.to_owned(), values });
        }
        Ok(columns)
    }

    /// The names of the columns that are asked for.
    pub(super) fn names(&self) -> Vec<&str> {
        self.group.into_iter().chain(self.time).collect()
    }
}
