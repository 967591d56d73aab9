//! The text of a CSV file: a header, rows of fields, and the line of each.

use std::path::Path;

use super::DataError;
use super::error::{Place, list};
use super::raw_table::{RawTable, number};

/// Parses a file of comma-separated values (RFC 4180) from `bytes`, which are called `path` in messages.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<RawTable, DataError> {
    let fail = |line: Option<u64>, problem: String| DataError::Table {
        path: path.into(),
        place: line.map(Place::Line),
        problem,
    };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let mut lines = LineCounter { bytes, at: 0, line: 1 };
    let mut table = RawTable::new(path, Vec::new());
    let mut record = csv::ByteRecord::new();
    let mut first = true;
    while reader.read_byte_record(&mut record).map_err(|error| fail(None, error.to_string()))? {
        let line = lines.line_of(record.position().map_or(0, csv::Position::byte));
        let text = csv::StringRecord::from_byte_record(record.clone()).map_err(|error| {
            let field = error.utf8_error().field() + 1;
            fail(Some(line), format!("field {field} is not UTF-8; save the file in the encoding UTF-8"))
        })?;
        if first {
            table.header = header(&text).map_err(|problem| fail(Some(line), problem))?;
            first = false;
            continue;
        }
        if text.len() != table.header.len() {
            let (expected, found) = (table.header.len(), text.len());
            return Err(fail(
                Some(line),
                format!(
                    "expected {expected} fields as in the header, found {found}; quote fields that hold commas"
                ),
            ));
        }
        table.push(text, Place::Line(line));
    }
    if first {
        return Err(fail(None, "the file is empty; expected a header row and rows of data".into()));
    }
    if table.len() == 0 {
        return Err(fail(None, "the file holds a header and no rows".into()));
    }
    Ok(table)
}

fn header(record: &csv::StringRecord) -> Result<Vec<String>, String> {
    let names: Vec<String> = record.iter().map(str::to_owned).collect();
    if names.iter().all(|name| number(name).is_some()) {
        let found = list(&names);
        return Err(format!(
            "expected a header row with the names of the columns, found the numbers {found}"
        ));
    }
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() {
            let hint = "pandas writes its index so, unless told `index=False`";
            return Err(format!("column {} has no name; name or remove it ({hint})", i + 1));
        }
        if let Some(other) = names[..i].iter().position(|other| other == name) {
            let (a, b) = (other + 1, i + 1);
            return Err(format!("columns {a} and {b} are both called `{name}`; rename one of them"));
        }
    }
    Ok(names)
}

/// Counts lines up to growing positions. The `csv` crate counts a blank line, and the second half of a
/// Windows line end, as the beginning of the next row, so its own line numbers lag behind.
struct LineCounter<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    fn line_of(&mut self, position: u64) -> u64 {
        let position = position as usize;
        while let Some(byte) = self.bytes.get(self.at) {
            let is_end = matches!(byte, b'\n' | b'\r');
            if self.at >= position && !is_end {
                break;
            }
            // A Windows line end counts once, at its second half.
            if *byte == b'\n' || (*byte == b'\r' && self.bytes.get(self.at + 1) != Some(&b'\n')) {
                self.line += 1;
            }
            self.at += 1;
        }
        self.line
    }
}
