//! Training: data, models, optimizers, schedules, metrics, checkpoints and the loop.
//!
//! This is the only crate that names Burn. It takes Burn's tensors, automatic differentiation and
//! optimizer machinery, and draws nothing with Burn: initial weights, the order of examples and dropout
//! masks come from the trial's own [`Streams`](luthier_core::Streams) and enter as data, so a training
//! gives the same bits alone, beside others, in any thread or process.
//!
//! [`Experiment`] is the way in: a study file's template with its data, as an
//! [`Objective`](luthier_core::Objective).

#[allow(dead_code, reason = "the training loop will use all of it")]
mod augment;
mod batch;
pub mod data;
mod experiment;
#[cfg(test)]
mod fixture;
mod loss;
mod metric;
pub mod model;
mod optimizer;
#[allow(dead_code, reason = "the training loop will use it")]
mod prefetch;
mod prepared;
pub mod schedule;
mod settings;
mod shape;
mod trained_model;
mod training;
mod weights_file;

pub use augment::{Augmentation, Erase, ErasingFill};
pub use burn::tensor::Device;
pub use experiment::Experiment;
pub use loss::Loss;
pub use metric::Metric;
pub use optimizer::{AdamConfig, OptimizerConfig, SgdConfig};
pub use prepared::Prepared;
pub use settings::{DataConfig, EarlyStopping, TrainConfig, TrainingConfig};
pub use shape::Shape;
pub use trained_model::{Answer, ModelError, Prediction, TrainedModel};
pub use training::{CheckpointError, Epoch, ObjectiveMetric, Run, Setup};

/// The device of this name: for now `cpu`.
///
/// # Errors
///
/// A message with the devices that this program was built for.
pub fn device(name: &str) -> Result<Device, String> {
    match name {
        "cpu" => Ok(Device::flex()),
        other => Err(format!("there is no device {other:?} in this build of luthier; there is cpu")),
    }
}
