//! Pictures in folders, one folder for each class: `{ images = "photos" }`.
//!
//! Either the folder holds the class folders, or it holds `train` and `test` with the class folders in
//! each; then `test` is the given test set. Classes and files are in the order of their names. Names that
//! begin with a dot do not count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use luthier_core::config::{Decode, Kind, Node, Problems};
use rayon::prelude::*;

use super::super::error::list;
use super::super::{DataError, Dataset, Inputs, Targets};
use super::Images;
use super::decode::{Form, Head, decode, head};
use super::listing::{ClassFolder, parts};
use super::memory::{ByteSize, allowance};

luthier_core::settings! {
    /// Pictures (JPEG, PNG) in a folder for each class.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ImagesSource {
        /// The folder: it holds a folder for each class, or `train` and `test` with class folders in each;
        /// then `test` is the given test set.
        images: PathBuf;
        /// The size to which every picture is brought, in pixels: one number for squares, or
        /// `[height, width]`. Bilinear, smoothed where a picture shrinks; the shape is not kept. Left out, all
        /// have to be of one size. 32 to 64 is quick on a CPU; networks trained on ImageNet expect 224.
        size: Option<ImageSize> = None;
        /// "grey" or "colour". Left out, colour if any picture has colour.
        channels: Option<Channels> = None;
        /// Leave out files that are no JPEG or PNG, or broken, and say which; else they are an error.
        skip_broken: bool = false;
        /// Up to this size, the decoded pictures are kept in memory; where they are larger, they are
        /// decoded at each use. Left out, 512 MiB, or a quarter of the memory that the process may use
        /// where that is less. It changes no result.
        memory: Option<ByteSize> = None;
    }
}

/// The size of pictures: a number for squares, or `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
}

impl Decode for ImageSize {
    const EXPECTED: &'static str = "a number of pixels from 1 to 4096, or [height, width]";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let pixels = |node: &Node| match node.kind {
            Kind::Int(pixels @ 1..=4096) => Some(pixels as usize),
            _ => None,
        };
        let size = match &node.kind {
            Kind::Array(sizes) => match sizes.as_slice() {
                [height, width] => pixels(height).zip(pixels(width)),
                _ => None,
            },
            _ => pixels(node).map(|pixels| (pixels, pixels)),
        };
        if size.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        size.map(|(height, width)| Self { height, width })
    }
}

/// The channels of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// One: how bright it is.
    Grey,
    /// Red, green, blue.
    Colour,
}

impl Decode for Channels {
    const EXPECTED: &'static str = "\"grey\" or \"colour\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match node.as_str() {
            Some("grey" | "gray") => Some(Self::Grey),
            Some("colour" | "color") => Some(Self::Colour),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

/// A file of a class.
struct Found {
    path: PathBuf,
    class: u32,
    is_test: bool,
}

impl ImagesSource {
    /// Loads the pictures in `root`. Every file is decoded once, to find what is broken.
    pub(in crate::data) fn load(&self, root: &Path) -> Result<Dataset, DataError> {
        let (train, test) = parts(root)?;
        let names: Vec<String> = train.iter().map(|class| class.name.clone()).collect();
        check_classes(root, &names, &train, &test)?;
        let mut files = Vec::new();
        for (is_test, class) in
            train.iter().map(|class| (false, class)).chain(test.iter().map(|class| (true, class)))
        {
            let label = names.iter().position(|name| *name == class.name).unwrap_or_default() as u32;
            files.extend(class.files.iter().map(|path| Found { path: path.clone(), class: label, is_test }));
        }
        let (images, files) = self.read(root, files)?;
        let trained: Vec<u32> = files.iter().filter(|file| !file.is_test).map(|file| file.class).collect();
        let gone: Vec<&String> = (0_u32..)
            .zip(&names)
            .filter(|(class, _)| !trained.contains(class))
            .map(|(_, name)| name)
            .collect();
        if !gone.is_empty() {
            let gone = list(&gone);
            return Err(DataError::format(root, format!("no picture of the classes {gone} can be used")));
        }
        let tested = files.len() - trained.len();
        let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned();
        Ok(Dataset {
            name,
            inputs: Inputs::Images(images),
            targets: Targets::Classes {
                labels: files.iter().map(|file| file.class).collect(),
                names,
                column: None,
            },
            given_test: (tested > 0).then_some(tested),
        })
    }

