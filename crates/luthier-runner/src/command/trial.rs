//! A trial of a program, from its start to its end or its next pause.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use luthier_core::{
    Decision, Ending, Evaluation, FailCause, Lineage, Metrics, ObjectiveError, Origin, Report, StopReason,
    TrialHandle,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::log::Log;
use super::process::{Happening, Process};
use super::report::Reported;
use super::values::{self, Values};
use super::{CommandObjective, Start, Status, archive, stderr_name, stdout_name};

/// How often a running program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often its memory is measured.
const MEASURE_EVERY: Duration = Duration::from_millis(200);

/// What Luthier remembers of a trial while it is paused.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The best finite value, and its step.
    best: Option<(u64, f64)>,
    /// The last step that counts.
    last: u64,
    /// What the program reported between its being asked to end and its end.
    ahead: Vec<Report>,
    seconds: f64,
    logs: [Log; 2],
}

/// Why a program was asked to end.
enum Verdict {
    /// A report was answered so.
    Stop(StopReason),
    /// It has come to where it pauses, or is interrupted.
    Pause,
    Fail(FailCause),
}

struct Running<'a> {
    objective: &'a CommandObjective,
    trial: &'a mut dyn TrialHandle,
    /// The folder that the program may keep things in.
    checkpoint: &'a Path,
    state: State,
    /// The last step of this very run of the program.
    seen: u64,
    /// The value of whatever was reported last may be NaN: whether anything was reported at all.
    reported: bool,
    verdict: Option<Verdict>,
    /// Since when it is where its trial pauses.
    came_there: Option<Instant>,
    started: Instant,
    measured: Instant,
}

fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> ObjectiveError {
    ObjectiveError { message: what.to_owned(), source: Some(Box::new(error)) }
}

pub(super) fn evaluate(
    objective: &CommandObjective,
    trial: &mut dyn TrialHandle,
) -> Result<Evaluation, ObjectiveError> {
    let no_folder = "no folder for a trial can be made where temporary files are kept";
    let scratch = tempfile::Builder::new().prefix("luthier-trial-").tempdir();
    let scratch = scratch.map_err(|error| failed(no_folder, error))?;
    let checkpoint = scratch.path().join(archive::FOLDER);
    let id = trial.id();
    let unpacked = |bytes: &[u8]| {
        taken_up(bytes, scratch.path())
            .map_err(|error| failed(&format!("the checkpoint of trial {id} cannot be unpacked"), error))
    };
    let state = match (trial.checkpoint()?.filter(|_| objective.config.resumes), trial.lineage().cloned()) {
        (Some(bytes), _) => Some(unpacked(&bytes)?),
        (None, Some(from)) => {
            match begun_with(unpacked(&trial.inherited()?)?, &from, objective.config.log_limit.0) {
                Ok(state) => Some(state),
                Err(message) => return Ok(Evaluation::Failed(FailCause::Error { message })),
            }
        }
        (None, None) => None,
    };
    fs::create_dir_all(&checkpoint).map_err(|error| failed(no_folder, error))?;
    let limit = objective.config.log_limit.0;
    let state = state.unwrap_or_else(|| State {
        best: None,
        last: 0,
        ahead: Vec::new(),
        seconds: 0.0,
        logs: [Log::new(limit), Log::new(limit)],
    });
    let reported = state.last > 0;
    let now = Instant::now();
    let mut running = Running {
        objective,
        trial,
        checkpoint: &checkpoint,
        state,
        seen: 0,
        reported,
        verdict: None,
        came_there: None,
        started: now,
        measured: now,
    };
    running.go_on()?;
    let status = if running.verdict.is_none() { running.run(scratch.path())? } else { Status::Exited(0) };
    running.conclude(status)
}

fn taken_up(bytes: &[u8], place: &Path) -> std::io::Result<State> {
    let state = archive::unpack(bytes, place)?;
    let missing = || std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no checkpoint of a program");
    Ok(serde_json::from_slice(&state.ok_or_else(missing)?)?)
}

/// What is remembered of a trial that begins with the checkpoint of another one: where it is, and no more, unless it
/// goes on as the other one would have.
fn begun_with(state: State, from: &Lineage, limit: u64) -> Result<State, String> {
    let Origin { trial, step } = from.origin;
    if state.last != step || !state.ahead.is_empty() {
        let last = state.ahead.last().map_or(state.last, |report| report.step);
        return Err(format!(
            "the checkpoint folder of trial {trial} may be of step {last}, and this trial begins at step {step}: a program \
             that is forked has to exit at the step in $LUTHIER_UNTIL, with its checkpoint of that step written"
        ));
    }
    let logs = [Log::new(limit), Log::new(limit)];
    Ok(State { best: state.best.filter(|_| from.extends()), seconds: 0.0, logs, ..state })
}

