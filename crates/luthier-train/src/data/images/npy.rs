//! NumPy's `.npy` files: a header with type, order and shape, then the values.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::DataError;
use super::decode::planes;
use super::positioned::PositionedFile;

const MAGIC: &[u8] = b"\x93NUMPY";
/// A header of an array of numbers is a hundred bytes; what claims to be far longer is no header.
const LONGEST_HEADER: usize = 1 << 20;

/// What the header of an array says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    /// Whether the first index changes fastest.
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
    /// The bytes before the first value.
    pub(super) length: usize,
}

/// The type of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dtype {
    kind: Kind,
    bytes: usize,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
}

impl Dtype {
    /// Of NumPy's notation, such as `|u1`, `<i8` or `>f4`.
    fn parse(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let big_endian = match chars.next()? {
            '<' | '|' | '=' => false,
            '>' => true,
            _ => return None,
        };
        let kind = chars.next()?;
        let bytes = chars.as_str().parse().ok()?;
        let kind = match (kind, bytes) {
            ('b', 1) => Kind::Bool,
            ('u', 1 | 2 | 4 | 8) => Kind::Unsigned,
            ('i', 1 | 2 | 4 | 8) => Kind::Signed,
            ('f', 4 | 8) => Kind::Float,
            _ => return None,
        };
        Some(Self { kind, bytes, big_endian })
    }

    pub(super) fn is_u8(self) -> bool {
        self.kind == Kind::Unsigned && self.bytes == 1
    }

    pub(super) fn is_float(self) -> bool {
        self.kind == Kind::Float
    }

    /// NumPy's name of it.
    pub(super) fn name(self) -> String {
        match self.kind {
            Kind::Bool => "bool".into(),
            Kind::Unsigned => format!("uint{}", self.bytes * 8),
            Kind::Signed => format!("int{}", self.bytes * 8),
            Kind::Float => format!("float{}", self.bytes * 8),
        }
    }

    /// One value. Whole numbers past 2^53 lose their last digits.
    fn value(self, bytes: &[u8]) -> f64 {
        let mut little = [0; 8];
        little[..bytes.len()].copy_from_slice(bytes);
        if self.big_endian {
            little[..bytes.len()].reverse();
        }
        let bits = u64::from_le_bytes(little);
        match (self.kind, self.bytes) {
            (Kind::Bool, _) => f64::from(u8::from(bits != 0)),
            (Kind::Unsigned, _) => bits as f64,
            (Kind::Signed, bytes) => {
                // Shifted up and down again, the sign fills the upper bits.
                let unused = 64 - 8 * bytes as u32;
                (((bits << unused) as i64) >> unused) as f64
            }
            (Kind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Kind::Float, _) => f64::from_bits(bits),
        }
    }
}

impl Header {
    /// Reads the header at the start of `reader`.
    pub(super) fn read(path: &Path, reader: &mut dyn Read) -> Result<Self, DataError> {
        let mut exact = |length: usize| {
            let mut bytes = Vec::new();
            reader
                .take(length as u64)
                .read_to_end(&mut bytes)
                .map_err(|error| DataError::read(path, error))?;
            if bytes.len() == length {
                return Ok(bytes);
            }
            Err(DataError::format(path, "the file ends within the header of a NumPy array; get it anew"))
        };
        let no_array =
            || DataError::format(path, "expected a NumPy array, whose file begins with \\x93NUMPY");
        if exact(MAGIC.len()).map_err(|_| no_array())? != MAGIC {
            return Err(no_array());
        }
        let version = exact(2)?[0];
        let size_bytes = if version == 1 { 2 } else { 4 };
        let mut size = [0; 4];
        size[..size_bytes].copy_from_slice(&exact(size_bytes)?);
        let size = u32::from_le_bytes(size) as usize;
        if version > 3 || size > LONGEST_HEADER {
            return Err(DataError::format(
                path,
                "the header of the NumPy array is damaged; get the file anew",
            ));
        }
        let text = String::from_utf8_lossy(&exact(size)?).into_owned();
        let mut header = Self::parse(&text).map_err(|problem| DataError::format(path, problem))?;
        header.length = MAGIC.len() + 2 + size_bytes + size;
        if header.elements().and_then(|count| count.checked_mul(header.dtype.bytes as u64)).is_none() {
            let shape = header.shape;
            return Err(DataError::format(path, format!("the shape {shape:?} cannot be true")));
        }
        Ok(header)
    }

