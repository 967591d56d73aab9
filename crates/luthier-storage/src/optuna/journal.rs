//! Reading Optuna's journals: a line of JSON for each operation, in the order in which they were done.
//!
//! Nothing in a journal says its own number. Studies and trials are counted as they are created, so a line that is
//! missing would give every later one to another trial: only the last line may be damaged.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use indexmap::IndexMap;
use luthier_core::{Attributes, Direction, Distribution, StorageError, Value};
use serde_json::Value as Json;

use super::distribution::Range;
use super::{Frozen, FrozenTrial, Source, State, choose, direction, json, time, wrong};

/// A study as far as the journal has come.
struct Open {
    name: String,
    directions: Vec<Option<Direction>>,
    attributes: Attributes,
    /// Places of its trials in the list of all.
    trials: Vec<usize>,
}

/// All studies of a journal, deleted ones as nothing, and all trials.
#[derive(Default)]
struct Replay {
    studies: Vec<Option<Open>>,
    trials: Vec<(usize, FrozenTrial)>,
    /// Whether a time had no zone.
    has_naive_times: bool,
}

/// Reads the study of this name, or the only one, from the journal at `path`.
pub(super) fn read(path: &Path, wanted: Option<&str>) -> Result<Source, StorageError> {
    let unreadable = |error| wrong(path, "", format!("the file cannot be read ({error})"));
    let mut lines = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut replay = Replay::default();
    let mut notices = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        match json::parse(&text) {
            Ok(operation) => {
                replay.apply(&operation).map_err(|what| wrong(path, &format!("line {number}"), what))?;
            }
            Err(_) if lines.fill_buf().map_err(unreadable)?.is_empty() => {
                notices.push(format!(
                    "the last line of the journal (line {number}) is cut off and was left out, as if it had not been \
                     written"
                ));
                break;
            }
            Err(what) => {
                let what = format!(
                    "{what}; a line was cut off here, and without it the later ones cannot be told apart: remove the \
                     damaged part of the line by hand, if what follows in it is whole"
                );
                return Err(wrong(path, &format!("line {number}"), what));
            }
        }
    }
    if replay.has_naive_times {
        notices.push("times in the journal have no zone; they are taken as UTC".to_owned());
    }
    let mut studies: Vec<Open> = replay.studies.into_iter().flatten().collect();
    let names: Vec<&str> = studies.iter().map(|study| study.name.as_str()).collect();
    let chosen = choose(path, &names, wanted)?;
    let Open { name, directions, attributes, trials: places } = studies.swap_remove(chosen);
    let (direction, further) = direction(path, &name, &directions)?;
    let mut all: Vec<Option<FrozenTrial>> = replay.trials.into_iter().map(|(_, trial)| Some(trial)).collect();
    let trials = places.into_iter().filter_map(|place| all[place].take()).collect();
    Ok(Source {
        study: Frozen { name, direction, further, attributes, trials },
        from: "optuna".to_owned(),
        notices,
    })
}

fn expected(what: &str, key: &str, found: &Json) -> String {
    format!("expected {what} as `{key}`, found {found}")
}

fn index(operation: &Json, key: &str) -> Result<usize, String> {
    let found = &operation[key];
    found.as_u64().map(|index| index as usize).ok_or_else(|| expected("a number", key, found))
}

fn text<'a>(operation: &'a Json, key: &str) -> Result<&'a str, String> {
    operation[key].as_str().ok_or_else(|| expected("text", key, &operation[key]))
}

