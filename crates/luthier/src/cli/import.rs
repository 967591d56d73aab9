//! `luthier import`: a study of another program becomes one of a storage.

use std::path::PathBuf;

use clap::Args;
use luthier_core::{Direction, History};
use luthier_runner::read_history;
use luthier_storage::optuna;
use serde::Serialize;

use super::output::{number, params, print, print_json, tell};
use super::{Failure, StorageArgs};

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// An SQLite database or a journal of Optuna
    file: PathBuf,
    /// The study in the file, where there are several
    #[arg(long, value_name = "NAME")]
    study: Option<String>,
    /// The study's name here [default: that in the file]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    storage: StorageArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Taken {
    study: String,
    direction: Direction,
    from: String,
    trials: usize,
    states: indexmap::IndexMap<&'static str, usize>,
    best: Option<f64>,
    notices: Vec<String>,
}

pub(crate) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let mut imported = optuna::import(&args.file, args.study.as_deref())?;
    if let Some(name) = &args.name {
        imported.definition.name.clone_from(name);
    }
    if imported.definition.name.trim().is_empty() {
        return Err(Failure::usage("the study needs a name: give one with --name"));
    }
    let url = args.storage.storage.as_deref().unwrap_or("luthier.db");
    let storage = luthier_storage::open(url)?;
    if storage.study(&imported.definition.name)?.is_some() {
        return Err(Failure::failed(format!(
            "there is already a study `{}` in this storage; give the imported one another name with --name",
            imported.definition.name
        )));
    }
    let study = imported.store(&*storage)?;
    let history = read_history(&*storage, &study)?;
    for notice in &imported.notices {
        tell(&format!("note: {notice}"));
    }
    let mut states = indexmap::IndexMap::new();
    for trial in history.trials() {
        *states.entry(trial.state()).or_insert(0) += 1;
    }
    let taken = Taken {
        study: study.definition.name.clone(),
        direction: study.definition.direction,
        from: args.file.display().to_string(),
        trials: history.trials().len(),
        states,
        best: history.best().and_then(|best| best.outcome.as_ref()?.value()),
        notices: imported.notices,
    };
    if args.json {
        return print_json(&taken);
    }
    print(&shown(&taken, &history, url))
}

fn shown(taken: &Taken, history: &History, url: &str) -> String {
    let Taken { study, direction, from, trials, states, .. } = taken;
    let counts: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let plural = if *trials == 1 { "" } else { "s" };
    let mut text = format!("imported study `{study}` from {from}: {trials} trial{plural}");
    if !counts.is_empty() {
        text += &format!(" ({})", counts.join(", "));
    }
    if let (Some(best), Some(value)) = (history.best(), taken.best) {
        text +=
            &format!("\n\nbest: trial {}, {}\n{}", best.id, number(value), params(&best.params).trim_end());
    }
    let file = url.strip_prefix("sqlite:").map_or(url, |path| path.strip_prefix("//").unwrap_or(path));
    text += "\n\ngo on with it";
    // The library keeps its studies in files.
    if !file.contains("://") {
        let maximize = if *direction == Direction::Maximize { ".maximize()" } else { "" };
        text += &format!(
            ":\n  in Rust, asking for parameters of the same names:\n    \
             Study::builder({study:?}){maximize}.stored_in({file:?})?.optimize(10, …)\n  or"
        );
    }
    let storage = if url == "luthier.db" { String::new() } else { format!(" --storage {url}") };
    text += &format!(
        " with a study file that has this name, and ranges of the same names:\n    luthier tune FILE{storage}"
    );
    text
}
