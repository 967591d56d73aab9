//! NumPy's `.npz` archives: ZIP files with one `.npy` file for each array, stored or deflated.
//!
//! Of the format (APPNOTE.TXT 6.3.10, <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>) this
//! reads what `numpy.savez` and `numpy.savez_compressed` write, ZIP64 included.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::CrcReader;
use flate2::bufread::DeflateDecoder;

use super::super::DataError;

/// An archive that has been opened.
pub(super) struct Archive {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// One file in the archive.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The name of the array, without `.npy`.
    pub(super) name: String,
    /// Whether it lies in the archive as it is.
    pub(super) is_stored: bool,
    is_deflated: bool,
    crc: u32,
    packed: u64,
    /// The number of bytes when unpacked.
    pub(super) size: u64,
    header: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?).into())
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn read_at(file: &mut File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What stands in for a number that needs the 64 bits of ZIP64.
const IN_ZIP64: u64 = 0xffff_ffff;

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let wrong = |error| DataError::read(path, error);
        let mut file = File::open(path).map_err(wrong)?;
        let length = file.metadata().map_err(wrong)?.len();
        let damaged = || {
            DataError::format(
                path,
                "expected a NumPy archive (.npz), found no whole ZIP archive; get it anew",
            )
        };
        // The end of the directory: at most a comment of 65,535 bytes is behind it.
        let start = length.saturating_sub(65_535 + 22);
        let tail = read_at(&mut file, start, length - start).map_err(wrong)?;
        let end = tail.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").ok_or_else(damaged)?;
        let (mut size, mut offset) =
            u32_at(&tail, end + 12).zip(u32_at(&tail, end + 16)).ok_or_else(damaged)?;
        if size == IN_ZIP64 || offset == IN_ZIP64 || u16_at(&tail, end + 10) == Some(0xffff) {
            let locator = end.checked_sub(20).and_then(|at| u64_at(&tail, at + 8)).ok_or_else(damaged)?;
            let record = read_at(&mut file, locator, 56).map_err(wrong)?;
            (size, offset) = u64_at(&record, 40).zip(u64_at(&record, 48)).ok_or_else(damaged)?;
        }
        let directory = read_at(&mut file, offset, size.min(length)).map_err(wrong)?;
        let mut entries = Vec::new();
        let mut at = 0;
        while directory.get(at..at + 4) == Some(b"PK\x01\x02") {
            let (entry, next) = Entry::read(&directory, at).ok_or_else(damaged)?;
            entries.extend(entry);
            at = next;
        }
        if at as u64 != size {
            return Err(damaged());
        }
        Ok(Self { path: path.to_owned(), entries })
    }

    /// The names of the arrays.
    pub(super) fn names(&self) -> Vec<&str> {
        self.entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Where the bytes of `entry` begin in the archive.
    pub(super) fn start(&self, entry: &Entry) -> Result<u64, DataError> {
        let wrong = |error| DataError::read(&self.path, error);
        let mut file = File::open(&self.path).map_err(wrong)?;
        let header = read_at(&mut file, entry.header, 30).map_err(wrong)?;
        let lengths = u16_at(&header, 26).zip(u16_at(&header, 28));
        match lengths.filter(|_| header.starts_with(b"PK\x03\x04")) {
            Some((name, extra)) => Ok(entry.header + 30 + name + extra),
            None => Err(self.damaged(&entry.name)),
        }
    }

    /// The unpacked bytes of `entry`.
    pub(super) fn reader(&self, entry: &Entry) -> Result<Box<dyn Read>, DataError> {
        let wrong = |error| DataError::read(&self.path, error);
        let mut file = File::open(&self.path).map_err(wrong)?;
        file.seek(SeekFrom::Start(self.start(entry)?)).map_err(wrong)?;
        let packed = io::BufReader::new(file.take(entry.packed));
        if entry.is_stored {
            Ok(Box::new(packed))
        } else if entry.is_deflated {
            Ok(Box::new(DeflateDecoder::new(packed).take(entry.size)))
        } else {
            let name = &entry.name;
            Err(DataError::format(
                &self.path,
                format!("the array `{name}` is packed in a way that NumPy does not use; save it anew"),
            ))
        }
    }

    /// All unpacked bytes of `entry`, which are checked against those that were packed.
    pub(super) fn unpack(&self, entry: &Entry) -> Result<Vec<u8>, DataError> {
        let mut plain = CrcReader::new(self.reader(entry)?);
        let mut bytes = Vec::new();
        plain.read_to_end(&mut bytes).map_err(|_| self.damaged(&entry.name))?;
        if bytes.len() as u64 == entry.size && plain.crc().sum() == entry.crc {
            return Ok(bytes);
        }
        Err(self.damaged(&entry.name))
    }

    fn damaged(&self, name: &str) -> DataError {
        DataError::format(&self.path, format!("the array `{name}` in the archive is damaged; get it anew"))
    }
}

impl Entry {
    /// The entry at `at` of the directory, nothing where it is no array, and where the next begins.
    fn read(directory: &[u8], at: usize) -> Option<(Option<Self>, usize)> {
        let lengths = [28, 30, 32].map(|field| u16_at(directory, at + field));
        let [name_length, extra_length, comment_length] = lengths.map(|length| length.map(|n| n as usize));
        let name_at = at + 46;
        let extra_at = name_at + name_length?;
        let next = extra_at + extra_length? + comment_length?;
        let name = String::from_utf8_lossy(directory.get(name_at..extra_at)?).into_owned();
        let extra = directory.get(extra_at..extra_at + extra_length?)?;
        let [mut packed, mut size, mut header] =
            [u32_at(directory, at + 20)?, u32_at(directory, at + 24)?, u32_at(directory, at + 42)?];
        let mut field = 0;
        while let Some((id, length)) = u16_at(extra, field).zip(u16_at(extra, field + 2)) {
            let mut value = field + 4;
            if id == 1 {
                // Those that did not fit, in this order.
                for number in [&mut size, &mut packed, &mut header] {
                    if *number == IN_ZIP64 {
                        *number = u64_at(extra, value)?;
                        value += 8;
                    }
                }
            }
            field += 4 + length as usize;
        }
        let method = u16_at(directory, at + 10)?;
        let crc = u32_at(directory, at + 16)? as u32;
        let entry = name.strip_suffix(".npy").map(|name| Self {
            name: name.to_owned(),
            is_stored: method == 0,
            is_deflated: method == 8,
            crc,
            packed,
            size,
            header,
        });
        Some((entry, next))
    }
}
