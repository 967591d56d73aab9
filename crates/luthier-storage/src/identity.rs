//! Which database file is in use.

use std::io;
use std::path::{Path, PathBuf};

use luthier_core::StorageError;

use crate::errors;

/// Which file was opened, beyond its name. A database whose file is deleted or replaced goes on
/// writing into the old one, which nobody can open any more.
pub(crate) struct Identity {
    file: PathBuf,
    #[cfg(unix)]
    inode: (u64, u64),
}

impl Identity {
    pub(crate) fn of(file: &Path) -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            inode: inode(file)?,
            file: file.to_owned(),
        })
    }

    /// Whether it is still the same.
    pub(crate) fn check(&self, shown: &Path) -> Result<(), StorageError> {
        #[cfg(unix)]
        let same = inode(&self.file).is_ok_and(|inode| inode == self.inode);
        #[cfg(not(unix))]
        let same = self.file.exists();
        if same {
            return Ok(());
        }
        let what =
            "the file was deleted, moved or replaced while it was in use; put it back, and start again";
        Err(errors::unusable(shown, what))
    }
}

#[cfg(unix)]
fn inode(file: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}
