//! A folder of its own for each test, and the program run in it.

#![allow(dead_code, reason = "every test file uses a part of this")]

pub(crate) mod place;
pub(crate) mod processes;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No command of these tests needs nearly as long.
const LONGEST: Duration = Duration::from_mins(2);

/// A temporary folder in which the program runs.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

/// A command that runs in the background, and the lines that it says on stderr.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luthier"));
        // Only what a test writes may be found.
        command
            .current_dir(self.folder())
            .args(args)
            .env("LUTHIER_DATA", self.folder())
            .env_remove("LUTHIER_STORAGE")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        assert!(!text(&output.stderr).contains("panicked"), "{args:?} panicked:\n{}", text(&output.stderr));
        output
    }

    /// Runs the program with `input` on its stdin.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs the program, which has to succeed, and gives what it prints.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?} failed:\n{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs the program, which has to succeed and to print JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let printed = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{args:?}: {error} in\n{printed}"))
    }

    /// Runs the program, which has to end with `code`, and gives what it says on stderr.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?} said:\n{said}");
        said
    }

    /// Starts the program and does not wait for it.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Running { child, lines }
    }

    /// The trials of a study, as `luthier trials --json` lists them.
    pub(crate) fn trials(&self, study: &str, storage: &str) -> Vec<Value> {
        self.json(&["trials", study, "--storage", storage]).as_array().unwrap().clone()
    }
}

impl Sandbox {
    /// The same, and nothing as long as there is no such study.
    pub(crate) fn trials_if_any(&self, study: &str, storage: &str) -> Option<Vec<Value>> {
        let output = self.run(&["trials", study, "--storage", storage, "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }
}

impl Running {
    /// Waits at most `limit` for a line that contains `part`; says whether one came.
    pub(crate) fn says(&self, part: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a power cut would. It has to be running still.
    pub(crate) fn kill(mut self) {
        assert!(self.is_running(), "it ended before it was killed");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as a power cut would, if it still runs; says whether it did.
    pub(crate) fn kill_if_running(mut self) -> bool {
        let running = self.is_running();
        if running {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        running
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end and gives the exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        let deadline = Instant::now() + LONGEST;
        while self.is_running() {
            if Instant::now() > deadline {
                self.kill();
                panic!("it did not end in {LONGEST:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.child.wait().unwrap().code()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What of a trial's row has to be equal wherever and whenever it runs: all but the time it took.
pub(crate) fn timeless(rows: &[Value]) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("seconds");
    }
    rows
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            let _ = self.child.wait();
        }
    }
}
