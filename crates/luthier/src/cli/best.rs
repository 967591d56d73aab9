//! `luthier best`: the winner, or the front of several objectives; a trial's file and its model.

mod front;

use std::path::PathBuf;

use clap::Args;
use luthier::search::pareto::chosen;
use luthier_core::config::Node;
use luthier_core::{History, Metrics, Outcome, Params, Study, TrialId};
use luthier_runner::model_name;
use luthier_train::{TrainedModel, device};
use serde::Serialize;

use super::outcome::{further, named};
use super::output::{metrics, number, params, print, print_json, table, table_text, value};
use super::pieces::{Piece, pieces, with_pieces};
use super::place::{stored_file, study_with_history, unit_of};
use super::tune::write_file;
use super::{Failure, StudyArgs, program};

#[derive(Debug, Args)]
pub(crate) struct BestArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// This trial in the place of the winner
    #[arg(long, value_name = "NUMBER")]
    trial: Option<u64>,
    /// Write the study file with the winner's values in the places of the ranges
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the model (safetensors); of a program, its checkpoint folder (tar)
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

#[derive(Serialize)]
struct Shown<'h> {
    study: String,
    trial: TrialId,
    objective: String,
    value: f64,
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Metrics::is_empty")]
    further: Metrics,
    seed: u64,
    params: Params,
    /// What a trial that was forked consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pieces: Vec<Piece<'h>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Metrics>,
    /// The best for each value of the scientific parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    compared: Vec<ComparedRow>,
}

#[derive(Serialize)]
struct ComparedRow {
    values: Params,
    trials: usize,
    trial: Option<TrialId>,
    value: Option<f64>,
}

/// Why there is no winner.
fn none(name: &str, history: &History) -> Failure {
    let complete = history.trials().iter().any(|trial| trial.state() == "complete");
    if complete && !history.criteria().constraints.is_empty() {
        return Failure::failed(format!(
            "no trial of study `{name}` keeps the constraints; `luthier trials {name}` says which each one misses"
        ));
    }
    Failure::failed(format!(
        "study `{name}` has no complete trial yet; `luthier trials {name}` lists what there is"
    ))
}

