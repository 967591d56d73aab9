//! Whether a study is what its file, its data and its events make of it: every proposal and every decision is made again,
//! and the winner is trained again.

use std::collections::BTreeMap;

use luthier_core::{
    Decision, Due, Evaluation, Event, History, HistoryError, Lineage, Metrics, Moment, Next, Objective,
    ObjectiveError, Origin, Outcome, Params, Purpose, Recorded, Search, SearchError, Space, Stop, StopReason,
    Streams, StudyDefinition, Trial, TrialHandle, TrialId, trial_seed,
};
use serde::Serialize;
use thiserror::Error;

use crate::origin::{Remade, checkpoint_at};

/// What was found to agree, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Trials whose parameters were proposed again.
    pub proposals: usize,
    /// Reports on which it was decided again.
    pub decisions: usize,
    /// Trials that a person asked for, of which there is nothing to propose again.
    pub requests: usize,
    /// What is otherwise than it should be, in words.
    pub differences: Vec<String>,
}

/// Why nothing can be said.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// An event that cannot follow those before it.
    #[error("event {revision} cannot follow those before it: {source}")]
    History {
        /// Its revision.
        revision: u64,
        /// Why.
        source: HistoryError,
    },
    /// The search.
    #[error("the search cannot go on: {0}")]
    Search(#[from] SearchError),
}

/// A study that is gone through again.
struct Walk<'a> {
    search: &'a dyn Search,
    space: &'a Space,
    seed: u64,
    history: History,
    /// Trials that may be begun in all.
    limit: Option<u64>,
    /// In free order: what a trial is to be stopped for by its last report.
    due: BTreeMap<TrialId, StopReason>,
    found: Verified,
}

/// Makes every proposal and decision of a study again.
///
/// # Errors
///
/// [`VerifyError`] where the events make no history, or the search fails.
pub fn verify(
    definition: &StudyDefinition,
    events: &[Recorded],
    search: &dyn Search,
    space: &Space,
) -> Result<Verified, VerifyError> {
    let mut walk = Walk {
        search,
        space,
        seed: definition.seed,
        history: History::of(definition),
        limit: None,
        due: BTreeMap::new(),
        found: Verified::default(),
    };
    for recorded in events {
        walk.before(&recorded.event)?;
        let revision = recorded.revision;
        walk.history.apply(recorded).map_err(|source| VerifyError::History { revision, source })?;
        walk.after(&recorded.event);
    }
    Ok(walk.found)
}

