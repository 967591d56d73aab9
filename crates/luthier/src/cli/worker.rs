//! `luthier worker`: work on a study beside others, on this machine or on another.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use luthier::StudyFile;
use luthier_core::{Stop, Trial};
use luthier_runner::{Interrupt, Limits, Trials};
use serde::Serialize;

use super::devices::DevicesArgs;
use super::output::{print, print_json, tell};
use super::place::{storage_of, study_with_history, with_progress};
use super::progress::Progress;
use super::tune::stop_on_signals;
use super::work::Work;
use super::{Failure, StudyArgs};

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// Trials at once, each with one thread [default: 1]
    #[arg(long)]
    parallel: Option<usize>,
    /// Stop after this time, and leave what is unfinished to others: 90s, 10m, 2h
    #[arg(long)]
    timeout: Option<String>,
    /// Where to compute
    #[arg(long, default_value = "cpu")]
    device: String,
    #[command(flatten)]
    devices: DevicesArgs,
    /// Work although the file, the data, the program or the class of the machine is not that of the other workers
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Worked {
    study: String,
    stopped: Stop,
    /// Trials that ended here.
    trials: usize,
}

pub(crate) fn run(args: &WorkerArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let parallel = args.parallel.or_else(|| args.devices.parallel()).unwrap_or(1);
    let file = file_of(args, parallel)?;
    let loaded = with_progress(|progress| args.devices.load(&file, &args.device, progress))?;
    let storage = storage_of(&file, &args.study.storage)?;
    let work = Work::open(file, loaded, storage, args.force)?;
    let interrupt = Interrupt::default();
    stop_on_signals(&interrupt, "stopping; trials at work are left to others (once more to stop at once)")?;
    let history = work.ledger.history();
    let limits = Limits {
        // Who tunes says how many there are to be.
        trials: match work.file.trials() {
            _ if history.session().is_some() => Trials::AsBefore,
            Some(trials) => Trials::All(trials),
            None => Trials::Unlimited,
        },
        deadline: work.file.search.timeout.map(|timeout: Duration| started + timeout),
        target: work.file.study.target,
        parallel,
    };
    let name = work.loaded.objective();
    let named = (name.as_str(), work.file.unit());
    let progress = Progress::new(history, named, limits.trials.of(history), limits.deadline, args.study.json)
        .of_this_session();
    let (stopped, file, _, ledger) = work.run(limits, interrupt, &progress)?;
    progress.finish();
    let here = |trial: &&Trial| trial.outcome.is_some() && trial.holder == ledger.session();
    let trials = ledger.history().trials().iter().filter(here).count();
    match stopped {
        Stop::Interrupted => {
            tell("interrupted; the study is intact, and other workers go on");
            Err(Failure::Interrupted)
        }
        _ if args.study.json => print_json(&Worked { study: file.study.name, stopped, trials }),
        _ => print(&format!(
            "study `{}`: {stopped}; {trials} trial{} ended here\n",
            file.study.name,
            if trials == 1 { "" } else { "s" }
        )),
    }
}

/// The study file: the one that is named, or the one that the study is worked on by.
fn file_of(args: &WorkerArgs, parallel: usize) -> Result<StudyFile, Failure> {
    let timeout = args.timeout.as_ref().map(|timeout| format!("search.timeout={timeout:?}"));
    let mut sets: Vec<String> = timeout.into_iter().collect();
    sets.push(format!("search.parallel={parallel}"));
    let path = PathBuf::from(&args.study.study);
    if path.extension().is_some_and(|extension| extension == "toml") {
        return Ok(StudyFile::open(&path, &sets)?);
    }
    let (_, study, history) = study_with_history(&args.study)?;
    let text = history.session().and_then(|session| session.file.clone()).or(study.definition.file);
    let text = text.ok_or_else(|| {
        Failure::failed(format!(
            "study `{}` has no file: it was made by a program, and only that can work on it",
            args.study.study
        ))
    })?;
    // Data is looked for from here.
    Ok(StudyFile::parse(&text, Path::new("study.toml"), &sets)?)
}
