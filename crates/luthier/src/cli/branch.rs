//! `luthier extend` and `luthier fork`: a trial that a person asks for, which goes on from another one's checkpoint.

mod values;

use std::path::{Path, PathBuf};

use clap::Args;
use indexmap::IndexMap;
use luthier::{Loaded, StudyFile};
use luthier_core::config::Kind;
use luthier_core::{
    Ending, History, Lineage, ObjectiveError, Origin, Outcome, Params, Request, Storage, Study, Trial,
    TrialId,
};
use luthier_runner::{
    Interrupt, Ledger, LedgerError, Limits, Remade, Trials, checkpoint_at, checkpoint_name, origin_name,
};
use luthier_train::{Checkpoint, device};
use serde::Serialize;

use super::output::{number, params, print, print_json, tell};
use super::place::{study_with_history, with_progress};
use super::progress::Progress;
use super::work::Work;
use super::{Failure, StudyArgs, tune};

#[derive(Debug, Args)]
pub(crate) struct ExtendArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// The trial that is to go on
    #[arg(long)]
    trial: u64,
    /// The epochs that the new trial has in all, those of the other one included
    #[arg(long)]
    epochs: u64,
    /// Stretch the schedules over so many epochs in all; else they hold the value that they have come to
    #[arg(long, value_name = "EPOCHS")]
    horizon: Option<u64>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// The trial that is to be branched
    #[arg(long)]
    trial: u64,
    /// The epoch (of a program, the step) after which it is; its last one if left out
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// What is otherwise from there on: a parameter of the study, or another value of its file, such as `train.weight_decay=0`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// The epochs that the new trial has in all; those of the study file if left out
    #[arg(long)]
    epochs: Option<u64>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Where the checkpoint is not kept any more, run the trial again up to there, which gives the same bits
    #[arg(long)]
    retrain: bool,
    /// Where to compute
    #[arg(long, default_value = "cpu")]
    device: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    study: &'a str,
    trial: TrialId,
    from: &'a Lineage,
    state: &'static str,
    value: Option<f64>,
    epoch: Option<u64>,
    best: bool,
    params: &'a Params,
}

/// A trial that is asked for.
struct Asked {
    params: Params,
    from: Lineage,
}

/// The study with the trial that is meant, and all that it takes to run it.
struct Branching {
    study: Study,
    parent: Trial,
    file: StudyFile,
    loaded: Loaded,
    storage: std::sync::Arc<dyn Storage>,
    history: History,
}

impl Branching {
    fn open(args: &StudyArgs, trial: u64, device_name: &str) -> Result<Self, Failure> {
        let (storage, study, history) = study_with_history(args)?;
        let name = study.definition.name.clone();
        let Some(parent) = history.trial(TrialId(trial)).cloned() else {
            let count = history.trials().len();
            return Err(Failure::failed(format!(
                "there is no trial {trial}; the study has {count} trials, from 0"
            )));
        };
        let last = history.session().and_then(|session| session.file.as_deref());
        let text = last.or(study.definition.file.as_deref());
        let text = text.ok_or_else(|| {
            Failure::failed(format!(
                "study `{name}` has no file: it was made by a program, and goes on only by it"
            ))
        })?;
        if parent.imported.is_some() {
            return Err(Failure::failed(format!("trial {trial} was imported: there is no checkpoint of it")));
        }
        // Data is looked for from where the file is, if that is what was named.
        let path = PathBuf::from(&args.study);
        let path = if path.exists() { path } else { Path::new("study.toml").to_owned() };
        let file = StudyFile::parse(text, &path, &[])?;
        let device = device(device_name).map_err(Failure::usage)?;
        let loaded = with_progress(|progress| file.load(device, progress))?;
        if let Loaded::Training(training) = &loaded
            && training.experiment.folds() > 1
        {
            return Err(Failure::failed(
                "a trial of several folds is many trainings: it cannot go on as one",
            ));
        }
        if !loaded.as_objective().abilities().forks {
            return Err(Failure::failed(
                "the program cannot go on from a checkpoint; if it can, say `resumes = true` in [command]",
            ));
        }
        Ok(Self { study, parent, file, loaded, storage, history })
    }

    /// The last step of the other trial.
    fn last(&self) -> Result<u64, Failure> {
        let last = self.parent.reports.last().map(|report| report.step);
        last.filter(|step| *step > 0).ok_or_else(|| {
            let Trial { id, .. } = self.parent;
            Failure::failed(format!("trial {id} has not reported yet: there is nothing to go on from"))
        })
    }

