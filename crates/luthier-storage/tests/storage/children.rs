//! Other processes: this test program, started again with a role.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use luthier_core::{SessionId, Storage, StorageError};
use luthier_storage::SqliteStorage;

use crate::started;

const ROLE: &str = "LUTHIER_STORAGE_TEST_ROLE";
const FILE: &str = "LUTHIER_STORAGE_TEST_FILE";

/// The other process, and what it says, line by line.
pub(crate) struct Other {
    pub(crate) process: Child,
    pub(crate) says: BufReader<ChildStderr>,
}

impl Other {
    /// Starts a process that plays `role` with the storage at `path`.
    pub(crate) fn start(role: &str, path: &Path) -> Self {
        Self::run(Command::new(std::env::current_exe().unwrap()), role, path)
    }

    fn run(mut command: Command, role: &str, path: &Path) -> Self {
        let mut process = command
            .args(["--ignored", "--exact", "children::play_a_role", "--nocapture"])
            .env(ROLE, role)
            .env(FILE, path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stderr.take().unwrap());
        Self { process, says }
    }

    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.says.read_line(&mut line).unwrap();
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// Ends it at once (SIGKILL), and returns what it had still said.
    pub(crate) fn kill(&mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::iter::from_fn(|| self.line()).collect()
    }
}

/// What is said to a user without the right to write when the storage at `path` is opened.
#[cfg(unix)]
pub(crate) fn open_as_somebody_else(path: &Path) -> String {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    // Root may write everywhere, so somebody else has to try; who must be able to reach the program.
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    if std::fs::metadata(folder.path()).unwrap().uid() == 0 {
        let program = folder.path().join("program");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        command = Command::new(program);
        command.uid(65_534);
    }
    let mut other = Other::run(command, "open", path);
    let message = other.line().unwrap();
    other.process.wait().unwrap();
    message
}

#[allow(clippy::print_stderr, reason = "it is how the other process answers")]
fn say(what: impl std::fmt::Display) {
    eprintln!("{what}");
}

/// What the artifact `n` holds: long enough to be written in several pieces.
pub(crate) fn artifact(n: u64) -> Vec<u8> {
    vec![n as u8; 300_000]
}

#[test]
#[ignore = "it is what the other tests start in a process of its own"]
fn play_a_role() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(FILE)) else { return };
    let storage = match SqliteStorage::open(Path::new(&path)) {
        Ok(storage) => storage,
        Err(error) => return say(error),
    };
    let study = storage.studies().unwrap()[0].id;
    match role.as_str() {
        "open" => say("it was opened"),
        "enroll and take the turn" => {
            let _here = storage.enroll(study, SessionId(5)).unwrap();
            let _turn = storage.turn(study, 0).unwrap();
            say("enrolled");
            std::thread::sleep(std::time::Duration::from_mins(1));
        }
        "append for ever" => {
            let _here = storage.enroll(study, SessionId(6)).unwrap();
            let mut at = storage.read(study, 0).unwrap().len() as u64;
            loop {
                at = storage.append(study, at, &[started(at), started(at + 1)]).unwrap()[1].revision;
                say(at);
                if at.is_multiple_of(8) {
                    storage.put_artifact(study, "trial-0.checkpoint", &artifact(at / 8)).unwrap();
                    say(format!("artifact {}", at / 8));
                }
            }
        }
        "append 40" => {
            let (mut landed, mut at) = (0, 0);
            while landed < 40 {
                match storage.append(study, at, &[started(at)]) {
                    Ok(recorded) => {
                        landed += 1;
                        at = recorded[0].revision;
                    }
                    Err(StorageError::Conflict { found, .. }) => at = found,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        role => panic!("there is no role {role}"),
    }
}
