//! The training loop. A run is a value: its state is all there is to it, so it can be set down after
//! any step and taken up again, lengthened or branched, here or elsewhere, bit for bit.

mod auto_size;
mod best;
mod checkpoint;
mod features;
mod feeder;
mod gradients;
mod hook;
mod measure;
mod memory;
mod pass;
mod position;
mod setup;
mod step;
mod stretch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use luthier_core::{Direction, Ending, Metrics};

use crate::batch_size::BatchSizer;
use crate::data::DataError;
use crate::loss::{BoundLoss, LossMemory};
use crate::metric::{MetricName, MetricSet};
use crate::model::plan::Plan;
use crate::model::{Network, Parameter};
use crate::optimizer::gradients::read_weights;
use crate::optimizer::{Ema, Optimizer};
use crate::penalty::{MaxNorm, Penalties};
use crate::schedule::{Reactions, Reading};
use crate::stopping::{Standing, Stopper, Verdict};
use crate::trainable::Model;

use best::Best;
use features::Features;
use feeder::Feeder;
use measure::Segment;
use stretch::Trained;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use hook::{Hook, MEASURED_TIMES, Report};
pub(crate) use measure::{Evaluator, predict};
pub use memory::MemoryEstimate;
pub use position::Position;
pub(crate) use setup::Build;
pub use setup::{Blueprint, Setup};

/// A training that is under way.
pub struct Run<M: Model = Network> {
    setup: Setup<M>,
    state: State<M>,
    work: Work,
}

/// What a checkpoint holds.
struct State<M> {
    /// Epochs that the schedules are stretched over: those that the run was begun with.
    horizon: u64,
    at: Position,
    model: M,
    optimizer: Optimizer,
    ema: Option<Ema>,
    penalties: Penalties,
    reactions: Reactions,
    sizer: BatchSizer,
    stopper: Stopper,
    /// What was measured last.
    last: Metrics,
    /// What has happened since.
    segment: Segment,
    best: Option<Best<M>>,
    ending: Option<Ending>,
    /// Seconds of training and measuring.
    seconds: f64,
}

/// What follows from the setup and the state.
struct Work {
    parameters: Vec<Parameter>,
    max_norm: Option<MaxNorm>,
    loss: BoundLoss,
    /// What came out of the model in the last pass of training, row by row.
    outputs: Vec<f32>,
    loss_memory: LossMemory,
    metrics: MetricSet,
    /// `weights`, `flops` and `bytes`.
    costs: Metrics,
    /// The epoch for which the next two hold.
    epoch: Option<u64>,
    order: Vec<usize>,
    frozen: Vec<bool>,
    /// A factor on the learning rate of each parameter, where there are any.
    rates: Option<Vec<f64>>,
    features: Option<Features>,
    /// What computes in place of the model, and holds the weights then.
    plan: Option<Plan>,
    feeder: Feeder,
    /// The last validation, in seconds an example.
    seconds_per_example: f64,
    /// What a person should know.
    notice: Option<String>,
}

/// What [`Run::advance`] came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Advance {
    /// The model was measured.
    Report(Report),
    /// The hook asked for a pause. The run may be set down, or go on.
    Paused,
    /// There is nothing left to do.
    Ended(Ending),
    /// The loss became NaN or infinite before anything was measured.
    Diverged {
        /// The epoch, counted from 1.
        epoch: u64,
        /// The step, counted from 1 over the whole training.
        step: u64,
    },
}

impl<M: Model> Run<M> {
    /// A run before its first step.
    ///
    /// # Errors
    ///
    /// Why the configuration makes no sense on this data.
    pub fn new(setup: Setup<M>) -> Result<Self, String> {
        Self::begin(setup, true)
    }

    /// A run before its first step, with weights from files only where `begin` says so.
    fn begin(setup: Setup<M>, begin: bool) -> Result<Self, String> {
        let model = setup.model(begin)?;
        let train = &setup.config.train;
        let places = model.parameters();
        let optimizer = train.optimizer.init(&places);
        let ema = train.ema.as_ref().map(|config| Ema::new(config, read_weights(&model.valid())));
        let penalties = Penalties::new(&train.regularize, &places)?;
        let state = State {
            horizon: train.horizon.unwrap_or(train.epochs),
            at: Position::default(),
            optimizer,
            ema,
            penalties,
            reactions: Reactions::default(),
            sizer: BatchSizer::default(),
            stopper: Stopper::default(),
            last: Metrics::default(),
            segment: Segment::default(),
            best: None,
            ending: None,
            seconds: 0.0,
            model,
        };
        Ok(Self::with_state(setup, state))
    }

    fn with_state(setup: Setup<M>, state: State<M>) -> Self {
        let found = state.model.parameters();
        let size = |it: &Parameter| it.shape.iter().product::<usize>();
        let trained: usize = found.iter().filter(|it| it.is_trained()).map(size).sum();
        let mut costs = Metrics::default();
        costs.insert("weights", trained as f64);
        costs.insert("bytes", 4.0 * found.iter().map(size).sum::<usize>() as f64);
        if let Some(flops) = state.model.flops() {
            costs.insert("flops", flops as f64);
        }
        let metrics = MetricSet::new(setup.data.preprocessor().task(), setup.metrics());
        let rates = setup.config.model.transfer().rates(&found);
        let train = &setup.config.train;
        let work = Work {
            max_norm: train.max_norm.map(|limit| MaxNorm::new(limit, &found)),
            loss: setup.loss(),
            outputs: Vec::new(),
            loss_memory: LossMemory::default(),
            metrics,
            costs,
            epoch: None,
            order: Vec::new(),
            frozen: vec![false; found.len()],
            rates: rates.iter().any(|rate| *rate != 1.0).then_some(rates),
            features: None,
            plan: None,
            feeder: Feeder::new(Arc::clone(&setup.data), setup.seed),
            seconds_per_example: 0.0,
            notice: None,
            parameters: found,
        };
        Self { setup, state, work }
    }

