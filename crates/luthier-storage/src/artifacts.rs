//! The files beside the database: one folder a study, written so that a crash leaves the old file
//! or the new one.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use luthier_core::{StorageError, StudyId};

use crate::errors;

/// How names of files begin that are still being written. No artifact's name begins with a dot.
const TEMPORARY: &str = ".writing-";

/// The folder of all artifacts of one database.
pub(crate) struct Artifacts {
    root: PathBuf,
}

impl Artifacts {
    /// The folder beside `database`: `x.files` for `x.db`, and `x-files` for any other name `x`, so
    /// that no two databases share one.
    pub(crate) fn beside(database: &Path) -> Self {
        let root = if database.extension().is_some_and(|extension| extension == "db") {
            database.with_extension("files")
        } else {
            let mut name = database.file_name().map_or_else(OsString::new, OsString::from);
            name.push("-files");
            database.with_file_name(name)
        };
        Self { root }
    }

    /// The folder `root`.
    pub(crate) fn inside(root: PathBuf) -> Self {
        Self { root }
    }

    /// Makes the folder where it is missing.
    pub(crate) fn create(&self) -> Result<(), StorageError> {
        create_folder(&self.root)
            .map_err(|e| errors::io("cannot make the folder of artifacts", &self.root, e))
    }

    /// The folder of one study.
    pub(crate) fn folder(&self, study: StudyId) -> PathBuf {
        self.root.join(study.0.to_string())
    }

    /// The largest number that a folder has, 0 if there is none.
    pub(crate) fn largest_study(&self) -> Result<i64, StorageError> {
        let names = names_in(&self.root).map_err(|e| errors::io("cannot list the folders", &self.root, e))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).max().unwrap_or(0))
    }

    pub(crate) fn put(&self, study: StudyId, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let folder = self.folder(study);
        check_name(&folder, name)?;
        create_folder(&folder)
            .and_then(|()| write_durably(&folder, name, bytes))
            .map_err(|e| errors::io(format!("cannot keep the artifact `{name}`"), &folder, e))
    }

    pub(crate) fn get(&self, study: StudyId, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let folder = self.folder(study);
        check_name(&folder, name)?;
        match fs::read(folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(errors::io(format!("cannot read the artifact `{name}`"), &folder, error)),
        }
    }

    /// The names of a study's artifacts, sorted.
    pub(crate) fn list(&self, study: StudyId) -> Result<Vec<String>, StorageError> {
        let folder = self.folder(study);
        let mut names = names_in(&folder).map_err(|e| errors::io("cannot list the artifacts", &folder, e))?;
        names.retain(|name| is_name(name));
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn remove(&self, study: StudyId, name: &str) -> Result<(), StorageError> {
        let folder = self.folder(study);
        check_name(&folder, name)?;
        match fs::remove_file(folder.join(name)).and_then(|()| sync_folder(&folder)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(errors::io(format!("cannot remove the artifact `{name}`"), &folder, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a study's folder with all that is in it.
    pub(crate) fn discard(&self, study: StudyId) -> Result<(), StorageError> {
        let folder = self.folder(study);
        match fs::remove_dir_all(&folder) {
            Ok(()) => sync_folder(&self.root),
            // Gone already, or another process removes it at the same time.
            Err(_) if !folder.exists() => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(|e| errors::io("cannot remove the files of a deleted study", &folder, e))
    }
}

/// Removes what writers that have died left half written in `folder`.
pub(crate) fn remove_half_written(folder: &Path) -> io::Result<()> {
    for name in names_in(folder)?.iter().filter(|name| name.starts_with(TEMPORARY)) {
        let path = folder.join(name);
        let file = match File::options().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            // A living writer holds its file locked.
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
    }
    Ok(())
}

/// Creates `folder` and what is missing above it, durably.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
    fs::create_dir_all(folder)?;
    missing.iter().filter_map(|created| created.parent()).try_for_each(sync_folder)
}

fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
        let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, folder.join(name)));
        match written {
            Ok(()) => return sync_folder(folder),
            // The name was left behind by a process that had the same id, or the file was taken for
            // half written in the moment in which it was not locked.
            Err(error)
                if attempts < 100
                    && matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound)
                    && folder.exists() => {}
            Err(error) => {
                // The first error is the one to tell; what is left is removed with the next lock.
                drop(fs::remove_file(&temporary));
                return Err(error);
            }
        }
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.lock()?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes what was created, renamed or removed in `folder` durable.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Elsewhere folders cannot be synchronised, and the file system keeps their order itself.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the pair of the one above")]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// The names in `folder` that are text; none if it does not exist.
pub(crate) fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}

pub(crate) fn check_name(place: &Path, name: &str) -> Result<(), StorageError> {
    if is_name(name) {
        return Ok(());
    }
    let what = format!(
        "`{}` cannot be the name of an artifact: expected letters, digits, `.`, `_` and `-`, and no dot at the \
         start",
        name.escape_debug()
    );
    Err(errors::unusable(place, what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something fails")]

    use super::*;

    #[test]
    fn no_two_databases_share_a_folder() {
        let folder = |path: &str| Artifacts::beside(Path::new(path)).root;
        assert_eq!(folder("runs/luthier.db"), Path::new("runs/luthier.files"));
        assert_eq!(folder("runs/luthier"), Path::new("runs/luthier-files"));
        assert_eq!(folder("runs/luthier.sqlite"), Path::new("runs/luthier.sqlite-files"));
    }

    #[test]
    fn half_written_files_of_the_dead_go_and_those_of_the_living_stay() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| File::create_new(folder.path().join(name)).unwrap();
        write("trial-0.model");
        write(".writing-1-0");
        let living = write(".writing-2-0");
        living.lock().unwrap();
        remove_half_written(folder.path()).unwrap();
        let mut left = names_in(folder.path()).unwrap();
        left.sort();
        assert_eq!(left, [".writing-2-0", "trial-0.model"]);
    }
}
