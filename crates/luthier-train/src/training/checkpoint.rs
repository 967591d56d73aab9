//! Checkpoints: a run as a value, in memory or as bytes.
//!
//! The bytes are in the safetensors format with a header of our own: the weights as they are and those of
//! the best measurement, what optimizer, averages, schedules, batch size and early stopping remember,
//! where the run stands, and what was predicted since the last measurement. Random streams are addressed
//! by seed and position, so they need no place in it.

use std::collections::HashMap;

use luthier_core::config::Node;
use luthier_core::{Ending, Metrics};
use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::best::{Best, BestAt};
use super::measure::{Segment, SegmentAt};
use super::{Position, Run, Setup};
use crate::batch_size::BatchSizer;
use crate::metric::Predicted;
use crate::model::Weights;
use crate::optimizer::gradients::read_weights;
use crate::optimizer::{Ema, OptimizerState, Scalars};
use crate::penalty::PenaltyState;
use crate::schedule::Reactions;
use crate::settings::TrainingConfig;
use crate::stopping::Stopper;
use crate::trainable::Model;
use crate::weights_file::{to_bytes, weights_of};

const VERSION: u32 = 3;
const HEADER: &str = "luthier_checkpoint";

/// Why a checkpoint cannot be taken up.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// It is not one, or it was cut off or altered.
    #[error("this is not a whole checkpoint: {0}")]
    Broken(String),
    /// Another version of the program wrote it.
    #[error("the checkpoint has version {0}, expected {VERSION}: go on with the program that wrote it")]
    Version(u32),
    /// It belongs to another configuration.
    #[error("the checkpoint is of another training: {0}")]
    Other(String),
}

/// A run at one moment. It can be kept in memory, or written with [`Checkpoint::to_bytes`].
#[derive(Debug, Clone)]
pub struct Checkpoint {
    header: Header,
    /// Everything that is numbers: `now.NAME`, `best.NAME`, `average.N`, `optimizer.NAME`, `outputs` and
    /// `targets`.
    tensors: Vec<Weights>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    version: u32,
    /// The sections of the study file that it was made with.
    file: String,
    seed: u64,
    horizon: u64,
    at: Position,
    /// The kind of the optimizer, whose state no other kind can take up.
    optimizer: String,
    scalars: Scalars,
    /// The number of updates of the averages.
    averages: Option<u64>,
    penalties: PenaltyState,
    reactions: Reactions,
    sizer: BatchSizer,
    stopper: Stopper,
    last: Metrics,
    segment: SegmentAt,
    best: Option<BestAt>,
    ending: Option<Ending>,
    seconds: f64,
}

