//! Images and where their pixels are kept: in memory, in files that are decoded at each use, or in an
//! array on disk that is read by position.
//!
//! Where they are kept changes no number: the same pixels come out of each.

mod array;
mod decode;
mod folder;
mod listing;
mod located;
mod memory;
mod new;
mod npy;
mod npz;
mod positioned;

use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::DataError;
use npy::ArrayFile;

pub use array::{ArraySource, Layout};
pub(in crate::data) use decode::{Form, decode};
pub use folder::{Channels, ImageSize, ImagesSource};
pub use memory::ByteSize;
pub use new::NewImages;

/// Images that are decoded at once when many are visited.
const CHUNK: usize = 64;

/// Images of one size, 8 bits a channel, in the order `[channel][y][x]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Whether pictures of other sizes are resized to this one.
    resize: bool,
    /// What a person should know.
    notices: Vec<String>,
    store: Store,
}

#[derive(Debug, Clone, PartialEq)]
enum Store {
    /// All pixels, one image after the other.
    Memory(Arc<Vec<u8>>),
    /// Pictures that are decoded at each use.
    Files(Arc<Vec<PathBuf>>),
    /// An array on disk.
    Array(Arc<ArrayFile>),
    /// One after the other.
    Joined(Arc<(Images, Images)>),
}

impl Images {
    /// Images in memory: `pixels` holds one after the other, each as `[channel][y][x]`. What is left over
    /// at the end is ignored.
    pub fn new(pixels: Vec<u8>, channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
            resize: false,
            notices: Vec::new(),
            store: Store::Memory(Arc::new(pixels)),
        }
    }

    /// Pictures (JPEG, PNG) that are decoded at each use.
    fn files(paths: Vec<PathBuf>, form: Form) -> Self {
        Self { store: Store::Files(Arc::new(paths)), ..Self::in_form(Vec::new(), form) }
    }

    /// Decoded pictures in memory.
    fn in_form(pixels: Vec<u8>, form: Form) -> Self {
        let Form { channels, height, width, resize } = form;
        Self { resize, ..Self::new(pixels, channels, height, width) }
    }

    /// Whether pictures of other sizes are resized to this one, in training and when new ones are read.
    pub fn resizes(&self) -> bool {
        self.resize
    }

    /// What a person should know, such as files that were left out.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    fn with_notices(self, notices: Vec<String>) -> Self {
        Self { notices, ..self }
    }

    fn form(&self) -> Form {
        Form { channels: self.channels, height: self.height, width: self.width, resize: self.resize }
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        match &self.store {
            Store::Memory(pixels) => pixels.len().checked_div(self.size()).unwrap_or(0),
            Store::Files(paths) => paths.len(),
            Store::Array(array) => array.count(),
            Store::Joined(parts) => parts.0.len() + parts.1.len(),
        }
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes of one image.
    pub fn size(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether the pixels are in memory, so that reading them costs next to nothing and cannot fail.
    pub fn in_memory(&self) -> bool {
        match &self.store {
            Store::Memory(_) => true,
            Store::Files(_) | Store::Array(_) => false,
            Store::Joined(parts) => parts.0.in_memory() && parts.1.in_memory(),
        }
    }

    /// Writes the pixels of image `row` to `out`, which holds [`Images::size`] bytes. Several threads may
    /// read at the same time.
    ///
    /// # Errors
    /// [`DataError`] if the image is on disk and can no longer be read there.
    ///
    /// # Panics
    /// If there is no such row, or `out` has another size.
    pub fn read(&self, row: usize, out: &mut [u8]) -> Result<(), DataError> {
        assert_eq!(out.len(), self.size(), "an image of another size is asked for");
        match &self.store {
            Store::Memory(pixels) => {
                out.copy_from_slice(&pixels[row * self.size()..(row + 1) * self.size()]);
                Ok(())
            }
            Store::Files(paths) => decode(&paths[row], self.form(), out),
            Store::Array(array) => array.read(row, self.channels, out),
            Store::Joined(parts) => match row.checked_sub(parts.0.len()) {
                None => parts.0.read(row, out),
                Some(row) => parts.1.read(row, out),
            },
        }
    }

    /// Calls `visit` with the pixels of each of `rows`, in this order. Images on disk are read and decoded
    /// a few at a time, on all threads of the current pool.
    ///
    /// # Errors
    /// Those of [`Images::read`].
    pub fn for_each(&self, rows: &[usize], mut visit: impl FnMut(&[u8])) -> Result<(), DataError> {
        let size = self.size();
        if let Store::Memory(pixels) = &self.store {
            for row in rows {
                visit(&pixels[row * size..(row + 1) * size]);
            }
            return Ok(());
        }
        let mut buffer = vec![0; CHUNK.min(rows.len()) * size];
        for rows in rows.chunks(CHUNK) {
            let buffer = &mut buffer[..rows.len() * size];
            let read =
                rows.par_iter().zip(buffer.par_chunks_mut(size)).map(|(row, out)| self.read(*row, out));
            // The first in the order of the rows, not of the threads.
            read.collect::<Vec<_>>().into_iter().collect::<Result<(), DataError>>()?;
            buffer.chunks_exact(size).for_each(&mut visit);
        }
        Ok(())
    }

    /// These images, then `others`, which have to be of the same size.
    ///
    /// # Panics
    /// If they are not.
    #[must_use]
    pub fn followed_by(self, others: Self) -> Self {
        let size = |images: &Self| (images.channels, images.height, images.width);
        assert_eq!(size(&self), size(&others), "images of two sizes");
        let store = match (&self.store, &others.store) {
            (Store::Memory(first), Store::Memory(second)) => {
                Store::Memory(Arc::new([first.as_slice(), second.as_slice()].concat()))
            }
            _ => Store::Joined(Arc::new((self.clone(), others.clone()))),
        };
        Self { store, notices: [self.notices, others.notices].concat(), ..self }
    }
}
