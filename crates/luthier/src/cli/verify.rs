//! `luthier verify`: whether a study is what its file and its data make of it.

use std::path::{Path, PathBuf};

use clap::Args;
use luthier::StudyFile;
use luthier::search::pareto::chosen;
use luthier_core::TrialId;
use luthier_runner::{model_name, read_history, repeat, verify};
use luthier_train::{MEASURED_TIMES, device};
use serde::Serialize;

use super::outcome::mixed;
use super::output::{print, print_json};
use super::place::{study, with_progress};
use super::{Failure, StudyArgs};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// Make the proposals and decisions again, but do not train the winner again
    #[arg(long)]
    no_training: bool,
}

/// Differences that are shown: one leads to many.
const MOST_SHOWN: usize = 5;

#[derive(Serialize)]
struct Report {
    study: String,
    /// Logical slots; nothing in free order.
    slots: Option<u32>,
    proposals: usize,
    decisions: usize,
    /// Trials that a person asked for, which nothing proposes again.
    requests: usize,
    /// The winner, if it was trained again.
    trained: Option<TrialId>,
    agrees: bool,
    differences: Vec<String>,
    /// The classes of machines that worked on it, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mixed: Vec<String>,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let (storage, study) = study(&args.study)?;
    let events = storage.read(study.id, 0)?;
    let history = read_history(&*storage, &study)?;
    let altered = storage.altered(study.id)?;
    let text = study.definition.file.as_deref();
    let text = text.ok_or_else(|| Failure::failed("the study has no file: it was made by a program"))?;
    // Data is looked for from where the file is, if that is what was named.
    let path = PathBuf::from(&args.study.study);
    let path = if path.exists() { path } else { Path::new("study.toml").to_owned() };
    let file = StudyFile::parse(text, &path, &[])?;
    let search = file.make_search().map_err(Failure::usage)?;
    let found = verify(&study.definition, &events, &*search, file.space()).map_err(Failure::failed)?;
    let altered = altered.map(|revision| {
        format!("event {revision} is not as it was stored: it, one before it or the study's definition was altered")
    });
    let mut report = Report {
        study: study.definition.name.clone(),
        slots: study.definition.slots,
        proposals: found.proposals,
        decisions: found.decisions,
        requests: found.requests,
        trained: None,
        agrees: true,
        mixed: mixed(&history),
        differences: altered.into_iter().chain(found.differences).collect(),
    };
    if let Some(best) = chosen(&history).filter(|_| !args.no_training) {
        let device = device("cpu").map_err(Failure::usage)?;
        let loaded = with_progress(|progress| file.load(device, progress))?;
        let model = storage.artifact(study.id, &model_name(best.id))?;
        let name = &study.definition.objective;
        let objective = loaded.as_objective();
        let differences = repeat(objective, &history, best, model.as_deref(), &MEASURED_TIMES, name)?;
        report.differences.extend(differences);
        report.trained = Some(best.id);
    }
    report.agrees = report.differences.is_empty();
    if args.study.json {
        print_json(&report)?;
    } else {
        print(&words(&report))?;
    }
    if report.agrees { Ok(()) } else { Err(Failure::failed("the study is not what its file makes of it")) }
}

fn words(report: &Report) -> String {
    let mut text = format!("study `{}`", report.study);
    text += &match report.slots {
        Some(1) => ", in order, one slot".to_owned(),
        Some(slots) => format!(", in order, {slots} slots"),
        None => ", in free order".to_owned(),
    };
    text += &format!(": {} proposals and {} decisions were made again", report.proposals, report.decisions);
    if report.requests > 0 {
        let trials = if report.requests == 1 { "trial was" } else { "trials were" };
        text += &format!("; {} {trials} asked for by hand", report.requests);
    }
    if let Some(trial) = report.trained {
        text += &format!(", and trial {trial}, the winner, was trained again");
    }
    if !report.mixed.is_empty() {
        text += &format!(" (it was computed on machines of several classes: {})", report.mixed.join(", "));
    }
    if report.agrees {
        return text + "; all agree\n";
    }
    text += "; these do not agree:\n";
    for difference in report.differences.iter().take(MOST_SHOWN) {
        text += &format!("  {difference}\n");
    }
    match report.differences.len().saturating_sub(MOST_SHOWN) {
        0 => text,
        more => text + &format!("  and {more} more, most likely because of these (--json has them all)\n"),
    }
}
