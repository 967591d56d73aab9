//! The lock on a study: a lock of the operating system, which it frees when the process ends.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use luthier_core::{StorageError, StudyLock};

use crate::artifacts::{create_folder, remove_half_written};
use crate::errors;

/// The locked file in a study's folder. Its name begins with a dot, so no artifact has it.
const NAME: &str = ".lock";

/// The locks that this process holds. Some file systems (NFS) lock by process, and would give the
/// same lock twice to one.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // A set is never half changed.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock on the study whose folder it was taken in.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
    path: PathBuf,
}

impl StudyLock for FolderLock {}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Unlocking also frees the copies of the descriptor that a child has between fork and exec. Where
        // it fails, closing the file does it.
        drop(self.file.unlock());
        held().remove(&self.path);
    }
}

/// Takes the lock in `folder`, and tidies up there. `since` is the time now, for others to read.
pub(crate) fn acquire(folder: &Path, since: &str) -> Result<FolderLock, StorageError> {
    let failed = |error| errors::io("cannot lock the study", folder, error);
    create_folder(folder).map_err(failed)?;
    let path = fs::canonicalize(folder).map_err(failed)?.join(NAME);
    let mut held = held();
    if held.contains(&path) {
        return Err(locked(&path));
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(&path)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    held.insert(path.clone());
    let mut lock = FolderLock { file, path };
    drop(held);
    lock.sign(since).and_then(|()| remove_half_written(folder)).map_err(failed)?;
    Ok(lock)
}

impl FolderLock {
    fn sign(&mut self, since: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        write!(self.file, "process {}, since {since}", std::process::id())
    }
}

fn locked(path: &Path) -> StorageError {
    // What cannot be read, or is not yet written, only makes the message shorter.
    let holder = fs::read_to_string(path).unwrap_or_default();
    let holder = if holder.is_empty() { holder } else { format!(" ({holder})") };
    StorageError::Locked { holder }
}