impl Running<'_> {
    /// Counts what the program had reported ahead, as far as its trial is to go now.
    fn go_on(&mut self) -> Result<(), ObjectiveError> {
        self.pause_where_due();
        while self.verdict.is_none() && !self.state.ahead.is_empty() {
            let report = self.state.ahead.remove(0);
            self.count(report)?;
        }
        Ok(())
    }

    /// Runs the program to its end.
    fn run(&mut self, scratch: &Path) -> Result<Status, ObjectiveError> {
        let mut process = self.start(scratch)?;
        loop {
            match process.next(LOOK_EVERY) {
                Happening::Report(Ok(reported)) => self.take(reported)?,
                Happening::Report(Err(reason)) => self.fail(FailCause::Error { message: reason }),
                Happening::Nothing => {}
                Happening::Ended(status) => {
                    self.state.logs = process.logs();
                    self.state.seconds += self.started.elapsed().as_secs_f64();
                    return Ok(status);
                }
            }
            self.watch(&process);
            match &self.verdict {
                None => {}
                // There is no time for more where memory is short.
                Some(Verdict::Fail(FailCause::MemoryLimit { .. })) => process.end(),
                Some(_) if self.may_save() => {}
                Some(_) => process.ask_to_end(self.objective.config.grace),
            }
        }
    }

    fn start(&mut self, scratch: &Path) -> Result<Process, ObjectiveError> {
        let (objective, trial) = (self.objective, &*self.trial);
        let (program, args) = objective.command_line(trial.params())?;
        let file = objective.template.fill(trial.params())?;
        let params = file.get("params");
        let told = json!({
            "trial": trial.id(),
            "seed": trial.seed(),
            "until": trial.until(),
            "checkpoint": self.checkpoint,
            "from": trial.lineage().map(|from| from.origin),
            "params": params.map_or_else(|| json!({}), values::json),
        });
        let path = scratch.join("params.json");
        fs::write(&path, told.to_string())
            .map_err(|error| failed("the parameters cannot be written", error))?;
        let same = |(name, other)| format!("{name} and {other} would be the same environment variable");
        let mut env = Values::of(params).variables().map_err(same)?;
        env.push(("LUTHIER_TRIAL".to_owned(), trial.id().to_string()));
        env.push(("LUTHIER_SEED".to_owned(), trial.seed().to_string()));
        env.push(("LUTHIER_PARAMS".to_owned(), path.display().to_string()));
        env.push(("LUTHIER_CHECKPOINT".to_owned(), self.checkpoint.display().to_string()));
        if let Some(from) = trial.lineage() {
            env.push(("LUTHIER_FROM_TRIAL".to_owned(), from.origin.trial.to_string()));
            env.push(("LUTHIER_FROM_STEP".to_owned(), from.origin.step.to_string()));
        }
        env.extend(trial.until().map(|until| ("LUTHIER_UNTIL".to_owned(), until.to_string())));
        let start = Start {
            supervisor: &objective.supervisor,
            program: program.as_os_str(),
            args: &args,
            env: &env,
            folder: &objective.folder,
            scratch: scratch.as_os_str(),
        };
        Process::start(&start, objective.reader.clone(), self.state.logs.clone())
            .map_err(|error| failed(&format!("{} cannot be started", program.display()), error))
    }

    fn fail(&mut self, cause: FailCause) {
        self.verdict.get_or_insert(Verdict::Fail(cause));
    }

    /// Looks at the limits, and whether the trial is to be set aside.
    fn watch(&mut self, process: &Process) {
        if self.verdict.is_some() {
            return;
        }
        let config = &self.objective.config;
        let seconds = self.state.seconds + self.started.elapsed().as_secs_f64();
        if self.trial.interrupted().is_some() {
            self.verdict = Some(Verdict::Pause);
        } else if let Some(limit) = config.time_limit.filter(|limit| seconds > limit.as_secs_f64()) {
            self.fail(FailCause::TimeLimit { seconds: limit.as_secs_f64() });
        } else if let Some(limit) = config.memory_limit
            && self.measured.elapsed() >= MEASURE_EVERY
        {
            self.measured = Instant::now();
            if let Some(bytes) = process.memory_above(limit.0) {
                self.fail(FailCause::MemoryLimit { limit: limit.0, bytes });
            }
        }
    }

    /// Takes a report of the program.
    fn take(&mut self, Reported { step, value, metrics }: Reported) -> Result<(), ObjectiveError> {
        if matches!(self.verdict, Some(Verdict::Stop(_) | Verdict::Fail(_))) {
            return Ok(());
        }
        let resumes = self.objective.config.resumes;
        let step = match step {
            Some(step) => step,
            None if !resumes => self.seen + 1,
            None => {
                let message = "the program reported no step, and one that resumes has to".to_owned();
                self.fail(FailCause::Error { message });
                return Ok(());
            }
        };
        if step <= self.seen {
            let seen = self.seen;
            let message =
                format!("the program reported step {step} after step {seen}, and steps have to rise");
            self.fail(FailCause::Error { message });
            return Ok(());
        }
        self.seen = step;
        if step <= self.state.last {
            // It goes through a step again that it had reported, and not written to its checkpoint.
            return Ok(());
        }
        let report = Report { step, value, metrics };
        if self.verdict.is_some() {
            // It counts when the trial goes on, unless the program begins anew then.
            if resumes && self.state.ahead.last().map_or(self.state.last, |last| last.step) < step {
                self.state.ahead.push(report);
            }
            return Ok(());
        }
        self.count(report)
    }

    /// Passes a report on.
    fn count(&mut self, Report { step, value, metrics }: Report) -> Result<(), ObjectiveError> {
        self.reported = true;
        let better = |best: (u64, f64)| self.objective.direction.better(value, best.1);
        if value.is_finite() && self.state.best.is_none_or(better) {
            self.state.best = Some((step, value));
        }
        self.state.last = step;
        let metrics: Metrics = metrics;
        if let Decision::Stop(reason) = self.trial.report(step, value, metrics)? {
            self.verdict = Some(Verdict::Stop(reason));
            return Ok(());
        }
        self.pause_where_due();
        if self.verdict.is_none() && self.objective.config.resumes && self.trial.wants_checkpoint() {
            self.save()?;
        }
        Ok(())
    }

    fn pause_where_due(&mut self) {
        if self.trial.until().is_some_and(|until| self.state.last >= until) {
            self.verdict = Some(Verdict::Pause);
            self.came_there = Some(Instant::now());
        }
    }

    /// Whether the program, which has come to where its trial pauses, may still be writing the checkpoint of that step: it
    /// has not ended, not reported the next step, and not taken longer than its grace period.
    fn may_save(&self) -> bool {
        let config = &self.objective.config;
        let waits = self.came_there.is_some_and(|since| since.elapsed() < config.grace);
        config.resumes && waits && self.state.ahead.is_empty() && self.trial.interrupted().is_none()
    }

    fn save(&mut self) -> Result<(), ObjectiveError> {
        let cannot = |error| failed("the checkpoint folder of a trial cannot be read", error);
        let state = serde_json::to_vec(&self.state).map_err(|error| cannot(error.into()))?;
        let bytes = archive::pack(self.checkpoint, Some(&state)).map_err(cannot)?;
        self.trial.save_checkpoint(bytes)
    }

    /// What the trial came to, now that the program has ended.
    fn conclude(mut self, status: Status) -> Result<Evaluation, ObjectiveError> {
        if let Status::Refused(reason) = status {
            let name = &self.objective.config.run[0];
            return Err(format!("the program {name:?} cannot be started: {reason}").into());
        }
        self.keep_output()?;
        match self.verdict.take() {
            Some(Verdict::Stop(reason)) => return Ok(Evaluation::Stopped(reason)),
            Some(Verdict::Fail(cause)) => return Ok(Evaluation::Failed(cause)),
            Some(Verdict::Pause) => {
                if self.objective.config.resumes {
                    self.save()?;
                }
                return Ok(Evaluation::Paused);
            }
            None => {}
        }
        let error = |message: String| Ok(Evaluation::Failed(FailCause::Error { message }));
        let how = match status {
            Status::Exited(0) | Status::Refused(_) => None,
            Status::Exited(code) => Some(format!("the program ended with exit code {code}")),
            Status::Killed(signal) => Some(format!("the program was ended by {}", signal_name(signal))),
            Status::Lost => Some("the program's supervisor was ended from outside".to_owned()),
        };
        if let Some(how) = how {
            return error(self.with_last_words(how));
        }
        let Some((step, value)) = self.state.best else {
            if self.reported {
                return Ok(Evaluation::Failed(FailCause::NotFinite));
            }
            let objective = &self.objective.objective;
            return error(
                self.with_last_words(format!("the program ended without a report of `{objective}`")),
            );
        };
        let cannot = |error| failed("the checkpoint folder of a trial cannot be read", error);
        let empty = archive::is_empty(self.checkpoint).map_err(cannot)?;
        let model = if empty { None } else { Some(archive::pack(self.checkpoint, None).map_err(cannot)?) };
        Ok(Evaluation::Complete { value, step: Some(step), ending: Ending::Full, model })
    }

    fn with_last_words(&self, how: String) -> String {
        let [out, err] = &self.state.logs;
        let (stream, words) = if err.is_empty() { ("output", out) } else { ("error output", err) };
        let words = words.last_words();
        if words.is_empty() { how } else { format!("{how}; its last {stream}: {words}") }
    }

    fn keep_output(&self) -> Result<(), ObjectiveError> {
        let Some(keep) = &self.objective.keep else { return Ok(()) };
        let id = self.trial.id();
        for (name, log) in [stdout_name(id), stderr_name(id)].iter().zip(&self.state.logs) {
            if !log.is_empty() {
                keep(name, log.text().as_bytes())?;
            }
        }
        Ok(())
    }
}

/// A signal by its name, where every Unix has the same number for it.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}
