//! The history of a study: its events, folded into trials.
//!
//! [`History`] is what a runner keeps and extends; [`View`] is what an algorithm sees of it. Values
//! enter in the study's direction and are losses (smaller is better) from there on.

mod apply;
mod error;
mod view;
mod winners;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use indexmap::IndexMap;

use crate::clock::{Clock, Said};
use crate::{
    Attributes, Criteria, Direction, Distribution, Due, Lineage, Metrics, Moment, Outcome, Params, Prior,
    Recorded, Report, Revision, SessionId, Stop, StudyDefinition, TrialId,
};

pub use error::HistoryError;
pub use view::{FinishedTrial, Tried, Unfinished, View};

/// A trial, with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its number.
    pub id: TrialId,
    /// Its parameters.
    pub params: Params,
    /// Ranges of parameters that it asked for while running.
    pub suggested: IndexMap<String, Distribution>,
    /// Beliefs about parameters that it asked for while running, if it has any.
    pub believed: Option<Box<IndexMap<String, Prior>>>,
    /// The seed of its streams.
    pub seed: u64,
    /// The step at which it is to pause, if any.
    pub until: Option<u64>,
    /// The checkpoint of another trial that it began with, if it did.
    pub from: Option<Lineage>,
    /// Its reports, steps rising.
    pub reports: Vec<Report>,
    /// The losses of its reports: `(step, loss)`, steps rising.
    pub losses: Vec<(u64, f64)>,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// What set it aside, if something did and it has not gone on.
    pub paused: Option<Stop>,
    /// The session that has it in hand, or had when it ended.
    pub holder: Option<SessionId>,
    /// How often a session took it in hand.
    pub taken: u64,
    /// How often it was taken from a session that had not laid it down, since its last report.
    pub lost: u64,
    /// Its last step when a session laid it down, with a checkpoint of that step if it can have one.
    pub laid_down: u64,
    /// When it started, in microseconds since 1970 (UTC); unknown for some that were imported.
    pub started_us: Option<i64>,
    /// Wall-clock seconds spent on it, its pauses left out, once it has ended; unknown where no clock told.
    pub seconds: Option<f64>,
    /// What its model reached on the test set, if that was measured.
    pub tested: Option<Metrics>,
    /// What the other program keeps of it, where it ran elsewhere and was imported. Then there is no model and no
    /// checkpoint of it.
    pub imported: Option<Box<Attributes>>,
    /// The losses of the objectives behind the first one, once it has ended; NaN where one was not measured.
    pub further: Vec<f64>,
    /// By how much it misses each constraint on results, once it has ended.
    pub violations: Vec<f64>,
    /// While it runs, its parameters with those that the search has proposed and it may yet ask for, where something was
    /// proposed.
    expected: Option<Box<Params>>,
    direction: Direction,
    ahead: Ahead,
    spent: Spent,
}

/// The time that sessions have had a trial in hand, by the storage's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Spent {
    /// Up to where it was last laid down.
    ms: i64,
    /// Since when it is in hand.
    since_ms: Option<i64>,
}

/// What a trial has said before its time has come by the logical clock.
#[derive(Debug, Clone, Default, PartialEq)]
struct Ahead {
    reports: VecDeque<Report>,
    end: Option<(Outcome, f64)>,
}

impl Trial {
    /// The state in one word: `waiting` (in nobody's hands), `running`, `paused`, or that of its [`Outcome`].
    pub fn state(&self) -> &'static str {
        match (&self.outcome, self.paused, self.holder) {
            (Some(outcome), ..) => outcome.state(),
            (None, Some(_), _) => "paused",
            (None, None, None) => "waiting",
            (None, None, Some(_)) => "running",
        }
    }

    /// Its last report, whether it counts yet or not.
    pub fn last_report(&self) -> Option<&Report> {
        self.ahead.reports.back().or(self.reports.last())
    }

    /// How it has ended, whether that counts yet or not.
    pub fn end(&self) -> Option<&Outcome> {
        self.outcome.as_ref().or(self.ahead.end.as_ref().map(|(outcome, _)| outcome))
    }

    /// Its parameters as far as an algorithm can know them: while it runs, with what the search has proposed for those that
    /// it has not asked for yet.
    fn foreseen(&self) -> &Params {
        self.expected.as_deref().filter(|_| self.outcome.is_none()).unwrap_or(&self.params)
    }

    /// Whether a person asked for it, and not the search.
    pub fn is_requested(&self) -> bool {
        self.from.as_ref().is_some_and(|from| from.request.is_some())
    }

    /// Whether there is something to run: it has not ended, and not come to where it pauses.
    pub fn is_runnable(&self) -> bool {
        let there = |until: u64| self.last_report().is_some_and(|last| last.step >= until);
        self.end().is_none() && !self.until.is_some_and(there)
    }

    /// What it has come to, and at which step: the value that counts, else the best that it reported.
    pub fn standing(&self) -> Option<(f64, Option<u64>)> {
        match &self.outcome {
            Some(Outcome::Complete { value, step, .. }) => Some((*value, *step)),
            _ => self.best_report().map(|report| (report.value, Some(report.step))),
        }
    }

    /// A sentence on how it ended or what set it aside, where there is more to say than the state.
    pub fn note(&self) -> Option<String> {
        let ended = self.outcome.as_ref().and_then(Outcome::note);
        ended.or_else(|| self.paused.map(|cause| cause.to_string()))
    }

    /// The report with the best finite value; of equal ones the first.
    pub fn best_report(&self) -> Option<&Report> {
        self.reports.iter().filter(|report| report.value.is_finite()).reduce(|best, report| {
            if self.direction.better(report.value, best.value) { report } else { best }
        })
    }
}

