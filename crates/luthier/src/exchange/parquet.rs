//! Tables as Parquet. Format: <https://parquet.apache.org/docs/file-format/>.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::{Cells, Table};

impl Table {
    /// The table as a Parquet file. Each column may have nulls; times are timestamps in microseconds (UTC).
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn parquet(&self) -> Result<Vec<u8>, ParquetError> {
        let fields = self.columns.iter().map(|(name, cells)| {
            let (physical, logical) = cells.kind();
            let field = Type::primitive_type_builder(name, physical);
            field.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build().map(Arc::new)
        });
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder("study").with_fields(fields).build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut bytes = Vec::new();
        let mut file = SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties))?;
        let mut group = file.next_row_group()?;
        for cells in self.columns.values() {
            if let Some(column) = group.next_column()? {
                cells.write(column)?;
            }
        }
        group.close()?;
        file.close()?;
        Ok(bytes)
    }
}

impl Cells {
    fn kind(&self) -> (Physical, Option<LogicalType>) {
        match self {
            Self::Whole(_) => (Physical::INT64, None),
            Self::Seed(_) => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Self::Number(_) => (Physical::DOUBLE, None),
            Self::Flag(_) => (Physical::BOOLEAN, None),
            Self::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Self::Time(_) => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        }
    }

    fn write(&self, column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match self {
            Self::Whole(cells) | Self::Time(cells) => write::<Int64Type, _>(column, cells, |cell| *cell),
            // Unsigned numbers are kept as the signed ones of the same bits.
            Self::Seed(cells) => write::<Int64Type, _>(column, cells, |cell| *cell as i64),
            Self::Number(cells) => write::<DoubleType, _>(column, cells, |cell| *cell),
            Self::Flag(cells) => write::<BoolType, _>(column, cells, |cell| *cell),
            Self::Text(cells) => {
                write::<ByteArrayType, _>(column, cells, |cell| ByteArray::from(cell.as_str()))
            }
        }
    }
}

fn write<T: DataType, C>(
    mut column: SerializedColumnWriter<'_>,
    cells: &[Option<C>],
    value: impl Fn(&C) -> T::T,
) -> Result<(), ParquetError> {
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values: Vec<T::T> = cells.iter().flatten().map(value).collect();
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    column.close()
}
