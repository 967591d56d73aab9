//! The history of a study and its storage, kept in step.

use std::sync::Arc;

use luthier_core::{
    Event, History, HistoryError, Moment, Params, Recorded, Storage, StorageError, Study, StudyLock, TrialId,
    trial_seed,
};
use thiserror::Error;

/// Why a study's history cannot be read or extended.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What is stored makes no history.
    #[error("the history of study `{study}` is damaged at revision {revision}: {source}")]
    History {
        /// The study.
        study: String,
        /// The event that cannot follow.
        revision: u64,
        /// Why.
        source: HistoryError,
    },
}

/// A study that this process works on: no other process does while the ledger lives.
pub struct Ledger {
    storage: Arc<dyn Storage>,
    study: Study,
    history: History,
    /// Reports that wait for the next commit.
    waiting: Vec<Event>,
    _lock: Box<dyn StudyLock>,
}

impl Ledger {
    /// Claims `study` and reads its history.
    ///
    /// # Errors
    ///
    /// If another process works on it, or it cannot be read.
    pub fn open(storage: Arc<dyn Storage>, study: Study) -> Result<Self, LedgerError> {
        let lock = storage.lock_study(study.id)?;
        let history = read_history(&*storage, &study)?;
        Ok(Self { storage, study, history, waiting: Vec::new(), _lock: lock })
    }

    /// The study.
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// What has happened, as far as it is durable.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Makes `event` durable, and all that waits before it.
    pub fn append(&mut self, event: Event) -> Result<(), LedgerError> {
        self.waiting.push(event);
        self.flush()
    }

    /// Lets `event` wait for the next commit. A crash before that loses it.
    pub fn append_later(&mut self, event: Event) {
        self.waiting.push(event);
    }

    /// Makes durable what waits.
    pub fn flush(&mut self) -> Result<(), LedgerError> {
        let events = std::mem::take(&mut self.waiting);
        if events.is_empty() {
            return Ok(());
        }
        let recorded = self.storage.append(self.study.id, self.history.revision(), &events)?;
        for recorded in &recorded {
            apply(&mut self.history, recorded, &self.study)?;
        }
        Ok(())
    }

    /// Starts the next trial, in the slot that asked at the moment `at` where there is a logical clock, and returns
    /// its number.
    pub fn start(
        &mut self,
        params: Params,
        until: Option<u64>,
        at: Option<Moment>,
    ) -> Result<TrialId, LedgerError> {
        let trial = TrialId(self.history.trials().len() as u64);
        let seed = trial_seed(self.study.definition.seed, trial.0);
        self.append(Event::TrialStarted { trial, params, seed, until, at })?;
        Ok(trial)
    }

    /// Lets what is due of a trial count by the logical clock.
    pub(crate) fn count(&mut self, at: Moment, trial: TrialId) {
        self.history.count(at, trial);
    }

    /// The search had nothing for the slot that asks at this moment.
    pub(crate) fn wait(&mut self, at: Moment) {
        self.history.wait(at);
    }
}

/// The history of a study that another process may be working on.
///
/// # Errors
///
/// If it cannot be read.
pub fn read_history(storage: &dyn Storage, study: &Study) -> Result<History, LedgerError> {
    let mut history = History::of(&study.definition);
    for recorded in storage.read(study.id, 0)? {
        apply(&mut history, &recorded, study)?;
    }
    Ok(history)
}

fn apply(history: &mut History, recorded: &Recorded, study: &Study) -> Result<(), LedgerError> {
    history.apply(recorded).map_err(|source| LedgerError::History {
        study: study.definition.name.clone(),
        revision: recorded.revision,
        source,
    })
}
