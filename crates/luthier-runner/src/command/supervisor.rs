//! The process between Luthier and a program: it ends the program, and all that the program has started, when Luthier
//! wants it, when the program has ended, or when Luthier is gone, by whatever signal.
//!
//! It is Luthier's own executable, started once more with [`FLAG`], in a process group of its own. Its standard input is
//! one end of a pair of sockets; Luthier alone holds the other one, so the kernel closes it with Luthier,
//! and the supervisor reads the end of it. On Linux it is the subreaper of all that it starts: whose parent
//! has ended becomes its child, whatever its group or session. Elsewhere it ends the program's process group.
//!
//! What it says is a line each: `started PID`, `refused REASON`, `exited CODE`, `killed SIGNAL`; other lines mean nothing.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

/// The first argument of a supervisor. The folder to remove at the end, the program and its arguments follow.
pub(super) const FLAG: &str = "--luthier-supervise";

/// Does the work of a supervisor, if that is what the program was started for.
pub(super) fn run_if_asked() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != FLAG {
        return None;
    }
    // Nobody is there to hear of a failure here but Luthier, who sees the supervisor end without a word.
    Some(supervise(words).unwrap_or(ExitCode::FAILURE))
}

fn supervise(mut words: impl Iterator<Item = OsString>) -> io::Result<ExitCode> {
    let missing = || io::Error::from(io::ErrorKind::InvalidInput);
    let folder = PathBuf::from(words.next().ok_or_else(missing)?);
    let program = words.next().ok_or_else(missing)?;
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let started = Command::new(program).args(words).stdin(Stdio::null()).process_group(0).spawn();
    let child = match started {
        Ok(child) => Pid::from_child(&child),
        Err(error) => {
            writeln!(control, "refused {error}")?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut silence = control.try_clone()?;
    std::thread::Builder::new().spawn(move || {
        // Nothing is ever said: this returns when the other end is closed, or its process is gone.
        let mut said = [0; 1];
        while silence.read(&mut said).is_ok_and(|bytes| bytes > 0) {}
        end_all(child);
        // Where Luthier lives, and only wants the program to end, it still reads.
        if writeln!(silence, "ended all").is_err() {
            let _ = std::fs::remove_dir_all(folder);
            std::process::exit(1);
        }
    })?;
    // If Luthier is gone the thread above ends all.
    let _ = writeln!(control, "started {}", child.as_raw_nonzero());
    let status = loop {
        // Whoever has become a child by the end of its parent is taken note of here, too.
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => break status,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    std::thread::spawn(|| while !matches!(wait(WaitOptions::empty()), Err(rustix::io::Errno::CHILD)) {});
    end_all(child);
    let told = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => writeln!(control, "exited {code}"),
        (None, signal) => writeln!(control, "killed {}", signal.unwrap_or(0)),
    };
    // The thread above ends the process once it has removed the folder.
    while told.is_err() {
        std::thread::park();
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends all that descends from this process; `group` leads the process group of the program.
fn end_all(group: Pid) {
    // The group at once, so that its members do not see each other go one by one.
    let _ = kill_process_group(group, Signal::KILL);
    if !cfg!(target_os = "linux") {
        return;
    }
    let own = std::process::id() as i32;
    // Again until there is none: one may have started another before it was hit.
    while let Ok(processes) = super::processes::descendants(own)
        && !processes.is_empty()
    {
        for pid in processes.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
