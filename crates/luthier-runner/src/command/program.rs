//! Finding the program of a command.

use std::path::{Path, PathBuf};

/// The file of a program: from `folder` if it is written with a `/`, else on the `PATH`.
pub(super) fn find(name: &str, folder: &Path) -> Result<PathBuf, String> {
    let folder =
        folder.canonicalize().map_err(|error| format!("the folder {}: {error}", folder.display()))?;
    if name.contains('/') {
        let path = folder.join(name);
        return match path.metadata() {
            Err(error) => Err(format!("{}: {error}", path.display())),
            Ok(_) if !is_executable(&path) => {
                Err(format!("{}, which is no file that may be executed", path.display()))
            }
            Ok(_) => Ok(path),
        };
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // An empty or relative part means the folder that the program runs in.
    let mut places = std::env::split_paths(&paths).map(|place| folder.join(place).join(name));
    places.find(|path| is_executable(path)).ok_or_else(|| {
        let here = if folder.join(name).exists() {
            format!("; the one beside the study file is ./{name}")
        } else {
            String::new()
        };
        format!("{name:?}, which is nowhere on the PATH{here}")
    })
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path_or_from_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find("sh", folder.path()).unwrap().is_absolute());
        std::fs::write(folder.path().join("here"), "").unwrap();
        let missing = find("here", folder.path()).unwrap_err();
        assert_eq!(
            missing,
            "\"here\", which is nowhere on the PATH; the one beside the study file is ./here"
        );
        assert!(
            find("./here", folder.path()).unwrap_err().ends_with("which is no file that may be executed")
        );
        assert!(find("./gone", folder.path()).unwrap_err().contains("No such file"));
        assert!(find("/bin/sh", folder.path()).is_ok());
    }
}
