//! `luthier train`: one training run.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use luthier::{Loaded, StudyFile, Training};
use luthier_core::{
    Decision, Ending, Evaluation, Lineage, Metrics, Objective, ObjectiveError, Origin, Params, Stop,
    TrialHandle, TrialId, trial_seed,
};
use luthier_runner::Interrupt;
use luthier_train::{Checkpoint, Every, Experiment, Run, device};
use serde::Serialize;

use super::checkpoints::Checkpoints;
use super::notices::tell_notices;
use super::output::{metrics, number, print, print_json, seconds, tell};
use super::place::with_progress;
use super::{Failure, FileArgs, pieces, program, tune};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    /// Threads for the mathematics; the result does not depend on it
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Train for so many epochs, in place of the file's number; more than a resumed run has had lengthen it
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<u64>,
    /// Write checkpoints to this folder: last, best, and those that [train] checkpoints asks for
    #[arg(long, value_name = "DIR")]
    pub(super) checkpoint: Option<PathBuf>,
    /// Go on from a checkpoint: a folder of --checkpoint, or one file of it. With --set, under other values
    #[arg(long, value_name = "DIR")]
    pub(super) resume: Option<PathBuf>,
    /// Write the model to this file
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// Measure the model on the sealed test examples at the end
    #[arg(long)]
    pub(super) test: bool,
}

#[derive(Serialize)]
pub(super) struct Trained {
    pub(super) value: f64,
    pub(super) objective: String,
    pub(super) epoch: Option<u64>,
    pub(super) seconds: f64,
    pub(super) ending: Ending,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test: Option<Metrics>,
    pub(super) epochs: Vec<Row>,
}

#[derive(Serialize, Clone)]
pub(super) struct Row {
    epoch: u64,
    #[serde(flatten)]
    metrics: Metrics,
}

/// The one trial of a training run: it reports to the terminal.
pub(super) struct Alone {
    pub(super) params: Params,
    pub(super) seed: u64,
    pub(super) rows: Vec<Row>,
    pub(super) json: bool,
    /// What is counted: epochs, measurements within them, folds, or the steps of a program.
    pub(super) unit: &'static str,
    /// Whether a metric is shown while it runs.
    pub(super) shows: fn(&str) -> bool,
    pub(super) interrupt: Interrupt,
    /// What it goes on from.
    pub(super) resumed: Option<Vec<u8>>,
    /// Where a piece of a training ends.
    pub(super) until: Option<u64>,
    /// What is behind a piece, and its checkpoint.
    pub(super) lineage: Option<Lineage>,
    pub(super) inherited: Option<Vec<u8>>,
    pub(super) checkpoints: Option<Checkpoints>,
}

impl TrialHandle for Alone {
    fn id(&self) -> TrialId {
        TrialId(0)
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn until(&self) -> Option<u64> {
        self.until
    }

    fn report(&mut self, step: u64, value: f64, metrics: Metrics) -> Result<Decision, ObjectiveError> {
        if !self.json {
            let shown = metrics.iter().filter(|(name, _)| (self.shows)(name)).collect();
            tell(&format!("{} {step}: {}", self.unit, self::metrics(&shown)));
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.reported(step, value);
        }
        self.rows.push(Row { epoch: step, metrics });
        Ok(Decision::Continue)
    }

    fn notice(&mut self, text: &str) {
        tell(&format!("note: {text}"));
    }

    fn interrupted(&self) -> Option<Stop> {
        self.interrupt.is_set().then_some(Stop::Interrupted)
    }

    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError> {
        Ok(self.resumed.take())
    }

    fn lineage(&self) -> Option<&Lineage> {
        self.lineage.as_ref()
    }

    fn inherited(&mut self) -> Result<Vec<u8>, ObjectiveError> {
        self.inherited.take().ok_or_else(|| "there is no piece before this one".to_owned().into())
    }

    fn wants_checkpoint(&self) -> bool {
        self.checkpoints.as_ref().is_some_and(Checkpoints::is_due)
    }

    fn save_checkpoint(&mut self, checkpoint: Vec<u8>) -> Result<(), ObjectiveError> {
        if self.until.is_some() {
            self.inherited = Some(checkpoint);
            return Ok(());
        }
        match &mut self.checkpoints {
            Some(checkpoints) => Ok(checkpoints.save(&checkpoint)?),
            None => Ok(()),
        }
    }
}

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let device = device(&args.file.device).map_err(Failure::usage)?;
    let mut sets = args.file.sets.clone();
    sets.extend(args.epochs.map(|epochs| format!("train.epochs={epochs}")));
    let file = StudyFile::open(&args.file.file, &sets)?;
    refuse_ranges(&file, &args.file)?;
    match with_progress(|progress| file.load(device, progress))? {
        Loaded::Training(training) => train(args, &file, *training, started),
        Loaded::Command(command) => program::train(args, &file, &command, started),
    }
}

