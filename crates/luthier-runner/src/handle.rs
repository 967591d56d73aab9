//! A running trial, as its objective sees it.

use std::time::{Duration, Instant};

use luthier_core::{
    Decision, Event, Lineage, Metrics, ObjectiveError, Origin, Outcome, Params, Report, Stop, StopReason,
    Streams, Trial, TrialHandle, TrialId,
};

use crate::session::{Shared, wins};
use crate::{Ledger, checkpoint_name, origin_name};

/// Work that may be lost with a process before a checkpoint is worth its writing.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Reports of a study without a pruner wait at most this long for their commit.
const REPORTS_WAIT: Duration = Duration::from_millis(500);

pub(crate) struct Handle<'s, 'a> {
    pub(crate) shared: &'s Shared<'a>,
    pub(crate) id: TrialId,
    pub(crate) params: Params,
    pub(crate) seed: u64,
    pub(crate) until: Option<u64>,
    pub(crate) from: Option<Lineage>,
    /// The checkpoint of the other trial, until it is asked for.
    pub(crate) inherited: Option<Vec<u8>>,
    /// The last step that its objective has come to.
    pub(crate) step: u64,
    /// The last checkpoint, or the beginning.
    pub(crate) saved: Instant,
    pub(crate) flushed: Instant,
    /// The last step that was reported here, stored or not.
    pub(crate) told: u64,
    /// Whether another session has taken it in hand.
    pub(crate) lost: bool,
}

impl Handle<'_, '_> {
    /// Why the clock has stopped the trial, if it has.
    fn stopped(&self, ledger: &Ledger) -> Option<StopReason> {
        match ledger.history().trial(self.id)?.outcome.as_ref()? {
            Outcome::Stopped { reason, .. } => Some(reason.clone()),
            _ => None,
        }
    }

    /// Whether it is where the search pauses it, and may fork it.
    fn may_be_forked(&self) -> bool {
        self.shared.search.forks() && self.until.is_some_and(|until| self.step >= until)
    }

    /// Makes durable what was reported.
    fn store(&mut self, ledger: &mut Ledger) -> Result<(), ObjectiveError> {
        let ordered = ledger.history().is_ordered();
        // A decision may have to wait for other trials; meanwhile this one goes on.
        self.shared
            .turn(ledger, |ledger| if ordered { self.shared.advance(ledger) } else { Ok(()) })
            .map_err(|error| Self::failed("a report could not be stored", error))?;
        self.flushed = Instant::now();
        let trial = ledger.history().trial(self.id);
        self.lost = trial.is_none_or(|trial| trial.holder != ledger.session());
        Ok(())
    }

    fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> ObjectiveError {
        ObjectiveError { message: what.to_owned(), source: Some(Box::new(error)) }
    }
}

impl TrialHandle for Handle<'_, '_> {
    fn id(&self) -> TrialId {
        self.id
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn until(&self) -> Option<u64> {
        self.until
    }

    fn report(&mut self, step: u64, value: f64, metrics: Metrics) -> Result<Decision, ObjectiveError> {
        self.step = step;
        let decides = self.shared.search.decides();
        let shared = self.shared;
        let mut ledger = shared.lock();
        if let Some(reason) = self.stopped(&ledger) {
            return Ok(Decision::Stop(reason));
        }
        let last = ledger.history().trial(self.id).and_then(Trial::last_report);
        let (last_step, known) = last.map_or((0, f64::NAN), |last| (last.step, last.value));
        if step > last_step.max(self.told) {
            self.told = step;
            let event = Event::Reported { trial: self.id, report: Report { step, value, metrics } };
            self.shared.observer.event(&event);
            ledger.tell_later(event);
            if decides || self.flushed.elapsed() >= REPORTS_WAIT {
                self.store(&mut ledger)?;
            }
        } else if step == last_step && known.to_bits() != value.to_bits() {
            // The trial was taken up again and went through this step before.
            let id = self.id;
            self.shared.observer.notice(&format!(
                "trial {id} reported {known} at step {step} before it was set aside, and {value} now: this \
                 machine computes differently; the first value is kept"
            ));
        }
        if ledger.history().is_ordered() || self.lost {
            return Ok(self.stopped(&ledger).map_or(Decision::Continue, Decision::Stop));
        }
        if !decides || step < last_step {
            return Ok(Decision::Continue);
        }
        let view = ledger.history().view();
        let Some(trial) = view.get_unfinished(self.id) else { return Ok(Decision::Continue) };
        let seed = ledger.study().definition.seed;
        let mut rng = Streams::new(seed).of_decision(self.id, step);
        Ok(self.shared.search.decide(&view, &trial, &mut rng))
    }

    fn notice(&mut self, text: &str) {
        self.shared.observer.notice(&format!("trial {}: {text}", self.id));
    }

    fn interrupted(&self) -> Option<Stop> {
        self.shared.stop().or(self.lost.then_some(Stop::Interrupted))
    }

    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError> {
        let (storage, study) = self.shared.place();
        storage
            .artifact(study, &checkpoint_name(self.id))
            .map_err(|error| Self::failed("a checkpoint could not be read", error))
    }

    fn lineage(&self) -> Option<&Lineage> {
        self.from.as_ref()
    }

    fn inherited(&mut self) -> Result<Vec<u8>, ObjectiveError> {
        self.inherited.take().ok_or_else(|| format!("trial {} goes on from no other trial", self.id).into())
    }

    fn wants_checkpoint(&self) -> bool {
        self.saved.elapsed() >= CHECKPOINT_EVERY || self.may_be_forked()
    }

    fn wants_end(&self, value: f64) -> bool {
        // A person may want to lengthen or to branch the best trial.
        let ledger = self.shared.lock();
        value.is_finite() && wins(ledger.history().best(), value, ledger.history().direction())
    }

    fn save_checkpoint(&mut self, checkpoint: Vec<u8>) -> Result<(), ObjectiveError> {
        // The reports first: whoever goes on from the checkpoint does not make them again.
        let shared = self.shared;
        let mut ledger = shared.lock();
        if ledger.is_waiting() {
            self.store(&mut ledger)?;
        }
        drop(ledger);
        let failed = |error| Self::failed("a checkpoint could not be stored", error);
        if self.may_be_forked() {
            let (storage, study) = self.shared.place();
            let name = origin_name(Origin { trial: self.id, step: self.step });
            storage.put_artifact(study, &name, &checkpoint).map_err(failed)?;
        }
        self.shared.keep(checkpoint_name(self.id), &checkpoint).map_err(failed)?;
        self.saved = Instant::now();
        Ok(())
    }
}
