//! What can be wrong with data, said so that it can be mended.

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;

/// Data that cannot be used. The message names the place, what was expected and what was found; causes
/// are part of it, so there is no source to print beside it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file is not where it was looked for.
    #[error(
        "there is no file {}; give a path that is absolute or relative to the study file",
        looked_for(tried)
    )]
    NotFound {
        /// The full paths that were tried.
        tried: Vec<PathBuf>,
    },
    /// A file cannot be opened, read or written.
    #[error("cannot {action} {}: {reason}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// A table is not what was expected.
    #[error("{}{}: {problem}", path.display(), place.map(|place| format!(", {place}")).unwrap_or_default())]
    Table {
        /// The file.
        path: PathBuf,
        /// Where it is, if the problem is in one row.
        place: Option<Place>,
        /// What was expected, what was found, and what to do.
        problem: String,
    },
    /// A file of images or labels is not what was expected.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        problem: String,
    },
    /// Pictures that are broken, or no pictures.
    #[error(
        "{}: {} cannot be used; mend or remove them{hint}:{}",
        folder.display(), counted(problems.len()), lines(problems)
    )]
    Pictures {
        /// The folder.
        folder: PathBuf,
        /// What is wrong, with the name of each file.
        problems: Vec<String>,
        /// What else can be done.
        hint: &'static str,
    },
    /// Data could not be downloaded.
    #[error(
        "cannot download {file}: {}; get the files {} by hand and put them into {}",
        attempts.join("; "), files.join(", "), folders(places)
    )]
    Download {
        /// The file that is missing.
        file: String,
        /// Each address that was tried, with the reason why it failed.
        attempts: Vec<String>,
        /// All files that the data consists of.
        files: Vec<String>,
        /// The folders in which they are looked for.
        places: Vec<String>,
    },
    /// A setting has a value that cannot be used.
    #[error("`{key}` {problem}")]
    Setting {
        /// The key in `[data]`.
        key: String,
        /// What was expected and what was found.
        problem: String,
    },
    /// The data cannot be split as asked.
    #[error("cannot split the data: {0}")]
    Split(String),
    /// The data cannot be encoded as the model was trained.
    #[error("{0}")]
    Encoding(String),
}

/// Where a row of a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The line of a text file on which it begins, counted from 1.
    Line(u64),
    /// Its number in a file that has no lines, counted from 1.
    Row(u64),
}

impl Place {
    /// The number of the line or row.
    pub fn number(self) -> u64 {
        match self {
            Self::Line(number) | Self::Row(number) => number,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Row(number) => write!(f, "row {number}"),
        }
    }
}

impl DataError {
    pub(super) fn read(path: &std::path::Path, reason: io::Error) -> Self {
        Self::File { action: "read", path: path.into(), reason }
    }

    pub(super) fn write(path: &std::path::Path, reason: io::Error) -> Self {
        Self::File { action: "write", path: path.into(), reason }
    }

    pub(super) fn format(path: &std::path::Path, problem: impl Into<String>) -> Self {
        Self::Format { path: path.into(), problem: problem.into() }
    }

    pub(super) fn setting(key: &str, problem: impl Into<String>) -> Self {
        Self::Setting { key: key.into(), problem: problem.into() }
    }
}

fn looked_for(tried: &[PathBuf]) -> String {
    let mut text = String::new();
    for (i, path) in tried.iter().enumerate() {
        let joint = if i == 0 { "" } else { " or " };
        write!(text, "{joint}{}", path.display()).expect("writing to a string does not fail");
    }
    text
}

fn counted(files: usize) -> String {
    if files == 1 { "1 file".into() } else { format!("{files} files") }
}

/// One line each, at most 20 of them.
fn lines(problems: &[String]) -> String {
    let mut text: String = problems.iter().take(20).map(|problem| format!("\n  {problem}")).collect();
    if problems.len() > 20 {
        text += &format!("\n  and {} more", problems.len() - 20);
    }
    text
}

fn folders(places: &[String]) -> String {
    places.join(" or ")
}

/// Names in backticks, separated by commas, at most 20 of them.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<String> = names.iter().take(20).map(|name| format!("`{}`", name.as_ref())).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// ` (did you mean `X`?)` with the name nearest to `wanted`, or nothing where none is near.
pub(super) fn did_you_mean<S: AsRef<str>>(wanted: &str, names: &[S]) -> String {
    match luthier_core::config::nearest(wanted, names.iter().map(AsRef::as_ref)) {
        Some(name) => format!(" (did you mean `{name}`?)"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let names = ["median_house_value", "population"];
        assert_eq!(did_you_mean("Median_house_valu", &names), " (did you mean `median_house_value`?)");
        assert_eq!(did_you_mean("price", &names), "");
    }
}