impl Walk<'_> {
    fn differs(&mut self, what: String) {
        self.found.differences.push(what);
    }

    /// What was to be decided before an event, and whether it is what the event says.
    fn before(&mut self, event: &Event) -> Result<(), VerifyError> {
        match event {
            Event::SessionStarted { trials, .. } => self.limit = *trials,
            Event::TrialStarted { trial, params, seed, until, at, from } => {
                let parent = from.as_ref().filter(|from| from.extends()).map(|from| from.origin.trial);
                let parent = parent.and_then(|parent| self.history.trial(parent));
                let due = parent.map_or_else(|| trial_seed(self.seed, trial.0), |parent| parent.seed);
                if from.as_ref().is_some_and(|from| from.request.is_some()) {
                    self.found.requests += 1;
                } else {
                    self.come_to(*at, true);
                    let from = from.as_ref().map(|from| from.origin);
                    self.compare(*trial, &Next::New { params: params.clone(), from, until: *until })?;
                }
                if *seed != due {
                    self.differs(format!("trial {trial} has another seed than the study gives it"));
                }
            }
            Event::TrialResumed { trial, until, at } => {
                self.come_to(*at, true);
                self.compare(*trial, &Next::Resume { trial: *trial, until: *until })?;
            }
            Event::TrialStopped { trial, outcome, at, .. } => {
                self.come_to(Some(*at), false);
                if self.history.due() == Due::Report(*at, *trial) {
                    self.history.count(*at, *trial);
                }
                let decided = self.decide(*trial);
                self.stopped(*trial, outcome, decided);
            }
            Event::TrialFinished { trial, outcome: outcome @ Outcome::Stopped { .. }, .. } => {
                let due = self.due.remove(trial);
                self.stopped(*trial, outcome, due);
            }
            _ => {}
        }
        Ok(())
    }

    /// In free order a decision follows each report.
    fn after(&mut self, event: &Event) {
        if let Event::Reported { trial, .. } = event
            && !self.history.is_ordered()
        {
            if let Some(reason) = self.due.remove(trial) {
                self.differs(format!("trial {trial} went on where it was to be stopped: {reason}"));
            }
            if let Some(reason) = self.decide(*trial) {
                self.due.insert(*trial, reason);
            }
        }
    }

    /// Lets all count that comes before a moment; no decision but to go on is expected.
    fn come_to(&mut self, end: Option<Moment>, including: bool) {
        let Some(end) = end else { return };
        while let Some(reported) = self.history.count_until(end, including) {
            if let Some(reason) = self.decide(reported) {
                self.differs(format!("trial {reported} went on where it was to be stopped: {reason}"));
            }
        }
    }

    /// Why the search stops a trial at its last report, if it does.
    fn decide(&mut self, id: TrialId) -> Option<StopReason> {
        if !self.search.decides() {
            return None;
        }
        let view = self.history.view();
        let trial = view.get_unfinished(id)?;
        let step = trial.losses().last().map_or(0, |last| last.0);
        self.found.decisions += 1;
        let mut rng = Streams::new(self.seed).of_decision(id, step);
        match self.search.decide(&view, &trial, &mut rng) {
            Decision::Continue => None,
            Decision::Stop(reason) => Some(reason),
        }
    }

    fn stopped(&mut self, trial: TrialId, outcome: &Outcome, decided: Option<StopReason>) {
        let best = self.history.trial(trial).and_then(Trial::best_report).map(|report| report.value);
        let expected = decided.map(|reason| Outcome::Stopped { reason, value: best });
        match expected {
            Some(expected) if expected == *outcome => {}
            Some(_) => {
                self.differs(format!("trial {trial} was stopped for another reason than the search gives"));
            }
            None => self.differs(format!("trial {trial} was stopped where it was to go on")),
        }
    }

    /// Asks the search what is next.
    fn compare(&mut self, trial: TrialId, expected: &Next) -> Result<(), VerifyError> {
        let number = self.history.trials().len() as u64;
        let full = self.limit.is_some_and(|limit| self.history.configurations() >= limit);
        let mut rng = Streams::new(self.seed).at(Purpose::Sampler, number);
        let view = self.history.view().closing(full);
        let found = self.search.next(&view, self.space, &mut rng)?;
        self.found.proposals += usize::from(matches!(expected, Next::New { .. }));
        if found != *expected {
            let what = match found {
                Next::New { params, from, .. } => format!("the search proposes {}", words(&params, from)),
                Next::Resume { trial, .. } => format!("the search lets trial {trial} go on"),
                Next::Wait | Next::Done => "the search has nothing".to_owned(),
            };
            let was = match expected {
                Next::New { params, from, .. } => format!("trial {trial} has {}", words(params, *from)),
                _ => format!("trial {trial} went on"),
            };
            self.differs(format!("{was} where {what}"));
        }
        Ok(())
    }
}

fn words(params: &Params, from: Option<Origin>) -> String {
    let params =
        params.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ");
    match from {
        Some(Origin { trial, step }) => format!("{params} from trial {trial} at step {step}"),
        None => params,
    }
}

