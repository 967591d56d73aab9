//! `luthier delete`: a study with all that belongs to it.

use std::io::{IsTerminal, Write};

use clap::Args;
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
    // Not while somebody works on it.
    let lock = storage.lock_study(study.id)?;
    storage.delete_study(study.id)?;
    drop(lock);
    if args.study.json {
        return print_json(&Deleted { deleted: name });
    }
    print(&format!("deleted study `{name}`"))
}
