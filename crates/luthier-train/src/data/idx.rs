//! The IDX format of MNIST: a magic number, the sizes, then bytes, all big-endian, plain or in gzip.
//!
//! Format: <https://yann.lecun.com/exdb/mnist/>, under "File formats for the MNIST database".

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::{DataError, Images};

/// Unsigned bytes in one dimension.
const LABELS: u32 = 2049;
/// Unsigned bytes in three dimensions.
const IMAGES: u32 = 2051;

/// Reads images of one channel.
pub(super) fn read_images(path: &Path) -> Result<Images, DataError> {
    let mut file = IdxFile::open(path, IMAGES, "images")?;
    let [count, height, width] = [file.size()?, file.size()?, file.size()?];
    if count == 0 || height == 0 || width == 0 {
        return Err(DataError::format(
            path,
            format!("expected images, found {count} of {height} x {width} pixels"),
        ));
    }
    let pixels = file.rest(&[count, height, width])?;
    Ok(Images::new(pixels, 1, height, width))
}

/// Reads labels from 0 to `classes - 1`.
pub(super) fn read_labels(path: &Path, classes: u8) -> Result<Vec<u8>, DataError> {
    let mut file = IdxFile::open(path, LABELS, "labels")?;
    let count = file.size()?;
    let labels = file.rest(&[count])?;
    match labels.iter().position(|label| *label >= classes) {
        None => Ok(labels),
        Some(i) => {
            let (found, most) = (labels[i], classes - 1);
            Err(DataError::format(path, format!("expected labels from 0 to {most}, label {i} is {found}")))
        }
    }
}

struct IdxFile<'a> {
    path: &'a Path,
    bytes: Box<dyn Read>,
}

impl<'a> IdxFile<'a> {
    fn open(path: &'a Path, magic: u32, what: &str) -> Result<Self, DataError> {
        let open = || {
            // A name may lie, the first two bytes of gzip (RFC 1952) do not.
            let mut start = Vec::new();
            File::open(path)?.take(2).read_to_end(&mut start)?;
            let file = BufReader::new(File::open(path)?);
            let bytes: Box<dyn Read> =
                if start == [0x1f, 0x8b] { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
            Ok(bytes)
        };
        let mut file = Self { path, bytes: open().map_err(|error| DataError::read(path, error))? };
        let found = file.number()?;
        if found != magic {
            return Err(DataError::format(
                path,
                format!(
                    "expected an IDX file of {what}, which begins with the number {magic}, found {found}"
                ),
            ));
        }
        Ok(file)
    }

    fn number(&mut self) -> Result<u32, DataError> {
        let bytes = self.up_to(4)?;
        <[u8; 4]>::try_from(bytes.as_slice()).map(u32::from_be_bytes).map_err(|_| {
            DataError::format(self.path, "the file ends within the header of the IDX format; get it anew")
        })
    }

    fn size(&mut self) -> Result<usize, DataError> {
        Ok(self.number()? as usize)
    }

    /// Reads at most `limit` bytes, fewer at the end of the file.
    fn up_to(&mut self, limit: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        match (&mut self.bytes).take(limit).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(DataError::format(self.path, "the compressed file is cut off; get it anew"))
            }
            Err(error) => Err(DataError::read(self.path, error)),
        }
    }

    /// The bytes after the header, of which there must be as many as the sizes say.
    fn rest(&mut self, sizes: &[usize]) -> Result<Vec<u8>, DataError> {
        let expected = sizes
            .iter()
            .try_fold(1_u64, |product, size| product.checked_mul(*size as u64))
            .filter(|product| *product < 1 << 40)
            .ok_or_else(|| DataError::format(self.path, format!("the sizes {sizes:?} cannot be true")))?;
        let bytes = self.up_to(expected + 1)?;
        let found = bytes.len() as u64;
        let problem = match found {
            found if found == expected => return Ok(bytes),
            found if found < expected => format!("found only {found}; the file is cut off, get it anew"),
            _ => "found more".into(),
        };
        Err(DataError::format(self.path, format!("expected {expected} bytes after the header, {problem}")))
    }
}

#[cfg(test)]
pub(super) mod tests;