    /// Of the text of a header: `{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let after = |key: &str| {
            let rest = text.split_once(&format!("'{key}'"))?.1.trim_start().strip_prefix(':')?;
            Some(rest.trim_start())
        };
        let damaged = || "the header of the NumPy array is damaged; get the file anew".to_owned();
        let descr = after("descr").ok_or_else(damaged)?;
        let descr = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let dtype = descr.and_then(|(descr, _)| Dtype::parse(descr)).ok_or_else(|| {
            let found = descr.map_or("a record", |(descr, _)| descr);
            format!(
                "expected an array of numbers (bool, int8 to int64, uint8 to uint64, float32, float64), found \
                 the type `{found}`; convert it with `array.astype(…)`"
            )
        })?;
        let fortran = after("fortran_order").ok_or_else(damaged)?.starts_with("True");
        let shape = after("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')'));
        let (shape, _) = shape.ok_or_else(damaged)?;
        let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape = sizes.map(str::parse).collect::<Result<Vec<usize>, _>>().map_err(|_| damaged())?;
        Ok(Self { dtype, fortran, shape, length: 0 })
    }

    fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size as u64))
    }

    /// The number of bytes behind the header.
    pub(super) fn bytes(&self) -> u64 {
        // Checked when it was read.
        self.elements().unwrap_or(0) * self.dtype.bytes as u64
    }

    /// The values behind the header, converted to double precision, in row-major order.
    pub(super) fn values(&self, bytes: &[u8]) -> Vec<f64> {
        let mut values: Vec<f64> =
            bytes.chunks_exact(self.dtype.bytes).map(|value| self.dtype.value(value)).collect();
        if let (true, [rows, columns]) = (self.fortran, self.shape.as_slice()) {
            let by_column = values.clone();
            for (i, value) in values.iter_mut().enumerate() {
                *value = by_column[(i % columns) * rows + i / columns];
            }
        }
        values
    }
}

/// Reads the bytes behind a header, of which there must be as many as it says.
pub(super) fn read_body(path: &Path, header: &Header, reader: &mut dyn Read) -> Result<Vec<u8>, DataError> {
    let expected = header.bytes();
    let mut bytes = Vec::new();
    // A header may lie: it is trusted with as much as the reader brings.
    reader.take(expected).read_to_end(&mut bytes).map_err(|error| DataError::read(path, error))?;
    if bytes.len() as u64 == expected {
        return Ok(bytes);
    }
    Err(cut_off(path, header, bytes.len() as u64))
}

/// The message for an array with fewer bytes than its header says.
pub(super) fn cut_off(path: &Path, header: &Header, found: u64) -> DataError {
    let (expected, shape, dtype) = (header.bytes(), &header.shape, header.dtype.name());
    DataError::format(
        path,
        format!(
            "expected {expected} bytes for an array of the shape {shape:?} and the type {dtype}, found {found}; \
             the file is cut off, get it anew"
        ),
    )
}

/// An array of images on disk that is read by position.
#[derive(Debug)]
pub(super) struct ArrayFile {
    path: PathBuf,
    file: PositionedFile,
    /// Where the first image begins.
    start: u64,
    count: usize,
    /// Whether a pixel's channels are side by side.
    channels_last: bool,
}

impl ArrayFile {
    pub(super) fn open(
        path: &Path,
        start: u64,
        count: usize,
        channels_last: bool,
    ) -> Result<Self, DataError> {
        let file = PositionedFile::open(path).map_err(|error| DataError::read(path, error))?;
        Ok(Self { path: path.to_owned(), file, start, count, channels_last })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Reads image `row` into `out`, in the order `[channel][y][x]`.
    pub(super) fn read(&self, row: usize, channels: usize, out: &mut [u8]) -> Result<(), DataError> {
        assert!(row < self.count, "there is no image {row} of {}", self.count);
        let at = self.start + row as u64 * out.len() as u64;
        let fill = |out: &mut [u8]| {
            self.file.read_exact_at(out, at).map_err(|error| {
                if error.kind() == std::io::ErrorKind::UnexpectedEof {
                    let (count, problem) = (self.count, "the file was cut off after it was opened");
                    return DataError::format(
                        &self.path,
                        format!("image {row} of {count} is gone: {problem}"),
                    );
                }
                DataError::read(&self.path, error)
            })
        };
        if !self.channels_last || channels == 1 {
            return fill(out);
        }
        let mut mixed = vec![0; out.len()];
        fill(&mut mixed)?;
        planes(&mixed, channels, out);
        Ok(())
    }
}

/// The same images of the same file.
impl PartialEq for ArrayFile {
    fn eq(&self, other: &Self) -> bool {
        let place = |file: &Self| (file.path.clone(), file.start, file.count, file.channels_last);
        place(self) == place(other)
    }
}
