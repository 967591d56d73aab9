//! Checkpoints: a run as a value, in memory or as bytes.
//!
//! The bytes are in the safetensors format with a header of our own: the weights as they are and those of
//! the best measurement, what optimizer, averages, schedules, batch size and early stopping remember,
//! where the run stands, and what was predicted since the last measurement. Random streams are addressed
//! by seed and position, so they need no place in it.

mod continued;

use std::collections::HashMap;

use luthier_core::{Ending, Metrics};
use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::best::BestAt;
use super::measure::SegmentAt;
use super::{Position, Run};
use crate::batch_size::BatchSizer;
use crate::metric::Predicted;
use crate::model::Weights;
use crate::optimizer::{OptimizerState, Scalars};
use crate::penalty::PenaltyState;
use crate::schedule::Reactions;
use crate::stopping::Stopper;
use crate::trainable::Model;
use crate::weights_file::{to_bytes, weights_of};

use continued::difference;

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
}
