//! What an algorithm sees of a history.

use std::borrow::Cow;

use super::Trial;
use crate::{Criteria, Distribution, Origin, Outcome, Params, Prior, Report, Stop, TrialId};

/// What an algorithm sees of a study: trials by number, with losses to be minimised.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) trials: &'a [Trial],
    /// How many of them are not shown: those that a person asked for.
    pub(super) requested: usize,
    pub(super) criteria: &'a Criteria,
    pub(super) steps: Option<u64>,
    pub(super) limit: Option<u64>,
    pub(super) limited: bool,
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
    pub fn tried(&self) -> impl DoubleEndedIterator<Item = Tried<'a>> + use<'a> {
        self.trials.iter().filter(|trial| !trial.is_requested()).map(|trial| Tried { trial })
    }

    /// The reports of a trial that runs its whole length, where that is known and the same for all.
    pub fn steps(&self) -> Option<u64> {
        self.steps
    }

    /// The trials that may still begin at most, where there is a limit.
    pub fn left(&self) -> Option<u64> {
        if self.closed { Some(0) } else { self.limit.map(|limit| limit.saturating_sub(self.len() as u64)) }
    }

    /// Whether the study is to have so many trials and no more, rather than so much time.
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// The number of objectives, at least 1.
    pub fn objectives(&self) -> usize {
        1 + self.criteria.objectives.len()
    }

    /// The number of constraints on results.
    pub fn constraints(&self) -> usize {
        self.criteria.constraints.len()
    }

    /// What counts beside the first objective.
    pub fn criteria(&self) -> &'a Criteria {
        self.criteria
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

    /// Copies of the trials whose parameters `keep` keeps, by number, to be looked at with [`View::only`].
    pub fn select(&self, keep: impl Fn(&Params) -> bool) -> Vec<Trial> {
        self.tried().filter(|tried| keep(tried.params())).map(|tried| tried.trial.clone()).collect()
    }

    /// How many trials there are whose parameters `keep` keeps.
    pub fn count(&self, keep: impl Fn(&Params) -> bool) -> usize {
        self.tried().filter(|tried| keep(tried.params())).count()
    }

    /// The view of which only these trials are left; they stand in the order of their numbers.
    #[must_use]
    pub fn only<'b>(&self, trials: &'b [Trial]) -> View<'b>
    where
        'a: 'b,
    {
        View {
            trials,
            requested: 0,
            limit: None,
            limited: self.limited,
            steps: self.steps,
            closed: self.closed,
            criteria: self.criteria,
        }
    }

    /// The view of this trial and all behind it.
    #[must_use]
    pub fn since(&self, first: TrialId) -> Self {
        let trials = &self.trials[self.trials.partition_point(|trial| trial.id < first)..];
        let requested = trials.iter().filter(|trial| trial.is_requested()).count();
        Self { trials, requested, limit: None, ..*self }
    }

    /// The view of the trials with smaller numbers than this one's, as they stand now.
    #[must_use]
    pub fn before(self, id: TrialId) -> Self {
        let (trials, rest) = self.trials.split_at(self.trials.partition_point(|trial| trial.id < id));
        let requested = self.requested - rest.iter().filter(|trial| trial.is_requested()).count();
        Self { trials, requested, ..self }
    }

    /// The trials that have ended, by number.
    pub fn finished(&self) -> impl Iterator<Item = FinishedTrial<'a>> + use<'a> {
        self.tried()
            .filter_map(|Tried { trial }| Some(FinishedTrial { trial, outcome: trial.outcome.as_ref()? }))
    }

    /// The trials that have not ended, by number: running ones and paused ones.
    pub fn unfinished(&self) -> impl Iterator<Item = Unfinished<'a>> + use<'a> {
        let view = *self;
        self.tried().filter(|tried| !tried.has_ended()).map(move |Tried { trial }| view.of(trial))
    }

    fn of(&self, trial: &'a Trial) -> Unfinished<'a> {
        Unfinished { trial, criteria: self.criteria }
    }

    /// The unfinished trial of this number.
    pub fn get_unfinished(&self, id: TrialId) -> Option<Unfinished<'a>> {
        // Trials stand in the order of their numbers, and some may be left out.
        let at = self.trials.binary_search_by_key(&id, |trial| trial.id).ok()?;
        let trial = &self.trials[at];
        (trial.outcome.is_none() && !trial.is_requested()).then_some(self.of(trial))
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

    /// Its parameters; while it runs, with what was proposed for those that it may yet ask for.
    pub fn params(&self) -> &'a Params {
        self.trial.foreseen()
    }

    /// The parameters that it asked for while running, in that order, each with its range and the belief about it.
    pub fn suggested(
        &self,
    ) -> impl Iterator<Item = (&'a str, &'a Distribution, Option<&'a Prior>)> + use<'a> {
        let trial = self.trial;
        let asked = trial.suggested.iter();
        asked.map(|(name, range)| {
            (name.as_str(), range, trial.believed.as_ref().and_then(|believed| believed.get(name)))
        })
    }

    /// The checkpoint of another trial that it began with, if it did.
    pub fn origin(&self) -> Option<Origin> {
        self.trial.from.as_ref().map(|from| from.origin)
    }

    /// The losses of its own reports: `(step, loss)`, steps rising. They may be NaN.
    pub fn losses(&self) -> &'a [(u64, f64)] {
        &self.trial.losses
    }

    /// The losses of an objective by its own reports, as [`Tried::losses`] has those of the first one, which is number 0;
    /// NaN where a report does not tell.
    pub fn losses_of(&self, objective: usize, criteria: &Criteria) -> Cow<'a, [(u64, f64)]> {
        let Some(goal) = objective.checked_sub(1).and_then(|further| criteria.objectives.get(further)) else {
            return Cow::Borrowed(self.losses());
        };
        let loss = |report: &Report| {
            (report.step, goal.direction.loss(report.metrics.get(&goal.name).unwrap_or(f64::NAN)))
        };
        self.trial.reports.iter().map(loss).collect()
    }

    /// The report with the least finite loss of the first objective up to `step`; of equal ones the first.
    pub fn best_report(&self, step: u64) -> Option<&'a Report> {
        let until = self.trial.reports.iter().zip(&self.trial.losses);
        let finite = until.take_while(|(_, loss)| loss.0 <= step).filter(|(_, loss)| loss.1.is_finite());
        finite.reduce(|best, next| if next.1.1 < best.1.1 { next } else { best }).map(|(report, _)| report)
    }

    /// Its last report up to `step`.
    pub fn last_report(&self, step: u64) -> Option<&'a Report> {
        self.trial.reports.iter().rev().find(|report| report.step <= step)
    }

    /// The losses of all objectives, of a complete trial with a finite value of each.
    pub fn loss_vector(&self) -> Option<Vec<f64>> {
        self.trial.loss_vector()
    }

    /// The step at which it pauses, or has paused; `None` where it runs to its end.
    pub fn until(&self) -> Option<u64> {
        self.trial.until
    }

    /// Whether it is complete with a value.
    pub fn is_complete(&self) -> bool {
        matches!(self.trial.outcome, Some(Outcome::Complete { .. }))
    }

    /// Whether the search stopped it for good.
    pub fn is_stopped(&self) -> bool {
        matches!(self.trial.outcome, Some(Outcome::Stopped { .. }))
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
    /// Whether it keeps all constraints on results.
    pub fn keeps_constraints(&self) -> bool {
        self.violations().iter().all(|violation| *violation <= 0.0)
    }

    /// Its number.
    pub fn id(&self) -> TrialId {
        self.trial.id
    }

    /// Its parameters.
    pub fn params(&self) -> &'a Params {
        &self.trial.params
    }

    /// Whether it ran elsewhere and was imported.
    pub fn is_imported(&self) -> bool {
        self.trial.imported.is_some()
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

    /// The losses of all objectives, of a complete trial with a finite value of each.
    pub fn loss_vector(&self) -> Option<Vec<f64>> {
        self.trial.loss_vector()
    }

    /// By how much it misses each constraint on results, 0 where it holds; infinite where that is not known.
    pub fn violations(&self) -> &'a [f64] {
        &self.trial.violations
    }
}

