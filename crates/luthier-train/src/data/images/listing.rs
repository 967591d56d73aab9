//! What lies in a folder of pictures. Names that begin with a dot do not count.

use std::path::{Path, PathBuf};

use super::super::DataError;
use super::super::error::list;

/// A folder that is named for its class.
#[derive(Debug)]
pub(in crate::data) struct ClassFolder {
    pub(in crate::data) name: String,
    pub(in crate::data) path: PathBuf,
    /// What it holds, by name.
    pub(in crate::data) files: Vec<PathBuf>,
}

/// What is in `folder`, by name.
pub(in crate::data) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let wrong = |error| DataError::read(folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Whether a file's name says that it is a picture.
pub(in crate::data) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png"))
}

/// The class folders in `folder`.
///
/// # Errors
/// There is none, or pictures lie beside them, of which nothing says the class.
pub(in crate::data) fn class_folders(folder: &Path) -> Result<Vec<ClassFolder>, DataError> {
    let (folders, loose): (Vec<PathBuf>, Vec<PathBuf>) =
        entries(folder)?.into_iter().partition(|path| path.is_dir());
    let loose: Vec<String> = loose.iter().filter(|path| is_picture(path)).map(|path| name_of(path)).collect();
    if !loose.is_empty() {
        let (count, some) = (loose.len(), list(&loose[..loose.len().min(3)]));
        return Err(DataError::format(
            folder,
            format!("{count} pictures lie beside the class folders, such as {some}; put each into its class"),
        ));
    }
    if folders.is_empty() {
        return Err(DataError::format(
            folder,
            "expected a folder for each class with its pictures, found none",
        ));
    }
    let class = |path: PathBuf| Ok(ClassFolder { name: name_of(&path), files: entries(&path)?, path });
    folders.into_iter().map(class).collect()
}

/// The class folders for training, and those of the test set, if there is one.
pub(in crate::data) fn parts(root: &Path) -> Result<(Vec<ClassFolder>, Vec<ClassFolder>), DataError> {
    if !root.is_dir() {
        return Err(DataError::format(root, "expected a folder of pictures, found a file"));
    }
    let is_part = |name: &str| {
        let folder = root.join(name);
        folder.is_dir() && entries(&folder).is_ok_and(|inside| inside.iter().any(|path| path.is_dir()))
    };
    if !is_part("train") {
        return Ok((class_folders(root)?, Vec::new()));
    }
    let others: Vec<String> = entries(root)?
        .iter()
        .filter(|path| path.is_dir())
        .map(|path| name_of(path))
        .filter(|name| name != "train" && name != "test")
        .collect();
    if !others.is_empty() {
        let others = list(&others);
        return Err(DataError::format(
            root,
            format!(
                "expected the folders `train` and `test` alone, found {others} beside them; move what is for \
                 validation into `train`, from which it is split off"
            ),
        ));
    }
    let test = root.join("test");
    let test = if test.is_dir() { class_folders(&test)? } else { Vec::new() };
    Ok((class_folders(&root.join("train"))?, test))
}