/// The trials of a study up to a revision.
#[derive(Debug, Clone)]
pub struct History {
    direction: Direction,
    revision: Revision,
    trials: Vec<Trial>,
    /// How many of them a person asked for.
    requested: usize,
    /// The trials that have not ended.
    open: BTreeSet<TrialId>,
    /// Those that have, in the order in which that counted.
    ended: Vec<TrialId>,
    /// The best trial; with several objectives, those that no other one is better than.
    winners: Vec<TrialId>,
    failures: usize,
    session: Option<SessionRecord>,
    /// The trials that each session has taken in hand that has begun and not said that it ended.
    sessions: BTreeMap<SessionId, u64>,
    classes: BTreeSet<String>,
    limit: Option<u64>,
    attributes: Attributes,
    criteria: Criteria,
    steps: Option<u64>,
    /// Nothing in free order.
    clock: Option<Clock>,
}

/// What a session of work said of itself when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The program and its version.
    pub program: String,
    /// The machine and the process.
    pub worker: Option<String>,
    /// The study file.
    pub file: Option<String>,
    /// The fingerprint of the data.
    pub data: Option<String>,
    /// The class of machines that computes the same bits, where that matters: processor and kind of device.
    pub class: Option<String>,
}

impl History {
    /// The empty history of a study in free order: whatever comes first counts first.
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            revision: 0,
            trials: Vec::new(),
            requested: 0,
            open: BTreeSet::new(),
            ended: Vec::new(),
            winners: Vec::new(),
            failures: 0,
            session: None,
            sessions: BTreeMap::new(),
            classes: BTreeSet::new(),
            limit: None,
            attributes: Attributes::default(),
            criteria: Criteria::default(),
            steps: None,
            clock: None,
        }
    }

    /// The same, of trials with so many reports each.
    #[must_use]
    pub fn with_steps(self, steps: Option<u64>) -> Self {
        Self { steps, ..self }
    }

    /// The same, of a study with further objectives and constraints.
    #[must_use]
    pub fn with_criteria(self, criteria: Criteria) -> Self {
        Self { criteria, ..self }
    }

    /// The empty history of a study.
    pub fn of(definition: &StudyDefinition) -> Self {
        let clock = definition.slots.map(Clock::new);
        let history = Self::new(definition.direction).with_criteria(definition.criteria.clone());
        Self { steps: definition.steps, clock, ..history }
    }

    /// The history of these events, from the first.
    pub fn replay(direction: Direction, events: &[Recorded]) -> Result<Self, HistoryError> {
        let mut history = Self::new(direction);
        for recorded in events {
            history.apply(recorded)?;
        }
        Ok(history)
    }

    /// Whether it has a logical clock.
    pub fn is_ordered(&self) -> bool {
        self.clock.is_some()
    }

    /// What is next by the logical clock; nothing without one.
    pub fn due(&self) -> Due {
        let Some(clock) = &self.clock else { return Due::Nothing };
        clock.due(|trial| match self.trial(trial).map(|trial| &trial.ahead) {
            Some(ahead) if !ahead.reports.is_empty() => Said::Report,
            Some(Ahead { end: Some(_), .. }) => Said::End,
            _ => Said::Nothing,
        })
    }

    /// The last moment that counted by the logical clock.
    pub fn last_moment(&self) -> Option<Moment> {
        self.clock.as_ref()?.last()
    }

    /// The trials that have something to run: what a person asked for, then the earliest by the logical clock.
    pub fn runnable(&self) -> Vec<TrialId> {
        let requested = self.open().filter(|trial| trial.is_requested());
        let mut running: Vec<TrialId> = requested.map(|trial| trial.id).collect();
        running.extend(self.clock.as_ref().map(Clock::running).unwrap_or_default());
        running.retain(|trial| self.trial(*trial).is_some_and(Trial::is_runnable));
        running
    }

    /// The revision of the last event.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The direction of the study.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// What counts beside the first objective.
    pub fn criteria(&self) -> &Criteria {
        &self.criteria
    }

    /// The last session of work, if there was one.
    pub fn session(&self) -> Option<&SessionRecord> {
        self.session.as_ref()
    }

    /// Sessions that have begun and not said that they ended, each with the trials that it has taken in hand. Who comes
    /// later begins with as many as the busiest has.
    pub fn sessions(&self) -> &BTreeMap<SessionId, u64> {
        &self.sessions
    }

    /// The classes of machines that have worked on the study. Of several, its figures may differ in their last bits.
    pub fn classes(&self) -> &BTreeSet<String> {
        &self.classes
    }

    /// What another program keeps of the study, where it was imported.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// All trials, by number.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// How many configurations the search has tried: trials but for those that a person asked for.
    pub fn configurations(&self) -> u64 {
        (self.trials.len() - self.requested) as u64
    }

    /// The trial of this number.
    pub fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.trials.get(id.0 as usize)
    }

    /// The trials that have not ended, by number.
    pub fn open(&self) -> impl Iterator<Item = &Trial> {
        self.open.iter().filter_map(|id| self.trial(*id))
    }

    /// The trials that have ended, in the order in which that counted.
    pub fn ended(&self) -> &[TrialId] {
        &self.ended
    }

    /// Trials that failed one after the other, by an error or a panic, up to the last that ended; since the last
    /// session began.
    pub fn failures(&self) -> usize {
        self.failures
    }

    /// Trials that may begin in all, as the last session said.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// What an algorithm sees.
    pub fn view(&self) -> View<'_> {
        View {
            trials: &self.trials,
            requested: self.requested,
            criteria: &self.criteria,
            steps: self.steps,
            limit: self.limit,
            limited: self.limit.is_some(),
            closed: false,
        }
    }
}

#[cfg(test)]
mod tests;
