//! Studies for other programs: tables of trials and of reports as CSV or Parquet, and everything as JSON.
//!
//! Studies of Optuna are read and written by [`luthier_storage::optuna`].
//!
//! [`trials`] has one row a trial: `number`, `state`, `value`, `step`, `started`, `seconds`, `cause`, `seed`, each
//! parameter as `params.NAME` and each metric of the test set as `test.NAME`. A cell is empty where there is nothing: a
//! parameter that did not exist beside the others, the end of a trial that runs. `value` is that of a complete trial; of others
//! the best that they reported, as in `luthier trials`. Further objectives are `values.NAME`, and `feasible` says whether the
//! constraints on results hold, where there are any. Where a trial began with the checkpoint of another one, `from_trial` and
//! `from_step` say with which. [`reports`] has one row a report: `trial`, `step`, `value`, and
//! what else was measured as `metrics.NAME`.

mod csv;
mod json;
mod parquet;

use indexmap::{IndexMap, IndexSet};
use luthier_core::{History, Metrics, Params, Value};

pub use json::json;

/// A table: columns of the same length, each with values of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: IndexMap<String, Cells>,
}

/// The cells of a column; nothing is an empty cell.
#[derive(Debug, Clone, PartialEq)]
enum Cells {
    Whole(Vec<Option<i64>>),
    /// Seeds, which take all 64 bits.
    Seed(Vec<Option<u64>>),
    Number(Vec<Option<f64>>),
    Flag(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
    /// Microseconds since 1970 (UTC).
    Time(Vec<Option<i64>>),
}

/// One row a trial.
pub fn trials(history: &History) -> Table {
    let trials = history.trials();
    let mut columns = IndexMap::from([
        ("number", Cells::Whole(trials.iter().map(|trial| Some(trial.id.0 as i64)).collect())),
        ("state", Cells::Text(trials.iter().map(|trial| Some(trial.state().to_owned())).collect())),
        ("value", Cells::Number(trials.iter().map(|trial| Some(trial.standing()?.0)).collect())),
        ("step", Cells::Whole(trials.iter().map(|trial| Some(trial.standing()?.1? as i64)).collect())),
        ("started", Cells::Time(trials.iter().map(|trial| trial.started_us).collect())),
        ("seconds", Cells::Number(trials.iter().map(|trial| trial.seconds).collect())),
        ("cause", Cells::Text(trials.iter().map(luthier_core::Trial::note).collect())),
        ("seed", Cells::Seed(trials.iter().map(|trial| Some(trial.seed)).collect())),
    ])
    .into_iter()
    .map(|(name, cells)| (name.to_owned(), cells))
    .collect::<IndexMap<_, _>>();
    let criteria = history.criteria();
    for (place, goal) in criteria.objectives.iter().enumerate() {
        let value = |trial| history.values(trial)?.get(place + 1).copied();
        columns.insert(format!("values.{}", goal.name), Cells::Number(trials.iter().map(value).collect()));
    }
    if !criteria.constraints.is_empty() {
        let feasible = |trial: &luthier_core::Trial| trial.outcome.as_ref().map(|_| trial.is_feasible());
        columns.insert("feasible".to_owned(), Cells::Flag(trials.iter().map(feasible).collect()));
    }
    if trials.iter().any(|trial| trial.from.is_some()) {
        let origins = trials.iter().map(|trial| trial.from.as_ref().map(|from| from.origin));
        let parents = origins.clone().map(|origin| Some(origin?.trial.0 as i64)).collect();
        columns.insert("from_trial".to_owned(), Cells::Whole(parents));
        let steps = origins.map(|origin| Some(origin?.step as i64)).collect();
        columns.insert("from_step".to_owned(), Cells::Whole(steps));
    }
    let names: IndexSet<&String> = trials.iter().flat_map(|trial| trial.params.keys()).collect();
    for name in names {
        let params = trials.iter().map(|trial| &trial.params);
        columns.insert(format!("params.{name}"), param(params, name));
    }
    columns.extend(metrics("test", &trials.iter().map(|trial| trial.tested.as_ref())));
    Table { columns }
}

/// One row a report, by trial and step.
pub fn reports(history: &History) -> Table {
    let trials = history.trials().iter();
    let reports: Vec<_> =
        trials.flat_map(|trial| trial.reports.iter().map(|report| (trial.id.0 as i64, report))).collect();
    let mut columns = IndexMap::from([
        ("trial".to_owned(), Cells::Whole(reports.iter().map(|(trial, _)| Some(*trial)).collect())),
        (
            "step".to_owned(),
            Cells::Whole(reports.iter().map(|(_, report)| Some(report.step as i64)).collect()),
        ),
        ("value".to_owned(), Cells::Number(reports.iter().map(|(_, report)| Some(report.value)).collect())),
    ]);
    columns.extend(metrics("metrics", &reports.iter().map(|(_, report)| Some(&report.metrics))));
    Table { columns }
}

/// The column of a parameter, of the narrowest kind that holds all its values.
fn param<'a>(params: impl Iterator<Item = &'a Params> + Clone, name: &str) -> Cells {
    let values = params.map(|params| params.get(name));
    let all = |is: fn(&Value) -> bool| values.clone().flatten().all(is);
    if all(|value| matches!(value, Value::Int(_))) {
        Cells::Whole(values.map(|value| value?.as_i64()).collect())
    } else if all(|value| matches!(value, Value::Int(_) | Value::Float(_))) {
        Cells::Number(values.map(|value| value?.as_f64()).collect())
    } else if all(|value| matches!(value, Value::Bool(_))) {
        Cells::Flag(values.map(|value| Some(value? == &Value::Bool(true))).collect())
    } else {
        Cells::Text(values.map(|value| Some(value?.to_string())).collect())
    }
}

/// A column for each metric that is in any row.
fn metrics<'a>(
    prefix: &str,
    rows: &(impl Iterator<Item = Option<&'a Metrics>> + Clone),
) -> Vec<(String, Cells)> {
    let names: IndexSet<&str> =
        rows.clone().flatten().flat_map(Metrics::iter).map(|(name, _)| name).collect();
    let column = |name: &str| Cells::Number(rows.clone().map(|metrics| metrics?.get(name)).collect());
    names.into_iter().map(|name| (format!("{prefix}.{name}"), column(name))).collect()
}

impl Table {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, cells)| cells.len())
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Whole(cells) | Self::Time(cells) => cells.len(),
            Self::Seed(cells) => cells.len(),
            Self::Number(cells) => cells.len(),
            Self::Flag(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
        }
    }
}

/// Microseconds since 1970 as ISO 8601 in UTC: `2026-11-21T14:25:19.863Z`.
fn iso(us: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(us);
    time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
