//! Where an array lies: in a `.npy` file, or in an `.npz` archive.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::DataError;
use super::super::error::list;
use super::super::source::resolve;
use super::decode::planes;
use super::npy::{ArrayFile, Header, cut_off, read_body};
use super::npz::{Archive, Entry};
use super::{Form, Images, Store};

/// A `.npy` file, or an archive of several; other `.npy` files may be named beside it.
pub(super) struct Collection {
    path: PathBuf,
    base: PathBuf,
    archive: Option<Archive>,
}

/// An array whose header has been read.
pub(super) struct Located<'a> {
    path: PathBuf,
    pub(super) header: Header,
    entry: Option<(&'a Archive, &'a Entry)>,
}

impl Collection {
    pub(super) fn open(path: &Path, base: &Path) -> Result<Self, DataError> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(|error| DataError::read(path, error))?;
        file.take(4).read_to_end(&mut start).map_err(|error| DataError::read(path, error))?;
        let archive = if start.starts_with(b"PK") { Some(Archive::open(path)?) } else { None };
        Ok(Self { path: path.to_owned(), base: base.to_owned(), archive })
    }

    /// Whether it is an archive with an array of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.archive.as_ref().is_some_and(|archive| archive.entry(name).is_some())
    }

    /// The array that `wanted` names, or that has the first of the `usual` names. `key` is the setting.
    pub(super) fn find(
        &self,
        key: &str,
        wanted: Option<&str>,
        usual: &[&str],
    ) -> Result<Located<'_>, DataError> {
        if let Some(archive) = &self.archive {
            let named = wanted.map_or_else(|| usual.to_vec(), |name| vec![name]);
            if let Some(entry) = named.iter().find_map(|name| archive.entry(name)) {
                return Located::in_archive(&self.path, archive, entry);
            }
            let is_file =
                |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "npy");
            if wanted.is_none_or(|name| !is_file(name)) {
                let (wanted, names) = (list(&named), list(&archive.names()));
                return Err(DataError::format(
                    &self.path,
                    format!("expected an array named {wanted} (`{key}`), found {names}; name it by `{key}`"),
                ));
            }
        }
        match (wanted, key) {
            (Some(name), "inputs") if self.archive.is_none() => Err(DataError::setting(
                key,
                format!("names `{name}`, but `array` is no archive; leave it out"),
            )),
            (Some(file), _) => Located::in_file(&resolve(&self.base, Path::new(file))?),
            (None, "inputs") => Located::in_file(&self.path),
            (None, _) => {
                Err(DataError::setting(key, "is missing: name the `.npy` file with one target a row"))
            }
        }
    }
}

impl<'a> Located<'a> {
    pub(super) fn in_file(path: &Path) -> Result<Self, DataError> {
        let wrong = |error| DataError::read(path, error);
        let mut file = BufReader::new(File::open(path).map_err(wrong)?);
        let header = Header::read(path, &mut file)?;
        let length = file.get_ref().metadata().map_err(wrong)?.len();
        let found = length.saturating_sub(header.length as u64);
        if found < header.bytes() {
            return Err(cut_off(path, &header, found));
        }
        Ok(Self { path: path.to_owned(), header, entry: None })
    }

    fn in_archive(path: &Path, archive: &'a Archive, entry: &'a Entry) -> Result<Self, DataError> {
        let header = Header::read(path, &mut archive.reader(entry)?)?;
        let found = entry.size.saturating_sub(header.length as u64);
        if found < header.bytes() {
            return Err(cut_off(path, &header, found));
        }
        Ok(Self { path: path.to_owned(), header, entry: Some((archive, entry)) })
    }

    /// What the array is called in messages.
    pub(super) fn place(&self) -> String {
        let path = self.path.display();
        self.entry.map_or_else(|| path.to_string(), |(_, entry)| format!("`{}` in {path}", entry.name))
    }

    /// A message about this array.
    pub(super) fn error(&self, problem: impl Into<String>) -> DataError {
        let problem = problem.into();
        match self.entry {
            None => DataError::format(&self.path, problem),
            Some((_, entry)) => {
                DataError::format(&self.path, format!("the array `{}`: {problem}", entry.name))
            }
        }
    }

    fn body(&self) -> Result<Vec<u8>, DataError> {
        match self.entry {
            None => {
                let wrong = |error| DataError::read(&self.path, error);
                let mut file = File::open(&self.path).map_err(wrong)?;
                file.seek(std::io::SeekFrom::Start(self.header.length as u64)).map_err(wrong)?;
                read_body(&self.path, &self.header, &mut file)
            }
            Some((archive, entry)) => {
                let mut bytes = archive.unpack(entry)?;
                bytes.drain(..self.header.length);
                bytes.truncate(self.header.bytes() as usize);
                Ok(bytes)
            }
        }
    }

    /// All values in double precision, in row-major order.
    pub(super) fn values(&self) -> Result<Vec<f64>, DataError> {
        Ok(self.header.values(&self.body()?))
    }

    /// The images in the array: kept in memory if they are at most `most` bytes.
    pub(super) fn images(&self, form: Form, channels_last: bool, most: u64) -> Result<Images, DataError> {
        if self.header.bytes() <= most {
            let mut pixels = self.body()?;
            if channels_last && form.channels > 1 {
                let size = form.size();
                let mut mixed = vec![0; size];
                for image in pixels.chunks_exact_mut(size) {
                    mixed.copy_from_slice(image);
                    planes(&mixed, form.channels, image);
                }
            }
            return Ok(Images::in_form(pixels, form));
        }
        let start = match self.entry {
            None => self.header.length as u64,
            Some((archive, entry)) if entry.is_stored => archive.start(entry)? + self.header.length as u64,
            Some(_) => {
                let bytes = self.header.bytes();
                return Err(self.error(format!(
                    "its {bytes} bytes are more than may be kept in memory ({most}), and a packed array cannot \
                     be read from disk piece by piece; save it with `numpy.savez` or `numpy.save`, or raise \
                     `memory`"
                )));
            }
        };
        let array = ArrayFile::open(&self.path, start, self.header.shape[0], channels_last)?;
        let images = Images::in_form(Vec::new(), form);
        Ok(Images { store: Store::Array(Arc::new(array)), ..images })
    }
}
