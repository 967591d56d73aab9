//! Checkpoints: a run as bytes.
//!
//! The format is safetensors with a header of our own: the current weights, those of the best epoch,
//! the optimizer's state, and where the run stands. Random streams are addressed by seed, epoch and
//! step, so they need no place in it.

use std::collections::HashMap;

use burn::module::Module;
use luthier_core::Metrics;
use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Best, Run, Setup};
use crate::model::{Network, Weights};
use crate::optimizer::{OptimizerState, Scalars};
use crate::weights_file::{to_bytes, weights_of};

const VERSION: u32 = 1;
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

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    seed: u64,
    /// The kind of the optimizer, whose state no other kind can take up.
    optimizer: String,
    /// The numbers that it remembers; its tensors are beside the weights.
    optimizer_state: Scalars,
    epoch: u64,
    step: u64,
    best: Option<BestHeader>,
}

#[derive(Serialize, Deserialize)]
struct BestHeader {
    epoch: u64,
    value: f64,
    improved: u64,
    reference: f64,
    metrics: Metrics,
}

impl Header {
    /// Whether it can be of a run with this setup.
    fn check(&self, setup: &Setup) -> Result<(), CheckpointError> {
        let other = |reason: String| Err(CheckpointError::Other(reason));
        if self.seed != setup.seed {
            return other(format!("its seed is {}, not {}", self.seed, setup.seed));
        }
        let optimizer = setup.config.train.optimizer.kind();
        if self.optimizer != optimizer {
            return other(format!("its optimizer is {}, not {optimizer}", self.optimizer));
        }
        let (epoch, step) = (self.epoch, self.step);
        let expected = u128::from(epoch) * u128::from(setup.steps_per_epoch());
        if u128::from(step) != expected {
            return other(format!("it stands at step {step} after epoch {epoch}, expected step {expected}"));
        }
        match &self.best {
            Some(best) if best.epoch > epoch || best.improved > epoch => {
                Err(CheckpointError::Broken(format!(
                    "it stands after epoch {epoch}, and its best epochs are {} and {}",
                    best.epoch, best.improved
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Run {
    /// The run as bytes. Call it between epochs.
    ///
    /// # Errors
    ///
    /// Only if the tensors cannot be written as safetensors, which no run has led to.
    pub fn checkpoint(&self) -> Result<Vec<u8>, CheckpointError> {
        let broken = |error: &dyn std::fmt::Display| CheckpointError::Broken(error.to_string());
        let OptimizerState { tensors: moments, scalars } = self.optimizer.state();
        let header = Header {
            version: VERSION,
            seed: self.setup.seed,
            optimizer: self.setup.config.train.optimizer.kind().to_owned(),
            optimizer_state: scalars,
            epoch: self.epoch,
            step: self.step,
            best: self.best.as_ref().map(|best| BestHeader {
                epoch: best.epoch,
                value: best.value,
                improved: best.improved,
                reference: best.reference,
                metrics: best.metrics.clone(),
            }),
        };
        let mut tensors = named("now", self.network.valid().weights());
        if let Some(best) = &self.best {
            tensors.extend(named("best", best.network.weights()));
        }
        let header = serde_json::to_string(&header).map_err(|error| broken(&error))?;
        tensors.extend(moments.into_iter().map(|(name, values)| Weights {
            name: format!("optimizer.{name}"),
            shape: vec![values.len()],
            values,
        }));
        to_bytes(&tensors, &[], HashMap::from([(HEADER.to_owned(), header)])).map_err(|error| broken(&error))
    }

    /// Takes a run up from its checkpoint.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if the bytes are not a checkpoint of a run with this setup.
    pub fn resume(setup: Setup, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let broken = |error: &dyn std::fmt::Display| CheckpointError::Broken(error.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| broken(&error))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| broken(&error))?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(HEADER))
            .ok_or_else(|| CheckpointError::Broken(format!("it has no entry `{HEADER}`")))?;
        let header: Header = serde_json::from_str(header).map_err(|error| broken(&error))?;
        if header.version != VERSION {
            return Err(CheckpointError::Version(header.version));
        }
        header.check(&setup)?;
        let mut run = Self::new(setup).map_err(CheckpointError::Other)?;
        let take = |prefix: &str, network: Network| -> Result<Network, CheckpointError> {
            let weights = weights_of(&tensors, &format!("{prefix}.")).map_err(|error| broken(&error))?;
            network.with_weights(&weights).map_err(CheckpointError::Other)
        };
        run.best = match header.best {
            None => None,
            Some(best) => Some(Best {
                epoch: best.epoch,
                value: best.value,
                improved: best.improved,
                reference: best.reference,
                metrics: best.metrics,
                network: take("best", run.network.valid())?,
            }),
        };
        let network = std::mem::replace(&mut run.network, Network::empty());
        run.network = take("now", network)?;
        let moments = weights_of(&tensors, "optimizer.").map_err(|error| broken(&error))?;
        let moments = moments.into_iter().map(|moment| (moment.name, moment.values)).collect();
        let state = OptimizerState { tensors: moments, scalars: header.optimizer_state };
        run.optimizer.restore(state, &run.setup.device).map_err(CheckpointError::Other)?;
        run.epoch = header.epoch;
        run.step = header.step;
        Ok(run)
    }
}

fn named(prefix: &str, weights: Vec<Weights>) -> Vec<Weights> {
    weights.into_iter().map(|w| Weights { name: format!("{prefix}.{}", w.name), ..w }).collect()
}