    /// What the other trial had beside its parameters.
    fn values(&self) -> IndexMap<String, String> {
        let request = self.parent.from.as_ref().and_then(|from| from.request.as_ref());
        request.map(|request| request.values.clone()).unwrap_or_default()
    }

    /// A key of [train] of the other trial.
    fn train(&self, key: &str) -> Option<u64> {
        if let Some(value) = self.values().get(&format!("train.{key}")) {
            return value.parse().ok();
        }
        match self.file.filled_node(&self.parent.params, 0).ok()?.get("train")?.get(key)?.kind {
            Kind::Int(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    fn unit(&self) -> &'static str {
        self.file.unit()
    }

    /// The checkpoint of the other trial at a step.
    fn checkpoint(&self, step: u64, retrain: bool, interrupt: &Interrupt) -> Result<Vec<u8>, Failure> {
        let origin = Origin { trial: self.parent.id, step };
        if let Some(bytes) = self.kept(origin)? {
            return Ok(bytes);
        }
        let Origin { trial, .. } = origin;
        let unit = self.unit();
        if !retrain {
            return Err(Failure::failed(format!(
                "the checkpoint of trial {trial} at {unit} {step} is not kept any more (kept are those of paused trials where \
                 they paused, and that of the best trial's end); --retrain runs its {step} {unit}s once more, which gives \
                 the same bits, and goes on from there"
            )));
        }
        tell(&format!("running trial {trial} again, up to {unit} {step}"));
        let none = |_: Origin| -> Result<Option<Vec<u8>>, ObjectiveError> { Ok(None) };
        let stop = || interrupt.is_set().then_some(luthier_core::Stop::Interrupted);
        match checkpoint_at(self.loaded.as_objective(), &self.history, origin, &none, &stop)? {
            Remade::Checkpoint(bytes) => Ok(bytes),
            Remade::SetAside => Err(Failure::Interrupted),
            Remade::Not(reason) => Err(Failure::failed(reason)),
        }
    }

    fn kept(&self, origin: Origin) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(bytes) = self.storage.artifact(self.study.id, &origin_name(origin))? {
            return Ok(Some(bytes));
        }
        let Some(bytes) = self.storage.artifact(self.study.id, &checkpoint_name(origin.trial))? else {
            return Ok(None);
        };
        let there = match &self.loaded {
            Loaded::Training(_) => Checkpoint::from_bytes(&bytes)
                .is_ok_and(|checkpoint| checkpoint.position().is_report(origin.step)),
            // It says so itself when the trial begins.
            Loaded::Command(_) => self.parent.laid_down == origin.step && self.last()? == origin.step,
        };
        Ok(there.then_some(bytes))
    }

    /// Runs the trial that is asked for, and says what came of it.
    fn run(self, asked: &Asked, args: &StudyArgs, common: &CommonArgs) -> Result<(), Failure> {
        let sets = asked.from.sets();
        // All that is wrong with it as a file, with the line and the key.
        let filled = self.file.filled(&asked.params, self.parent.seed).map_err(Failure::usage)?;
        StudyFile::parse(&filled, &self.file.path, &sets)?;
        let interrupt = Interrupt::default();
        tune::stop_on_signals(&interrupt, "stopping; what is done is kept (once more to stop at once)")?;
        let bytes = self.checkpoint(asked.from.origin.step, common.retrain, &interrupt)?;
        if let Loaded::Training(training) = &self.loaded {
            let run = training.experiment.begun_with(&asked.params, self.parent.seed, &asked.from, &bytes);
            run.map_err(|reason| {
                Failure::usage(format!("trial {} cannot go on so: {reason}", self.parent.id))
            })?;
        }
        let Self { study, file, loaded, storage, .. } = self;
        let mut work = Work::open(file, loaded, storage, false)?;
        let trial = work.ledger.turn(|ledger: &mut Ledger| -> Result<TrialId, LedgerError> {
            ledger.start_request(asked.params.clone(), asked.from.clone())
        })?;
        work.ledger.storage().put_artifact(study.id, &origin_name(asked.from.origin), &bytes)?;
        let objective = work.loaded.objective();
        let unit = work.file.unit();
        let progress =
            Progress::new(work.ledger.history(), (objective.as_str(), unit), None, None, args.json);
        let limits = Limits { trials: Trials::AsBefore, parallel: 1, ..Limits::default() };
        let ledger = work.run_only(trial, limits, interrupt.clone(), &progress)?;
        progress.finish();
        let history = ledger.history();
        let found = history.trial(trial).ok_or_else(|| Failure::failed("the trial is gone"))?;
        let standing = found.standing();
        let shown = Shown {
            study: &study.definition.name,
            trial,
            from: &asked.from,
            state: found.state(),
            value: standing.map(|(value, _)| value),
            epoch: standing.and_then(|(_, step)| step),
            best: history.best().is_some_and(|best| best.id == trial),
            params: &found.params,
        };
        if args.json {
            print_json(&shown)?;
        } else {
            let mut text = format!("trial {trial} ({}): {}", asked.from, shown.state);
            if let (Some(value), Some(epoch)) = (shown.value, shown.epoch) {
                text += &format!(", {objective} {} at {unit} {epoch}", number(value));
            }
            if let Some(note) = found.note() {
                text += &format!("; {note}");
            }
            text += &format!("\n{}", params(&found.params));
            text += if shown.best { "it is the best trial of the study now\n" } else { "" };
            print(&text)?;
        }
        match &found.outcome {
            None if interrupt.is_set() => {
                tell(
                    "interrupted; the trial goes on with the next `luthier tune` or `luthier worker` of the study",
                );
                Err(Failure::Interrupted)
            }
            Some(Outcome::Failed { .. } | Outcome::Infeasible { .. }) => {
                Err(Failure::failed("the trial has no value"))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn extend(args: &ExtendArgs) -> Result<(), Failure> {
    let branching = Branching::open(&args.study, args.trial, &args.common.device)?;
    if branching.file.is_command() {
        return Err(Failure::usage(
            "a program decides itself how long it runs; `luthier fork` with --set goes on under another value that \
             it is told",
        ));
    }
    let (parent, last) = (&branching.parent, branching.last()?);
    let whole = matches!(parent.outcome, Some(Outcome::Complete { ending: Ending::Full, .. }));
    let laid_down = parent.outcome.is_none() && parent.paused.is_some();
    if !whole && !laid_down {
        return Err(Failure::failed(format!(
            "trial {} is {}{}: only one that has run its whole length, or is paused, can be lengthened; `luthier fork` \
             goes on from any epoch",
            parent.id,
            parent.state(),
            parent.note().map(|note| format!(" ({note})")).unwrap_or_default()
        )));
    }
    let epochs = branching.train("epochs").unwrap_or(0);
    if args.epochs <= epochs {
        return Err(Failure::usage(format!(
            "trial {} has {epochs} epochs, so {} do not lengthen it; ask for more",
            parent.id, args.epochs
        )));
    }
    let horizon = args.horizon.or_else(|| branching.train("horizon")).unwrap_or(epochs);
    let mut values = branching.values();
    values.insert("train.epochs".to_owned(), args.epochs.to_string());
    values.insert("train.horizon".to_owned(), horizon.to_string());
    let origin = Origin { trial: parent.id, step: last };
    let request = Request { extends: true, values };
    let asked = Asked { params: parent.params.clone(), from: Lineage { origin, request: Some(request) } };
    branching.run(&asked, &args.study, &args.common)
}

pub(crate) fn fork(args: &ForkArgs) -> Result<(), Failure> {
    let branching = Branching::open(&args.study, args.trial, &args.common.device)?;
    let last = branching.last()?;
    let step = args.epoch.unwrap_or(last);
    if step == 0 || step > last {
        return Err(Failure::usage(format!(
            "trial {} has had {last} {}s: expected one from 1 to {last}, found {step}",
            args.trial,
            branching.unit()
        )));
    }
    let (params, mut values) = values::changed(&branching, &args.sets)?;
    if let Some(epochs) = args.epochs {
        if branching.file.is_command() {
            return Err(Failure::usage("a program decides itself how long it runs: leave out --epochs"));
        }
        values.insert("train.epochs".to_owned(), epochs.to_string());
    }
    // Unlike a trial that is lengthened, a fork has its schedules stretched over all of its own epochs.
    let origin = Origin { trial: branching.parent.id, step };
    let from = Lineage { origin, request: Some(Request { extends: false, values }) };
    branching.run(&Asked { params, from }, &args.study, &args.common)
}