/// Runs a complete trial again, with all that it goes on from, and says what is otherwise than it was: reports, value, and
/// the bytes of `model`.
/// Metrics that are measured with a clock (`timed`) are left out: what they say cannot be repeated. Where the
/// first objective, `name`, is one of them, neither values nor the step that counts are compared.
///
/// # Errors
///
/// Those of the objective.
pub fn repeat(
    objective: &dyn Objective,
    history: &History,
    trial: &Trial,
    model: Option<&[u8]>,
    timed: &[&str],
    name: &str,
) -> Result<Vec<String>, ObjectiveError> {
    let by_clock = timed.contains(&name);
    let inherited = match &trial.from {
        None => None,
        Some(from) => match checkpoint_at(objective, history, from.origin, &|_| Ok(None), &|| None)? {
            Remade::Checkpoint(bytes) => Some(bytes),
            Remade::Not(reason) => return Ok(vec![reason]),
            Remade::SetAside => return Err("it was interrupted".to_owned().into()),
        },
    };
    let mut again = Again { trial, inherited, timed, by_clock, reports: 0, differences: Vec::new() };
    let evaluation = objective.evaluate(&mut again)?;
    let Again { reports, mut differences, .. } = again;
    let id = trial.id;
    match (&evaluation, &trial.outcome) {
        (
            Evaluation::Complete { value, step, ending, model: found },
            Some(Outcome::Complete { value: expected, step: at, ending: end }),
        ) => {
            if by_clock {
                // Another epoch may count this time.
                return Ok(differences);
            }
            if value.to_bits() != expected.to_bits() || (step, ending) != (at, end) {
                differences.push(format!("trial {id} comes to {value}, and came to {expected}"));
            }
            if found.as_deref().zip(model).is_some_and(|(found, model)| found != model) {
                differences.push(format!("the model of trial {id} has other bytes"));
            }
        }
        _ => differences.push(format!("trial {id} comes to {evaluation:?}, and was complete")),
    }
    if reports != trial.reports.len() {
        differences.push(format!("trial {id} makes {reports} reports, and made {}", trial.reports.len()));
    }
    Ok(differences)
}

/// A trial that is run again, beside what it was.
struct Again<'a> {
    trial: &'a Trial,
    inherited: Option<Vec<u8>>,
    timed: &'a [&'a str],
    /// Whether the objective is one of them.
    by_clock: bool,
    reports: usize,
    differences: Vec<String>,
}

impl TrialHandle for Again<'_> {
    fn id(&self) -> TrialId {
        self.trial.id
    }

    fn params(&self) -> &Params {
        &self.trial.params
    }

    fn seed(&self) -> u64 {
        self.trial.seed
    }

    fn until(&self) -> Option<u64> {
        None
    }

    fn report(&mut self, step: u64, value: f64, mut metrics: Metrics) -> Result<Decision, ObjectiveError> {
        let Some(was) = self.trial.reports.get(self.reports) else { return Ok(Decision::Continue) };
        self.reports += 1;
        let mut expected = was.metrics.clone();
        for name in self.timed {
            metrics.remove(name);
            expected.remove(name);
        }
        let same_value = self.by_clock || was.value.to_bits() == value.to_bits();
        let same = was.step == step && same_value && expected == metrics;
        if !same && self.differences.is_empty() {
            let id = self.trial.id;
            self.differences.push(format!(
                "trial {id} reports {value} at step {step}, where it reported {} at step {}",
                was.value, was.step
            ));
        }
        Ok(Decision::Continue)
    }

    fn interrupted(&self) -> Option<Stop> {
        None
    }

    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError> {
        Ok(None)
    }

    fn lineage(&self) -> Option<&Lineage> {
        self.trial.from.as_ref()
    }

    fn inherited(&mut self) -> Result<Vec<u8>, ObjectiveError> {
        let missing = || format!("trial {} goes on from no other trial", self.trial.id);
        self.inherited.take().ok_or_else(|| missing().into())
    }

    fn wants_checkpoint(&self) -> bool {
        false
    }

    fn save_checkpoint(&mut self, _: Vec<u8>) -> Result<(), ObjectiveError> {
        Ok(())
    }
}
