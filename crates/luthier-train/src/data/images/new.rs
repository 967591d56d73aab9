//! New pictures for a trained model: a folder of them, or of class folders.

use std::path::{Path, PathBuf};

use super::super::error::list;
use super::super::{DataError, Inputs, Targets};
use super::Images;
use super::decode::Form;
use super::folder::decode_all;
use super::listing::{class_folders, entries};
use super::memory::allowance;

/// The images of a folder, ready for [`Preprocessor::encode`](crate::data::Preprocessor::encode).
#[derive(Debug)]
pub struct NewImages {
    /// The images.
    pub inputs: Inputs,
    /// The file of each.
    pub files: Vec<PathBuf>,
    /// The class of each, where they lie in class folders. An error says which folder is named for no trained
    /// class, which matters only to those who evaluate.
    pub targets: Result<Option<Targets>, DataError>,
}

impl NewImages {
    /// Reads all that is in `folder`, where `names` are the trained classes.
    pub(in crate::data) fn read(folder: &Path, form: Form, names: &[String]) -> Result<Self, DataError> {
        let inside = entries(folder)?;
        let mut targets = Ok(None);
        let files = if inside.iter().any(|path| path.is_dir()) {
            let classes = class_folders(folder)?;
            let label =
                |name: &String| names.iter().position(|known| known == name).map(|label| label as u32);
            let strangers: Vec<&String> =
                classes.iter().map(|class| &class.name).filter(|name| label(name).is_none()).collect();
            targets = if strangers.is_empty() {
                let labels = classes.iter().flat_map(|class| {
                    std::iter::repeat_n(label(&class.name).unwrap_or_default(), class.files.len())
                });
                Ok(Some(Targets::Classes { labels: labels.collect(), names: names.to_vec(), column: None }))
            } else {
                let (strangers, known) = (list(&strangers), list(names));
                Err(DataError::format(
                    folder,
                    format!("the folders {strangers} are named for none of the trained classes: {known}"),
                ))
            };
            classes.into_iter().flat_map(|class| class.files).collect()
        } else {
            inside
        };
        if files.is_empty() {
            return Err(DataError::format(
                folder,
                "expected images (PNG, JPEG) or class folders, found no file",
            ));
        }
        let mut problems: Vec<Option<DataError>> = files.iter().map(|_| None).collect();
        let pixels = decode_all(&files, &mut problems, form, allowance());
        let problems: Vec<String> =
            problems.into_iter().flatten().map(|problem| problem.to_string()).collect();
        if !problems.is_empty() {
            return Err(DataError::Pictures { folder: folder.to_owned(), problems, hint: "" });
        }
        let images = match pixels {
            Some(pixels) => Images::in_form(pixels, form),
            None => Images::files(files.clone(), form),
        };
        Ok(Self { inputs: Inputs::Images(images), files, targets })
    }
}
