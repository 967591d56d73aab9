//! A study as JSON.

use indexmap::IndexMap;
use luthier_core::{
    Criteria, Direction, History, Lineage, Metrics, Params, Report, Study, Trial, TrialId, number,
};
use serde::Serialize;
use serde_json::Value;

use super::iso;

#[derive(Serialize)]
struct Written<'a> {
    study: &'a str,
    objective: &'a str,
    direction: Direction,
    #[serde(skip_serializing_if = "Criteria::is_empty")]
    criteria: &'a Criteria,
    seed: u64,
    trials: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    number: TrialId,
    state: &'static str,
    value: Option<f64>,
    /// All objectives, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feasible: Option<bool>,
    step: Option<u64>,
    started: Option<String>,
    seconds: Option<f64>,
    cause: Option<String>,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a Lineage>,
    params: &'a Params,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<&'a Metrics>,
    reports: &'a [Report],
    /// What users of another program wrote, where the trial was imported.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    attributes: IndexMap<&'a str, Value>,
}

/// A study with its trials and their reports as JSON text. NaN and the infinities are the texts `nan`, `inf` and `-inf`.
///
/// # Errors
///
/// None are known: all that a history holds has a form in JSON.
pub fn json(study: &Study, history: &History) -> Result<String, serde_json::Error> {
    let definition = &study.definition;
    let written = Written {
        study: &definition.name,
        objective: &definition.objective,
        direction: definition.direction,
        criteria: &definition.criteria,
        seed: definition.seed,
        trials: history.trials().iter().map(|trial| row(history, trial)).collect(),
    };
    serde_json::to_string_pretty(&written)
}

fn row<'a>(history: &History, trial: &'a Trial) -> Row<'a> {
    let criteria = history.criteria();
    let standing = trial.standing();
    Row {
        number: trial.id,
        state: trial.state(),
        value: standing.map(|(value, _)| value),
        values: history.values(trial).filter(|_| !criteria.objectives.is_empty()),
        feasible: (!criteria.constraints.is_empty() && trial.outcome.is_some()).then(|| trial.is_feasible()),
        step: standing.and_then(|(_, step)| step),
        started: trial.started_us.map(iso),
        seconds: trial.seconds,
        cause: trial.note(),
        seed: trial.seed,
        from: trial.from.as_ref(),
        params: &trial.params,
        test: trial.tested.as_ref(),
        reports: &trial.reports,
        attributes: trial
            .imported
            .iter()
            .flat_map(|attributes| &attributes.user)
            .map(|(name, text)| (name.as_str(), attribute(text)))
            .collect(),
    }
}

/// An attribute's text as JSON; what is none stays text.
fn attribute(text: &str) -> Value {
    serde_json::from_str(&number::quoted(text)).unwrap_or_else(|_| Value::from(text))
}
