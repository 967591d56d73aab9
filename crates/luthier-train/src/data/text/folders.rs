//! Texts from a folder for each class.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::error::list;
use super::super::{DataError, Dataset, Inputs};
use super::{TextSource, Texts, classes, notice_of_empty};

/// Loads `path`, a folder of classes, or of `train` and `test` with the classes in each. The texts of a
/// class are in the order of the names of their files.
pub(super) fn load(path: &Path, test: Option<&Path>, source: &TextSource) -> Result<Dataset, DataError> {
    let folders = entries(path)?.folders;
    let names: Vec<String> = folders.iter().map(|folder| name_of(folder)).collect();
    let brings_test = names == ["test", "train"];
    let train = if brings_test { path.join("train") } else { path.to_path_buf() };
    let own_test = brings_test.then(|| path.join("test"));
    let (mut texts, mut of_rows) = read_classes(&train)?;
    let given_test = match test.map(Path::to_path_buf).or(own_test) {
        None => None,
        Some(test) => {
            let (test_texts, test_rows) = read_classes(&test)?;
            texts.extend(test_texts);
            of_rows.extend(test_rows.iter().cloned());
            Some(test_rows.len())
        }
    };
    let targets = classes(&of_rows, path)?;
    let notices = notice_of_empty(&texts).into_iter().collect();
    let inputs = Inputs::Text(Texts { texts, column: source.column.clone() });
    let name = path.file_name().map_or_else(|| "texts".into(), |name| name.to_string_lossy().into_owned());
    Ok(Dataset { given_test, notices, ..Dataset::new(name, inputs, targets) })
}

/// The texts of all classes with the class of each.
pub(super) fn read_classes(path: &Path) -> Result<(Vec<String>, Vec<String>), DataError> {
    let Entries { folders, texts } = entries(path)?;
    if let Some(text) = texts.first() {
        let name = name_of(text);
        return Err(DataError::format(
            path,
            format!("expected a folder for each class, found the text `{name}` beside them"),
        ));
    }
    let (mut contents, mut of_rows, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    for folder in folders {
        let class = name_of(&folder);
        let inside = entries(&folder)?;
        if inside.texts.is_empty() {
            empty.push(class.clone());
        }
        for text in inside.texts {
            contents.push(read_text(&text)?);
            of_rows.push(class.clone());
        }
    }
    if !empty.is_empty() {
        let empty = list(&empty);
        return Err(DataError::format(
            path,
            format!("the classes {empty} hold no .txt file; fill or remove their folders"),
        ));
    }
    Ok((contents, of_rows))
}

/// A text that has to be UTF-8; a byte-order mark is left out.
pub(super) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(|error| DataError::read(path, error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        DataError::format(path, format!("byte {} is not UTF-8; save the file in the encoding UTF-8", at + 1))
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

struct Entries {
    folders: Vec<PathBuf>,
    texts: Vec<PathBuf>,
}

/// The folders and `.txt` files in a folder, sorted by name; hidden ones are left out.
fn entries(path: &Path) -> Result<Entries, DataError> {
    let failed = |error| DataError::read(path, error);
    let mut entries = Entries { folders: Vec::new(), texts: Vec::new() };
    for entry in fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if name_of(&path).starts_with('.') {
            continue;
        }
        if path.is_dir() {
            entries.folders.push(path);
        } else if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt")) {
            entries.texts.push(path);
        }
    }
    entries.folders.sort_unstable();
    entries.texts.sort_unstable();
    Ok(entries)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
