//! What an algorithm sees of a history.

use super::Trial;
use crate::{Distribution, Origin, Outcome, Params, Stop, TrialId};

/// What an algorithm sees of a study: trials by number, with losses to be minimised.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) trials: &'a [Trial],
    /// How many of them are not shown: those that a person asked for.
    pub(super) requested: usize,
    pub(super) steps: Option<u64>,
    pub(super) closed: bool,
}

impl<'a> View<'a> {
    /// Number of trials, of every state.
    pub fn len(&self) -> usize {
        self.trials.len() - self.requested
    }

    /// Whether there is no trial yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All trials that the search has asked for, by number and whatever their state.
    pub fn tried(&self) -> impl Iterator<Item = Tried<'a>> + use<'a> {
        self.trials.iter().filter(|trial| !trial.is_requested()).map(|trial| Tried { trial })
    }

    /// The reports of a trial that runs its whole length, where that is known and the same for all.
    pub fn steps(&self) -> Option<u64> {
        self.steps
    }

    /// Whether no new trial may begin: only paused ones may go on.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The view of who may begin no new trial, if `closed` says so.
    #[must_use]
    pub fn closing(self, closed: bool) -> Self {
        Self { closed, ..self }
    }

    /// The trials that have ended, by number.
    pub fn finished(&self) -> impl Iterator<Item = FinishedTrial<'a>> + use<'a> {
        self.tried()
            .filter_map(|Tried { trial }| Some(FinishedTrial { trial, outcome: trial.outcome.as_ref()? }))
    }

    /// The trials that have not ended, by number: running ones and paused ones.
    pub fn unfinished(&self) -> impl Iterator<Item = Unfinished<'a>> + use<'a> {
        self.tried().filter(|tried| !tried.has_ended()).map(|Tried { trial }| Unfinished { trial })
    }

    /// The unfinished trial of this number.
    pub fn get_unfinished(&self, id: TrialId) -> Option<Unfinished<'a>> {
        let trial = self.trials.get(id.0 as usize)?;
        (trial.outcome.is_none() && !trial.is_requested()).then_some(Unfinished { trial })
    }
}

/// A trial, whatever its state.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    trial: &'a Trial,
}

impl<'a> Tried<'a> {
    /// Its number.
    pub fn id(&self) -> TrialId {
        self.trial.id
    }

    /// Its parameters.
    pub fn params(&self) -> &'a Params {
        &self.trial.params
    }

    /// The checkpoint of another trial that it began with, if it did.
    pub fn origin(&self) -> Option<Origin> {
        self.trial.from.as_ref().map(|from| from.origin)
    }

    /// The losses of its own reports: `(step, loss)`, steps rising. They may be NaN.
    pub fn losses(&self) -> &'a [(u64, f64)] {
        &self.trial.losses
    }

    /// Whether it has ended, in whatever way.
    pub fn has_ended(&self) -> bool {
        self.trial.outcome.is_some()
    }

    /// Whether the search has paused it.
    pub fn is_paused(&self) -> bool {
        !self.has_ended() && self.trial.paused == Some(Stop::Search)
    }
}

/// A trial that has ended.
#[derive(Debug, Clone, Copy)]
pub struct FinishedTrial<'a> {
    trial: &'a Trial,
    outcome: &'a Outcome,
}

impl<'a> FinishedTrial<'a> {
    /// Its number.
    pub fn id(&self) -> TrialId {
        self.trial.id
    }

    /// Its parameters.
    pub fn params(&self) -> &'a Params {
        &self.trial.params
    }

    /// How it ended.
    pub fn outcome(&self) -> &'a Outcome {
        self.outcome
    }

    /// The loss that counts, of a complete trial.
    pub fn loss(&self) -> Option<f64> {
        self.outcome.value().map(|value| self.trial.direction.loss(value))
    }

    /// The losses of its reports: `(step, loss)`, steps rising. They may be NaN.
    pub fn losses(&self) -> &'a [(u64, f64)] {
        &self.trial.losses
    }

    /// The range under which the parameter was asked for, in a study that finds its space as it goes.
    pub fn suggested(&self, name: &str) -> Option<&'a Distribution> {
        self.trial.suggested.get(name)
    }
}

/// A trial that has not ended: it runs, or is paused.
#[derive(Debug, Clone, Copy)]
pub struct Unfinished<'a> {
    trial: &'a Trial,
}

impl<'a> Unfinished<'a> {
    /// Its number.
    pub fn id(&self) -> TrialId {
        self.trial.id
    }

    /// Its parameters.
    pub fn params(&self) -> &'a Params {
        &self.trial.params
    }

    /// The losses of its reports: `(step, loss)`, steps rising. They may be NaN.
    pub fn losses(&self) -> &'a [(u64, f64)] {
        &self.trial.losses
    }

    /// Whether the search has paused it. What else sets a trial aside, such as the end of the time, is of no matter
    /// to the search.
    pub fn is_paused(&self) -> bool {
        self.trial.paused == Some(Stop::Search)
    }
}
