//! `luthier importance`: which parameters made a difference.

use clap::{Args, ValueEnum};
use luthier_search::importance::{Importance, Importances, Method, importance, suggested_space};
use serde::Serialize;

use super::output::{print, print_json, table, table_text, tell};
use super::place::{stored_file, study_with_history};
use super::{Failure, StudyArgs};

#[derive(Debug, Args)]
pub(crate) struct ImportanceArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// How it is measured
    #[arg(long, value_enum, default_value_t = Measure::Fanova)]
    method: Measure,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Measure {
    /// The share of the variance of values that a parameter explains over its range
    Fanova,
    /// How much the best tenth of trials differs from all of them: what it took to get there
    PedAnova,
}

/// Complete trials below which figures are rough.
const ROUGH: usize = 20;

/// Interactions that are shown, and the least of them.
const MOST_SHOWN: usize = 5;
const LEAST_SHOWN: f64 = 0.01;

/// The widest bar, in characters.
const BAR: f64 = 20.0;

#[derive(Serialize)]
struct Shown<'a> {
    study: &'a str,
    objective: &'a str,
    method: &'static str,
    trials: usize,
    parameters: Vec<Row<'a>>,
    interactions: Vec<Pair<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    parameter: &'a str,
    /// Nothing where too few trials have it.
    importance: Option<f64>,
    measure: Option<f64>,
    trials: usize,
}

#[derive(Serialize)]
struct Pair<'a> {
    parameters: &'a [String; 2],
    importance: f64,
}

pub(crate) fn run(args: &ImportanceArgs) -> Result<(), Failure> {
    let (_, study, history) = study_with_history(&args.study)?;
    let definition = &study.definition;
    let method = match args.method {
        Measure::Fanova => Method::Fanova,
        Measure::PedAnova => Method::PedAnova,
    };
    let view = history.view();
    let file = stored_file(&study);
    let space = file.as_ref().map_or_else(|| suggested_space(&view), |file| file.space().clone());
    let found = importance(method, &view, &space, definition.seed)
        .map_err(|error| Failure::failed(format!("study `{}`: {error}", definition.name)))?;
    if args.study.json {
        return print_json(&Shown {
            study: &definition.name,
            objective: &definition.objective,
            method: method.name(),
            trials: found.trials,
            parameters: found.parameters.iter().map(row).collect(),
            interactions: found
                .interactions
                .iter()
                .map(|pair| Pair { parameters: &pair.names, importance: pair.share })
                .collect(),
        });
    }
    if found.trials < ROUGH {
        tell(&format!("{} complete trials are few: the figures are rough", found.trials));
    }
    print(&words(&found, method, &definition.objective))
}

fn row(parameter: &Importance) -> Row<'_> {
    Row {
        parameter: &parameter.name,
        importance: parameter.share,
        measure: parameter.measure,
        trials: parameter.trials,
    }
}

fn words(found: &Importances, method: Method, objective: &str) -> String {
    let what = match method {
        Method::Fanova => format!("shares of the variance of {objective}"),
        Method::PedAnova => format!("what it took to be among the best tenth by {objective}"),
    };
    let mut text = format!("{what}, over {} complete trials ({})\n\n", found.trials, method.name());
    let largest = found.parameters.iter().filter_map(|parameter| parameter.share).fold(0.0, f64::max);
    let mut rows = table(["parameter", "importance", "", "trials"]);
    for parameter in &found.parameters {
        let bar = parameter.share.filter(|_| largest > 0.0).map_or(0.0, |share| BAR * share / largest);
        rows.add_row([
            parameter.name.clone(),
            parameter.share.map_or_else(|| "too few trials".to_owned(), percent),
            "█".repeat(bar.round() as usize),
            parameter.trials.to_string(),
        ]);
    }
    text += &table_text(&rows);
    let shown = found.interactions.iter().take(MOST_SHOWN).filter(|pair| pair.share >= LEAST_SHOWN);
    let shown: Vec<_> = shown.collect();
    if !shown.is_empty() {
        text += "\ntwo together, beyond what each explains by itself\n\n";
        let mut rows = table(["parameters", "importance"]);
        for pair in shown {
            rows.add_row([pair.names.join(" × "), percent(pair.share)]);
        }
        text += &table_text(&rows);
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}
