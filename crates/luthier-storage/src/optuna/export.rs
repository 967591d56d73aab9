//! From a history to a study in Optuna's terms.

use std::path::Path;

use indexmap::{IndexMap, IndexSet};
use luthier_core::{Distribution, History, Metrics, Outcome, Space, StorageError, Study, Trial, Value};
use serde::Serialize;

use super::{CONSTRAINTS, Frozen, FrozenTrial, METRIC_NAMES, State, own, write};

/// Writes a study as an SQLite database that Optuna 5 opens. If there is a database of Optuna's at `path` already, the study
/// is added to it, unless there is one of its name; any other file is left alone. `space` has the ranges of parameters
/// that were proposed as a whole. Gives what a person should know.
///
/// # Errors
///
/// [`StorageError`] where `path` cannot be written, or holds something else; nothing is changed then.
pub fn export(
    path: &Path,
    study: &Study,
    history: &History,
    space: Option<&Space>,
) -> Result<Vec<String>, StorageError> {
    let definition = &study.definition;
    let mut ranges = Ranges::new(history, space);
    let criteria = &definition.criteria;
    let trials = history.trials().iter().map(|trial| freeze(history, trial, &mut ranges)).collect();
    let mut attributes = history.attributes().clone();
    let user = &mut attributes.user;
    set(user, own::PROGRAM, &definition.program);
    set(user, own::SEED, &definition.seed);
    if let Some(steps) = definition.steps {
        set(user, own::STEPS, &steps);
    }
    let session = history.session().and_then(|session| session.file.as_ref());
    if let Some(file) = session.or(definition.file.as_ref()) {
        set(user, own::FILE, file);
    }
    if !criteria.is_empty() {
        set(user, own::CRITERIA, criteria);
    }
    if definition.objective != "value" {
        let names = criteria.objectives.iter().map(|goal| &goal.name);
        let names: Vec<&String> = std::iter::once(&definition.objective).chain(names).collect();
        set(&mut attributes.system, METRIC_NAMES, &names);
    }
    let frozen = Frozen {
        name: definition.name.clone(),
        direction: definition.direction,
        further: criteria.objectives.iter().map(|goal| goal.direction).collect(),
        attributes,
        trials,
    };
    write::write(path, &frozen)?;
    let notices = ranges.guessed.iter().map(|name| {
        format!(
            "the range of `{name}` is not known for all its values, so they got the range that the study has used of it"
        )
    });
    Ok(notices.collect())
}

fn set<T: Serialize + ?Sized>(attributes: &mut IndexMap<String, String>, name: &str, value: &T) {
    // Text, numbers and metrics always have a JSON form.
    if let Ok(json) = serde_json::to_string(value) {
        attributes.insert(name.to_owned(), json);
    }
}

