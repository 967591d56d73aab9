//! `luthier tune`: the whole loop.

use std::io::Write;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use luthier::StudyFile;
use luthier_runner::{Interrupt, Limits, Trials};

use super::devices::DevicesArgs;
use super::outcome::Worked;
use super::output::tell;
use super::place::{storage_of, with_progress};
use super::progress::Progress;
use super::work::Work;
use super::{Failure, FileArgs, StorageArgs};

#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    #[command(flatten)]
    study: TuningArgs,
    /// Trials at once, each with one thread (search.parallel of the file)
    #[arg(long)]
    parallel: Option<usize>,
    #[command(flatten)]
    devices: DevicesArgs,
}

/// A study to tune, wherever that is done.
#[derive(Debug, Args)]
pub(super) struct TuningArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    pub(super) storage: StorageArgs,
    /// Configurations to try in all, those of earlier runs included (search.trials of the file); +50: so many more
    /// than until now
    #[arg(long, value_parser = read_trials)]
    trials: Option<Trials>,
    /// Time for everything: 90s, 10m, 2h (search.timeout of the file)
    #[arg(long)]
    timeout: Option<String>,
    /// Go on although the file, the data, the program or the class of the machine has changed
    #[arg(long)]
    pub(super) force: bool,
}

impl TuningArgs {
    /// The study file, with what options say in the places of its own keys.
    pub(super) fn open(&self, parallel: Option<usize>) -> Result<StudyFile, Failure> {
        let mut sets = self.file.sets.clone();
        if let Some(Trials::All(trials)) = self.trials {
            sets.push(format!("search.trials={trials}"));
        }
        sets.extend(self.timeout.as_ref().map(|timeout| format!("search.timeout={timeout:?}")));
        sets.extend(parallel.map(|parallel| format!("search.parallel={parallel}")));
        Ok(StudyFile::open(&self.file.file, &sets)?)
    }

    /// Configurations to try.
    pub(super) fn limit(&self, work: &Work) -> Trials {
        self.trials.unwrap_or_else(|| work.file.trials().map_or(Trials::Unlimited, Trials::All))
    }
}

/// A number of configurations, or with `+` so many more.
fn read_trials(text: &str) -> Result<Trials, ParseIntError> {
    match text.strip_prefix('+') {
        Some(more) => Ok(Trials::More(more.parse()?)),
        None => Ok(Trials::All(text.parse()?)),
    }
}

pub(crate) fn run(args: &TuneArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let TuneArgs { study, parallel, devices } = args;
    let file = study.open(parallel.or_else(|| devices.parallel()))?;
    let loaded = with_progress(|progress| devices.load(&file, &study.file.device, progress))?;
    let storage = storage_of(&file, &study.storage)?;
    let work = Work::open(file, loaded, storage, study.force)?;
    let interrupt = Interrupt::default();
    stop_on_signals(&interrupt, "stopping; what is done is kept (once more to stop at once)")?;
    let history = work.ledger.history();
    let parallel = work.file.search.parallel;
    let limits = Limits {
        trials: study.limit(&work),
        deadline: work.file.search.timeout.map(|timeout| started + timeout),
        target: work.file.study.target,
        parallel,
    };
    let name = work.loaded.objective();
    let named = (name.as_str(), work.file.unit());
    let progress = Progress::new(history, named, limits.trials.of(history), limits.deadline, study.file.json);
    let (stopped, file, loaded, mut ledger) = work.run(limits, interrupt, &progress)?;
    progress.finish();

    let worked = Worked {
        file: &file,
        loaded: &loaded,
        stopped,
        time: started.elapsed(),
        storage: &study.storage,
        json: study.file.json,
        again: format!("luthier tune {}", study.file.file.display()),
    };
    worked.conclude(&mut ledger, parallel)
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
