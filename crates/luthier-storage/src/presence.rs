//! Who works on a study, and whose turn it is to write: locks of the operating system, which it frees when a process
//! ends.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use luthier_core::{Presence, SessionId, StorageError};

use crate::artifacts::{create_folder, names_in, remove_half_written};
use crate::errors;

/// The files that are locked in a study's folder. Their names begin with a dot, so no artifact has one.
const SESSION: &str = ".session-";
const TURN: &str = ".turn";

/// The sessions of this process. Some file systems (NFS) lock by process, and would give the same lock twice to one.
static HERE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn here() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // A set is never half changed.
    HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is locked as long as a session is at work.
struct LockedFile {
    file: File,
    path: PathBuf,
}

impl Presence for LockedFile {}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // What cannot be removed now is by whoever looks next.
        drop(fs::remove_file(&self.path));
        // Unlocking also frees the copies of the descriptor that a child has between fork and exec. Where
        // it fails, closing the file does it.
        drop(self.file.unlock());
        here().remove(&self.path);
    }
}

/// Makes known in `folder` that a session is at work, and tidies up there.
pub(crate) fn enroll(folder: &Path, session: SessionId) -> Result<Box<dyn Presence>, StorageError> {
    let failed = |error| errors::io("cannot begin a session", folder, error);
    create_folder(folder).map_err(failed)?;
    let path = fs::canonicalize(folder).map_err(failed)?.join(format!("{SESSION}{}", session.0));
    here().insert(path.clone());
    let locked = loop {
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        // Somebody who found it before it was locked has removed it.
        if path.exists() {
            break LockedFile { file, path };
        }
    };
    remove_half_written(folder).map_err(failed)?;
    Ok(Box::new(locked))
}

/// The sessions that are at work in `folder`; what others have left there is removed.
pub(crate) fn living(folder: &Path) -> Result<BTreeSet<SessionId>, StorageError> {
    let failed = |error| errors::io("cannot look for sessions", folder, error);
    let names = names_in(folder).map_err(failed)?;
    let mut living = BTreeSet::new();
    if names.is_empty() {
        return Ok(living);
    }
    let folder = fs::canonicalize(folder).map_err(failed)?;
    for name in names {
        let Some(session) = name.strip_prefix(SESSION).and_then(|number| number.parse().ok()) else {
            continue;
        };
        let path = folder.join(name);
        if here().contains(&path) || is_locked(&path).map_err(failed)? {
            living.insert(SessionId(session));
        }
    }
    Ok(living)
}

/// Whether another process holds the file locked. One that nobody holds is removed.
fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::options().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {
            // While it is locked: whoever creates one of this name again waits, and sees that it is gone.
            drop(fs::remove_file(path));
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The right to write.
pub(crate) struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// How long who had to wait for its turn leaves the next one to those who wait.
const LET_OTHERS: Duration = Duration::from_millis(1);

/// Waits for the turn in `folder`. The operating system lets those who wait in as they came; but who has just had a turn
/// and asks again at once would have it before the next one wakes, who then comes last. So where there were `others`, it
/// lets them first.
pub(crate) fn turn(folder: &Path, others: &AtomicBool) -> Result<Locked, StorageError> {
    let failed = |error| errors::io("cannot wait for a turn to write", folder, error);
    let open = || File::options().create(true).truncate(false).write(true).open(folder.join(TURN));
    let file = open()
        .or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => create_folder(folder).and_then(|()| open()),
            _ => Err(error),
        })
        .map_err(failed)?;
    if others.load(Ordering::Relaxed) {
        thread::sleep(LET_OTHERS);
    }
    let waits = match file.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => file.lock().map(|()| true).map_err(failed)?,
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    };
    others.store(waits, Ordering::Relaxed);
    Ok(Locked(file))
}
