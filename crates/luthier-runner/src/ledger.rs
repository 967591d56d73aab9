//! The history of a study and its storage, kept in step, among others who do the same.

use std::sync::Arc;

use luthier_core::{
    Event, History, HistoryError, Lineage, Moment, Origin, Params, Presence, Recorded, SessionId,
    SessionRecord, Storage, StorageError, Study, TrialId, Turn, trial_seed,
};
use thiserror::Error;

use crate::Trials;

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

/// A study that this process works on, beside others.
///
/// All writing is done in turns ([`Ledger::turn`]): what others have written is read, what is to be written is
/// decided by it, and stored as one.
pub struct Ledger {
    storage: Arc<dyn Storage>,
    study: Study,
    history: History,
    /// What this session is known by, once it has begun.
    session: Option<SessionId>,
    presence: Option<Box<dyn Presence>>,
    /// What trials have said, and the next turn stores.
    waiting: Vec<Event>,
    /// What has been added in this turn: it is in the history, and not stored yet.
    added: Vec<Event>,
    /// What others have stored and nobody here has heard of.
    news: Vec<Event>,
    /// Ends of trials that had counted when the turn began.
    ended: usize,
    /// Whether a decision was stored since this was asked last, here or elsewhere.
    decided: bool,
}

impl Ledger {
    /// Reads the history of `study`.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn open(storage: Arc<dyn Storage>, study: Study) -> Result<Self, LedgerError> {
        let history = read_history(&*storage, &study)?;
        let (waiting, added, news) = (Vec::new(), Vec::new(), Vec::new());
        let ended = history.ended().len();
        Ok(Self {
            storage,
            study,
            history,
            session: None,
            presence: None,
            waiting,
            added,
            news,
            ended,
            decided: false,
        })
    }

    /// Begins a session that lets `trials` begin in all, so that trials can be taken in hand. Others see it as long as
    /// the ledger lives.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn begin(&mut self, record: &SessionRecord, trials: Trials) -> Result<SessionId, LedgerError> {
        let SessionRecord { program, worker, file, data, class } = record;
        let session = self.turn(|ledger| {
            ledger.add(Event::SessionStarted {
                program: program.clone(),
                worker: worker.clone(),
                file: file.clone(),
                data: data.clone(),
                class: class.clone(),
                trials: trials.of(&ledger.history),
                at: ledger.history.last_moment(),
            })?;
            Ok::<_, LedgerError>(SessionId(ledger.history.revision()))
        })?;
        self.presence = Some(self.storage.enroll(self.study.id, session)?);
        self.session = Some(session);
        Ok(session)
    }

    /// The session that has begun.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The study.
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// What has happened, as far as it is known here.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Waits for its turn among all who write, reads what they have written, and stores what `work` adds to it and
    /// what waits, as one. `work` may be called again if all of that has to be done anew.
    ///
    /// # Errors
    ///
    /// Those of `work`, and where the study cannot be read or extended. What `work` has added is not stored then;
    /// what waits is stored, or goes on waiting.
    pub fn turn<T, E: From<LedgerError>>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let storage = Arc::clone(&self.storage);
        loop {
            let turn = storage.turn(self.study.id, self.history.revision());
            let (turn, news) = turn.map_err(LedgerError::from)?;
            self.hear(news)?;
            self.ended = self.history.ended().len();
            let waiting = std::mem::take(&mut self.waiting);
            if let Err(error) = waiting.iter().try_for_each(|event| self.tell(event.clone()).map(drop)) {
                // It cannot follow what has happened, and never will.
                drop(self.reload());
                return Err(error.into());
            }
            let told = self.added.len();
            let result = work(self);
            if result.is_err() && self.added.len() > told {
                // What was added on the way leads nowhere. Where reading fails too, the first error says why.
                self.waiting = waiting;
                drop(self.reload());
                return result;
            }
            match self.commit(turn) {
                Ok(()) => return result,
                // The connection that held the turn broke, and somebody else was let in.
                Err(LedgerError::Storage(StorageError::Conflict { .. })) => {
                    self.waiting = waiting;
                    self.reload()?;
                }
                Err(error) => {
                    self.waiting = waiting;
                    // Where that fails too, the first error says why.
                    drop(self.reload());
                    return Err(error.into());
                }
            }
        }
    }

    /// Adds `event` to what this turn stores.
    ///
    /// # Errors
    ///
    /// If it cannot follow what has happened.
    pub fn add(&mut self, event: Event) -> Result<(), LedgerError> {
        let recorded = Recorded { revision: self.history.revision() + 1, at_ms: 0, event };
        apply(&mut self.history, &recorded, &self.study)?;
        self.added.push(recorded.event);
        Ok(())
    }

    /// Adds what a trial has said to what this turn stores, if the trial is still in the hands of this session and
    /// has not ended; else it does not count.
    ///
    /// # Errors
    ///
    /// If it cannot follow what has happened.
    pub fn tell(&mut self, event: Event) -> Result<bool, LedgerError> {
        let trial = event.trial().and_then(|id| self.history.trial(id));
        let ours = trial.is_some_and(|trial| trial.end().is_none() && trial.holder == self.session());
        if ours {
            self.add(event)?;
        }
        Ok(ours)
    }

    /// Keeps what a trial has said for the next turn. A crash before that loses it.
    pub fn tell_later(&mut self, event: Event) {
        self.waiting.push(event);
    }

    /// Whether something waits for the next turn.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Starts a trial that a person asked for, and returns its number. It has no slot. One that extends another trial
    /// has its seed.
    ///
    /// # Errors
    ///
    /// If it cannot follow what has happened: the other trial has not reached that step.
    pub fn start_request(&mut self, params: Params, from: Lineage) -> Result<TrialId, LedgerError> {
        let trial = TrialId(self.history.trials().len() as u64);
        let parent = self.history.trial(from.origin.trial).filter(|_| from.extends());
        let seed =
            parent.map_or_else(|| trial_seed(self.study.definition.seed, trial.0), |parent| parent.seed);
        self.add(Event::TrialStarted { trial, params, seed, until: None, at: None, from: Some(from) })?;
        Ok(trial)
    }

    /// Starts the next trial, with the checkpoint `from` or anew, in the slot that asked at the moment `at` where there is
    /// a logical clock, and returns its number.
    ///
    /// # Errors
    ///
    /// If it cannot follow what has happened.
    pub fn start(
        &mut self,
        params: Params,
        from: Option<Origin>,
        until: Option<u64>,
        at: Option<Moment>,
    ) -> Result<TrialId, LedgerError> {
        let trial = TrialId(self.history.trials().len() as u64);
        let seed = trial_seed(self.study.definition.seed, trial.0);
        let from = from.map(Lineage::from);
        self.add(Event::TrialStarted { trial, params, seed, until, at, from })?;
        Ok(trial)
    }

    /// Takes a trial in hand.
    ///
    /// # Errors
    ///
    /// If it cannot follow what has happened.
    pub fn take(&mut self, trial: TrialId) -> Result<(), LedgerError> {
        match self.session() {
            Some(session) => self.add(Event::TrialTaken { trial, session }),
            None => Ok(()),
        }
    }

    /// Reads what others have written since the last time.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn catch_up(&mut self) -> Result<(), LedgerError> {
        let news = self.storage.read(self.study.id, self.history.revision())?;
        self.hear(news)
    }

    fn hear(&mut self, news: Vec<Recorded>) -> Result<(), LedgerError> {
        for recorded in news {
            apply(&mut self.history, &recorded, &self.study)?;
            self.decided |= recorded.event.is_decision();
            self.news.push(recorded.event);
        }
        Ok(())
    }

    /// What others have stored since this was asked last.
    pub(crate) fn news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }

    /// Whether another session has ended since the news were asked for last.
    pub(crate) fn hears_of_an_end(&self) -> bool {
        self.news.iter().any(|event| matches!(event, Event::SessionEnded { .. }))
    }

    /// Whether a decision was stored since this was asked last: all that had counted before counts for every reader.
    pub(crate) fn decided(&mut self) -> bool {
        std::mem::take(&mut self.decided) || !self.history.is_ordered()
    }

    /// Ends the session: others see that it is no longer at work.
    pub(crate) fn leave(&mut self) {
        self.presence = None;
    }

    /// The ends that came to count by what others did, and were known when the last turn began.
    pub(crate) fn ended_before_turn(&self) -> usize {
        self.ended
    }

    /// Lets what is due of a trial count by the logical clock.
    pub(crate) fn count(&mut self, at: Moment, trial: TrialId) {
        self.history.count(at, trial);
    }

    /// The search had nothing for the slot that asks at this moment.
    pub(crate) fn wait(&mut self, at: Moment) {
        self.history.wait(at);
    }

    /// Stores what was added, and lets the next one in.
    fn commit(&mut self, turn: Box<dyn Turn + '_>) -> Result<(), LedgerError> {
        let added = std::mem::take(&mut self.added);
        if added.is_empty() {
            return Ok(());
        }
        let after = self.history.revision() - added.len() as u64;
        for recorded in turn.append(after, &added)? {
            self.history.stamp(&recorded);
            self.decided |= recorded.event.is_decision();
        }
        Ok(())
    }

    fn reload(&mut self) -> Result<(), LedgerError> {
        self.added.clear();
        self.history = read_history(&*self.storage, &self.study)?;
        Ok(())
    }
}

/// The history of a study that others may be working on.
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
