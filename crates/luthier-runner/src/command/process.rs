//! A program that runs, seen from Luthier.

use std::io::{self, BufRead, BufReader, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::log::Log;
use super::report::{Reader, Reported};
use super::{Start, Status, processes, supervisor};

/// Longer lines are kept as output, and no report is looked for in them.
const LONGEST_LINE: usize = 1 << 20;

/// Reports that wait; a program that is faster waits in turn.
const REPORTS_WAIT: usize = 256;

/// How long a supervisor may take to end all processes, before it is ended itself.
const SUPERVISOR_ENDS: Duration = Duration::from_secs(10);

/// What happens to a program.
pub(super) enum Happening {
    /// It printed a report, or something that was meant to be one.
    Report(Result<Reported, String>),
    /// Nothing in the time that was given.
    Nothing,
    /// It has ended, and all that it has started, and all that it printed was read.
    Ended(Status),
}

enum Message {
    Report(Result<Reported, String>, bool),
    Started(Pid),
    Ended(Status),
}

/// A program with its supervisor. When it is dropped, both are ended.
pub(super) struct Process {
    supervisor: Child,
    control: UnixStream,
    messages: Receiver<Message>,
    group: Option<Pid>,
    status: Option<Status>,
    /// Since when it is asked to end, and how long it has for that.
    asked: Option<(Instant, Duration)>,
    /// Since when the supervisor has been told to end it.
    told: Option<Instant>,
    logs: [Arc<Mutex<Log>>; 2],
}

impl Process {
    /// Starts a program; what it prints is added to `logs`.
    pub(super) fn start(start: &Start<'_>, reader: Reader, logs: [Log; 2]) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&start.supervisor.program);
        command
            .arg(supervisor::FLAG)
            .args([start.scratch, start.program])
            .args(start.args)
            .env_remove("LUTHIER_UNTIL")
            .envs(start.env.iter().map(|(name, value)| (name, value)))
            .current_dir(start.folder)
            // Not reached by Ctrl-C: Luthier decides what follows from it.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut supervisor = command.spawn()?;
        // It holds the other end of the pair still.
        drop(command);
        let (sender, messages) = sync_channel(REPORTS_WAIT);
        let logs = logs.map(|log| Arc::new(Mutex::new(log)));
        let (stdout, stderr) = (supervisor.stdout.take(), supervisor.stderr.take());
        let process = Self {
            supervisor,
            control: ours,
            messages,
            group: None,
            status: None,
            asked: None,
            told: None,
            logs,
        };
        let [out, err] = &process.logs;
        let (out, err) = (Arc::clone(out), Arc::clone(err));
        let control = process.control.try_clone()?;
        let (said, printed, alive) = (sender.clone(), sender.clone(), sender);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("control").spawn(move || read_control(control, &said))?;
        thread("stdout").spawn(move || {
            read_lines(stdout, &out, |line, whole| {
                if let Some(report) = reader.read(line) {
                    // Nobody hears of it where the process is dropped.
                    let _ = printed.send(Message::Report(report, whole));
                }
            });
        })?;
        thread("stderr").spawn(move || {
            read_lines(stderr, &err, |_, _| {});
            // All three have to come to their end before the program has.
            drop(alive);
        })?;
        Ok(process)
    }

    /// What happens next, within `time`.
    pub(super) fn next(&mut self, time: Duration) -> Happening {
        self.press();
        match self.messages.recv_timeout(time) {
            // Where it was asked to end, that is most likely what cut the line off.
            Ok(Message::Report(_, false)) if self.asked.is_some() => Happening::Nothing,
            Ok(Message::Report(report, _)) => Happening::Report(report),
            Ok(Message::Started(group)) => {
                self.group = Some(group);
                if self.asked.is_some() {
                    self.signal(Signal::TERM);
                }
                Happening::Nothing
            }
            Ok(Message::Ended(status)) => {
                if status == Status::Lost {
                    self.signal(Signal::KILL);
                }
                self.status = Some(status);
                // Where the supervisor has no power over all processes, one may hold a stream open for ever.
                self.told.get_or_insert_with(Instant::now);
                Happening::Nothing
            }
            Err(RecvTimeoutError::Timeout) if !self.is_overdue(2 * SUPERVISOR_ENDS) => Happening::Nothing,
            Err(_) => Happening::Ended(self.status.clone().unwrap_or(Status::Lost)),
        }
    }

    /// Asks it to end, by SIGTERM to its process group; it is ended when `grace` is over. Once is enough.
    pub(super) fn ask_to_end(&mut self, grace: Duration) {
        if self.asked.is_none() {
            self.asked = Some((Instant::now(), grace));
            self.signal(Signal::TERM);
        }
    }

    /// Ends it without asking.
    pub(super) fn end(&mut self) {
        if self.told.is_none() {
            self.told = Some(Instant::now());
            // The supervisor reads the end of its input. If it is gone already, that is well, too.
            let _ = self.control.shutdown(Shutdown::Write);
        }
    }

    /// The memory of all its processes in bytes, if it is more than `limit`.
    pub(super) fn memory_above(&self, limit: u64) -> Option<u64> {
        processes::memory_above(limit, self.supervisor.id() as i32)
    }

    /// What it has printed, standard output first.
    pub(super) fn logs(&self) -> [Log; 2] {
        self.logs.each_ref().map(|log| lock(log).clone())
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group.filter(|_| self.status.is_none()) {
            // It may have ended by itself.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Does what is due by the clock.
    fn press(&mut self) {
        if self.asked.is_some_and(|(since, grace)| since.elapsed() >= grace) {
            self.end();
        }
        if self.is_overdue(SUPERVISOR_ENDS) {
            self.signal(Signal::KILL);
            let _ = self.supervisor.kill();
        }
    }

    fn is_overdue(&self, time: Duration) -> bool {
        self.told.is_some_and(|since| since.elapsed() >= time)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        // Readers that wait for their reports to be taken end with this.
        let (_, none) = sync_channel(0);
        drop(std::mem::replace(&mut self.messages, none));
        let deadline = Instant::now() + SUPERVISOR_ENDS;
        while matches!(self.supervisor.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.status.is_none() {
            self.signal(Signal::KILL);
        }
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what the supervisor says, and that it is gone if it has not said how the program ended.
fn read_control(control: UnixStream, said: &SyncSender<Message>) {
    let mut lines = BufReader::new(control).lines().map_while(Result::ok);
    let ended = lines.find_map(|line| {
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "started" => {
                if let Some(group) = rest.parse().ok().and_then(Pid::from_raw) {
                    // Nobody hears of it where the process is dropped; the same holds below.
                    let _ = said.send(Message::Started(group));
                }
                None
            }
            "refused" => Some(Status::Refused(rest.to_owned())),
            "exited" => rest.parse().ok().map(Status::Exited),
            "killed" => rest.parse().ok().map(Status::Killed),
            _ => None,
        }
    });
    let _ = said.send(Message::Ended(ended.unwrap_or(Status::Lost)));
}

/// Reads a stream to its end, keeps it in `log`, and passes on its lines and whether they have an
/// end.
fn read_lines(stream: Option<impl Read>, log: &Mutex<Log>, mut each: impl FnMut(&str, bool)) {
    let Some(stream) = stream else { return };
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let mut line = Vec::new();
    loop {
        let chunk = match stream.fill_buf() {
            Ok([]) => break,
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        lock(log).push(chunk);
        for part in chunk.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            // One byte more than is allowed marks a line that is too long.
            let room = (LONGEST_LINE + 1).saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            if matches!(part.last(), Some(b'\n' | b'\r')) {
                end_line(&mut line, true, &mut each);
            }
        }
        let read = chunk.len();
        stream.consume(read);
    }
    end_line(&mut line, false, &mut each);
}

fn end_line(line: &mut Vec<u8>, whole: bool, each: &mut impl FnMut(&str, bool)) {
    if line.len() <= LONGEST_LINE {
        each(String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']), whole);
    }
    line.clear();
}
