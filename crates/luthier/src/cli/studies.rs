//! `luthier studies`: what a storage holds.

use clap::Args;
use luthier_runner::read_history;
use serde::Serialize;

use super::output::{date, number, print, print_json, table, table_text};
use super::place::existing_storage;
use super::{Failure, StorageArgs};

#[derive(Debug, Args)]
pub(crate) struct StudiesArgs {
    #[command(flatten)]
    storage: StorageArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    objective: String,
    direction: luthier_core::Direction,
    #[serde(skip_serializing_if = "luthier_core::Criteria::is_empty")]
    criteria: luthier_core::Criteria,
    created_ms: i64,
    trials: usize,
    unfinished: usize,
    best: Option<f64>,
    /// The classes of machines that worked on it.
    classes: Vec<String>,
}

pub(crate) fn run(args: &StudiesArgs) -> Result<(), Failure> {
    let storage = existing_storage(&args.storage)?;
    let mut rows = Vec::new();
    for study in storage.studies()? {
        let history = read_history(&*storage, &study)?;
        rows.push(Row {
            name: study.definition.name,
            objective: study.definition.objective,
            direction: study.definition.direction,
            criteria: study.definition.criteria,
            created_ms: study.created_ms,
            trials: history.trials().len(),
            unfinished: history.trials().iter().filter(|trial| trial.outcome.is_none()).count(),
            best: history.best().and_then(|best| best.outcome.as_ref()?.value()),
            classes: history.classes().iter().cloned().collect(),
        });
    }
    if args.json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        return print("no studies");
    }
    let mut table = table(["study", "objective", "best", "trials", "unfinished", "created (UTC)"]);
    for row in rows {
        table.add_row([
            row.name,
            std::iter::once(format!("{} {}", row.direction, row.objective))
                .chain(row.criteria.objectives.iter().map(|goal| format!("{} {}", goal.direction, goal.name)))
                .collect::<Vec<_>>()
                .join(", "),
            row.best.map(number).unwrap_or_default(),
            row.trials.to_string(),
            row.unfinished.to_string(),
            date(row.created_ms),
        ]);
    }
    print(&table_text(&table))
}