impl Replay {
    fn apply(&mut self, operation: &Json) -> Result<(), String> {
        match operation["op_code"].as_u64() {
            Some(0) => self.create_study(operation),
            Some(1) => {
                if let Some(study) = self.studies.get_mut(index(operation, "study_id")?) {
                    *study = None;
                }
                Ok(())
            }
            Some(code @ (2 | 3)) => {
                let Some(study) = self.study(operation)? else { return Ok(()) };
                put(&mut study.attributes, code == 2, operation)
            }
            Some(4) => self.create_trial(operation),
            Some(5) => self.set_param(operation),
            Some(6) => self.set_state(operation),
            Some(7) => {
                let Some(trial) = self.trial(operation)? else { return Ok(()) };
                let step = operation["step"].as_u64();
                let step =
                    step.ok_or_else(|| expected("a step of at least 0", "step", &operation["step"]))?;
                let value = &operation["intermediate_value"];
                let value =
                    json::float(value).ok_or_else(|| expected("a number", "intermediate_value", value))?;
                trial.reports.insert(step, value);
                Ok(())
            }
            Some(code @ (8 | 9)) => {
                let Some(trial) = self.trial(operation)? else { return Ok(()) };
                put(&mut trial.attributes, code == 8, operation)
            }
            // Another program's mark that trials are dropped; Optuna passes over it.
            Some(10) => Ok(()),
            _ => Err(expected("an operation of Optuna's, 0 to 10,", "op_code", &operation["op_code"])),
        }
    }

    fn study(&mut self, operation: &Json) -> Result<Option<&mut Open>, String> {
        Ok(self.studies.get_mut(index(operation, "study_id")?).and_then(Option::as_mut))
    }

    /// The trial that an operation changes; nothing if it has ended, which nobody changes.
    fn trial(&mut self, operation: &Json) -> Result<Option<&mut FrozenTrial>, String> {
        let trial = self.trials.get_mut(index(operation, "trial_id")?).map(|(_, trial)| trial);
        Ok(trial.filter(|trial| !trial.state.is_finished()))
    }

    fn create_study(&mut self, operation: &Json) -> Result<(), String> {
        let name = text(operation, "study_name")?.to_owned();
        // The second of two that create a study at once is refused.
        if self.studies.iter().flatten().any(|study| study.name == name) {
            return Ok(());
        }
        let found = &operation["directions"];
        let list = found.as_array().ok_or_else(|| expected("a list", "directions", found))?;
        let directions = list.iter().map(|direction| match direction.as_u64() {
            Some(1) => Some(Direction::Minimize),
            Some(2) => Some(Direction::Maximize),
            _ => None,
        });
        let directions = directions.collect();
        self.studies.push(Some(Open {
            name,
            directions,
            attributes: Attributes::default(),
            trials: Vec::new(),
        }));
        Ok(())
    }

    fn create_trial(&mut self, operation: &Json) -> Result<(), String> {
        let place = self.trials.len();
        let Some(study) = self.study(operation)? else { return Ok(()) };
        let number = study.trials.len() as i64;
        study.trials.push(place);
        let state = if operation["state"].is_null() { State::Running } else { state(operation)? };
        let mut trial = FrozenTrial::new(number, state);
        if let Some(params) = operation["params"].as_object() {
            for (name, kept) in params {
                let range = text(&operation["distributions"], name)?;
                let param = param(name, range, kept)?;
                trial.params.insert(name.clone(), param);
            }
        }
        for (key, attributes) in
            [("user_attrs", &mut trial.attributes.user), ("system_attrs", &mut trial.attributes.system)]
        {
            extend(attributes, &operation[key]);
        }
        if let Some(reports) = operation["intermediate_values"].as_object() {
            for (step, value) in reports {
                let wrong = || {
                    expected("a step and a number", "intermediate_values", &operation["intermediate_values"])
                };
                let step: u64 = step.parse().map_err(|_| wrong())?;
                trial.reports.insert(step, json::float(value).ok_or_else(wrong)?);
            }
        }
        (trial.value, trial.further) = values(operation)?;
        trial.started_us = self.time(operation, "datetime_start")?;
        trial.ended_us = self.time(operation, "datetime_complete")?;
        self.trials.push((index(operation, "study_id")?, trial));
        Ok(())
    }

