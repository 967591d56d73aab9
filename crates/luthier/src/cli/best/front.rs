//! The Pareto front of a study with several objectives.

use luthier::search::pareto::chosen;
use luthier_core::{History, Metrics, Params, Study, TrialId};
use serde::Serialize;

use super::none;
use crate::cli::Failure;
use crate::cli::output::{number, print, print_json, table, table_text, value};

#[derive(Serialize)]
struct Front {
    study: String,
    trials: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    trial: TrialId,
    /// Whether it is the best compromise by the shape of the front.
    knee: bool,
    values: Metrics,
    seed: u64,
    params: Params,
}

/// Lists the trials of the front, and marks its knee.
pub(super) fn show(study: &Study, history: &History, json: bool) -> Result<(), Failure> {
    let definition = &study.definition;
    let knee = chosen(history).ok_or_else(|| none(&definition.name, history))?.id;
    let names: Vec<&str> = definition.objectives().collect();
    let trials = history.winners().iter().filter_map(|id| history.trial(*id)).map(|trial| Row {
        trial: trial.id,
        knee: trial.id == knee,
        values: names.iter().copied().zip(history.values(trial).unwrap_or_default()).collect(),
        seed: trial.seed,
        params: trial.params.clone(),
    });
    let mut front = Front { study: definition.name.clone(), trials: trials.collect() };
    if json {
        return print_json(&front);
    }
    // Along the first objective, the best first.
    let first = |row: &Row| definition.direction.loss(row.values.get(names[0]).unwrap_or(f64::NAN));
    front.trials.sort_by(|a, b| first(a).total_cmp(&first(b)));
    let columns = ["trial"].into_iter().chain(names.iter().copied()).chain(["parameters"]);
    let mut rows = table(columns);
    for row in &front.trials {
        let params: Vec<String> = row.params.iter().map(|(name, v)| format!("{name}={}", value(v))).collect();
        let mark = if row.knee { " (knee)" } else { "" };
        let mut cells = vec![format!("{}{mark}", row.trial)];
        cells.extend(row.values.iter().map(|(_, value)| number(value)));
        cells.push(params.join(" "));
        rows.add_row(cells);
    }
    let count = front.trials.len();
    let plural = if count == 1 { " is" } else { "s are" };
    let head = format!("study `{}`: {count} trial{plural} on the Pareto front\n", front.study);
    let tail = "\n`-o` and `--model` take the knee, or another one with `--trial`\n";
    print(&(head + &table_text(&rows) + tail))
}
