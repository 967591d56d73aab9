//! A study file with its data: what a trial of a training study runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burn::tensor::Device;
use luthier_core::config::{Kind, Node, Problems, Template};
use luthier_core::{
    Abilities, Decision, Direction, Ending, Evaluation, FailCause, Metrics, Objective, ObjectiveError,
    Params, Space, TrialHandle,
};

use crate::data::{Dataset, Split, TransformConfig};
use crate::model::{StageSummary, summarize};
use crate::prepared::Prepared;
use crate::settings::TrainingConfig;
use crate::trained_model::TrainedModel;
use crate::training::{Epoch, ObjectiveMetric, Run, Setup};

/// A study file's template, its data and what its trials are judged by.
pub struct Experiment {
    template: Template,
    dataset: Arc<Dataset>,
    split: Arc<Split>,
    objective: ObjectiveMetric,
    direction: Direction,
    device: Device,
    threads: usize,
    /// Transforms may be searched; each setting of them is fitted once.
    prepared: Mutex<Vec<(TransformConfig, Arc<Prepared>)>>,
    /// The slowest validation so far, in seconds an example, as bits.
    seconds_per_example: AtomicU64,
}

impl Experiment {
    /// An experiment. Its template's sections `[data]`, `[model]` and `[train]` are those of a
    /// [`TrainingConfig`].
    pub fn new(
        template: Template,
        dataset: Dataset,
        split: Split,
        objective: ObjectiveMetric,
        direction: Direction,
        device: Device,
    ) -> Self {
        Self {
            template,
            dataset: Arc::new(dataset),
            split: Arc::new(split),
            objective,
            direction,
            device,
            threads: 1,
            prepared: Mutex::new(Vec::new()),
            seconds_per_example: AtomicU64::new(0),
        }
    }

    /// The same, with so many threads for the mathematics of each trial (1 unless set).
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The space of the file's ranges.
    pub fn space(&self) -> &Space {
        self.template.space()
    }

    /// The data.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The rows of each part.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The file with its ranges filled in and the seed of the trial: what repeats the trial.
    ///
    /// # Errors
    ///
    /// A message if `params` are not of this file's space.
    pub fn file(&self, params: &Params, seed: u64) -> Result<Node, String> {
        let mut file = self.template.fill(params)?;
        file.set("trial", Node::new(Kind::Table(indexmap::IndexMap::new())))?;
        file.set("trial.seed", Node::new(Kind::Int(seed as i64)))?;
        Ok(file)
    }

    /// All that a training with these parameters is given.
    ///
    /// # Errors
    ///
    /// Why they make no sense.
    pub fn setup(&self, params: &Params, seed: u64) -> Result<Setup, String> {
        let file = self.template.fill(params)?;
        let config =
            TrainingConfig::read(&file, "the study file").map_err(|problems| problems.to_string())?;
        let data = self.prepare(config.data.transforms())?;
        let (objective, direction, device) = (self.objective, self.direction, self.device.clone());
        Ok(Setup { config, data, objective, direction, seed, device })
    }

