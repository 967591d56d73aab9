//! From a study in Optuna's terms to events.

use std::path::Path;

use indexmap::IndexMap;
use luthier_core::{
    Constraint, Criteria, Direction, Ending, Event, FailCause, Goal, Metrics, Outcome, Params, Report, Stop,
    StopReason, Storage, StorageError, Study, StudyDefinition, TrialId, trial_seed,
};
use serde::de::DeserializeOwned;

use super::{CONSTRAINTS, Frozen, FrozenTrial, Kind, METRIC_NAMES, Source, State, database, journal, own};

/// A study of Optuna's that can be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// What the study is; in free order, since it was made without a logical clock.
    pub definition: StudyDefinition,
    /// What happened in it.
    pub events: Vec<Event>,
    /// What a person should know: what was left out or could not be kept as it is.
    pub notices: Vec<String>,
}

/// Reads a study of Optuna's from an SQLite database or a journal; which of the two, its first bytes say. `study` names
/// it where there are several.
///
/// Trials keep their numbers and their parameters with the ranges that they were drawn from, so that a study in free order
/// goes on with them. Trials that wait for a worker are left out.
///
/// # Errors
///
/// [`StorageError`] with file and row or line: where the file is not Optuna's or damaged, its tables are too old or
/// too new, or no study or no single one is meant.
pub fn import(path: &Path, study: Option<&str>) -> Result<Imported, StorageError> {
    let Source { study, from, mut notices } = match Kind::of(path)? {
        Kind::Database => database::read(path, study)?,
        Kind::Journal => journal::read(path, study)?,
    };
    let Frozen { name, direction, further, mut attributes, mut trials } = study;
    let user = &mut attributes.user;
    let seed = taken(user, own::SEED).unwrap_or(0);
    let names = objectives(&attributes.system);
    // What was known here holds as long as it is what Optuna says.
    let known: Option<Criteria> = taken(&mut attributes.user, own::CRITERIA);
    let known =
        known.filter(|known| known.objectives.iter().map(|goal| goal.direction).eq(further.iter().copied()));
    let criteria = known.map_or_else(|| criteria(&names, &further, &trials), Ok)?;
    let definition = StudyDefinition {
        name,
        objective: names.into_iter().next().unwrap_or_else(|| "value".to_owned()),
        direction,
        criteria: criteria.clone(),
        seed,
        slots: None,
        steps: taken(&mut attributes.user, own::STEPS),
        file: None,
        data: None,
        program: taken(&mut attributes.user, own::PROGRAM).unwrap_or_else(|| from.clone()),
    };
    let mut events = vec![Event::StudyImported { from, attributes }];

    trials.sort_by_key(|trial| trial.number);
    let all = trials.len();
    trials.retain(|trial| trial.state != State::Waiting);
    let mut note = |count: usize, what: &str, then: &str| {
        if count > 0 {
            notices.push(format!("{what}: {count}; {then}"));
        }
    };
    let count = |is: fn(&FrozenTrial) -> bool| trials.iter().filter(|trial| is(trial)).count();
    note(
        all - trials.len(),
        "waiting trials",
        "they are left out, since what has not begun is no trial here",
    );
    let renumbered = trials.iter().zip(0..).filter(|(trial, number)| trial.number != *number).count();
    note(renumbered, "trials with another number here", "numbers have no gaps and come once");
    note(
        count(|trial| trial.state == State::Running),
        "running trials",
        "they are unfinished here: `luthier tune` runs them again with their parameters, the library leaves them",
    );
    note(
        count(|trial| {
            let finite = trial.value.is_some_and(f64::is_finite)
                && trial.further.iter().all(|value| value.is_finite());
            trial.state == State::Complete && !finite
        }),
        "complete trials without a finite value",
        "they count as failed, since values are finite here",
    );
    for (trial, number) in trials.into_iter().zip(0..) {
        trial_events(trial, TrialId(number), seed, &criteria, &mut events);
    }
    Ok(Imported { definition, events, notices })
}

impl Imported {
    /// Keeps it in `storage` as a new study: all of it or nothing.
    ///
    /// # Errors
    ///
    /// Those of the storage; [`StorageError::NameTaken`] if there is a study of that name.
    pub fn store(&self, storage: &dyn Storage) -> Result<Study, StorageError> {
        let study = storage.create_study(&self.definition)?;
        if let Err(error) = storage.append(study.id, 0, &self.events) {
            storage.delete_study(study.id)?;
            return Err(error);
        }
        Ok(study)
    }
}

/// Takes an attribute of Luthier's out, if it is there and is what Luthier writes.
fn taken<T: DeserializeOwned>(attributes: &mut IndexMap<String, String>, name: &str) -> Option<T> {
    let value = serde_json::from_str(attributes.get(name)?).ok()?;
    attributes.shift_remove(name);
    Some(value)
}

fn objectives(system: &IndexMap<String, String>) -> Vec<String> {
    system.get(METRIC_NAMES).and_then(|names| serde_json::from_str(names).ok()).unwrap_or_default()
}

/// What Optuna calls no name of.
fn constraint_name(number: usize) -> String {
    format!("constraint{number}")
}

/// The numbers of a trial that Optuna wants to be at most 0.
fn constraints(trial: &FrozenTrial) -> Vec<f64> {
    let list = trial.attributes.system.get(CONSTRAINTS);
    list.and_then(|list| serde_json::from_str(&luthier_core::number::quoted(list)).ok()).unwrap_or_default()
}

