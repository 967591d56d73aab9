//! A study at which others work, seen from outside, and its workers.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use luthier::launch::{LaunchError, Step, Watch, Worker, WorkerState};
use luthier_core::{Event, History, Stop, Storage, StudyId};
use luthier_runner::{Interrupt, Observer, read_history};

use super::Launch;
use crate::cli::Failure;
use crate::cli::progress::Progress;
use crate::cli::work::Work;

/// How often the engine is asked: at first, and at most so rarely.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long an engine may be silent before it is given up. Controllers are started again now and then.
const PATIENCE: Duration = Duration::from_mins(5);

/// How many lines of a worker's log are shown.
const LINES: usize = 20;

/// The study, as far as it is known here.
pub(super) struct Followed<'a> {
    storage: Arc<dyn Storage>,
    study: StudyId,
    history: History,
    progress: &'a Progress,
    /// Reports and ends of trials since it is followed.
    achieved: u64,
    stopped: Option<Stop>,
}

impl<'a> Followed<'a> {
    pub(super) fn new(work: &Work, progress: &'a Progress) -> Result<Self, Failure> {
        let (storage, study) = (Arc::clone(work.ledger.storage()), work.ledger.study());
        let history = read_history(&*storage, study)?;
        Ok(Self { storage, study: study.id, history, progress, achieved: 0, stopped: None })
    }

    /// Reads what has happened.
    fn catch_up(&mut self) -> Result<(), Failure> {
        for recorded in self.storage.read(self.study, self.history.revision())? {
            self.history.apply(&recorded)?;
            match &recorded.event {
                Event::Reported { .. } | Event::TrialFinished { .. } => self.achieved += 1,
                Event::SessionEnded { cause, .. } if *cause != Stop::Interrupted => {
                    self.stopped = Some(*cause);
                }
                _ => {}
            }
            self.progress.event(&recorded.event);
        }
        Ok(())
    }

    /// Why the work has ended, as the last worker that ended by itself said.
    pub(super) fn stopped(&self, interrupt: &Interrupt) -> Stop {
        self.stopped.filter(|_| !interrupt.is_set()).unwrap_or(Stop::Interrupted)
    }
}

impl Launch {
    /// Keeps the workers alive until there is nothing to do, or the user wants an end.
    pub(super) fn follow(
        &self,
        study: &mut Followed<'_>,
        active: Vec<String>,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        if !active.is_empty() {
            study.progress.say(&format!("{} of the workers are there already", active.len()));
        }
        let mut watch = Watch::new(self.args.workers, self.args.retries, active);
        let mut patience = Patience::default();
        let (mut wait, mut said, mut first) = (SHORTEST_WAIT, String::new(), true);
        loop {
            study.catch_up()?;
            if let Some(workers) = patience.hear(self.engine.workers(&self.job), study.progress)? {
                let counts = counts(workers.iter().filter(|worker| watch.is_ours(&worker.id)));
                if counts != said && !first {
                    study.progress.say(&format!("workers: {counts}"));
                    (said, wait) = (counts, SHORTEST_WAIT);
                }
                match watch.step(&workers, study.achieved, Instant::now()) {
                    Step::Wait => {}
                    Step::End => return study.catch_up(),
                    Step::Submit(count) => {
                        let submitted = self.engine.submit(&self.job, count);
                        // What cannot be submitted at all is said at once.
                        let submitted = if first {
                            Some(submitted?)
                        } else {
                            patience.hear(submitted, study.progress)?
                        };
                        if let Some(ids) = submitted {
                            let again = if first { "" } else { " again" };
                            let name = &self.job.name;
                            study.progress.say(&format!("workers: {count} submitted{again} as {name}"));
                            watch.submitted(ids);
                        }
                        wait = SHORTEST_WAIT;
                    }
                    Step::GiveUp { id, cause } => return Err(self.given_up(&id, &cause)),
                }
                first = false;
            }
            let until = Instant::now() + wait;
            while Instant::now() < until {
                if interrupt.is_set() {
                    return Ok(());
                }
                sleep(Duration::from_millis(100));
            }
            wait = LONGEST_WAIT.min(wait.mul_f64(1.2));
        }
    }

    /// Cancels what is left, and tells what the last worker said.
    fn given_up(&self, id: &str, cause: &str) -> Failure {
        let cancelled = self.engine.cancel(&self.job);
        let log = self.engine.log(&self.job, id).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
        let rest = match cancelled {
            Ok(()) => "the others are cancelled".to_owned(),
            Err(error) => format!("the others could not be cancelled: {error}"),
        };
        Failure::failed(format!(
            "workers are lost again and again while the study gets no further, the last one ({id}) by: {cause}; {rest}; \
             its last lines:\n  {tail}"
        ))
    }
}

/// Bears an engine that is silent for a while.
#[derive(Default)]
struct Patience {
    since: Option<Instant>,
}

impl Patience {
    fn hear<T>(&mut self, answer: Result<T, LaunchError>, progress: &Progress) -> Result<Option<T>, Failure> {
        match answer {
            Ok(answer) => {
                self.since = None;
                Ok(Some(answer))
            }
            Err(error) => {
                if self.since.is_some_and(|since| since.elapsed() > PATIENCE) {
                    return Err(error.into());
                }
                if self.since.is_none() {
                    self.since = Some(Instant::now());
                    let minutes = PATIENCE.as_secs() / 60;
                    progress.say(&format!("note: {error}; trying again for {minutes} minutes"));
                }
                Ok(None)
            }
        }
    }
}

/// How many workers are in which state.
fn counts<'w>(workers: impl Iterator<Item = &'w Worker>) -> String {
    let (mut running, mut done, mut pending, mut lost) = (0, 0, 0, 0);
    let (mut reasons, mut last): (Vec<&str>, _) = (Vec::new(), String::new());
    for Worker { id, state } in workers {
        match state {
            WorkerState::Running => running += 1,
            WorkerState::Done => done += 1,
            WorkerState::Cancelled => {}
            WorkerState::Pending(reason) => {
                pending += 1;
                reasons.extend(reason.as_deref().filter(|reason| !reasons.contains(reason)));
            }
            WorkerState::Gone { cause, .. } => {
                lost += 1;
                last = format!(" (the last, {id}: {cause})");
            }
        }
    }
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let mut text = format!("{running} running");
    for (count, what) in
        [(pending, format!("pending{why}")), (done, "done".to_owned()), (lost, format!("lost{last}"))]
    {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}
