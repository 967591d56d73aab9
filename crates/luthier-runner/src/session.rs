//! A stretch of work on a study.

mod aftermath;
mod ordered;
mod origins;
mod waiting;
mod worker;

pub(crate) use worker::wins;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use luthier_core::{
    Event, History, Objective, ObjectiveError, Search, SearchError, SessionRecord, Space, Stop, Storage,
    StudyId, TrialId,
};
use thiserror::Error;

use crate::{Ledger, LedgerError};

/// Trials that may fail in a row, by an error or a panic, before the work stops: the fault is then most
/// likely not theirs.
const FAILURES_IN_A_ROW: usize = 5;

/// When to stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Configurations of the whole study, those of earlier sessions included. All sessions at work keep to what the
    /// last one said.
    pub trials: Trials,
    /// When the time of this session is up, what is done at its end included.
    pub deadline: Option<Instant>,
    /// The value at which the study is good enough.
    pub target: Option<f64>,
    /// Trials at once; 0 counts as 1.
    pub parallel: usize,
}

/// How many configurations a study may try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trials {
    /// What the last session said; without one, any number.
    #[default]
    AsBefore,
    /// Any number.
    Unlimited,
    /// So many in all.
    All(u64),
    /// So many more than until now.
    More(u64),
}

impl Trials {
    /// The number in all, for a study with this history.
    pub fn of(self, history: &History) -> Option<u64> {
        match self {
            Self::AsBefore => history.limit(),
            Self::Unlimited => None,
            Self::All(trials) => Some(trials),
            Self::More(more) => {
                Some(history.limit().unwrap_or(history.configurations()).saturating_add(more))
            }
        }
    }
}

/// A wish to stop, from another thread or a signal handler.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks for a stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Hears what happens, as it happens. Calls come from several threads.
pub trait Observer: Send + Sync {
    /// An event; reports are told before they are durable.
    fn event(&self, event: &Event) {
        let _ = event;
    }

    /// Whether it wants to hear what other sessions do.
    fn hears_others(&self) -> bool {
        true
    }

    /// Something that a person should know.
    fn notice(&self, message: &str) {
        let _ = message;
    }
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {}

/// Why the work could not go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The study's history.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The search.
    #[error("the search cannot go on: {0}")]
    Search(#[from] SearchError),
    /// The objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
}

impl From<luthier_core::StorageError> for RunError {
    fn from(error: luthier_core::StorageError) -> Self {
        Self::Ledger(error.into())
    }
}

/// A stretch of work on a study, beside those of other processes.
pub struct Session<'a> {
    /// What to run next.
    pub search: &'a dyn Search,
    /// What may be varied.
    pub space: &'a Space,
    /// What a trial does.
    pub objective: &'a dyn Objective,
    /// When to stop.
    pub limits: Limits,
    /// A wish to stop.
    pub interrupt: Interrupt,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
    /// Who works, and by what, for the record.
    pub record: SessionRecord,
}

/// What the workers of a session share.
pub(crate) struct Shared<'a> {
    ledger: Mutex<Ledger>,
    changed: Condvar,
    pub(crate) search: &'a dyn Search,
    pub(crate) observer: &'a dyn Observer,
    space: &'a Space,
    objective: &'a dyn Objective,
    limits: Limits,
    interrupt: Interrupt,
    place: (Arc<dyn Storage>, StudyId),
    /// Trials that a worker has in hand.
    in_hand: Mutex<Vec<TrialId>>,
    ended: Mutex<Option<Stop>>,
    /// Artifacts that may be there, of trials that only this session has had in hand.
    kept: Mutex<BTreeSet<String>>,
    aftermath: Mutex<Aftermath>,
    /// The one trial that is to be run, where not all are.
    only: Option<TrialId>,
}

/// What is still to be done about trials that have ended.
struct Aftermath {
    /// Ends that have been told and tidied up after.
    told: usize,
    /// The best of those.
    winners: Vec<TrialId>,
    /// Trials whose models are of no use as soon as the next decision is stored: until then a reader of the events
    /// takes one of them for the best.
    beaten: Vec<TrialId>,
    /// When others are to be looked for that are not at work any more.
    look_at: Option<Instant>,
    /// When checkpoints that nobody forks any more were last removed.
    cleared: Instant,
}

impl Session<'_> {
    /// Works on the study of `ledger` until a limit is reached, and says which. What an earlier session left
    /// unfinished goes on first, and what one leaves whose process ends meanwhile.
    ///
    /// # Errors
    ///
    /// [`RunError`] where the work cannot go on. The study is intact then, and its unfinished trials go
    /// on in the next session.
    pub fn run(self, ledger: Ledger) -> Result<(Stop, Ledger), RunError> {
        self.work(ledger, None)
    }

    /// Runs one trial that a person asked for ([`Ledger::start_request`]) and nothing else, until it ends or is set aside.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub fn run_only(self, ledger: Ledger, trial: TrialId) -> Result<(Stop, Ledger), RunError> {
        self.work(ledger, Some(trial))
    }

    fn work(self, mut ledger: Ledger, only: Option<TrialId>) -> Result<(Stop, Ledger), RunError> {
        if self.search.forks() && !self.objective.abilities().forks {
            let message = "it begins trials with the checkpoints of others, and the objective cannot: a training can, and a \
                           program with `resumes = true` in [command]; a closure cannot"
                .to_owned();
            return Err(SearchError { message }.into());
        }
        let place = (Arc::clone(ledger.storage()), ledger.study().id);
        let workers = self.limits.parallel.max(1);
        let session = ledger.begin(&self.record, self.limits.trials)?;
        ledger.news();
        let aftermath = Aftermath {
            told: ledger.history().ended().len(),
            winners: ledger.history().winners().to_vec(),
            beaten: Vec::new(),
            look_at: None,
            cleared: Instant::now(),
        };
        let shared = Shared {
            ledger: Mutex::new(ledger),
            changed: Condvar::new(),
            search: self.search,
            observer: self.observer,
            space: self.space,
            objective: self.objective,
            limits: self.limits,
            interrupt: self.interrupt,
            place,
            in_hand: Mutex::new(Vec::new()),
            ended: Mutex::new(None),
            kept: Mutex::new(BTreeSet::new()),
            aftermath: Mutex::new(aftermath),
            only,
        };
        shared.tidy()?;
        let results: Vec<Result<(), RunError>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(|| shared.work())).collect();
            handles
                .into_iter()
                .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        for result in results {
            result?;
        }
        let cause = shared.stop().unwrap_or(Stop::Finished);
        if matches!(cause, Stop::Finished | Stop::Exhausted | Stop::Target) {
            // Sessions that were killed have left checkpoints of trials that were given up since.
            shared.tidy()?;
        }
        shared.turn(&mut shared.lock(), |ledger| {
            let at = ledger.history().last_moment();
            Ok(ledger.add(Event::SessionEnded { session, cause, at })?)
        })?;
        shared.clear_origins(&shared.lock())?;
        let mut ledger = shared.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        ledger.leave();
        Ok((cause, ledger))
    }
}

#[cfg(test)]
mod tests;
