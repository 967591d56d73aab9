//! `luthier importance`: which parameters made a difference.

use clap::{Args, ValueEnum};
use luthier_core::StudyDefinition;
use luthier_search::importance::{
    Importance, ImportanceError, Importances, Interaction, Method, front_importance, importance,
};
use luthier_search::suggested_space;
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
    /// The objective that counts, where there are several; all of them if left out, with PED-ANOVA the Pareto front too
    #[arg(long, value_name = "NAME")]
    objective: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Measure {
    /// The share of the variance of values that a parameter explains over its range
    Fanova,
    /// How much the best tenth of trials differs from all of them: what it took to get there
    PedAnova,
}

/// The head of the front's column.
const FRONT: &str = "front";

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
    method: &'static str,
    trials: usize,
    objectives: Vec<Judged<'a>>,
    /// By PED-ANOVA, where there are several objectives.
    #[serde(skip_serializing_if = "Option::is_none")]
    front: Option<Judged<'a>>,
}

#[derive(Serialize)]
struct Judged<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    objective: Option<&'a str>,
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

/// What one objective says of the parameters, or the front.
struct Column<'a> {
    head: &'a str,
    found: Importances,
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
    let failed = |head: &str, error: ImportanceError| {
        let of = if definition.criteria.objectives.is_empty() { String::new() } else { format!(", {head}") };
        format!("study `{}`{of}: {error}", definition.name)
    };
    let mut columns = Vec::new();
    let mut failures = Vec::new();
    for (head, place) in objectives(definition, args.objective.as_deref())? {
        match importance(method, place, &view, &space, definition.seed) {
            Ok(found) => columns.push(Column { head, found }),
            Err(error) => failures.push(failed(head, error)),
        }
    }
    let judged = columns.len();
    // What is left of several is shown.
    if judged == 0 {
        return Err(Failure::failed(failures.swap_remove(0)));
    }
    if method == Method::PedAnova && args.objective.is_none() && view.objectives() > 1 {
        match front_importance(&view, &space) {
            Ok(found) => columns.push(Column { head: FRONT, found }),
            Err(error) => failures.push(failed(FRONT, error)),
        }
    }
    for failure in failures {
        tell(&failure);
    }
    let trials = columns[0].found.trials;
    if args.study.json {
        return print_json(&Shown {
            study: &definition.name,
            method: method.name(),
            trials,
            objectives: columns[..judged].iter().map(|column| column.judged(Some(column.head))).collect(),
            front: columns.get(judged).map(|column| column.judged(None)),
        });
    }
    if trials < ROUGH {
        tell(&format!("{trials} complete trials are few: the figures are rough"));
    }
    let body = match columns.as_slice() {
        [one] => single(&one.found),
        several => beside(several),
    };
    let of = if columns.len() == 1 { columns[0].head } else { "each objective" };
    let what = match method {
        Method::Fanova => format!("shares of the variance of {of}"),
        Method::PedAnova => format!("what it took to be among the best tenth by {of}"),
    };
    let head = format!("{what}, over {trials} complete trials ({})\n\n", method.name());
    print(&(head + &body + &pairs(&columns)))
}

/// The objectives that are asked for, with their places: one of them, or all.
fn objectives<'a>(
    definition: &'a StudyDefinition,
    asked: Option<&str>,
) -> Result<Vec<(&'a str, usize)>, Failure> {
    let all: Vec<(&str, usize)> = definition.objectives().zip(0..).collect();
    let Some(asked) = asked else { return Ok(all) };
    let found: Vec<(&str, usize)> = all.iter().copied().filter(|(name, _)| *name == asked).collect();
    if found.is_empty() {
        let known: Vec<&str> = definition.objectives().collect();
        let message = format!(
            "--objective: study `{}` has no objective `{asked}`; expected {}",
            definition.name,
            known.join(" or ")
        );
        return Err(Failure::usage(message));
    }
    Ok(found)
}

impl Column<'_> {
    fn judged<'a>(&'a self, objective: Option<&'a str>) -> Judged<'a> {
        let pair = |pair: &'a Interaction| Pair { parameters: &pair.names, importance: pair.share };
        Judged {
            objective,
            parameters: self.found.parameters.iter().map(row).collect(),
            interactions: self.found.interactions.iter().map(pair).collect(),
        }
    }
}

fn row(parameter: &Importance) -> Row<'_> {
    Row {
        parameter: &parameter.name,
        importance: parameter.share,
        measure: parameter.measure,
        trials: parameter.trials,
    }
}

/// The parameters with a bar each.
fn single(found: &Importances) -> String {
    let largest = found.parameters.iter().filter_map(|parameter| parameter.share).fold(0.0, f64::max);
    let mut rows = table(["parameter", "importance", "", "trials"]);
    for parameter in &found.parameters {
        let bar = parameter.share.filter(|_| largest > 0.0).map_or(0.0, |share| BAR * share / largest);
        rows.add_row([
            parameter.name.clone(),
            share(parameter.share),
            "█".repeat(bar.round() as usize),
            parameter.trials.to_string(),
        ]);
    }
    table_text(&rows)
}

/// The parameters with a column for each objective, the one that made the largest difference to any of them first.
fn beside(columns: &[Column<'_>]) -> String {
    let heads = columns.iter().map(|column| column.head);
    let mut rows = table(["parameter"].into_iter().chain(heads).chain(["trials"]));
    let mut lines: Vec<(&Importance, Vec<Option<f64>>)> = columns[0]
        .found
        .parameters
        .iter()
        .map(|parameter| {
            let of = |column: &Column<'_>| {
                column.found.parameters.iter().find(|other| other.name == parameter.name)?.share
            };
            (parameter, columns.iter().map(of).collect())
        })
        .collect();
    let largest =
        |line: &(&Importance, Vec<Option<f64>>)| line.1.iter().flatten().copied().fold(-1.0, f64::max);
    lines.sort_by(|a, b| largest(b).total_cmp(&largest(a)));
    for (parameter, shares) in lines {
        let shares = shares.into_iter().map(share);
        rows.add_row(
            [parameter.name.clone()].into_iter().chain(shares).chain([parameter.trials.to_string()]),
        );
    }
    table_text(&rows)
}

/// The largest interactions, where there are any, of each objective.
fn pairs(columns: &[Column<'_>]) -> String {
    let mut text = String::new();
    for column in columns {
        let shown =
            column.found.interactions.iter().take(MOST_SHOWN).filter(|pair| pair.share >= LEAST_SHOWN);
        let shown: Vec<_> = shown.collect();
        if shown.is_empty() {
            continue;
        }
        let of = if columns.len() == 1 { String::new() } else { format!("{}: ", column.head) };
        text += &format!("\n{of}two together, beyond what each explains by itself\n\n");
        let mut rows = table(["parameters", "importance"]);
        for pair in shown {
            rows.add_row([pair.names.join(" × "), percent(pair.share)]);
        }
        text += &table_text(&rows);
    }
    text
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "too few trials".to_owned(), percent)
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}
