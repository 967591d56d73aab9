//! The checkpoint folder of a program as one piece of bytes, and back: a tar archive.
//!
//! Folders of equal contents have equal bytes: entries are sorted, and times and owners are left out.

use std::io::{self, Read};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

/// The name of the folder in the archive.
pub(super) const FOLDER: &str = "checkpoint";

/// The entry of what Luthier itself remembers.
const STATE: &str = "luthier.json";

/// Packs `folder`, and `state` with it if there is one.
pub(super) fn pack(folder: &Path, state: Option<&[u8]>) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    if let Some(state) = state {
        archive.append_data(&mut header(EntryType::Regular, state.len(), 0o644), STATE, state)?;
    }
    add(&mut archive, folder, Path::new(FOLDER))?;
    archive.into_inner()
}

/// Unpacks the folder into `place`, where it is called [`FOLDER`], and gives the state.
pub(super) fn unpack(bytes: &[u8], place: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut state = None;
    for entry in Archive::new(bytes).entries()? {
        let mut entry = entry?;
        if entry.path()? == Path::new(STATE) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            state = Some(bytes);
        } else {
            // Refuses what would lie outside.
            entry.unpack_in(place)?;
        }
    }
    Ok(state)
}

/// Whether a folder holds anything.
pub(super) fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(folder.read_dir()?.next().is_none())
}

fn header(kind: EntryType, size: usize, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

fn add(archive: &mut Builder<Vec<u8>>, path: &Path, name: &Path) -> io::Result<()> {
    let metadata = match path.symlink_metadata() {
        // The program may be at work, and has removed it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if metadata.is_dir() {
        archive.append_data(&mut header(EntryType::Directory, 0, mode(&metadata)), name, io::empty())?;
        let mut names =
            path.read_dir()?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for entry in names {
            add(archive, &path.join(&entry), &name.join(&entry))?;
        }
    } else if metadata.is_symlink() {
        let target = path.read_link()?;
        archive.append_link(&mut header(EntryType::Symlink, 0, 0o777), name, target)?;
    } else if metadata.is_file() {
        // Whole in memory first: a file that grows meanwhile would not fit its header.
        match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => {
                let bytes = read?;
                let mut header = header(EntryType::Regular, bytes.len(), mode(&metadata));
                archive.append_data(&mut header, name, bytes.as_slice())?;
            }
        }
    }
    // Sockets and pipes are of a process, and go with it.
    Ok(())
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    if metadata.is_dir() { 0o755 } else { 0o644 }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_comes_back_as_it_was() {
        let from = tempfile::tempdir().unwrap();
        let long = "x".repeat(150);
        fs::create_dir_all(from.path().join("deep/er")).unwrap();
        fs::write(from.path().join("deep/er").join(&long), b"weights").unwrap();
        fs::write(from.path().join("empty"), b"").unwrap();
        std::os::unix::fs::symlink("empty", from.path().join("latest")).unwrap();
        let bytes = pack(from.path(), Some(b"{}")).unwrap();
        let to = tempfile::tempdir().unwrap();
        assert_eq!(unpack(&bytes, to.path()).unwrap().as_deref(), Some(&b"{}"[..]));
        let folder = to.path().join(FOLDER);
        assert_eq!(fs::read(folder.join("deep/er").join(&long)).unwrap(), b"weights");
        assert_eq!(fs::read_link(folder.join("latest")).unwrap(), Path::new("empty"));
        // Equal folders, equal bytes, whenever they were written.
        assert_eq!(pack(&folder, Some(b"{}")).unwrap(), bytes);
        assert!(!is_empty(&folder).unwrap());
        assert!(unpack(b"no archive at all", to.path()).is_err());
    }
}
