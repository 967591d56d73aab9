//! `luthier tune`: the whole loop.

use std::io::Write;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use luthier::{Loaded, StudyFile};
use luthier_core::{Event, History, Metrics, Params, Stop, TrialId};
use luthier_runner::{Interrupt, Ledger, Limits, Trials, model_name};
use luthier_train::device;
use serde::Serialize;

use super::output::{metrics, number, params, print, print_json, seconds, tell};
use super::place::{storage_of, with_progress};
use super::progress::Progress;
use super::work::Work;
use super::{Failure, FileArgs, StorageArgs};

#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    storage: StorageArgs,
    /// Configurations to try in all, those of earlier runs included (search.trials of the file); +50: so many more
    /// than until now
    #[arg(long, value_parser = read_trials)]
    trials: Option<Trials>,
    /// Time for everything: 90s, 10m, 2h (search.timeout of the file)
    #[arg(long)]
    timeout: Option<String>,
    /// Trials at once, each with one thread (search.parallel of the file)
    #[arg(long)]
    parallel: Option<usize>,
    /// Go on although the file, the data or the program has changed
    #[arg(long)]
    force: bool,
}

/// A number of configurations, or with `+` so many more.
fn read_trials(text: &str) -> Result<Trials, ParseIntError> {
    match text.strip_prefix('+') {
        Some(more) => Ok(Trials::More(more.parse()?)),
        None => Ok(Trials::All(text.parse()?)),
    }
}

#[derive(Serialize)]
struct Tuned {
    study: String,
    stopped: Stop,
    seconds: f64,
    trials: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<Winner>,
}

#[derive(Serialize, Default)]
struct Counts {
    complete: usize,
    stopped: usize,
    failed: usize,
    infeasible: usize,
    unfinished: usize,
}

#[derive(Serialize)]
struct Winner {
    trial: TrialId,
    objective: String,
    value: f64,
    epoch: Option<u64>,
    params: Params,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Metrics>,
}

pub(crate) fn run(args: &TuneArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let device = device(&args.file.device).map_err(Failure::usage)?;
    let file = StudyFile::open(&args.file.file, &sets(args))?;
    let loaded = with_progress(|progress| file.load(device, progress))?;
    let storage = storage_of(&file, &args.storage)?;
    let work = Work::open(file, loaded, storage, args.force)?;
    let interrupt = Interrupt::default();
    stop_on_signals(&interrupt, "stopping; what is done is kept (once more to stop at once)")?;
    let history = work.ledger.history();
    let parallel = work.file.search.parallel;
    let limits = Limits {
        trials: match args.trials {
            Some(trials) => trials,
            None => work.file.trials().map_or(Trials::Unlimited, Trials::All),
        },
        deadline: work.file.search.timeout.map(|timeout| started + timeout),
        target: work.file.study.target,
        parallel,
    };
    let name = work.loaded.objective();
    let named = (name.as_str(), work.file.unit());
    let progress = Progress::new(history, named, limits.trials.of(history), limits.deadline, args.file.json);
    let (stopped, file, loaded, mut ledger) = work.run(limits, interrupt, &progress)?;
    progress.finish();

    if stopped != Stop::Interrupted {
        test_winner(&mut ledger, &loaded, parallel)?;
    }
    let tuned = summary(&file, &loaded, ledger.history(), stopped, started.elapsed());
    report(args, &file, ledger.history(), &tuned)?;
    match stopped {
        Stop::Interrupted => {
            tell(&format!(
                "interrupted; the study is intact, go on with: luthier tune {}",
                args.file.file.display()
            ));
            Err(Failure::Interrupted)
        }
        Stop::Failing => Err(Failure::failed(
            "too many trials failed in a row; the last cause is above, `luthier trials` lists them all",
        )),
        Stop::Timeout if tuned.best.is_none() => Err(Failure::failed(
            "the time was up before any trial came to a value; what is done is kept: the same command goes on, \
             with more time by --timeout",
        )),
        _ if tuned.best.is_none() => Err(Failure::failed("no trial came to a value")),
        _ => Ok(()),
    }
}

/// The file's own keys that options stand for.
fn sets(args: &TuneArgs) -> Vec<String> {
    let mut sets = args.file.sets.clone();
    if let Some(Trials::All(trials)) = args.trials {
        sets.push(format!("search.trials={trials}"));
    }
    sets.extend(args.timeout.as_ref().map(|timeout| format!("search.timeout={timeout:?}")));
    sets.extend(args.parallel.map(|parallel| format!("search.parallel={parallel}")));
    sets
}

