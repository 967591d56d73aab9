//! `luthier train`: one training run.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use luthier::StudyFile;
use luthier_core::{
    Decision, Ending, Evaluation, Metrics, Objective, ObjectiveError, Params, Stop, TrialHandle, TrialId,
    trial_seed,
};
use luthier_runner::Interrupt;
use luthier_train::device;
use serde::Serialize;

use super::notices::tell_notices;
use super::output::{metrics, number, print, print_json, seconds, tell};
use super::place::with_progress;
use super::{Failure, FileArgs, tune};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Threads for the mathematics; the result does not depend on it
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Write the model to this file
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Measure the model on the sealed test examples at the end
    #[arg(long)]
    test: bool,
}

#[derive(Serialize)]
struct Trained {
    value: f64,
    objective: String,
    epoch: Option<u64>,
    seconds: f64,
    ending: Ending,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Metrics>,
    epochs: Vec<Row>,
}

#[derive(Serialize, Clone)]
struct Row {
    epoch: u64,
    #[serde(flatten)]
    metrics: Metrics,
}

/// The one trial of a training run: it reports to the terminal.
struct Alone {
    params: Params,
    seed: u64,
    rows: Vec<Row>,
    json: bool,
    interrupt: Interrupt,
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
        None
    }

    fn report(&mut self, step: u64, _value: f64, metrics: Metrics) -> Result<Decision, ObjectiveError> {
        if !self.json {
            tell(&format!("epoch {step}: {}", self::metrics(&metrics)));
        }
        self.rows.push(Row { epoch: step, metrics });
        Ok(Decision::Continue)
    }

    fn interrupted(&self) -> Option<Stop> {
        self.interrupt.is_set().then_some(Stop::Interrupted)
    }

    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError> {
        Ok(None)
    }

    fn wants_checkpoint(&self) -> bool {
        false
    }

    fn save_checkpoint(&mut self, _checkpoint: Vec<u8>) -> Result<(), ObjectiveError> {
        Ok(())
    }
}

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let device = device(&args.file.device).map_err(Failure::usage)?;
    let file = StudyFile::open(&args.file.file, &args.file.sets)?;
    refuse_ranges(&file, &args.file)?;
    let loaded = with_progress(|progress| file.load(device, progress))?;
    let experiment = loaded.experiment.with_threads(args.threads);
    tell_notices(&experiment, &Params::new())?;
    let seed = file.trial.as_ref().map_or_else(|| trial_seed(file.search.seed, 0), |trial| trial.seed);
    let interrupt = Interrupt::default();
    tune::stop_on_signals(&interrupt, "stopping after this batch; nothing is kept of an unfinished run")?;
    let mut trial = Alone { params: Params::new(), seed, rows: Vec::new(), json: args.file.json, interrupt };
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
        objective: loaded.objective.name(),
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
        "{} {} at epoch {}, in {}\n",
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
