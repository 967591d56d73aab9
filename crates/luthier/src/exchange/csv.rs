//! Tables as CSV.

use csv::{Error, Writer};

use super::{Cells, Table, iso};

impl Table {
    /// The table as CSV (RFC 4180, UTF-8) with a line of names first. Numbers are the shortest text that reads back as
    /// the same bits; what is not finite is `nan`, `inf` or `-inf`, as pandas reads it.
    ///
    /// # Errors
    ///
    /// None are known: the text is kept in memory.
    pub fn csv(&self) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::from_writer(Vec::new());
        writer.write_record(self.columns.keys())?;
        for row in 0..self.rows() {
            writer.write_record(self.columns.values().map(|cells| cells.text(row)))?;
        }
        writer.into_inner().map_err(|error| Error::from(error.into_error()))
    }
}

impl Cells {
    fn text(&self, row: usize) -> String {
        let text = match self {
            Self::Whole(cells) => cells[row].map(|cell| cell.to_string()),
            Self::Seed(cells) => cells[row].map(|cell| cell.to_string()),
            Self::Number(cells) => cells[row].map(number),
            Self::Flag(cells) => cells[row].map(|cell| cell.to_string()),
            Self::Text(cells) => cells[row].clone(),
            Self::Time(cells) => cells[row].map(iso),
        };
        text.unwrap_or_default()
    }
}

fn number(x: f64) -> String {
    if x.is_nan() { "nan".to_owned() } else { format!("{x:?}") }
}