/// What all versions of the header have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Checkpoint {
    /// The sections `[data]`, `[model]` and `[train]` that it was made with.
    pub fn file(&self) -> &str {
        &self.header.file
    }

    /// The first line that its file and `file` do not have in common, if there is one. The number of epochs
    /// may differ, and if either text is empty, nothing is known.
    pub fn differs_from(&self, file: &str) -> Option<String> {
        difference(&self.header.file, file, &["epochs"])
    }

    /// Where the run stood.
    pub fn position(&self) -> Position {
        self.header.at
    }

    /// Whether the run had ended.
    pub fn has_ended(&self) -> bool {
        self.header.ending.is_some()
    }

    /// The seed of the run's draws.
    pub fn seed(&self) -> u64 {
        self.header.seed
    }

    /// The number of the best report and its value.
    pub fn best(&self) -> Option<(u64, f64)> {
        self.header.best.as_ref().map(|best| (best.report, best.value))
    }

    /// It as bytes; equal checkpoints have equal bytes.
    ///
    /// # Errors
    ///
    /// Only if the tensors cannot be written as safetensors, which no run has led to.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let header = serde_json::to_string(&self.header).map_err(broken)?;
        let entries = HashMap::from([(HEADER.to_owned(), header.clone())]);
        let mut bytes = to_bytes(&self.tensors, &[], entries).map_err(broken)?;
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        Ok(bytes)
    }

    /// A checkpoint from its bytes.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Broken`] if they are none, were cut off or altered, and
    /// [`CheckpointError::Version`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let say = |reason: &str| CheckpointError::Broken(reason.to_owned());
        let (content, digest) = bytes
            .split_at_checked(bytes.len().saturating_sub(32))
            .filter(|(content, _)| !content.is_empty())
            .ok_or_else(|| say("it is empty"))?;
        if Sha256::digest(content).as_slice() != digest {
            return Err(say("its checksum does not fit; it was cut off or altered"));
        }
        let (_, metadata) = SafeTensors::read_metadata(content).map_err(broken)?;
        let header = metadata.metadata().as_ref().and_then(|entries| entries.get(HEADER));
        let header = header.ok_or_else(|| say("it has no entry `luthier_checkpoint`"))?;
        // The version first: the rest of another version's header may look different.
        let Versioned { version } = serde_json::from_str(header).map_err(broken)?;
        if version != VERSION {
            return Err(CheckpointError::Version(version));
        }
        let header = serde_json::from_str(header).map_err(broken)?;
        let tensors = SafeTensors::deserialize(content).map_err(broken)?;
        Ok(Self { header, tensors: weights_of(&tensors, "").map_err(broken)? })
    }

    /// Whether its best measurement can be compared with those of a run with this setup.
    fn measured_like<M: Model>(&self, best: &BestAt, setup: &Setup<M>) -> bool {
        let metric = best.metrics.get(&setup.objective.name());
        let same_metric = metric.is_some_and(|value| value.to_bits() == best.value.to_bits());
        if self.header.file.is_empty() || setup.file.is_empty() {
            return same_metric;
        }
        let then = Node::parse(&self.header.file, "the checkpoint's file").ok();
        let then = then.and_then(|file| TrainingConfig::read(&file, "the checkpoint's file").ok());
        let now = &setup.config.data;
        same_metric && then.is_some_and(|then| then.data.source == now.source && then.data.split == now.split)
    }

    /// The tensors whose names begin with `prefix`, without it.
    fn under(&self, prefix: &str) -> Vec<Weights> {
        let named = |it: &Weights| {
            let name = it.name.strip_prefix(prefix)?.to_owned();
            Some(Weights { name, shape: it.shape.clone(), values: it.values.clone() })
        };
        self.tensors.iter().filter_map(named).collect()
    }

    fn values(&self, name: &str) -> Vec<f32> {
        self.tensors.iter().find(|it| it.name == name).map(|it| it.values.clone()).unwrap_or_default()
    }
}

fn broken(error: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::Broken(error.to_string())
}

fn flat(name: String, values: Vec<f32>) -> Weights {
    Weights { name, shape: vec![values.len()], values }
}

fn named(prefix: &str, weights: Vec<Weights>) -> impl Iterator<Item = Weights> {
    weights.into_iter().map(move |it| Weights { name: format!("{prefix}.{}", it.name), ..it })
}

impl<M: Model> Run<M> {
    /// The run as a value.
    pub fn checkpoint(&self) -> Checkpoint {
        let state = &self.state;
        let OptimizerState { tensors: memories, scalars } = state.optimizer.state();
        let mut tensors: Vec<Weights> = named("now", self.current().valid().weights()).collect();
        if let Some(best) = &state.best {
            tensors.extend(named("best", best.model.weights()));
        }
        tensors.extend(memories.into_iter().map(|(name, values)| flat(format!("optimizer.{name}"), values)));
        let averages = state.ema.as_ref().map(|ema| ema.state(&self.work.parameters));
        if let Some((_, averages)) = &averages {
            let averages = averages.iter().cloned();
            tensors.extend(averages.map(|(name, values)| flat(format!("average.{name}"), values)));
        }
        let Predicted { outputs, targets, mixed, .. } = state.segment.predicted.clone();
        let (seconds, shares) = mixed.unwrap_or_default();
        for (name, values) in
            [("outputs", outputs), ("targets", targets), ("mixed.targets", seconds), ("mixed.shares", shares)]
        {
            tensors.push(flat(name.to_owned(), values));
        }
        let header = Header {
            version: VERSION,
            file: self.setup.file.clone(),
            seed: self.setup.seed,
            horizon: state.horizon,
            at: state.at,
            optimizer: self.setup.config.train.optimizer.kind().to_owned(),
            scalars,
            averages: averages.map(|(updates, _)| updates),
            penalties: state.penalties.state(),
            reactions: state.reactions.clone(),
            sizer: state.sizer.clone(),
            stopper: state.stopper.clone(),
            last: state.last.clone(),
            segment: state.segment.at,
            best: state.best.as_ref().map(|best| best.at.clone()),
            ending: state.ending.clone(),
            seconds: state.seconds,
        };
        Checkpoint { header, tensors }
    }

