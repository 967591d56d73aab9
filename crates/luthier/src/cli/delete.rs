//! `luthier delete`: a study with all that belongs to it.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};

use clap::Args;
use luthier_core::{Event, SessionId, Storage, Study};
use serde::Serialize;

use super::output::{print, print_json};
use super::place::study;
use super::{Failure, StudyArgs};

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Serialize)]
struct Deleted {
    deleted: String,
}

/// The sessions at work, in words.
fn workers_of(storage: &dyn Storage, study: &Study, living: &BTreeSet<SessionId>) -> Result<String, Failure> {
    let mut names = Vec::new();
    for recorded in storage.read(study.id, 0)? {
        if let Event::SessionStarted { worker, .. } = recorded.event
            && living.contains(&SessionId(recorded.revision))
        {
            names.push(worker.unwrap_or_else(|| format!("session {}", recorded.revision)));
        }
    }
    Ok(names.join(", "))
}

pub(crate) fn run(args: &DeleteArgs) -> Result<(), Failure> {
    let (storage, study) = study(&args.study)?;
    let name = study.definition.name.clone();
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!("say --yes to delete study `{name}` without being asked")));
        }
        let mut stderr = std::io::stderr();
        write!(stderr, "delete study `{name}` with its trials and models? [y/N] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return print("nothing was deleted");
        }
    }
    let living = storage.living(study.id)?;
    if !living.is_empty() {
        let workers = workers_of(&*storage, &study, &living)?;
        return Err(Failure::failed(format!(
            "study `{name}` is being worked on by {workers}; stop them first"
        )));
    }
    storage.delete_study(study.id)?;
    if args.study.json {
        return print_json(&Deleted { deleted: name });
    }
    print(&format!("deleted study `{name}`"))
}