    /// The pictures in these files, and the files without those that were left out.
    fn read(&self, root: &Path, files: Vec<Found>) -> Result<(Images, Vec<Found>), DataError> {
        let heads: Vec<Result<Head, DataError>> = files.par_iter().map(|file| head(&file.path)).collect();
        let known: Vec<&Head> = heads.iter().flatten().collect();
        let form = self.form(root, &files, &heads, &known)?;
        let mut problems: Vec<Option<DataError>> = heads.into_iter().map(Result::err).collect();

        let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        let most = self.memory.map_or_else(allowance, |memory| memory.0);
        let mut pixels = decode_all(&paths, &mut problems, form, most);
        let size = form.size();

        let (mut kept, mut notices, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (file, problem)) in files.into_iter().zip(problems).enumerate() {
            match problem {
                None => {
                    if let Some(pixels) = &mut pixels
                        && kept.len() < i
                    {
                        pixels.copy_within(i * size..(i + 1) * size, kept.len() * size);
                    }
                    kept.push(file);
                }
                Some(problem) if self.skip_broken => notices.push(format!("left out: {problem}")),
                Some(problem) => broken.push(problem.to_string()),
            }
        }
        if !broken.is_empty() {
            let hint = ", or leave them out by `skip_broken = true`";
            return Err(DataError::Pictures { folder: root.to_owned(), problems: broken, hint });
        }
        let images = match pixels {
            Some(mut pixels) => {
                pixels.truncate(kept.len() * size);
                Images::in_form(pixels, form)
            }
            None => Images::files(kept.iter().map(|file: &Found| file.path.clone()).collect(), form),
        };
        Ok((images.with_notices(notices), kept))
    }

    /// The form that all pictures get.
    fn form(
        &self,
        root: &Path,
        files: &[Found],
        heads: &[Result<Head, DataError>],
        known: &[&Head],
    ) -> Result<Form, DataError> {
        let channels = match self.channels {
            Some(Channels::Colour) => 3,
            None if known.iter().any(|head| head.is_colour) => 3,
            Some(Channels::Grey) | None => 1,
        };
        if let Some(ImageSize { height, width }) = self.size {
            return Ok(Form { channels, height, width, resize: true });
        }
        let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for head in known {
            *sizes.entry((head.height, head.width)).or_default() += 1;
        }
        // The most frequent; of several the largest. Where no file can be read, that is what is told.
        let (height, width) =
            sizes.iter().max_by_key(|(size, count)| (**count, **size)).map_or((1, 1), |(size, _)| *size);
        if sizes.len() > 1 {
            let other = |(file, head): (&Found, &Result<Head, DataError>)| {
                let head = head.as_ref().ok().filter(|head| (head.height, head.width) != (height, width))?;
                let path = file.path.strip_prefix(root).unwrap_or(&file.path);
                Some(format!("{} is {} x {}", path.display(), head.width, head.height))
            };
            let others: Vec<String> = files.iter().zip(heads).filter_map(other).collect();
            let some = others[..others.len().min(3)].join(", ");
            let (count, all) = (others.len(), known.len());
            return Err(DataError::format(
                root,
                format!(
                    "the pictures are of {} sizes: most are {width} x {height} (width, height), {count} of {all} \
                     are not, such as: {some}; set `size`, such as `size = 32` or `size = [{height}, {width}]`, to \
                     have all resized",
                    sizes.len()
                ),
            ));
        }
        Ok(Form { channels, height, width, resize: false })
    }
}

/// Decodes every file, whether the pixels are kept or not, so that all that is broken is told at once; what is
/// known to have a problem is left alone. Gives the pixels if they are at most `most` bytes.
pub(super) fn decode_all(
    paths: &[PathBuf],
    problems: &mut [Option<DataError>],
    form: Form,
    most: u64,
) -> Option<Vec<u8>> {
    let size = form.size();
    let in_memory = (paths.len() as u64).saturating_mul(size as u64) <= most;
    let attempt = |(path, problem): (&PathBuf, &mut Option<DataError>), out: &mut [u8]| {
        if problem.is_none() {
            *problem = decode(path, form, out).err();
        }
    };
    let each = paths.par_iter().zip(problems);
    if !in_memory {
        each.for_each_init(|| vec![0; size], |out, each| attempt(each, out));
        return None;
    }
    let mut pixels = vec![0; paths.len() * size];
    each.zip(pixels.par_chunks_exact_mut(size)).for_each(|(each, out)| attempt(each, out));
    Some(pixels)
}

/// Checks that every class has a name, files, and a place in training.
fn check_classes(
    root: &Path,
    names: &[String],
    train: &[ClassFolder],
    test: &[ClassFolder],
) -> Result<(), DataError> {
    if let [only] = names {
        return Err(DataError::format(
            root,
            format!("expected folders of at least 2 classes, found `{only}` alone"),
        ));
    }
    let strangers: Vec<&String> =
        test.iter().map(|class| &class.name).filter(|name| !names.contains(name)).collect();
    if !strangers.is_empty() {
        let (strangers, known) = (list(&strangers), list(names));
        return Err(DataError::format(
            &root.join("test"),
            format!("{strangers} are classes of the test set alone; the classes in training are {known}"),
        ));
    }
    let is_empty = |class: &&ClassFolder| class.files.is_empty();
    let place = |class: &ClassFolder| {
        let path = class.path.strip_prefix(root).unwrap_or(&class.path);
        path.display().to_string()
    };
    let empty: Vec<String> = train.iter().chain(test).filter(is_empty).map(place).collect();
    if !empty.is_empty() {
        let empty = list(&empty);
        return Err(DataError::format(
            root,
            format!("the class folders {empty} are empty; fill them or remove them"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