/// The seed of the one trial of a file.
pub(super) fn seed(file: &StudyFile) -> u64 {
    file.trial.as_ref().map_or_else(|| trial_seed(file.search.seed, 0), |trial| trial.seed)
}

fn train(args: &TrainArgs, file: &StudyFile, training: Training, started: Instant) -> Result<(), Failure> {
    let Training { experiment, objective, direction } = training;
    let experiment = experiment.with_threads(args.threads);
    tell_notices(&experiment, &Params::new())?;
    let seed = seed(file);
    let Resumed { seed, bytes: resumed, best } = match &args.resume {
        None => Resumed { seed, bytes: None, best: None },
        Some(path) => resume(&experiment, path, seed, !args.file.sets.is_empty())?,
    };
    let train = experiment.setup(&Params::new(), seed).map_err(Failure::usage)?.config.train;
    let rule = train.checkpoints;
    let unit = match train.validate_every {
        _ if experiment.folds() > 1 => "fold",
        Every::Epochs(1.0) => "epoch",
        _ => "report",
    };
    let folder = folder_of_checkpoints(args)?;
    let checkpoints = folder.map(|folder| Checkpoints::new(folder, &rule, direction, best)).transpose()?;
    let interrupt = Interrupt::default();
    let message = match folder {
        Some(folder) => {
            format!("stopping after this batch; --resume {} goes on from there", folder.display())
        }
        None => {
            "stopping after this batch; nothing is kept of an unfinished run without --checkpoint".to_owned()
        }
    };
    tune::stop_on_signals(&interrupt, message)?;
    let params = Params::new();
    let (rows, json) = (Vec::new(), args.file.json);
    // The rest is the same all along, or for --json.
    let shows =
        |name: &str| name.starts_with("train_") || name.starts_with("val_") || name == "learning_rate";
    let (until, lineage, inherited) = (None, None, None);
    let mut trial = Alone {
        params,
        seed,
        rows,
        json,
        unit,
        shows,
        interrupt,
        resumed,
        until,
        lineage,
        inherited,
        checkpoints: None,
    };
    if args.resume.is_none() {
        train_before(args, file, &mut trial)?;
    }
    trial.checkpoints = checkpoints;
    let (value, epoch, ending, model) = match experiment.evaluate(&mut trial)? {
        Evaluation::Complete { value, step, ending, model } => (value, step, ending, model),
        Evaluation::Paused => return Err(Failure::Interrupted),
        Evaluation::Infeasible(reason) => return Err(Failure::usage(reason)),
        Evaluation::Failed(cause) => return Err(Failure::failed(format!("the training failed: {cause}"))),
        Evaluation::Stopped(reason) => return Err(Failure::failed(reason)),
    };
    let model = model.ok_or_else(|| Failure::failed("the training left no model"))?;
    let test = if args.test { experiment.test(&model, args.threads).map_err(Failure::failed)? } else { None };
    if let Some(path) = &args.model {
        tune::write_file(path, &model)?;
    }
    let trained = Trained {
        value,
        objective: objective.name(),
        epoch,
        seconds: started.elapsed().as_secs_f64(),
        ending,
        test,
        epochs: trial.rows,
    };
    if args.file.json {
        return print_json(&trained);
    }
    let mut text = format!(
        "{} {} at {unit} {}, in {}\n",
        trained.objective,
        number(value),
        epoch.unwrap_or(0),
        seconds(trained.seconds)
    );
    if trained.ending != Ending::Full {
        text += &format!("{}\n", trained.ending);
    }
    if let Some(test) = &trained.test {
        text += &format!("test: {}\n", metrics(test));
    }
    if let Some(path) = &args.model {
        text += &format!("wrote {}\n", path.display());
    }
    print(&text)
}

