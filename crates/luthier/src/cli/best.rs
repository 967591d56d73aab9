//! `luthier best`: the winner, its file and its model.

use std::path::PathBuf;

use clap::Args;
use luthier_core::config::Node;
use luthier_core::{Metrics, Outcome, Params, TrialId};
use luthier_runner::model_name;
use luthier_train::{TrainedModel, device};
use serde::Serialize;

use super::output::{metrics, number, params, print, print_json};
use super::pieces::{Piece, pieces, with_pieces};
use super::place::{stored_file, study_with_history, unit_of};
use super::tune::write_file;
use super::{Failure, StudyArgs, program};

#[derive(Debug, Args)]
pub(crate) struct BestArgs {
    #[command(flatten)]
    study: StudyArgs,
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
    seed: u64,
    params: Params,
    /// What a trial that was forked consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pieces: Vec<Piece<'h>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Metrics>,
}

pub(crate) fn run(args: &BestArgs) -> Result<(), Failure> {
    let (storage, study, history) = study_with_history(&args.study)?;
    let name = &study.definition.name;
    let best = history.best().ok_or_else(|| {
        Failure::failed(format!(
            "study `{name}` has no complete trial yet; `luthier trials {name}` lists what there is"
        ))
    })?;
    let Some(Outcome::Complete { value, step, .. }) = &best.outcome else {
        return Err(Failure::failed("the best trial has no value"));
    };
    let mut written = Vec::new();
    let unit = unit_of(&study);
    let lineage = pieces(&history, best);
    let forked = lineage.len() > 1;
    let head = |repeats: &str| {
        let value = number(*value);
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
        if best.imported {
            return Err(Failure::failed(format!(
                "trial {}, the best one, was imported: there is no model of it, and no file but the one of its study",
                best.id
            )));
        }
        let model = storage.artifact(study.id, &model_name(best.id))?.ok_or_else(|| {
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
        seed: best.seed,
        params: best.params.clone(),
        pieces: if forked { lineage } else { Vec::new() },
        test: best.tested.clone(),
    };
    if args.study.json {
        return print_json(&shown);
    }
    let mut text = format!(
        "trial {} of study `{name}`: {} {} at {unit} {}\n{}",
        shown.trial,
        shown.objective,
        number(shown.value),
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
    if !written.is_empty() {
        text += &format!("wrote {}\n", written.join(" and "));
    }
    print(&text)
}