    /// Takes a run up from its checkpoint: it goes on as if it had never stopped.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Other`] with what differs if the checkpoint is not of a run with this setup.
    pub fn resume(setup: Setup<M>, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let other = |reason: String| Err(CheckpointError::Other(reason));
        let header = &checkpoint.header;
        if header.seed != setup.seed {
            return other(format!("its seed is {}, not {}", header.seed, setup.seed));
        }
        let optimizer = setup.config.train.optimizer.kind();
        if header.optimizer != optimizer {
            return other(format!("its optimizer is {}, not {optimizer}", header.optimizer));
        }
        if let Some(difference) = checkpoint.differs_from(&setup.file) {
            return other(difference);
        }
        Self::continue_from(setup, checkpoint, false)
    }

    /// Continues a run, finished or not, to more epochs: those of `setup`. Schedules stay stretched over
    /// the epochs that the run was begun with, unless `train.horizon` of `setup` or their own `horizon` says otherwise,
    /// and past that keep the value that they end with. For a plain cosine that is 0; its key `end`, or a
    /// [fork](Run::fork), leaves something
    /// to learn with.
    ///
    /// # Errors
    ///
    /// As [`Run::resume`], and if there are fewer epochs than the run has had.
    pub fn extend(setup: Setup<M>, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let (epochs, done) = (setup.config.train.epochs, checkpoint.header.at.epoch);
        if epochs < done || epochs == done && checkpoint.has_ended() {
            let reason = format!("it has had {done} epochs, so {epochs} do not lengthen it; ask for more");
            return Err(CheckpointError::Other(reason));
        }
        if let Some(difference) = difference(&checkpoint.header.file, &setup.file, &["epochs", "horizon"]) {
            return Err(CheckpointError::Other(difference));
        }
        let mut extended = checkpoint.clone();
        extended.header.file.clone_from(&setup.file);
        let mut run = Self::resume(setup, &extended)?;
        run.state.ending = None;
        Ok(run)
    }

    /// Continues a checkpoint under other hyperparameters: those of `setup`. The weights have to fit; the
    /// optimizer keeps its state if it is of the same kind and remembers the same. Its draws from here on
    /// are those of the seed of `setup`; [`Checkpoint::fork_seed`] gives a good one. Schedules are stretched over the
    /// epochs of `setup`. The best weights so far stay the best to beat, if they were measured by the same metric on the
    /// same examples.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Other`] if the weights do not fit, or there is no epoch left.
    pub fn fork(setup: Setup<M>, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let best = checkpoint.header.best.clone().filter(|best| checkpoint.measured_like(best, &setup));
        Self::forked(setup, checkpoint, best)
    }

    /// The same as a run of its own: what was measured before is none of its results.
    ///
    /// # Errors
    ///
    /// As [`Run::fork`].
    pub fn branch(setup: Setup<M>, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        Self::forked(setup, checkpoint, None)
    }

    fn forked(
        setup: Setup<M>,
        checkpoint: &Checkpoint,
        best: Option<BestAt>,
    ) -> Result<Self, CheckpointError> {
        let (epochs, done) = (setup.config.train.epochs, checkpoint.header.at.epoch);
        if epochs <= done {
            let reason =
                format!("it has had {done} epochs of {epochs}, so nothing is left to train; ask for more");
            return Err(CheckpointError::Other(reason));
        }
        let mut forked = checkpoint.clone();
        let header = &mut forked.header;
        if header.optimizer != setup.config.train.optimizer.kind() {
            header.scalars = Scalars::default();
        }
        // What was measured under the old values says nothing of the new ones.
        header.reactions = Reactions::default();
        header.stopper = Stopper::default();
        header.sizer = BatchSizer::default();
        header.ending = None;
        header.best = best;
        header.horizon = epochs;
        Self::continue_from(setup, &forked, true)
    }

