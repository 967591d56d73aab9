//! Programs as objectives: any language, no library.
//!
//! A program is started for each trial and told its parameters; it prints how it does. The answer to a report is its
//! silence or its end: SIGTERM, and SIGKILL when a grace period is over. [`CommandConfig`] says what a study file may
//! say of it.
//!
//! # What a program is told
//!
//! - its arguments, with `{NAME}` replaced by the value of `NAME` in `[params]`;
//! - `LUTHIER_PARAM_NAME`, each value: the name in capitals, with `_` for all but letters and digits;
//! - `LUTHIER_PARAMS`, a JSON file: `{"trial": 7, "seed": 1, "until": 9, "checkpoint": "/…", "from": null, "params": {…}}`;
//! - `LUTHIER_TRIAL`, the trial's number, and `LUTHIER_SEED`, the seed of what it draws;
//! - `LUTHIER_CHECKPOINT`, a folder of the trial's own, empty when the trial begins. It comes back with a trial that is taken
//!   up again, if the program `resumes`, and the winner's is kept with the study;
//! - `LUTHIER_FROM_TRIAL` and `LUTHIER_FROM_STEP`, if it is forked from another trial (`"from": {"trial": 3, "step": 10}`): then
//!   the folder holds a copy of that trial's checkpoint at that step, the next report is of the step after it, and what
//!   it draws from here on is of its own seed;
//! - `LUTHIER_UNTIL`, the step at which the trial is to pause, if it is. The program exits there, or is asked to end.
//!
//! It runs in the folder of the study file, with nothing to read on its standard input.
//!
//! # Pausing
//!
//! A program that resumes prints the report of a step first and writes its checkpoint afterwards (to another name, then
//! renamed, so that it is whole whenever it is ended). The other way round, one that is ended between the two goes
//! on behind a step that it has never reported. Steps that it reports for a second time are not counted twice.
//!
//! Where its trial pauses, it has the grace period to write that checkpoint and to exit; it is asked to end when that is over,
//! or when it reports another step. What it prints from there to its end is not lost: it counts when the trial goes on.
//!
//! # Ending
//!
//! Each program has a [`Supervisor`], a process that outlives Luthier by the moment that it takes to end the program
//! with all that descends from it: also when Luthier is killed by SIGKILL, and on Linux also what has left the process
//! group or the session. Outside Linux, what has left the process group is not found.

mod archive;
mod config;
mod log;
#[cfg(unix)]
#[path = "process.rs"]
mod process;
#[cfg(not(unix))]
#[path = "elsewhere.rs"]
mod process;
#[cfg(unix)]
mod processes;
mod program;
mod report;
#[cfg(unix)]
mod supervisor;
mod trial;
mod values;
mod word;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use luthier_core::config::{Decode, Node, Problems, Template};
use luthier_core::{
    Abilities, Direction, Evaluation, Objective, ObjectiveError, Params, TrialHandle, TrialId,
};
use sha2::{Digest, Sha256};

pub use config::{ByteSize, CommandConfig, RegexReport, ReportConfig};
use report::Reader;

/// Whether this process has called [`supervise_if_asked`].
static SUPERVISES: AtomicBool = AtomicBool::new(false);

/// Does the work of a [`Supervisor`] and gives its exit code, if that is what this process was started for.
///
/// A program that uses [`CommandObjective`] calls it first of all in `main`, before it reads its arguments:
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     if let Some(code) = luthier_runner::supervise_if_asked() {
///         return code;
///     }
///     // …
///     std::process::ExitCode::SUCCESS
/// }
/// ```
pub fn supervise_if_asked() -> Option<ExitCode> {
    SUPERVISES.store(true, Ordering::Relaxed);
    #[cfg(unix)]
    return supervisor::run_if_asked();
    #[cfg(not(unix))]
    None
}

/// The executable that is started beside each program, to end it with all its processes whatever happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    program: PathBuf,
}

impl Supervisor {
    /// The executable of this very process.
    ///
    /// # Errors
    ///
    /// If its `main` has not called [`supervise_if_asked`]: started once more, it would do its work once more.
    pub fn this_program() -> Result<Self, String> {
        if !SUPERVISES.load(Ordering::Relaxed) {
            return Err(
                "a program that runs programs as objectives has to call `supervise_if_asked` first in its \
                        `main`; or name the `luthier` program by `Supervisor::program`"
                    .to_owned(),
            );
        }
        if cfg!(target_os = "linux") {
            // This one, even if its file is replaced while it runs.
            return Ok(Self { program: "/proc/self/exe".into() });
        }
        let program = std::env::current_exe().map_err(|error| format!("this program's own file: {error}"))?;
        Ok(Self { program })
    }

    /// An executable that calls [`supervise_if_asked`], such as `luthier`. An absolute path.
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    /// It was never started.
    Refused(String),
    Exited(i32),
    Killed(i32),
    /// Nobody knows: its supervisor was ended from outside.
    Lost,
}

