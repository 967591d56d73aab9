//! Training: data, models, optimizers, schedules, metrics, checkpoints and the loop.
//!
//! This is the only crate that names Burn. It takes Burn's tensors, automatic differentiation and
//! optimizer machinery, and draws nothing with Burn: initial weights, the order of examples and dropout
//! masks come from the trial's own [`Streams`](luthier_core::Streams) and enter as data, so a training
//! gives the same bits alone, beside others, in any thread or process.
//!
//! [`Experiment`] is the way in: a study file's template with its data, as an
//! [`Objective`](luthier_core::Objective).

mod augment;
mod batch;
pub mod batch_size;
pub mod data;
mod device;
mod experiment;
#[cfg(test)]
mod fixture;
mod folds;
mod loss;
mod metric;
pub mod model;
mod optimizer;
mod penalty;
mod prefetch;
mod prepared;
pub mod pretrained;
pub mod schedule;
mod settings;
mod shape;
pub mod stopping;
mod trainable;
mod trained_model;
mod training;
mod weights_file;

pub use augment::{Augmentation, Erase, ErasingFill};
pub use burn::tensor::Device;
pub use device::{device, devices};
pub use experiment::Experiment;
pub use loss::{
    BinaryCrossEntropy, BinaryFocal, BoundLoss, ClassWeights, CrossEntropy, Focal, Huber, Loss,
    PositiveWeight,
};
pub use metric::{
    Average, ConfusionMatrix, METRICS, Measured, Metric, MetricEntry, MetricName, MetricSet, Part, Undefined,
};
pub use optimizer::{
    AdadeltaConfig, AdagradConfig, AdamConfig, AdamWConfig, AdamaxConfig, Adjust, ClipNorm, ClipValue,
    DecayOn, EmaConfig, GradientClip, LionConfig, MuonConfig, NAdamConfig, OptimizerConfig, ProdigyConfig,
    RAdamConfig, RmsPropConfig, SgdConfig,
};
pub use penalty::{Patterns, PenaltyConfig, React, Regularize, Start};
pub use prepared::Prepared;
pub use schedule::Values;
pub use settings::{CheckpointRule, DataConfig, Every, TrainConfig, TrainingConfig};
pub use shape::Shape;
pub use stopping::EarlyStopping;
pub use trainable::{Model, seeded};
pub use trained_model::{Answer, ModelError, Prediction, TrainedModel};
pub use training::{
    Advance, Blueprint, Checkpoint, CheckpointError, Hook, MEASURED_TIMES, MemoryEstimate, Position, Report,
    Run, Setup,
};
