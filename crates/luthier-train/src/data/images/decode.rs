//! One picture from its file: JPEG or PNG, in the channels and the size that are wanted.
//!
//! An alpha channel is dropped, 16 bits become 8, and the turn that a camera notes beside the picture
//! (EXIF) is not made, as in Pillow and torchvision. Resizing is bilinear; a picture that shrinks is
//! smoothed at the same time (the triangle filter grows with the factor), which is what Pillow's
//! `Image.resize(…, BILINEAR)` computes.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Cursor};
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader};

use super::super::DataError;

/// How pictures become pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) struct Form {
    /// 1 or 3.
    pub(in crate::data) channels: usize,
    pub(in crate::data) height: usize,
    pub(in crate::data) width: usize,
    /// Whether pictures of other sizes are resized; else they are refused.
    pub(in crate::data) resize: bool,
}

impl Form {
    /// The number of bytes of a picture.
    pub(in crate::data) fn size(self) -> usize {
        self.channels * self.height * self.width
    }
}

/// What the head of a file says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) is_colour: bool,
}

/// The format that a file's first bytes tell; its name may lie.
fn format_of(start: &[u8], path: &Path) -> Result<ImageFormat, DataError> {
    match start {
        [] => Err(DataError::format(path, "expected an image, PNG or JPEG, found an empty file")),
        [0x89, b'P', b'N', b'G', ..] => Ok(ImageFormat::Png),
        [0xff, 0xd8, 0xff, ..] => Ok(ImageFormat::Jpeg),
        _ => Err(DataError::format(path, "expected an image, PNG or JPEG, found something else")),
    }
}

fn broken(path: &Path, error: &image::ImageError) -> DataError {
    DataError::format(path, format!("the image is broken or cut off: {error}"))
}

/// Reads the head of a file, not the picture.
pub(super) fn head(path: &Path) -> Result<Head, DataError> {
    let wrong = |error| DataError::read(path, error);
    let mut file = BufReader::new(File::open(path).map_err(wrong)?);
    let format = format_of(file.fill_buf().map_err(wrong)?, path)?;
    let reader = ImageReader::with_format(file, format);
    let decoder = reader.into_decoder().map_err(|error| broken(path, &error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(DataError::format(path, format!("the image has {width} x {height} pixels")));
    }
    let is_colour = decoder.color_type().has_color();
    Ok(Head { height: height as usize, width: width as usize, is_colour })
}

/// Decodes a picture into `out`, in the order `[channel][y][x]`.
pub(in crate::data) fn decode(path: &Path, form: Form, out: &mut [u8]) -> Result<(), DataError> {
    let bytes = std::fs::read(path).map_err(|error| DataError::read(path, error))?;
    let format = format_of(&bytes, path)?;
    if format == ImageFormat::Jpeg && !is_whole(&bytes) {
        return Err(DataError::format(path, "the image is cut off: the end of the JPEG is missing"));
    }
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let image = reader.decode().map_err(|error| broken(path, &error))?;
    write(image, path, form, out)
}

/// Whether a JPEG has its end. Decoders fill in what is missing with grey and say nothing.
///
/// The marker of the end, `ff d9`, cannot occur in the data of a scan, which the marker `ff da` begins; it
/// can before it, in the small picture that a camera puts into the head.
fn is_whole(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9).is_some_and(|end| last(0xda).is_some_and(|scan| scan < end))
}

fn write(mut image: DynamicImage, path: &Path, form: Form, out: &mut [u8]) -> Result<(), DataError> {
    let (height, width) = (image.height() as usize, image.width() as usize);
    // To the channels first: it is what they look like that is to be averaged.
    image = if form.channels == 1 { image.to_luma8().into() } else { image.to_rgb8().into() };
    if (height, width) != (form.height, form.width) {
        if !form.resize {
            return Err(other_size(path, form, height, width));
        }
        image = image.resize_exact(form.width as u32, form.height as u32, FilterType::Triangle);
    }
    if form.channels == 1 {
        out.copy_from_slice(image.as_bytes());
    } else {
        planes(image.as_bytes(), form.channels, out);
    }
    Ok(())
}

/// The message for a picture of another size than is wanted.
fn other_size(path: &Path, form: Form, height: usize, width: usize) -> DataError {
    let (h, w) = (form.height, form.width);
    DataError::format(
        path,
        format!(
            "expected {w} x {h} pixels (width, height) as in training, found {width} x {height}; resize it"
        ),
    )
}

/// From pixels with their channels side by side to one plane a channel.
pub(super) fn planes(mixed: &[u8], channels: usize, out: &mut [u8]) {
    for (channel, plane) in out.chunks_exact_mut(mixed.len() / channels).enumerate() {
        for (pixel, value) in plane.iter_mut().zip(mixed.iter().skip(channel).step_by(channels)) {
            *pixel = *value;
        }
    }
}