/// Further objectives by Optuna's names, or numbers; and as many constraints as any trial has.
fn criteria(
    names: &[String],
    further: &[Direction],
    trials: &[FrozenTrial],
) -> Result<Criteria, StorageError> {
    let name = |number: usize| names.get(number).cloned().unwrap_or_else(|| format!("value{number}"));
    let goal = |(number, direction): (usize, &Direction)| Goal { name: name(number), direction: *direction };
    let count = trials.iter().map(|trial| constraints(trial).len()).max().unwrap_or(0);
    let limit = |number| {
        Constraint::parse(&format!("{} <= 0", constraint_name(number))).map_err(|error| {
            StorageError::Backend {
                what: "cannot keep a constraint".to_owned(),
                place: constraint_name(number),
                source: Box::new(error),
            }
        })
    };
    Ok(Criteria {
        objectives: (1..).zip(further).map(goal).collect(),
        constraints: (0..count).map(limit).collect::<Result<_, _>>()?,
    })
}

/// What happened in a trial.
fn trial_events(
    frozen: FrozenTrial,
    trial: TrialId,
    study_seed: u64,
    criteria: &Criteria,
    events: &mut Vec<Event>,
) {
    let constraints = constraints(&frozen);
    let FrozenTrial {
        state, value, further, params, mut reports, mut attributes, started_us, ended_us, ..
    } = frozen;
    let user = &mut attributes.user;
    let seed = taken(user, own::SEED).unwrap_or_else(|| trial_seed(study_seed, trial.0));
    let mut metrics: IndexMap<u64, Metrics> = taken(user, own::METRICS).unwrap_or_default();
    let tested: Option<Metrics> = taken(user, own::TEST);
    let paused: Option<Stop> = taken(user, own::PAUSED);
    // What was known here holds as long as it is what Optuna says.
    let known: Option<Outcome> = taken(user, own::OUTCOME).filter(|outcome| agrees(outcome, state, value));
    if known.is_some() || paused.is_some() {
        user.shift_remove(own::CAUSE);
    }
    let finite = value.filter(|value| value.is_finite() && further.iter().all(|value| value.is_finite()));
    let mut named = criteria.constraints.iter().enumerate();
    if !named.all(|(number, constraint)| constraint.names().contains(constraint_name(number).as_str())) {
        // It was written by an export of this study, whose metrics say the same.
        attributes.system.shift_remove(CONSTRAINTS);
    }
    let mut step = None;
    if let (Some(value), None) = (finite, &known)
        && !criteria.is_empty()
        && state == State::Complete
    {
        // What counts beside the first objective is measured at a step, here the one behind all others.
        let last = reports.keys().next_back().map_or(1, |last| last + 1);
        let goals = criteria.objectives.iter().map(|goal| goal.name.clone()).zip(further.iter().copied());
        let numbers = constraints.iter().enumerate().map(|(number, value)| (constraint_name(number), *value));
        metrics.insert(last, goals.chain(numbers).collect());
        reports.insert(last, value);
        step = Some(last);
    }
    let outcome = match (state, finite) {
        (State::Running | State::Waiting, _) => None,
        _ if known.is_some() => known,
        (State::Complete, Some(value)) => Some(Outcome::Complete { value, step, ending: Ending::Full }),
        (State::Complete, None) => Some(Outcome::Failed { cause: FailCause::NotFinite }),
        (State::Pruned, value) => Some(Outcome::Stopped { reason: StopReason::Requested, value }),
        (State::Fail, _) => {
            let message = failure(&attributes.system).unwrap_or_else(|| "failed in Optuna".to_owned());
            Some(Outcome::Failed { cause: FailCause::Error { message } })
        }
    };

    events.push(Event::TrialStarted {
        trial,
        params: Params::new(),
        seed,
        until: None,
        at: None,
        from: None,
    });
    events.push(Event::TrialImported { trial, started_us, attributes });
    for (name, (distribution, value)) in params {
        events.push(Event::ParamSuggested { trial, name, distribution, value, prior: None });
    }
    for (step, value) in reports {
        let metrics = metrics.swap_remove(&step).unwrap_or_default();
        events.push(Event::Reported { trial, report: Report { step, value, metrics } });
    }
    match outcome {
        Some(outcome) => {
            let us = started_us.zip(ended_us).map_or(0, |(started, ended)| (ended - started).max(0));
            events.push(Event::TrialFinished { trial, outcome, seconds: us as f64 / 1e6 });
        }
        None => events.extend(paused.map(|cause| Event::TrialPaused { trial, cause })),
    }
    events.extend(tested.map(|metrics| Event::Tested { trial, metrics }));
}

/// Why a trial failed, where Optuna has kept it.
fn failure(system: &IndexMap<String, String>) -> Option<String> {
    ["fail_reason", "STUDY_TELL_WARNING"].iter().find_map(|key| serde_json::from_str(system.get(*key)?).ok())
}

/// Whether an outcome is what Optuna's columns say.
fn agrees(outcome: &Outcome, state: State, value: Option<f64>) -> bool {
    match outcome {
        Outcome::Complete { value: known, .. } => state == State::Complete && value == Some(*known),
        Outcome::Stopped { .. } => state == State::Pruned,
        Outcome::Infeasible { .. } | Outcome::Failed { .. } => state == State::Fail,
    }
}