fn freeze<'a>(history: &History, trial: &'a Trial, ranges: &mut Ranges<'a>) -> FrozenTrial {
    let state = match &trial.outcome {
        None => State::Running,
        Some(Outcome::Complete { .. }) => State::Complete,
        Some(Outcome::Stopped { .. }) => State::Pruned,
        Some(Outcome::Infeasible { .. } | Outcome::Failed { .. }) => State::Fail,
    };
    let mut attributes = trial.imported.as_deref().cloned().unwrap_or_default();
    let user = &mut attributes.user;
    set(user, own::SEED, &trial.seed);
    if let Some(from) = &trial.from {
        set(user, own::FROM, from);
    }
    if let Some(note) = trial.note() {
        set(user, own::CAUSE, &note);
    }
    if let Some(outcome) = &trial.outcome {
        set(user, own::OUTCOME, outcome);
    }
    if let Some(cause) = trial.paused {
        set(user, own::PAUSED, &cause);
    }
    let metrics: IndexMap<String, &Metrics> = trial
        .reports
        .iter()
        .filter(|report| !report.metrics.is_empty())
        .map(|report| (report.step.to_string(), &report.metrics))
        .collect();
    if !metrics.is_empty() {
        set(user, own::METRICS, &metrics);
    }
    if let Some(tested) = &trial.tested {
        set(user, own::TEST, tested);
    }
    let value = match &trial.outcome {
        Some(Outcome::Complete { value, .. }) => Some(*value),
        Some(Outcome::Stopped { value, .. }) => value.or(trial.best_report().map(|report| report.value)),
        _ => None,
    };
    if !trial.violations.is_empty()
        && state == State::Complete
        && !attributes.system.contains_key(CONSTRAINTS)
    {
        // Numbers that JSON has: what is not known is missed by the largest.
        let violations: Vec<f64> = trial.violations.iter().map(|violation| violation.min(f64::MAX)).collect();
        set(&mut attributes.system, CONSTRAINTS, &violations);
    }
    let further = history.values(trial).map_or_else(Vec::new, |values| values[1..].to_vec());
    let params = trial
        .params
        .iter()
        .map(|(name, value)| (name.clone(), (ranges.of(trial, name, value), value.clone())));
    FrozenTrial {
        number: trial.id.0 as i64,
        state,
        value,
        further,
        params: params.collect(),
        reports: trial.reports.iter().map(|report| (report.step, report.value)).collect(),
        attributes,
        started_us: trial.started_us,
        // Optuna knows how long a trial took by its two times.
        ended_us: trial
            .started_us
            .zip(trial.seconds)
            .map(|(us, seconds)| us + (seconds * 1e6).round() as i64),
    }
}

/// Where the ranges of parameters are known from.
struct Ranges<'a> {
    history: &'a History,
    space: Option<&'a Space>,
    /// Of parameters that are choices, all options of the study: for Optuna a choice never changes.
    options: IndexMap<&'a str, Vec<Value>>,
    /// Parameters with values in no known range.
    guessed: IndexSet<String>,
}

impl<'a> Ranges<'a> {
    fn new(history: &'a History, space: Option<&'a Space>) -> Self {
        let mut ranges = Self { history, space, options: IndexMap::new(), guessed: IndexSet::new() };
        for trial in history.trials() {
            for (name, value) in &trial.params {
                let Some(Distribution::Choice { options }) = ranges.known(trial, name) else { continue };
                let all = ranges.options.entry(name).or_default();
                for option in options.iter().chain([value]) {
                    if !all.contains(option) {
                        all.push(option.clone());
                    }
                }
            }
        }
        ranges
    }

    fn known(&self, trial: &'a Trial, name: &str) -> Option<&'a Distribution> {
        let suggested = trial.suggested.get(name);
        suggested.or_else(|| self.space?.get(name).map(|parameter| &parameter.distribution))
    }

    /// The range of a parameter of a trial.
    fn of(&mut self, trial: &'a Trial, name: &str, value: &Value) -> Distribution {
        match self.known(trial, name) {
            Some(Distribution::Choice { .. }) => {
                Distribution::Choice { options: self.options.get(name).cloned().unwrap_or_default() }
            }
            Some(known) if trial.suggested.contains_key(name) || known.contains(value) => known.clone(),
            _ => {
                self.guessed.insert(name.to_owned());
                self.used(name)
            }
        }
    }

    /// The range that a study has used of a parameter.
    fn used(&self, name: &str) -> Distribution {
        let values: Vec<&Value> =
            self.history.trials().iter().filter_map(|trial| trial.params.get(name)).collect();
        let whole: Option<Vec<i64>> = values.iter().map(|value| value.as_i64()).collect();
        let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
        let mut options: Vec<Value> = Vec::new();
        match (whole, numbers) {
            (Some(whole), _) => {
                let (low, high) = whole.iter().fold((i64::MAX, i64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
                Distribution::int(low, high)
            }
            (None, Some(numbers)) => {
                let ends = (f64::INFINITY, f64::NEG_INFINITY);
                let (low, high) = numbers.iter().fold(ends, |(a, b), x| (a.min(*x), b.max(*x)));
                Distribution::float(low, high)
            }
            (None, None) => {
                for value in values {
                    if !options.contains(value) {
                        options.push(value.clone());
                    }
                }
                Distribution::Choice { options }
            }
        }
    }
}
