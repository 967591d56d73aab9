//! The values of a Parquet file, as the text that a CSV file would hold.
//!
//! Columns may be of the kinds BOOLEAN (`true`, `false`), INT32, INT64 and their unsigned and DECIMAL
//! variants, FLOAT, DOUBLE, FLOAT16, dates (days since 1970-01-01), timestamps (seconds since
//! 1970-01-01 00:00:00) and UTF-8 strings; each may have nulls, which are missing values. Format:
//! <https://parquet.apache.org/docs/file-format/>.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::DataError;
use super::error::Place;
use super::raw_table::RawTable;

/// The first bytes of every Parquet file.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// Parses the bytes of a file that is called `path` in messages.
pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<RawTable, DataError> {
    // The reader is written for files that keep to the format, and a damaged one may make it panic.
    let read = catch_unwind(AssertUnwindSafe(|| read(path, bytes)));
    read.unwrap_or_else(|_| Err(damaged(path, "its pages do not fit together")))
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> DataError {
    DataError::format(path, format!("the Parquet file is cut off or damaged: {reason}"))
}

fn read(path: &Path, bytes: Vec<u8>) -> Result<RawTable, DataError> {
    let broken = |error: ParquetError| match error {
        ParquetError::NYI(reason) => {
            DataError::format(path, format!("the Parquet file uses what is not supported: {reason}"))
        }
        error => damaged(path, error),
    };
    let file = SerializedFileReader::new(Bytes::from(bytes)).map_err(broken)?;
    let schema = file.metadata().file_metadata().schema_descr_ptr();
    for (i, field) in schema.root_schema().get_fields().iter().enumerate() {
        let name = field.name();
        if !field.is_primitive() || schema.column(i).max_rep_level() > 0 {
            return Err(DataError::format(
                path,
                format!("the column `{name}` is nested, expected one value a row; write the file without it"),
            ));
        }
        if schema.root_schema().get_fields()[..i].iter().any(|other| other.name() == name) {
            return Err(DataError::format(path, format!("two columns are called `{name}`; rename one")));
        }
    }
    let header = schema.columns().iter().map(|column| column.name().to_owned()).collect();
    let mut table = RawTable::new(path, header);
    let mut done = 0;
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).map_err(broken)?;
        let rows = usize::try_from(group.metadata().num_rows()).map_err(|error| damaged(path, error))?;
        let mut columns = Vec::with_capacity(schema.num_columns());
        for (i, descriptor) in schema.columns().iter().enumerate() {
            let reader = group.get_column_reader(i).map_err(broken)?;
            let values = column(reader, descriptor, rows).map_err(|error| match error {
                Fault::Parquet(error) => broken(error),
                Fault::Kind(kind) => DataError::format(
                    path,
                    format!(
                        "the column `{}` is of the kind {kind}, expected numbers, dates, booleans or text; \
                         write the file without it",
                        descriptor.name()
                    ),
                ),
                Fault::NotUtf8(row) => DataError::Table {
                    path: path.into(),
                    place: Some(Place::Row((done + row + 1) as u64)),
                    problem: format!("the text in the column `{}` is not UTF-8", descriptor.name()),
                },
            })?;
            if values.len() != rows {
                let (name, found) = (descriptor.name(), values.len());
                return Err(damaged(path, format!("`{name}` has {found} of {rows} values")));
            }
            columns.push(values.into_iter());
        }
        for row in 0..rows {
            let fields = columns.iter_mut().map(|column| column.next().flatten().unwrap_or_default());
            table.push(fields.collect::<Vec<String>>().into(), Place::Row((done + row + 1) as u64));
        }
        done += rows;
    }
    if done == 0 {
        return Err(DataError::format(path, "the Parquet file holds no rows"));
    }
    Ok(table)
}

enum Fault {
    Parquet(ParquetError),
    /// A kind of value that is neither number nor text.
    Kind(String),
    /// Of a row group, the first row with such text.
    NotUtf8(usize),
}