pub(crate) fn run(args: &BestArgs) -> Result<(), Failure> {
    let (storage, study, history) = study_with_history(&args.study)?;
    let name = &study.definition.name;
    let several = !study.definition.criteria.objectives.is_empty();
    if several && args.trial.is_none() && args.output.is_none() && args.model.is_none() {
        return front::show(&study, &history, args.study.json);
    }
    let best = match args.trial {
        Some(number) => history.trial(TrialId(number)).ok_or_else(|| {
            let count = history.trials().len();
            Failure::failed(format!("there is no trial {number}; the study has {count} trials, from 0"))
        })?,
        None => chosen(&history).ok_or_else(|| none(name, &history))?,
    };
    let Some(Outcome::Complete { value, step, .. }) = &best.outcome else {
        return Err(Failure::failed(format!("trial {} has no value: it is {}", best.id, best.state())));
    };
    let further = further(&history, best);
    let mut written = Vec::new();
    let unit = unit_of(&study);
    let lineage = pieces(&history, best);
    let forked = lineage.len() > 1;
    let head = |repeats: &str| {
        let value = format!("{}{}", number(*value), named(&further));
        let (objective, step) = (&study.definition.objective, step.unwrap_or(0));
        format!(
            "# Trial {} of study \"{name}\": {objective} {value} at {unit} {step}.\n# {repeats}\n\n",
            best.id
        )
    };
    let stored = stored_file(&study);
    if let Some(file) = stored.as_ref().filter(|file| file.is_command()) {
        let head = head(if forked {
            "It was forked from other trials (`luthier best` shows them): `luthier train` on this file does not repeat it."
        } else {
            "`luthier train` on this file repeats it."
        });
        if let Some(path) = &args.output {
            let filled = file.filled(&best.params, best.seed).map_err(Failure::failed)?;
            write_file(path, format!("{head}{filled}").as_bytes())?;
            written.push(path.display().to_string());
        }
        if let Some(path) = &args.model {
            program::write_checkpoint(&*storage, &study, best.id, path)?;
            written.push(path.display().to_string());
        }
    } else if args.output.is_some() || args.model.is_some() {
        if best.imported.is_some() {
            return Err(Failure::failed(format!(
                "trial {} was imported: there is no model of it, and no file but the one of its study",
                best.id
            )));
        }
        let model = storage.artifact(study.id, &model_name(best.id))?.ok_or_else(|| {
            if !history.winners().contains(&best.id) {
                return Failure::failed(format!(
                    "no model is kept of trial {}, which is not among the best; `luthier train` on its file makes it \
                     again",
                    best.id
                ));
            }
            Failure::failed(format!(
                "the model of trial {} is not in the storage: the folder beside the database is missing or was \
                 changed",
                best.id
            ))
        })?;
        if let Some(path) = &args.output {
            let device = device("cpu").map_err(Failure::failed)?;
            let opened = TrainedModel::from_bytes(&model, device).map_err(Failure::failed)?;
            let mut text = opened.file().to_owned();
            let mut repeats = "`luthier train` on this file repeats it.";
            if forked {
                let file =
                    stored.as_ref().ok_or_else(|| Failure::failed("the study's file cannot be read"))?;
                let last = Node::parse(&text, "the model's study file")?;
                text = with_pieces(file, &last, &lineage).map_err(Failure::failed)?.to_toml();
                repeats = "It was forked from other trials. `luthier train` on this file repeats it piece by piece: [trial] says how.";
            }
            write_file(path, format!("{}{text}", head(repeats)).as_bytes())?;
            written.push(path.display().to_string());
        }
        if let Some(path) = &args.model {
            write_file(path, &model)?;
            written.push(path.display().to_string());
        }
    }
    let shown = Shown {
        study: name.clone(),
        trial: best.id,
        objective: study.definition.objective.clone(),
        value: *value,
        epoch: *step,
        further,
        seed: best.seed,
        params: best.params.clone(),
        pieces: if forked { lineage } else { Vec::new() },
        test: best.tested.clone(),
        compared: compared(&study, &history),
    };
    if args.study.json {
        return print_json(&shown);
    }
    let mut text = format!(
        "trial {} of study `{name}`: {} {}{} at {unit} {}\n{}",
        shown.trial,
        shown.objective,
        number(shown.value),
        named(&shown.further),
        shown.epoch.unwrap_or(0),
        params(&shown.params)
    );
    for piece in &shown.pieces {
        let Piece { trial, first, last, .. } = piece;
        text += &format!("{unit}s {first} to {last}, trial {trial}:\n{}", params(piece.params));
        text += &piece.set.iter().map(|set| format!("  {set}\n")).collect::<String>();
    }
    if let Some(test) = &shown.test {
        text += &format!("test: {}\n", metrics(test));
    }
    if !shown.compared.is_empty() {
        text += &comparison(&shown.compared, &shown.objective);
    }
    if !written.is_empty() {
        text += &format!("wrote {}\n", written.join(" and "));
    }
    print(&text)
}

/// The best trial for each value of the scientific parameters, the best first.
fn compared(study: &Study, history: &History) -> Vec<ComparedRow> {
    let Some(file) = stored_file(study) else { return Vec::new() };
    let row = |found: luthier_search::Compared| ComparedRow {
        values: found.values,
        trials: found.trials,
        trial: found.best.map(|(trial, _)| trial),
        value: found.best.map(|(_, loss)| study.definition.direction.loss(loss)),
    };
    luthier_search::compare(&history.view(), file.space()).into_iter().map(row).collect()
}

fn comparison(rows: &[ComparedRow], objective: &str) -> String {
    let mut shown = table(["scientific values", objective, "trial", "trials"]);
    for row in rows {
        let values: Vec<String> =
            row.values.iter().map(|(name, v)| format!("{name} = {}", value(v))).collect();
        shown.add_row([
            values.join(", "),
            row.value.map(number).unwrap_or_default(),
            row.trial.map(|trial| trial.to_string()).unwrap_or_default(),
            row.trials.to_string(),
        ]);
    }
    format!("\nthe best for each, the others' values tuned for it:\n{}", table_text(&shown))
}
