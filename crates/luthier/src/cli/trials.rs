//! `luthier trials`: what a study has tried.

use clap::Args;
use luthier_core::{History, Lineage, Metrics, Params, Trial, TrialId};
use serde::Serialize;

use super::outcome::further;
use super::output::{number, print, print_json, seconds, table, table_text, value};
use super::place::study_with_history;
use super::{Failure, StudyArgs};

#[derive(Debug, Args)]
pub(crate) struct TrialsArgs {
    #[command(flatten)]
    study: StudyArgs,
}

#[derive(Serialize)]
struct Row<'a> {
    trial: TrialId,
    state: &'static str,
    value: Option<f64>,
    /// The values of further objectives.
    #[serde(skip_serializing_if = "Metrics::is_empty")]
    further: Metrics,
    /// The constraints that it misses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    misses: Vec<String>,
    epochs: u64,
    seconds: Option<f64>,
    seed: u64,
    params: &'a Params,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a Lineage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<&'a Metrics>,
}

pub(crate) fn run(args: &TrialsArgs) -> Result<(), Failure> {
    let (_, _, history) = study_with_history(&args.study)?;
    let rows: Vec<Row<'_>> = history.trials().iter().map(|trial| row(&history, trial)).collect();
    if args.study.json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        return print("no trials");
    }
    let mut table = table(["trial", "state", "value", "epochs", "time", "parameters", "note"]);
    for row in &rows {
        let params: Vec<String> =
            row.params.iter().map(|(name, v)| format!("{}={}", short(name), value(v))).collect();
        table.add_row([
            row.trial.to_string(),
            row.state.to_owned(),
            row.value
                .into_iter()
                .chain(row.further.iter().map(|(_, value)| value))
                .map(number)
                .collect::<Vec<_>>()
                .join(", "),
            row.epochs.to_string(),
            row.seconds.map(seconds).unwrap_or_default(),
            params.join(" "),
            (row.from.map(ToString::to_string).into_iter())
                .chain(row.note.iter().cloned())
                .chain(misses(&row.misses))
                .collect::<Vec<_>>()
                .join("; "),
        ]);
    }
    print(&table_text(&table))
}

/// The constraints that are missed, in words.
fn misses(constraints: &[String]) -> Option<String> {
    (!constraints.is_empty()).then(|| format!("misses {}", constraints.join(" and ")))
}

fn row<'a>(history: &History, trial: &'a Trial) -> Row<'a> {
    let constraints = history.criteria().constraints.iter().zip(&trial.violations);
    // What has no value misses nothing.
    let constraints = constraints.filter(|(_, violation)| trial.standing().is_some() && **violation > 0.0);
    Row {
        further: further(history, trial),
        misses: constraints.map(|(constraint, _)| constraint.to_string()).collect(),
        trial: trial.id,
        state: trial.state(),
        // A trial that has no final value shows its best report.
        value: trial.standing().map(|(value, _)| value),
        epochs: trial.reports.last().map_or(0, |report| report.step),
        seconds: trial.seconds,
        seed: trial.seed,
        params: &trial.params,
        from: trial.from.as_ref(),
        note: trial.note(),
        test: trial.tested.as_ref(),
    }
}

/// A parameter's name without its section: what a table has room for.
fn short(name: &str) -> &str {
    ["model.layers.", "train.", "params."]
        .iter()
        .find_map(|section| name.strip_prefix(section))
        .unwrap_or(name)
}
