//! The training loop. A run is a value: its state is all there is to it, so it can be set down as a
//! checkpoint after any epoch and taken up again, here or elsewhere, bit for bit.

mod checkpoint;

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use luthier_core::{Direction, Ending, Metrics, Purpose, Streams};

use crate::loss::{BoundLoss, Loss};
use crate::metric::{MetricName, MetricSet, Predicted, class_counts};
use crate::model::{Network, Signal, host};
use crate::prepared::Prepared;
use crate::schedule::Progress;
use crate::settings::TrainingConfig;

pub use checkpoint::CheckpointError;

/// Examples in a step of evaluation. It is one number for all, so that results do not depend on it.
const EVALUATION_BATCH: usize = 256;

/// All that a run is given.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How to train.
    pub config: TrainingConfig,
    /// What to train on.
    pub data: Arc<Prepared>,
    /// What to judge by.
    pub objective: MetricName,
    /// Which way it is good.
    pub direction: Direction,
    /// The seed of every draw.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
}

impl Setup {
    /// The loss of training.
    pub fn loss(&self) -> BoundLoss {
        let targets = &self.data.dataset().targets;
        let loss = self.config.train.loss.clone().unwrap_or_else(|| Loss::for_targets(targets));
        loss.bind(&class_counts(targets, &self.data.split().train))
    }

    /// What is measured after each epoch.
    pub fn metrics(&self) -> MetricSet {
        let more = self.config.train.metrics.iter().copied().chain([self.objective.metric]);
        MetricSet::new(self.data.dataset().targets.task(), more)
    }

    /// The network before the first step.
    ///
    /// # Errors
    ///
    /// Why the configuration makes no sense on this data.
    pub fn network(&self) -> Result<Network, String> {
        let outputs = self.loss().loss().outputs(&self.data.dataset().targets)?;
        let device = self.device.clone().autodiff();
        Network::new(&self.config.model, self.data.shape(), outputs, self.seed, &device)
            .map_err(|error| error.to_string())
    }

    fn steps_per_epoch(&self) -> u64 {
        self.data.split().train.len().div_ceil(self.config.train.batch_size) as u64
    }
}

/// A training that is under way.
pub struct Run {
    setup: Setup,
    network: Network,
    optimizer: ModuleOptimizer,
    epoch: u64,
    step: u64,
    best: Option<Best>,
    /// The last validation, in seconds an example.
    seconds_per_example: f64,
}

/// The best epoch so far.
struct Best {
    epoch: u64,
    value: f64,
    /// The last epoch that was better than the one before by more than the smallest change.
    improved: u64,
    /// The value that the next improvement is measured against.
    reference: f64,
    metrics: Metrics,
    network: Network,
}

/// What an epoch came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Epoch {
    /// It was trained and measured.
    Measured {
        /// The value of the objective.
        value: f64,
        /// Everything that was measured, `train_loss`, `val_loss` and so on, and the `learning_rate`.
        metrics: Metrics,
    },
    /// The loss became NaN or infinite at this step, counted from 1 over the whole training.
    Diverged {
        /// The step.
        step: u64,
    },
    /// It was broken off. The run is of no use any more; take it up from its last checkpoint.
    Interrupted,
}

impl Run {
    /// A run before its first epoch.
    ///
    /// # Errors
    ///
    /// Why the configuration makes no sense on this data.
    pub fn new(setup: Setup) -> Result<Self, String> {
        let network = setup.network()?;
        let optimizer = setup.config.train.optimizer.init();
        Ok(Self { setup, network, optimizer, epoch: 0, step: 0, best: None, seconds_per_example: 0.0 })
    }

    /// Epochs that are done.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The best epoch so far and its value.
    pub fn best(&self) -> Option<(u64, f64)> {
        self.best.as_ref().map(|best| (best.epoch, best.value))
    }

    /// All that the run was given.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// How long the last validation took, in seconds an example.
    pub fn seconds_per_example(&self) -> f64 {
        self.seconds_per_example
    }

    /// What was measured at the best epoch.
    pub fn best_metrics(&self) -> Option<&Metrics> {
        self.best.as_ref().map(|best| &best.metrics)
    }

    /// The network of the best epoch, without gradients.
    pub fn best_network(&self) -> Option<&Network> {
        self.best.as_ref().map(|best| &best.network)
    }

    /// How the run has ended, if it has no epoch left to train.
    pub fn ending(&self) -> Option<Ending> {
        if let (Some(stopping), Some(best)) = (&self.setup.config.train.early_stopping, &self.best)
            && self.epoch - best.improved >= stopping.patience
            && self.epoch < self.setup.config.train.epochs
        {
            return Some(Ending::EarlyStopped { epoch: self.epoch, patience: stopping.patience });
        }
        (self.epoch >= self.setup.config.train.epochs).then_some(Ending::Full)
    }