/// All that it takes to start a program.
struct Start<'a> {
    supervisor: &'a Supervisor,
    program: &'a OsStr,
    args: &'a [String],
    env: &'a [(String, String)],
    folder: &'a Path,
    /// The folder of this run, which the supervisor removes if Luthier cannot.
    scratch: &'a OsStr,
}

/// The name under which a trial's standard output is kept.
pub fn stdout_name(trial: TrialId) -> String {
    format!("trial-{trial}.stdout")
}

/// The name under which a trial's standard error is kept.
pub fn stderr_name(trial: TrialId) -> String {
    format!("trial-{trial}.stderr")
}

/// Keeps the bytes of an artifact of the study under a name.
pub type Keep = Box<dyn Fn(&str, &[u8]) -> Result<(), String> + Send + Sync>;

/// A program as the objective of a study file.
///
/// The value of a trial is the best that it has reported by the time it ends with exit code 0. Its model is its
/// checkpoint folder as a tar archive, if there is anything in it.
pub struct CommandObjective {
    template: Template,
    config: CommandConfig,
    reader: Reader,
    objective: String,
    direction: Direction,
    folder: PathBuf,
    supervisor: Supervisor,
    keep: Option<Keep>,
}

impl CommandObjective {
    /// The objective of a file with the sections `[command]` and `[params]`, which stands in `folder`. It tunes what
    /// the program reports as `objective`.
    ///
    /// # Errors
    ///
    /// What is wrong with the section `[command]`, or with its words at any corner of the space, and a program that is
    /// not there. `file` is the name of the file for messages.
    pub fn new(
        template: Template,
        (objective, direction): (String, Direction),
        (file, folder): (&str, &Path),
        supervisor: Supervisor,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::new(file);
        let mut found = None;
        for corner in template.space().corners() {
            match template.fill(&corner) {
                Ok(filled) => {
                    let config = Self::read(&filled, &mut problems);
                    if let Some(config) = &config {
                        config.check_program(&filled, folder, &mut problems);
                    }
                    found = found.or(config);
                }
                Err(reason) => problems.add(0, "params", "ranges that fit together", reason),
            }
        }
        let config = problems.or(found)?;
        let reader = Reader::new(&config.report, &objective).map_err(|reason| {
            let mut problems = Problems::new(file);
            problems.add(0, "command.report", "a way to read results", reason);
            problems
        })?;
        let folder = folder.to_owned();
        Ok(Self { template, config, reader, objective, direction, folder, supervisor, keep: None })
    }

    /// Reads and checks the section `[command]` of a filled-in file.
    pub fn read(file: &Node, problems: &mut Problems) -> Option<CommandConfig> {
        let Some(command) = file.get("command") else {
            problems.add(0, "command", CommandConfig::EXPECTED, "nothing: the section is missing");
            return None;
        };
        if let Some(params) = file.get("params").filter(|params| params.as_table().is_none()) {
            problems.add(params.line, "params", "a table", params.describe());
        }
        let config = CommandConfig::decode(command, "command", problems)?;
        config.check_words(file, problems);
        Some(config)
    }

    /// The same, which keeps what each trial prints under [`stdout_name`] and [`stderr_name`].
    #[must_use]
    pub fn keeping_output(mut self, keep: Keep) -> Self {
        self.keep = Some(keep);
        self
    }

    /// The settings.
    pub fn config(&self) -> &CommandConfig {
        &self.config
    }

    /// What is tuned.
    pub fn objective(&self) -> &str {
        &self.objective
    }

    /// Which way it is tuned.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The program with its arguments, for these parameters.
    ///
    /// # Errors
    ///
    /// If they are not of this file's space, or the program is not there.
    pub fn command_line(&self, params: &Params) -> Result<(PathBuf, Vec<String>), String> {
        let file = self.template.fill(params)?;
        let values = values::Values::of(file.get("params"));
        let fill = |text: &String| {
            word::fill(text, |name| values.text(name)).map_err(|_| format!("{text:?} cannot be filled in"))
        };
        let words: Vec<String> = self.config.run.iter().map(fill).collect::<Result<_, _>>()?;
        let (program, args) = words.split_first().ok_or("there is no program")?;
        Ok((program::find(program, &self.folder)?, args.to_vec()))
    }

    /// 16 hexadecimal digits that change with the contents of the files that the command names, such as its script.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn fingerprint(&self) -> std::io::Result<String> {
        let mut hash = Sha256::new();
        // The program itself counts if it lies with the study, not if it is the system's.
        let named = |word: &&String| !Path::new(word).is_absolute() && !word.contains('{');
        for word in self.config.run.iter().filter(named) {
            let path = self.folder.join(word);
            if path.is_file() {
                let bytes = std::fs::read(path)?;
                for part in [word.as_bytes(), &bytes] {
                    hash.update((part.len() as u64).to_le_bytes());
                    hash.update(part);
                }
            }
        }
        Ok(hash.finalize()[..8].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
    }
}

impl Objective for CommandObjective {
    fn abilities(&self) -> Abilities {
        Abilities { reports: true, pauses: self.config.resumes, forks: self.config.resumes }
    }

    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        trial::evaluate(self, trial)
    }
}