    /// `forked` lets what is remembered begin anew where it does not fit.
    fn continue_from(
        setup: Setup<M>,
        checkpoint: &Checkpoint,
        forked: bool,
    ) -> Result<Self, CheckpointError> {
        let Checkpoint { header, .. } = checkpoint;
        let mut run = Self::begin(setup, false).map_err(CheckpointError::Other)?;
        let model = run.state.model.clone();
        if let Some(best) = &header.best {
            let weights = checkpoint.under("best.");
            let model = model.valid().with_weights(&weights).map_err(CheckpointError::Other)?;
            run.state.best = Some(Best { at: best.clone(), model });
        }
        let weights = checkpoint.under("now.");
        run.state.model = model.with_weights(&weights).map_err(CheckpointError::Other)?;
        let state = &mut run.state;
        if header.scalars != Scalars::default() {
            let memories = checkpoint.under("optimizer.");
            let tensors = memories.into_iter().map(|it| (it.name, it.values)).collect();
            let memory = OptimizerState { tensors, scalars: header.scalars.clone() };
            match state.optimizer.restore(memory) {
                Err(reason) if !forked => return Err(CheckpointError::Other(reason)),
                // It is as it was before its first step.
                _ => {}
            }
        }
        if let Some(ema) = &mut state.ema {
            match header.averages {
                Some(updates) => {
                    let averages = checkpoint.under("average.").into_iter();
                    let averages = averages.map(|it| (it.name, it.values)).collect();
                    ema.restore(&run.work.parameters, (updates, averages)).map_err(CheckpointError::Other)?;
                }
                // Averages that a fork begins are of the weights that it has.
                None => {
                    if let Some(config) = &run.setup.config.train.ema {
                        *ema = Ema::new(config, read_weights(&state.model.valid()));
                    }
                }
            }
        }
        state.horizon = run.setup.config.train.horizon.unwrap_or(header.horizon);
        state.at = header.at;
        match state.penalties.restore(&header.penalties) {
            Err(reason) if !forked => return Err(CheckpointError::Other(reason)),
            _ => {}
        }
        state.reactions = header.reactions.clone();
        state.sizer = header.sizer.clone();
        state.stopper = header.stopper.clone();
        state.last = header.last.clone();
        let [outputs, targets, seconds, shares] =
            ["outputs", "targets", "mixed.targets", "mixed.shares"].map(|name| checkpoint.values(name));
        let mixed = (!seconds.is_empty()).then_some((seconds, shares));
        let predicted = Predicted { outputs, targets, mixed, ..Predicted::default() };
        state.segment = Segment { predicted, at: header.segment };
        state.ending.clone_from(&header.ending);
        state.seconds = header.seconds;
        Ok(run)
    }
}

impl Checkpoint {
    /// A seed for a run that is forked from this checkpoint: it follows from the checkpoint's own seed and
    /// from where it stands.
    pub fn fork_seed(&self) -> u64 {
        luthier_core::trial_seed(self.header.seed ^ 0x666f_726b, self.header.at.step)
    }
}

/// The first line that is not in both files, but for those of these keys.
fn difference(then: &str, now: &str, but: &[&str]) -> Option<String> {
    if then.is_empty() || now.is_empty() {
        return None;
    }
    let lines = |text: &str| -> Vec<String> {
        let counts = |line: &&str| {
            let key = line.trim_start().split(' ').next();
            !but.iter().any(|but| key == Some(*but))
        };
        text.lines().filter(counts).map(str::to_owned).collect()
    };
    let (then, now) = (lines(then), lines(now));
    let gone = then.iter().find(|line| !now.contains(line));
    let new = now.iter().find(|line| !then.contains(line));
    match (gone, new) {
        (None, None) => None,
        (Some(gone), Some(new)) => Some(format!("it says `{gone}`, and the file says `{new}`")),
        (Some(gone), None) => Some(format!("it says `{gone}`, and the file does not")),
        (None, Some(new)) => Some(format!("the file says `{new}`, and it does not")),
    }
}
