//! A study file with its data: what a trial of a training study runs.

mod devices;
mod trial;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;
use luthier_core::config::{Kind, Node, Problems, Template, nearest};
use luthier_core::{Direction, Lineage, Metrics, Params, Space};

use self::devices::Devices;
use crate::augment::Augmentation;
use crate::data::{Dataset, Split, Targets, TransformConfig};
use crate::device;
use crate::metric::{Metric, MetricName, MetricSet, Part, class_counts};
use crate::model::{Network, StageSummary, kernels, summarize};
use crate::prepared::Prepared;
use crate::pretrained::{Library, Transfer};
use crate::settings::{Every, TrainingConfig};
use crate::trainable::Model;
use crate::trained_model::TrainedModel;
use crate::training::{Blueprint, Build, Checkpoint, Run, Setup};

/// A study file's template, its data and what its trials are judged by.
pub struct Experiment<M: Model = Network> {
    template: Template,
    dataset: Arc<Dataset>,
    /// One, or one for each fold; all have the same test rows.
    splits: Vec<Arc<Split>>,
    build: Build<M>,
    objective: MetricName,
    direction: Direction,
    /// What is measured beside what the file says.
    further: Vec<Metric>,
    devices: Devices<Device>,
    threads: usize,
    /// Transforms may be searched; each setting of them is fitted once.
    prepared: Mutex<Vec<Known>>,
    library: Arc<Library>,
    /// The slowest validation so far, in seconds an example, as bits.
    seconds_per_example: AtomicU64,
}

/// Transforms, the number of the split, and what they make of the data.
type Known = ((TransformConfig, Augmentation), usize, Arc<Prepared>);

impl Experiment {
    /// An experiment. Its template's sections `[data]`, `[model]` and `[train]` are those of a
    /// [`TrainingConfig`]. There is one split, or one for each fold of a cross-validation.
    pub fn new(
        template: Template,
        dataset: Dataset,
        splits: Vec<Split>,
        objective: MetricName,
        direction: Direction,
        device: Device,
    ) -> Self {
        #[allow(clippy::redundant_closure_for_method_calls, reason = "the method is of one lifetime")]
        let build = |plan: &Blueprint<'_>| plan.network();
        Self::with_model(template, dataset, splits, objective, direction, device, build)
    }
}

impl<M: Model> Experiment<M> {
    /// An experiment with a model of the caller's own: `build` makes it, and [`Model`] says what it has to
    /// do. The section `[model]` may be left out then.
    pub fn with_model(
        template: Template,
        dataset: Dataset,
        splits: Vec<Split>,
        objective: MetricName,
        direction: Direction,
        device: Device,
        build: impl Fn(&Blueprint<'_>) -> Result<M, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            template,
            dataset: Arc::new(dataset),
            splits: splits.into_iter().map(Arc::new).collect(),
            build: Arc::new(build),
            objective,
            direction,
            further: Vec::new(),
            devices: Devices::new(device, []),
            threads: 1,
            prepared: Mutex::new(Vec::new()),
            library: Arc::new(Library::new(Path::new("."))),
            seconds_per_example: AtomicU64::new(0),
        }
    }

    /// The same, which measures these metrics as well: further objectives, and what constraints are on.
    #[must_use]
    pub fn measuring(mut self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        self.further.extend(metrics);
        self
    }

    /// The same, with so many threads for the mathematics of each trial (1 unless set).
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The same, with further devices: each trial takes one that has the fewest, and models are measured on the first.
    #[must_use]
    pub fn with_more_devices(mut self, others: impl IntoIterator<Item = Device>) -> Self {
        self.devices = Devices::new(self.devices.first().clone(), others);
        self
    }