    fn set_param(&mut self, operation: &Json) -> Result<(), String> {
        let name = text(operation, "param_name")?;
        let kept = &operation["param_value_internal"];
        let (range, value) = param(name, text(operation, "distribution")?, kept)?;
        let place = index(operation, "trial_id")?;
        let study = self.trials.get(place).map(|(study, _)| *study);
        // A range that does not go with the first one of that name was refused to who asked for it.
        let first =
            self.trials.iter().filter(|(of, _)| Some(*of) == study).find_map(|(_, t)| t.params.get(name));
        if first.is_some_and(|(first, _)| !go_together(first, &range)) {
            return Ok(());
        }
        if let Some(trial) = self.trial(operation)? {
            trial.params.insert(name.to_owned(), (range, value));
        }
        Ok(())
    }

    fn set_state(&mut self, operation: &Json) -> Result<(), String> {
        let state = state(operation)?;
        let (value, further) = values(operation)?;
        let started = self.time(operation, "datetime_start")?;
        let ended = self.time(operation, "datetime_complete")?;
        let Some(trial) = self.trial(operation)? else { return Ok(()) };
        // The second of two that take a waiting trial is refused.
        if state == State::Running && trial.state == State::Running {
            return Ok(());
        }
        trial.state = state;
        trial.started_us = started.filter(|_| state == State::Running).or(trial.started_us);
        trial.ended_us = ended.filter(|_| state.is_finished()).or(trial.ended_us);
        if value.is_some() {
            (trial.value, trial.further) = (value, further);
        }
        Ok(())
    }

    fn time(&mut self, operation: &Json, key: &str) -> Result<Option<i64>, String> {
        if operation[key].is_null() {
            return Ok(None);
        }
        let text = text(operation, key)?;
        let has_zone = text.ends_with('Z') || text.get(19..).is_some_and(|end| end.contains(['+', '-']));
        self.has_naive_times |= !has_zone;
        time::read(text).map(Some)
    }
}

fn state(operation: &Json) -> Result<State, String> {
    let found = &operation["state"];
    let state = found.as_u64().and_then(|state| State::NAMES.get(state as usize));
    state.map(|(_, state)| *state).ok_or_else(|| expected("a state, 0 to 4,", "state", found))
}

/// The value of the first objective of a trial, if it has one, and those of the others.
fn values(operation: &Json) -> Result<(Option<f64>, Vec<f64>), String> {
    let several = &operation["values"];
    let one = [operation["value"].clone()];
    let found = several.as_array().map_or(&one[..], Vec::as_slice);
    let (first, further) = found.split_first().ok_or_else(|| expected("numbers", "values", several))?;
    if first.is_null() {
        return Ok((None, Vec::new()));
    }
    let number = |found: &Json| json::float(found).ok_or_else(|| expected("numbers", "values", several));
    Ok((Some(number(first)?), further.iter().map(number).collect::<Result<_, _>>()?))
}

fn param(name: &str, range: &str, kept: &Json) -> Result<(Distribution, Value), String> {
    let in_param = |what| format!("parameter `{name}`: {what}");
    let range = Range::read(range).map_err(in_param)?;
    let kept = json::float(kept).ok_or_else(|| in_param(format!("expected a number, found {kept}")))?;
    let value = range.value(kept).map_err(in_param)?;
    Ok((range.distribution, value))
}

/// Whether Optuna lets one parameter have both ranges.
fn go_together(first: &Distribution, next: &Distribution) -> bool {
    match (first, next) {
        (Distribution::Float { log: a, .. }, Distribution::Float { log: b, .. })
        | (Distribution::Int { log: a, .. }, Distribution::Int { log: b, .. }) => a == b,
        (Distribution::Choice { .. }, Distribution::Choice { .. }) => first == next,
        _ => false,
    }
}

fn put(attributes: &mut Attributes, of_user: bool, operation: &Json) -> Result<(), String> {
    let (key, kind) =
        if of_user { ("user_attr", &mut attributes.user) } else { ("system_attr", &mut attributes.system) };
    if !operation[key].is_object() {
        return Err(expected("a name and a value", key, &operation[key]));
    }
    extend(kind, &operation[key]);
    Ok(())
}

fn extend(attributes: &mut IndexMap<String, String>, found: &Json) {
    if let Some(found) = found.as_object() {
        attributes.extend(found.iter().map(|(key, value)| (key.clone(), value.to_string())));
    }
}