    /// Trains and measures one epoch. `interrupted` is asked before each step.
    pub fn train_epoch(&mut self, interrupted: &dyn Fn() -> bool) -> Epoch {
        let data = Arc::clone(&self.setup.data);
        let train = &self.setup.config.train;
        let (loss, batch_size) = (self.setup.loss(), train.batch_size);
        let streams = Streams::new(self.setup.seed);
        let device = self.setup.device.clone().autodiff();
        let mut order = data.split().train.clone();
        streams.at(Purpose::Order, self.epoch).shuffle(&mut order);

        let mut predicted = Predicted::default();
        let mut rate = 0.0;
        for rows in order.chunks(batch_size) {
            if interrupted() {
                return Epoch::Interrupted;
            }
            let (inputs, targets) = data.batch(rows);
            let batch = Signal::new(inputs, rows.len(), data.shape(), &device);
            let mut dropout = streams.at(Purpose::Dropout, self.step);
            let outputs = self.network.forward(batch, Some(&mut dropout));
            let on_host = host(outputs.clone().inner());
            // The graph is freed by going backward, so that is done even if the loss is not finite.
            let gradients = loss.of_batch(outputs, &targets, None).backward();
            let gradients = GradientsParams::from_grads(gradients, &self.network);
            let sum: f64 = loss.each(&on_host, &targets, None).map(|term| term.sum).sum();
            if !sum.is_finite() {
                return Epoch::Diverged { step: self.step + 1 };
            }
            let progress = Progress {
                step: self.step,
                steps_per_epoch: self.setup.steps_per_epoch(),
                epochs: self.setup.config.train.epochs,
            };
            let train = &self.setup.config.train;
            rate = train.optimizer.learning_rate() * train.schedule.learning_rate.factor(&progress);
            let network = std::mem::replace(&mut self.network, Network::empty());
            self.network = self.optimizer.step(rate, network, gradients);
            predicted.outputs.extend(on_host);
            predicted.targets.extend(targets);
            self.step += 1;
        }

        let network = self.network.valid();
        let mut metrics = Metrics::default();
        let measured = self.setup.metrics();
        measured.measure("train_", &predicted, &loss, data.preprocessor(), &mut metrics);
        let started = Instant::now();
        let Some(validation) =
            predict(&network, &data, &data.split().validation, &self.setup.device, interrupted)
        else {
            return Epoch::Interrupted;
        };
        self.seconds_per_example = started.elapsed().as_secs_f64() / validation.targets.len().max(1) as f64;
        measured.measure("val_", &validation, &loss, data.preprocessor(), &mut metrics);
        metrics.insert("learning_rate", rate);
        let value = metrics.get(&self.setup.objective.name()).unwrap_or(f64::NAN);
        if !value.is_finite() || !metrics.get("val_loss").is_some_and(f64::is_finite) {
            return Epoch::Diverged { step: self.step };
        }
        self.epoch += 1;
        self.keep_best(value, &metrics, network);
        Epoch::Measured { value, metrics }
    }

    fn keep_best(&mut self, value: f64, metrics: &Metrics, network: Network) {
        let direction = self.setup.direction;
        let epoch = self.epoch;
        let min_delta =
            self.setup.config.train.early_stopping.as_ref().map_or(0.0, |stopping| stopping.min_delta);
        let Some(best) = &mut self.best else {
            let metrics = metrics.clone();
            self.best = Some(Best { epoch, value, improved: epoch, reference: value, metrics, network });
            return;
        };
        if direction.loss(value) < direction.loss(best.reference) - min_delta {
            best.improved = epoch;
            best.reference = value;
        }
        if direction.better(value, best.value) {
            best.epoch = epoch;
            best.value = value;
            best.metrics = metrics.clone();
            best.network = network;
        }
    }
}

/// The outputs of `network` for `rows`, or nothing if it was interrupted.
pub(crate) fn predict(
    network: &Network,
    data: &Prepared,
    rows: &[usize],
    device: &Device,
    interrupted: &dyn Fn() -> bool,
) -> Option<Predicted> {
    let mut predicted = Predicted::default();
    for rows in rows.chunks(EVALUATION_BATCH) {
        if interrupted() {
            return None;
        }
        let (inputs, targets) = data.batch(rows);
        predicted.outputs.extend(forward(network, inputs, rows.len(), device));
        predicted.targets.extend(targets);
    }
    Some(predicted)
}

/// The outputs for one batch of encoded examples.
pub(crate) fn forward(network: &Network, inputs: Vec<f32>, batch: usize, device: &Device) -> Vec<f32> {
    let batch = Signal::new(inputs, batch, network.input(), device);
    host(network.forward(batch, None))
}