    /// The same, with paths of weights relative to `folder`, that of the study file.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.library = Arc::new(Library::new(folder));
        self
    }

    /// The class of machines whose trials have the same bits as those of this one: the class of the processor and the
    /// kind of the devices, such as `x86-64-v4 cpu`.
    pub fn class(&self) -> String {
        format!("{} {}", luthier_kernels::processor_class(), device::kind(self.devices.first()))
    }

    /// The space of the file's ranges.
    pub fn space(&self) -> &Space {
        self.template.space()
    }

    /// The data.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The rows of each part; of the first fold, if there are folds.
    pub fn split(&self) -> &Split {
        &self.splits[0]
    }

    /// The number of trainings that a trial consists of: 1, or that of the folds.
    pub fn folds(&self) -> usize {
        self.splits.len()
    }

    /// The reports of a trial that runs its whole length: epochs, or folds. Nothing where that differs from trial
    /// to trial, or depends on the size of batches.
    pub fn reports(&self) -> Option<u64> {
        if self.folds() > 1 {
            return Some(self.folds() as u64);
        }
        let of = |params: &Params| {
            let config = TrainingConfig::read(&self.template.fill(params).ok()?, "").ok()?;
            match config.train.validate_every {
                Every::Epochs(every) => Some((config.train.epochs as f64 / every).ceil() as u64),
                Every::Steps(_) => None,
            }
        };
        let corners = self.space().corners();
        let first = of(corners.first()?)?;
        corners.iter().all(|corner| of(corner) == Some(first)).then_some(first)
    }

    /// The file with its ranges filled in, and with the values that a trial which goes on from another one has beside them.
    fn filled(&self, params: &Params, from: Option<&Lineage>) -> Result<Node, String> {
        let mut file = self.template.fill(params)?;
        for (path, value) in from.iter().filter_map(|from| from.request.as_ref()).flat_map(|it| &it.values) {
            file.set(path, Node::parse_value(value))?;
        }
        Ok(file)
    }

    /// The run with which a trial begins that goes on from another one's checkpoint.
    ///
    /// # Errors
    ///
    /// Why it cannot: the checkpoint is not whole, its weights do not fit, or the parameters make no sense.
    pub fn begun_with(
        &self,
        params: &Params,
        seed: u64,
        from: &Lineage,
        checkpoint: &[u8],
    ) -> Result<Run<M>, String> {
        let setup = self.setup_of(params, seed, Some(from), 0)?;
        self.begin_with(setup, from, checkpoint)
    }

    #[allow(clippy::unused_self, reason = "a step of a trial, beside the others")]
    fn begin_with(&self, setup: Setup<M>, from: &Lineage, checkpoint: &[u8]) -> Result<Run<M>, String> {
        let checkpoint = Checkpoint::from_bytes(checkpoint).map_err(|error| error.to_string())?;
        let run =
            if from.extends() { Run::extend(setup, &checkpoint) } else { Run::branch(setup, &checkpoint) };
        run.map_err(|error| error.to_string())
    }

    /// The file with its ranges filled in and the seed of the trial: what repeats the trial, unless it is a fork.
    ///
    /// # Errors
    ///
    /// A message if `params` are not of this file's space.
    pub fn file(&self, params: &Params, seed: u64, from: Option<&Lineage>) -> Result<Node, String> {
        let mut file = self.filled(params, from)?;
        file.set("trial", Node::new(Kind::Table(indexmap::IndexMap::new())))?;
        file.set("trial.seed", Node::new(Kind::Int(seed as i64)))?;
        Ok(file)
    }

    /// All that a training with these parameters is given; of the first fold, if there are folds.
    ///
    /// # Errors
    ///
    /// Why they make no sense.
    pub fn setup(&self, params: &Params, seed: u64) -> Result<Setup<M>, String> {
        self.setup_of(params, seed, None, 0)
    }

    fn setup_of(
        &self,
        params: &Params,
        seed: u64,
        from: Option<&Lineage>,
        fold: usize,
    ) -> Result<Setup<M>, String> {
        let file = self.filled(params, from)?;
        let mut config =
            TrainingConfig::read(&file, "the study file").map_err(|problems| problems.to_string())?;
        config.train.metrics.extend(&self.further);
        let data = self.prepare(&config, fold)?;
        let (objective, direction, device) = (self.objective, self.direction, self.devices.first().clone());
        let (build, file) = (Arc::clone(&self.build), sections(&file));
        let library = Arc::clone(&self.library);
        Ok(Setup { config, data, objective, direction, seed, device, plan: true, file, library, build })
    }

    fn prepare(&self, config: &TrainingConfig, fold: usize) -> Result<Arc<Prepared>, String> {
        let transforms = (config.data.transforms(), config.data.augment.clone());
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = prepared.iter().find(|(known, of, _)| *known == transforms && *of == fold);
        if let Some((_, _, data)) = known {
            return Ok(Arc::clone(data));
        }
        let data = Prepared::new(
            Arc::clone(&self.dataset),
            Arc::clone(&self.splits[fold]),
            &transforms.0,
            &transforms.1,
        )
        .map_err(|error| error.to_string())?;
        let data = Arc::new(data);
        prepared.push((transforms, fold, Arc::clone(&data)));
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

    /// The kernels that compute the network of these parameters, in words; nothing where Burn does, because there is
    /// a layer without a kernel, or on a device that is no CPU.
    pub fn kernels(&self, params: &Params) -> Option<Vec<String>> {
        let setup = self.setup(params, 0).ok()?;
        if setup.device != Device::flex() {
            return None;
        }
        let outputs = setup.loss().loss().outputs(&self.dataset.targets).ok()?;
        kernels(&setup.config.model, setup.data.shape(), outputs).ok()?
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
        let outputs = setup.loss().loss().outputs(&self.dataset.targets).map_err(|reason| {
            let loss = file.get("train").and_then(|train| train.get("loss"));
            problems.add(loss.map_or(0, |loss| loss.line), "train.loss", "a loss that fits the data", reason);
        });
        for metric in &setup.config.train.metrics {
            if let Err(reason) = metric.fits(&self.dataset.targets) {
                let metrics = file.get("train").and_then(|train| train.get("metrics"));
                let line = metrics.map_or(0, |metrics| metrics.line);
                problems.add(line, "train.metrics", "metrics that fit the data", reason);
            }
        }
        let known = MetricName::all();
        for (key, name) in setup.config.train.monitors() {
            let fits = match MetricName::parse(&name) {
                Some(metric) => metric.metric.fits(&self.dataset.targets),
                // What a run records beside its metrics.
                None if ["gradient_norm", "update_ratio"].contains(&name.as_str()) => Ok(()),
                None => Err(match nearest(&name, known.iter().map(String::as_str)) {
                    Some(near) => format!("{name:?}; did you mean {near:?}?"),
                    None => format!("{name:?}"),
                }),
            };
            if let Err(reason) = fits {
                let node = key.split('.').try_fold(&file, |node, key| node.get(key));
                problems.add(node.map_or(0, |node| node.line), &key, "a metric that fits the data", reason);
            }
        }
        let rows = &setup.data.split().validation;
        if self.objective.part == Part::Val
            && let Some(reason) = self.objective.metric.undefined(&match &self.dataset.targets {
                Targets::Numbers { .. } => vec![rows.len()],
                targets @ Targets::Classes { .. } => class_counts(targets, rows),
            })
        {
            let expected = "an objective that has a value on the validation rows";
            problems.add(0, "study.objective", expected, format!("{}: {reason}", self.objective.name()));
        }
        // Patterns of names are checked against the names that there are, for which the model is made.
        if problems.is_empty()
            && (setup.config.model.transfer() != Transfer::default()
                || setup.config.model.word_vectors.is_some()
                || setup.config.train.regularize.0.iter().any(|penalty| penalty.layers.is_some()))
            && let Err(reason) = Run::new(setup.clone())
        {
            let line = file.get("model").map_or(0, |model| model.line);
            problems.add(line, "model", "a model that can be begun", reason);
        }
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
        if self.splits[0].test.is_empty() {
            return Ok(None);
        }
        let model = TrainedModel::from_bytes(model, self.devices.first().clone())?;
        let node = Node::parse(model.file(), "the model's study file").map_err(|error| error.to_string())?;
        let config =
            TrainingConfig::read(&node, "the model's study file").map_err(|error| error.to_string())?;
        let data = self.prepare(&config, 0)?;
        let more = config.train.metrics.iter().chain(&self.further).copied().chain([self.objective.metric]);
        let measured = MetricSet::new(self.dataset.targets.task(), more);
        let metrics = with_threads(threads, || model.evaluate_rows(&data, &self.splits[0].test, &measured))?;
        metrics.map(Some).map_err(|error| error.to_string())
    }
}

/// The sections that make a training, as text.
fn sections(file: &Node) -> String {
    let mut kept = Node::new(Kind::Table(indexmap::IndexMap::new()));
    for section in ["data", "model", "train"] {
        if let Some(node) = file.get(section) {
            // A section stands at the top, so there is a place for it.
            let _ = kept.set(section, node.clone());
        }
    }
    kept.to_toml()
}

/// Runs `work` with so many threads for its mathematics.
fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    // Burn computes on the pool that is current, so a pool for each trial keeps trials apart.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(|pool| pool.install(work)).map_err(|error| format!("cannot start {threads} threads: {error}"))
}