/// The text of each row of a column; `None` is null.
fn column(
    reader: ColumnReader,
    descriptor: &ColumnDescriptor,
    rows: usize,
) -> Result<Vec<Option<String>>, Fault> {
    let nullable = descriptor.max_def_level() > 0;
    let converted = descriptor.converted_type();
    let scale = descriptor.type_scale();
    let unsupported = || {
        let (physical, logical) = (descriptor.physical_type(), descriptor.logical_type_ref());
        Fault::Kind(match (logical, converted) {
            (Some(logical), _) => format!("{logical:?}"),
            (None, ConvertedType::NONE) => physical.to_string(),
            (None, converted) => converted.to_string(),
        })
    };
    match reader {
        ColumnReader::BoolColumnReader(reader) => texts(reader, nullable, rows, |x, _| Ok(x.to_string())),
        ColumnReader::Int32ColumnReader(reader) => match converted {
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 => {
                texts(reader, nullable, rows, |x, _| Ok((*x as u32).to_string()))
            }
            ConvertedType::DECIMAL => {
                texts(reader, nullable, rows, |x, _| Ok(decimal(i128::from(*x), scale)))
            }
            _ => texts(reader, nullable, rows, |x, _| Ok(x.to_string())),
        },
        ColumnReader::Int64ColumnReader(reader) => {
            let per_second = match (descriptor.logical_type_ref(), converted) {
                (Some(LogicalType::Timestamp(stamp)), _) => match stamp.unit {
                    TimeUnit::MILLIS => Some(1e3),
                    TimeUnit::MICROS => Some(1e6),
                    TimeUnit::NANOS => Some(1e9),
                },
                (_, ConvertedType::TIMESTAMP_MILLIS) => Some(1e3),
                (_, ConvertedType::TIMESTAMP_MICROS) => Some(1e6),
                _ => None,
            };
            match (per_second, converted) {
                (Some(per_second), _) => {
                    texts(reader, nullable, rows, |x, _| Ok((*x as f64 / per_second).to_string()))
                }
                (None, ConvertedType::UINT_64) => {
                    texts(reader, nullable, rows, |x, _| Ok((*x as u64).to_string()))
                }
                (None, ConvertedType::DECIMAL) => {
                    texts(reader, nullable, rows, |x, _| Ok(decimal(i128::from(*x), scale)))
                }
                _ => texts(reader, nullable, rows, |x, _| Ok(x.to_string())),
            }
        }
        ColumnReader::Int96ColumnReader(reader) => {
            texts(reader, nullable, rows, |x, _| Ok((x.to_nanos() as f64 / 1e9).to_string()))
        }
        ColumnReader::FloatColumnReader(reader) => {
            texts(reader, nullable, rows, |x, _| Ok(f64::from(*x).to_string()))
        }
        ColumnReader::DoubleColumnReader(reader) => texts(reader, nullable, rows, |x, _| Ok(x.to_string())),
        ColumnReader::ByteArrayColumnReader(reader) => match converted {
            ConvertedType::DECIMAL => {
                texts(reader, nullable, rows, |x, _| big_endian(x.as_bytes(), scale).ok_or_else(unsupported))
            }
            ConvertedType::BSON => Err(unsupported()),
            _ => texts(reader, nullable, rows, |x, row| {
                let text = std::str::from_utf8(x.as_bytes()).map_err(|_| Fault::NotUtf8(row))?;
                Ok(text.trim().to_owned())
            }),
        },
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            match (descriptor.logical_type_ref(), converted) {
                (_, ConvertedType::DECIMAL) => texts(reader, nullable, rows, |x, _| {
                    big_endian(x.as_bytes(), scale).ok_or_else(unsupported)
                }),
                (Some(LogicalType::Float16), _) => texts(reader, nullable, rows, |x, _| match x.as_bytes() {
                    [low, high] => Ok(half::f16::from_le_bytes([*low, *high]).to_f64().to_string()),
                    _ => Err(unsupported()),
                }),
                _ => Err(unsupported()),
            }
        }
    }
}

/// Reads a whole column; `text` is given each value and its row.
fn texts<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    nullable: bool,
    rows: usize,
    text: impl Fn(&T::T, usize) -> Result<String, Fault>,
) -> Result<Vec<Option<String>>, Fault> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let levels = nullable.then_some(&mut levels);
        let (records, _, _) =
            reader.read_records(rows - read, levels, None, &mut values).map_err(Fault::Parquet)?;
        if records == 0 {
            break;
        }
        read += records;
    }
    if !nullable {
        return values.iter().enumerate().map(|(row, value)| text(value, row).map(Some)).collect();
    }
    let mut values = values.iter();
    let known = levels.iter().enumerate().map(|(row, level)| match level {
        0 => Ok(None),
        _ => values.next().map(|value| text(value, row)).transpose(),
    });
    known.collect()
}

/// `value / 10^scale` without rounding.
fn decimal(value: i128, scale: i32) -> String {
    let scale = scale.max(0) as usize;
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// A decimal whose digits are a number of at most 16 bytes in two's complement.
fn big_endian(bytes: &[u8], scale: i32) -> Option<String> {
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    let start = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    Some(decimal(bytes.iter().fold(start, |value: i128, byte| value << 8 | i128::from(*byte)), scale))
}

#[cfg(test)]
mod tests;