    fn prepare(&self, transforms: TransformConfig) -> Result<Arc<Prepared>, String> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, data)) = prepared.iter().find(|(known, _)| *known == transforms) {
            return Ok(Arc::clone(data));
        }
        let data = Prepared::new(Arc::clone(&self.dataset), Arc::clone(&self.split), &transforms)
            .map_err(|error| error.to_string())?;
        let data = Arc::new(data);
        prepared.push((transforms, Arc::clone(&data)));
        Ok(data)
    }

    /// The network of these parameters, stage by stage, without its weights.
    ///
    /// # Errors
    ///
    /// What makes no sense in the file with these parameters, such as a filter that is larger than its
    /// image, at its own line.
    pub fn summarize(&self, params: &Params, name: &str) -> Result<Vec<StageSummary>, Problems> {
        let mut problems = Problems::new(name);
        let stages = self.try_summarize(params, &mut problems);
        problems.or(stages)
    }

    fn try_summarize(&self, params: &Params, problems: &mut Problems) -> Option<Vec<StageSummary>> {
        let setup = match self.setup(params, 0) {
            Ok(setup) => setup,
            Err(reason) => {
                problems.add(0, "", "data that can be prepared", reason);
                return None;
            }
        };
        let file = self.template.fill(params).ok()?;
        let outputs = setup.loss().outputs(&self.dataset.targets).map_err(|reason| {
            let loss = file.get("train").and_then(|train| train.get("loss"));
            problems.add(loss.map_or(0, |loss| loss.line), "train.loss", "a loss that fits the data", reason);
        });
        let layers = summarize(&setup.config.model, setup.data.shape(), outputs.ok()?).map_err(|error| {
            let model = file.get("model");
            let Some(index) = error.index else {
                let line = model.map_or(0, |model| model.get("architecture").unwrap_or(model).line);
                let path = format!("model ({})", error.kind);
                problems.add(line, &path, "a model that fits the data and its own settings", error.reason);
                return;
            };
            let line = match model.and_then(|model| model.get("layers")).map(|layers| &layers.kind) {
                Some(Kind::Array(layers)) => layers.get(index).map_or(0, |layer| layer.line),
                _ => 0,
            };
            let path = format!("model.layers, layer {} ({})", index + 1, error.kind);
            problems.add(line, &path, "a layer that fits the shape before it", error.reason);
        });
        layers.ok()
    }

    /// Evaluates a model file of this experiment on the sealed test rows, or `None` if there are none.
    ///
    /// # Errors
    ///
    /// A message if the file is not a model of this experiment.
    pub fn test(&self, model: &[u8], threads: usize) -> Result<Option<Metrics>, String> {
        if self.split.test.is_empty() {
            return Ok(None);
        }
        let model = TrainedModel::from_bytes(model, self.device.clone())?;
        let node = Node::parse(model.file(), "the model's study file").map_err(|error| error.to_string())?;
        let config =
            TrainingConfig::read(&node, "the model's study file").map_err(|error| error.to_string())?;
        let data = self.prepare(config.data.transforms())?;
        let metrics = with_threads(threads, || model.evaluate_rows(&data, &self.split.test))?;
        Ok(Some(metrics))
    }

    fn run(&self, setup: Setup, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        let mut run = match trial.checkpoint()? {
            None => match Run::new(setup) {
                Ok(run) => run,
                Err(reason) => return Ok(Evaluation::Infeasible(reason)),
            },
            Some(bytes) => Run::resume(setup, &bytes).map_err(|error| ObjectiveError {
                message: format!(
                    "trial {} cannot go on from its checkpoint; remove the checkpoint and it starts again",
                    trial.id()
                ),
                source: Some(Box::new(error)),
            })?,
        };
        loop {
            if let Some(ending) = run.ending() {
                return self.complete(&run, trial, ending);
            }
            if trial.until().is_some_and(|until| run.epoch() >= until) {
                self.save(&run, trial)?;
                return Ok(Evaluation::Paused);
            }
            let handle = &*trial;
            match run.train_epoch(&|| handle.interrupted().is_some()) {
                Epoch::Interrupted => return Ok(Evaluation::Paused),
                Epoch::Diverged { step } => {
                    let epoch = run.epoch() + 1;
                    return match run.best() {
                        Some(_) => self.complete(&run, trial, Ending::Diverged { epoch, step }),
                        None => Ok(Evaluation::Failed(FailCause::Diverged { epoch, step })),
                    };
                }
                Epoch::Measured { value, metrics } => {
                    // The bits of numbers that are not negative have the order of the numbers.
                    let seconds = run.seconds_per_example().to_bits();
                    self.seconds_per_example.fetch_max(seconds, Ordering::Relaxed);
                    if let Decision::Stop(reason) = trial.report(run.epoch(), value, metrics)? {
                        return Ok(Evaluation::Stopped(reason));
                    }
                    if trial.wants_checkpoint() && run.ending().is_none() {
                        self.save(&run, trial)?;
                    }
                }
            }
        }
    }

    #[allow(clippy::unused_self, reason = "a step of the run, beside `complete`")]
    fn save(&self, run: &Run, trial: &mut dyn TrialHandle) -> Result<(), ObjectiveError> {
        let checkpoint = run.checkpoint().map_err(|error| ObjectiveError {
            message: format!("cannot write the checkpoint of trial {}", trial.id()),
            source: Some(Box::new(error)),
        })?;
        trial.save_checkpoint(checkpoint)
    }

    fn complete(
        &self,
        run: &Run,
        trial: &dyn TrialHandle,
        ending: Ending,
    ) -> Result<Evaluation, ObjectiveError> {
        let (Some((step, value)), Some(network)) = (run.best(), run.best_network()) else {
            return Ok(Evaluation::Failed(FailCause::NotFinite));
        };
        let setup = run.setup();
        let file = self.file(trial.params(), trial.seed())?.to_toml();
        let model = TrainedModel::new(
            network.clone(),
            setup.data.preprocessor().clone(),
            setup.loss(),
            file,
            run.best_metrics().cloned().unwrap_or_default(),
            self.device.clone(),
        );
        Ok(Evaluation::Complete { value, step: Some(step), ending, model: Some(model.to_bytes()?) })
    }
}

/// Runs `work` with so many threads for its mathematics.
fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    // Burn computes on the pool that is current, so a pool for each trial keeps trials apart.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(|pool| pool.install(work)).map_err(|error| format!("cannot start {threads} threads: {error}"))
}

impl Objective for Experiment {
    fn abilities(&self) -> Abilities {
        Abilities { reports: true, pauses: true }
    }

    fn wrap_up(&self) -> Duration {
        // Half as much again as the slowest validation so far makes us expect, and a moment to write.
        let seconds = f64::from_bits(self.seconds_per_example.load(Ordering::Relaxed));
        Duration::from_secs_f64(1.5 * seconds * self.split.test.len() as f64 + 0.5)
    }

    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        let setup = match self.setup(trial.params(), trial.seed()) {
            Ok(setup) => setup,
            Err(reason) => return Ok(Evaluation::Infeasible(reason)),
        };
        with_threads(self.threads, || self.run(setup, trial))?
    }
}