/// Trains the pieces that a file says come before it. The trial goes on from the last of them then.
fn train_before(args: &TrainArgs, file: &StudyFile, trial: &mut Alone) -> Result<(), Failure> {
    let seed = trial.seed;
    for piece in pieces::before(file) {
        let part = file.piece(piece)?;
        let device = device(&args.file.device).map_err(Failure::usage)?;
        let Loaded::Training(training) = with_progress(|progress| part.load(device, progress))? else {
            return Err(Failure::usage("trial.before: a program has no pieces"));
        };
        (trial.seed, trial.until) = (piece.seed, Some(piece.until));
        let Training { experiment, .. } = *training;
        let evaluation = experiment.with_threads(args.threads).evaluate(trial)?;
        match evaluation {
            Evaluation::Paused if trial.interrupt.is_set() => return Err(Failure::Interrupted),
            Evaluation::Paused => {}
            other => {
                return Err(Failure::usage(format!(
                    "trial.before: the piece until report {} does not come to its end: {other:?}",
                    piece.until
                )));
            }
        }
        let origin = Origin { trial: TrialId(0), step: piece.until };
        trial.lineage = Some(Lineage { origin, request: None });
    }
    (trial.seed, trial.until) = (seed, None);
    Ok(())
}

/// Where checkpoints are written; not where those of another run are.
pub(super) fn folder_of_checkpoints(args: &TrainArgs) -> Result<Option<&PathBuf>, Failure> {
    if let (Some(folder), None) = (&args.checkpoint, &args.resume) {
        Checkpoints::refuse_used(folder)?;
    }
    Ok(args.checkpoint.as_ref().or(args.resume.as_ref().filter(|path| path.is_dir())))
}

/// What a run goes on with.
struct Resumed {
    seed: u64,
    bytes: Option<Vec<u8>>,
    /// The best value so far.
    best: Option<f64>,
}

/// What a run goes on with: as it was, lengthened, or forked where values were changed.
fn resume(experiment: &Experiment, path: &Path, seed: u64, changed: bool) -> Result<Resumed, Failure> {
    let (path, bytes) = Checkpoints::read(path)?;
    let named = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    if experiment.folds() > 1 {
        // Folds are resumed as they were, and only so.
        return Ok(Resumed { seed, bytes: Some(bytes), best: None });
    }
    let checkpoint = Checkpoint::from_bytes(&bytes).map_err(|error| named(&error))?;
    let mut setup = experiment.setup(&Params::new(), checkpoint.seed()).map_err(Failure::usage)?;
    // A fork that is resumed with the same --set goes on; it is not forked once more.
    let changed = changed && checkpoint.differs_from(&setup.file).is_some();
    if changed {
        setup.seed = checkpoint.fork_seed();
    }
    let (seed, ended) = (setup.seed, checkpoint.has_ended());
    let run = match (changed, ended) {
        (true, _) => Run::fork(setup, &checkpoint),
        (false, true) => Run::extend(setup, &checkpoint),
        (false, false) => Run::resume(setup, &checkpoint),
    };
    let run = run.map_err(|error| named(&error))?;
    let bytes = run.checkpoint().to_bytes().map_err(|error| named(&error))?;
    Ok(Resumed { seed, bytes: Some(bytes), best: run.best().map(|(_, value)| value) })
}

fn refuse_ranges(file: &StudyFile, args: &FileArgs) -> Result<(), Failure> {
    if file.space().is_empty() {
        return Ok(());
    }
    let ranges: Vec<String> = file
        .space()
        .iter()
        .map(|parameter| {
            let place = file.line(&parameter.name).filter(|line| *line > 0).map(|line| format!(":{line}"));
            format!(
                "  {}{}: {}  ({})",
                args.file.display(),
                place.unwrap_or_default(),
                parameter.name,
                parameter.distribution
            )
        })
        .collect();
    Err(Failure::usage(format!(
        "the file has ranges, and a training needs values:\n{}\nset them with --set PATH=VALUE, or search them \
         with `luthier tune {}`",
        ranges.join("\n"),
        args.file.display()
    )))
}
