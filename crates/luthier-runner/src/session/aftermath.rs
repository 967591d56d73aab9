//! What follows from a turn: ends of trials are told, and what is of no use any more is removed.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use luthier_core::{Event, History, SessionId, Stop, StorageError, Trial, TrialId};

use super::worker::LOOK_EVERY;
use super::{Aftermath, RunError, Shared};
use crate::{Ledger, checkpoint_name, model_name};

impl Shared<'_> {
    /// A turn of the ledger, and what follows from it.
    pub(crate) fn turn<T>(
        &self,
        ledger: &mut Ledger,
        work: impl FnMut(&mut Ledger) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let result = ledger.turn(work);
        self.follow(ledger)?;
        self.changed.notify_all();
        result
    }

    pub(super) fn aftermath(&self) -> MutexGuard<'_, Aftermath> {
        self.aftermath.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has happened since the last time, and tidies up after trials whose end came to count here.
    pub(super) fn follow(&self, ledger: &mut Ledger) -> Result<(), RunError> {
        let decided = ledger.decided();
        let news = ledger.news();
        if self.observer.hears_others() {
            for event in &news {
                self.hear(ledger, event);
            }
        }
        let mut aftermath = self.aftermath();
        let history = ledger.history();
        let beaten = if decided { std::mem::take(&mut aftermath.beaten) } else { Vec::new() };
        for (place, id) in history.ended().iter().enumerate().skip(aftermath.told) {
            let Some(trial) = history.trial(*id) else { continue };
            let ours = trial.holder == ledger.session() || self.observer.hears_others();
            if let Some(outcome) = trial.outcome.as_ref().filter(|_| ours) {
                let (outcome, seconds) = (outcome.clone(), trial.seconds.unwrap_or(0.0));
                self.observer.event(&Event::TrialFinished { trial: *id, outcome, seconds });
            }
            // Who let it count tidies up after it.
            if place >= ledger.ended_before_turn() {
                aftermath.beaten.push(*id);
                if history.best().is_none_or(|best| best.id != *id) {
                    self.discard(trial, &checkpoint_name(*id), ledger.session())?;
                }
            }
        }
        // A history that was read again may not have counted as far yet.
        aftermath.told = aftermath.told.max(history.ended().len());
        let winners = history.winners();
        if winners != aftermath.winners {
            let before = std::mem::replace(&mut aftermath.winners, winners.to_vec());
            aftermath.beaten.extend(before);
        }
        aftermath.beaten.retain(|trial| !winners.contains(trial));
        let clears = self.search.forks() && aftermath.cleared.elapsed() > LOOK_EVERY;
        if clears {
            aftermath.cleared = Instant::now();
        }
        drop(aftermath);
        if clears {
            self.clear_origins(ledger)?;
        }
        for trial in beaten.into_iter().filter(|id| !winners.contains(id)).filter_map(|id| history.trial(id))
        {
            self.discard(trial, &model_name(trial.id), ledger.session())?;
            self.discard(trial, &checkpoint_name(trial.id), ledger.session())?;
        }
        self.give_up(ledger.history())?;
        Ok(())
    }

    /// Removes checkpoints that this session has kept of paused trials which will not go on.
    fn give_up(&self, history: &History) -> Result<(), StorageError> {
        let paused = |trial: &&Trial| trial.paused == Some(Stop::Search) && trial.holder.is_none();
        let kept = self.kept().clone();
        if !history.open().filter(paused).any(|trial| kept.contains(&checkpoint_name(trial.id))) {
            return Ok(());
        }
        for trial in self.search.given_up(&history.view()) {
            // In somebody's hands it may run ahead of where it pauses, and is about to write its checkpoint.
            let name = checkpoint_name(trial);
            if history.trial(trial).is_some_and(|trial| paused(&trial)) && self.kept().remove(&name) {
                self.place.0.remove_artifact(self.place.1, &name)?;
            }
        }
        Ok(())
    }

    /// What another session did.
    fn hear(&self, ledger: &Ledger, event: &Event) {
        match event {
            Event::TrialTaken { trial, .. } => {
                if let Some(trial) = ledger.history().trial(*trial) {
                    self.observer.event(&begun(trial));
                }
            }
            Event::Reported { .. } | Event::TrialPaused { .. } => self.observer.event(event),
            _ => {}
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps something of a trial.
    pub(crate) fn keep(&self, name: String, bytes: &[u8]) -> Result<(), StorageError> {
        self.place.0.put_artifact(self.place.1, &name, bytes)?;
        self.kept().insert(name);
        Ok(())
    }

    /// A trial is taken in hand that was in other hands before: they may have kept something of it.
    pub(super) fn take_over(&self, trial: TrialId) {
        self.kept().extend([checkpoint_name(trial), model_name(trial)]);
    }

    /// Removes something of a trial, if it is there.
    pub(super) fn discard(
        &self,
        trial: &Trial,
        name: &str,
        session: Option<SessionId>,
    ) -> Result<(), StorageError> {
        // The storage need not be asked where only this session could have put it.
        if self.kept().remove(name) || trial.holder != session {
            self.place.0.remove_artifact(self.place.1, name)?;
        }
        Ok(())
    }

    /// Of a trial that has ended something may be left.
    pub(super) fn clear_up(&self, ledger: &Ledger, id: TrialId) -> Result<(), RunError> {
        let Some(trial) = ledger.history().trial(id) else { return Ok(()) };
        // That of the best trial's end is kept; of the others it goes when their end counts.
        if trial.end().is_some_and(|outcome| outcome.value().is_none()) {
            self.discard(trial, &checkpoint_name(id), ledger.session())?;
        }
        // One that ended while a worker went on with it. Of a complete one a reader of the events may want the model.
        if trial.outcome.as_ref().is_some_and(|outcome| outcome.value().is_none()) {
            self.discard(trial, &model_name(id), ledger.session())?;
        }
        Ok(())
    }

    /// Removes what a crash may have left: checkpoints of ended trials and of those that are given up, models of
    /// trials that did not win.
    pub(super) fn tidy(&self) -> Result<(), RunError> {
        let (storage, study) = self.place();
        // In this order: what others put meanwhile belongs to trials that have not ended.
        let names: BTreeSet<String> = storage.artifacts(study)?.into_iter().collect();
        let mut ledger = self.lock();
        ledger.catch_up()?;
        self.clear_origins(&ledger)?;
        let history = ledger.history();
        for trial in history.ended() {
            let model = model_name(*trial);
            if !history.winners().contains(trial) && names.contains(&model) {
                storage.remove_artifact(study, &model)?;
            }
            let checkpoint = checkpoint_name(*trial);
            if !history.winners().contains(trial) && names.contains(&checkpoint) {
                storage.remove_artifact(study, &checkpoint)?;
            }
        }
        for trial in self.search.given_up(&history.view()) {
            let checkpoint = checkpoint_name(trial);
            if history.trial(trial).is_some_and(|trial| trial.holder.is_none()) && names.contains(&checkpoint)
            {
                storage.remove_artifact(study, &checkpoint)?;
            }
        }
        Ok(())
    }
}

/// How the beginning of work on a trial is told.
pub(super) fn begun(trial: &Trial) -> Event {
    Event::TrialStarted {
        trial: trial.id,
        params: trial.params.clone(),
        seed: trial.seed,
        until: trial.until,
        at: None,
        from: trial.from.clone(),
    }
}
