//! `luthier logs`: the epochs of a trial, or what its program printed.

use clap::Args;
use luthier::search::pareto::chosen;
use luthier_core::TrialId;

use super::output::{number, params, print, print_json, table, table_text};
use super::place::{study_with_history, unit_of};
use super::{Failure, StudyArgs, program};

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// The trial's number; the best one if left out
    #[arg(long)]
    trial: Option<u64>,
    /// Show what the trial's program printed: its standard output, then its standard error
    #[arg(long)]
    output: bool,
}

pub(crate) fn run(args: &LogsArgs) -> Result<(), Failure> {
    let (storage, study, history) = study_with_history(&args.study)?;
    let trial = match args.trial {
        Some(number) => history.trial(TrialId(number)).ok_or_else(|| {
            let count = history.trials().len();
            Failure::failed(format!("there is no trial {number}; the study has {count} trials, from 0"))
        })?,
        None => {
            chosen(&history).ok_or_else(|| Failure::failed("no complete trial yet; name one with --trial"))?
        }
    };
    if args.output {
        return program::print_output(&*storage, &study, trial, args.study.json);
    }
    if args.study.json {
        return print_json(&trial.reports);
    }
    let mut text = format!("trial {} of study `{}`: {}\n", trial.id, study.definition.name, trial.state());
    if let Some(from) = &trial.from {
        text += &format!("{from}\n");
    }
    text += &params(&trial.params);
    if let Some(first) = trial.reports.first() {
        let mut table =
            table(std::iter::once(unit_of(&study)).chain(first.metrics.iter().map(|(name, _)| name)));
        for report in &trial.reports {
            let mut row = vec![report.step.to_string()];
            row.extend(report.metrics.iter().map(|(_, value)| number(value)));
            table.add_row(row);
        }
        text += &table_text(&table);
    }
    if let Some(note) = trial.outcome.as_ref().and_then(luthier_core::Outcome::note) {
        text += &format!("{note}\n");
    }
    print(&text)
}