/// A trial that has not ended: it runs, or is paused.
#[derive(Debug, Clone, Copy)]
pub struct Unfinished<'a> {
    trial: &'a Trial,
    criteria: &'a Criteria,
}

impl<'a> Unfinished<'a> {
    /// Its number.
    pub fn id(&self) -> TrialId {
        self.trial.id
    }

    /// Its parameters, with what was proposed for those that it may yet ask for.
    pub fn params(&self) -> &'a Params {
        self.trial.foreseen()
    }

    /// The losses of its reports: `(step, loss)`, steps rising. They may be NaN.
    pub fn losses(&self) -> &'a [(u64, f64)] {
        &self.trial.losses
    }

    /// The step at which it pauses, or has paused; `None` where it runs to its end.
    pub fn until(&self) -> Option<u64> {
        self.trial.until
    }

    /// A value of the objective as a loss.
    pub fn loss_of(&self, value: f64) -> f64 {
        self.trial.direction.loss(value)
    }

    /// By how much its best report misses each constraint on results; infinite where that is not known.
    pub fn violations(&self) -> Vec<f64> {
        let metrics = self.trial.best_report().map(|report| report.metrics.clone()).unwrap_or_default();
        self.criteria.violations(&metrics)
    }

    /// Whether the search has paused it. What else sets a trial aside, such as the end of the time, is of no matter
    /// to the search.
    pub fn is_paused(&self) -> bool {
        self.trial.paused == Some(Stop::Search)
    }
}