    /// Trains until the next measurement, and measures. `hook` is called on the way; pass `&mut ()` for
    /// none.
    ///
    /// # Errors
    ///
    /// Data on disk that can no longer be read. The run may be asked again.
    pub fn advance(&mut self, hook: &mut dyn Hook) -> Result<Advance, DataError> {
        if let Some(ending) = self.ending() {
            return Ok(Advance::Ended(ending));
        }
        // One look at the clock when it begins and one at its end; looks at each step would be dear for small steps.
        let started = Instant::now();
        let came_to = self.train(hook, started)?;
        self.state.segment.at.seconds += started.elapsed().as_secs_f64();
        match came_to {
            Trained::Due => self.measure(hook),
            Trained::Paused => Ok(Advance::Paused),
            Trained::NotFinite => Ok(self.diverged()),
        }
    }

    /// Puts another model in the place of the model.
    fn replace(&mut self, change: impl FnOnce(M) -> M) {
        let model = self.state.model.clone();
        self.state.model = change(model);
    }

    /// The end of a training whose loss is no longer a number: the best weights count, if there are any.
    fn diverged(&mut self) -> Advance {
        let Position { epoch, step, .. } = self.state.at;
        let (epoch, step) = (epoch + 1, step + 1);
        if self.state.best.is_none() {
            return Advance::Diverged { epoch, step };
        }
        let ending = Ending::Diverged { epoch, step };
        self.state.ending = Some(ending.clone());
        Advance::Ended(ending)
    }

    /// What follows from a measurement: values that react, and whether to stop.
    fn conclude(&mut self, report: &Report) {
        let train = &self.setup.config.train;
        let objective = (self.setup.objective, self.setup.direction);
        let reading = |name: &str| reading(&report.metrics, name, objective);
        let state = &mut self.state;
        state.last = report.metrics.clone();
        state.reactions.observe(&train.schedule, &reading);
        state.sizer.observe_report(&train.batch_size, &reading);
        let loss = |part: &str| report.metrics.get(&format!("{part}_loss")).unwrap_or(f64::NAN);
        state.penalties.observe(loss("train"), loss("val"));
        if let Some(stopping) = &train.early_stopping {
            let (batch_size, examples) = (
                report.metrics.get("batch_size").unwrap_or(1.0) as usize,
                self.setup.data.split().train.len(),
            );
            let objective = self.setup.objective.name();
            let elapsed = Duration::from_secs_f64(state.seconds);
            let standing = Standing { objective: &objective, elapsed, batch_size, examples };
            match state.stopper.observe(stopping, &reading, &standing) {
                Verdict::Continue => {}
                Verdict::LowerRate(factor) => state.reactions.lower_rate(factor),
                Verdict::GrowBatch { factor, max } => state.sizer.grow(factor, batch_size, max),
                Verdict::Stop(cause) => {
                    let (epoch, cause) = (state.at.epoch, cause.to_string());
                    state.ending = Some(Ending::EarlyStopped { epoch, cause });
                }
            }
        }
        if state.at.epoch >= train.epochs {
            state.ending = Some(Ending::Full);
        }
    }

    /// How the run has ended, if it has nothing left to train.
    pub fn ending(&self) -> Option<Ending> {
        self.state.ending.clone()
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.state.at
    }

    /// All that the run was given.
    pub fn setup(&self) -> &Setup<M> {
        &self.setup
    }

    /// The number and the value of the best report so far.
    pub fn best(&self) -> Option<(u64, f64)> {
        self.state.best.as_ref().map(|best| (best.at.report, best.at.value))
    }

    /// What was measured in the best report.
    pub fn best_metrics(&self) -> Option<&Metrics> {
        self.state.best.as_ref().map(|best| &best.at.metrics)
    }

    /// The model that counts, without gradients: that of the best report, or the last one where early
    /// stopping says `restore_best = false`.
    pub fn final_model(&self) -> Option<M> {
        let best = self.state.best.as_ref()?;
        let diverged = matches!(self.state.ending, Some(Ending::Diverged { .. }));
        let restore = self.setup.config.train.early_stopping.as_ref().is_none_or(|it| it.restore_best);
        Some(if restore || diverged { best.model.clone() } else { self.measured() })
    }

    /// What a person should know of the run, once: how the size of steps was chosen.
    pub fn take_notice(&mut self) -> Option<String> {
        self.work.notice.take()
    }

    /// The size of a step that was measured for `batch_size = "auto"`, once it was.
    pub fn measured_batch_size(&self) -> Option<usize> {
        self.state.sizer.measured()
    }

    /// The loss, with the weights of the classes.
    pub(crate) fn loss(&self) -> &BoundLoss {
        &self.work.loss
    }

    /// Seconds of training and measuring so far.
    pub fn seconds(&self) -> f64 {
        self.state.seconds + self.state.segment.at.seconds
    }

    /// How long the last validation took, in seconds an example.
    pub fn seconds_per_example(&self) -> f64 {
        self.work.seconds_per_example
    }
}

/// A metric of a report with its direction.
fn reading(metrics: &Metrics, name: &str, objective: (MetricName, Direction)) -> Option<Reading> {
    let value = metrics.get(name)?;
    let direction = match MetricName::parse(name) {
        Some(metric) if metric == objective.0 => objective.1,
        Some(metric) => metric.direction(),
        None => Direction::Minimize,
    };
    Some(Reading { value, direction })
}