/// Evaluates the winner on the test examples, unless that was done before.
fn test_winner(ledger: &mut Ledger, loaded: &Loaded, threads: usize) -> Result<(), Failure> {
    let Some(best) = ledger.history().best() else { return Ok(()) };
    if best.tested.is_some() {
        return Ok(());
    }
    let trial = best.id;
    if best.imported {
        tell(&format!("note: trial {trial}, the best one, was imported: there is no model of it to test"));
        return Ok(());
    }
    if let Loaded::Command(_) = loaded {
        return Ok(());
    }
    let Some(model) = ledger.storage().artifact(ledger.study().id, &model_name(trial))? else {
        return Err(Failure::failed(format!("the model of trial {trial} is not in the storage any more")));
    };
    if let Some(metrics) = loaded.test(&model, threads).map_err(Failure::failed)? {
        ledger.turn(|ledger| ledger.add(Event::Tested { trial, metrics: metrics.clone() }))?;
    }
    Ok(())
}

fn summary(file: &StudyFile, loaded: &Loaded, history: &History, stopped: Stop, time: Duration) -> Tuned {
    let mut counts = Counts::default();
    for trial in history.trials() {
        match trial.state() {
            "complete" => counts.complete += 1,
            "stopped" => counts.stopped += 1,
            "failed" => counts.failed += 1,
            "infeasible" => counts.infeasible += 1,
            _ => counts.unfinished += 1,
        }
    }
    let best = history.best().and_then(|best| {
        let luthier_core::Outcome::Complete { value, step, .. } = best.outcome.as_ref()? else { return None };
        Some(Winner {
            trial: best.id,
            objective: loaded.objective(),
            value: *value,
            epoch: *step,
            params: best.params.clone(),
            test: best.tested.clone(),
        })
    });
    Tuned { study: file.study.name.clone(), stopped, seconds: time.as_secs_f64(), trials: counts, best }
}

fn report(args: &TuneArgs, file: &StudyFile, history: &History, tuned: &Tuned) -> Result<(), Failure> {
    if args.file.json {
        return print_json(tuned);
    }
    let Counts { complete, stopped, failed, infeasible, unfinished } = &tuned.trials;
    let counts: Vec<String> = [
        (complete, "complete"),
        (stopped, "stopped"),
        (failed, "failed"),
        (infeasible, "infeasible"),
        (unfinished, "unfinished"),
    ]
    .into_iter()
    .filter(|(count, _)| **count > 0)
    .map(|(count, state)| format!("{count} {state}"))
    .collect();
    let mut text = format!(
        "study `{}`: {} trial{} ({}) in {}; {}\n",
        tuned.study,
        history.trials().len(),
        if history.trials().len() == 1 { "" } else { "s" },
        counts.join(", "),
        seconds(tuned.seconds),
        tuned.stopped
    );
    match &tuned.best {
        None => text += "no trial came to a value\n",
        Some(best) => {
            text += &format!(
                "\nwinner: trial {}, {} {} at {} {}\n{}",
                best.trial,
                best.objective,
                number(best.value),
                file.unit(),
                best.epoch.unwrap_or(0),
                params(&best.params)
            );
            if let Some(test) = &best.test {
                text += &format!("\ntest, sealed until now: {}\n", metrics(test));
            }
            let storage =
                args.storage.storage.as_ref().map(|url| format!(" --storage {url}")).unwrap_or_default();
            text += &format!(
                "\nget its file{} with:\n  luthier best {}{storage} -o best.toml{}\n",
                if file.is_command() { "" } else { " and its model" },
                file.path.display(),
                if file.is_command() { "" } else { " --model model.safetensors" }
            );
        }
    }
    print(&text)
}

/// Sets `interrupt` at the first Ctrl-C or SIGTERM, and ends the program at the second.
pub(crate) fn stop_on_signals(interrupt: &Interrupt, message: impl Into<String>) -> Result<(), Failure> {
    let (interrupt, message) = (interrupt.clone(), message.into());
    ctrlc::set_handler(move || {
        if interrupt.is_set() {
            std::process::exit(130);
        }
        interrupt.set();
        tell(&message);
    })?;
    Ok(())
}

/// Writes a file whole or not at all.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".part");
        let temporary = PathBuf::from(temporary);
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}
