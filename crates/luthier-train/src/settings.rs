//! The sections `[data]` and `[train]` of a study file, and the three sections of a training together.

use std::time::Duration;

use luthier_core::config::{Bound, Decode, Fields, Kind, Node, Problems, bounds, defaults};

use crate::augment::Augmentation;
use crate::batch_size::BatchSizeConfig;
use crate::data::{ByteSize, Impute, Scale, Source, SplitConfig, TransformConfig};
use crate::loss::Loss;
use crate::metric::Metric;
use crate::model::ModelConfig;
use crate::optimizer::{EmaConfig, GradientClip, OptimizerConfig};
use crate::penalty::Regularize;
use crate::schedule::Schedules;
use crate::stopping::EarlyStopping;

luthier_core::settings! {
    /// The section `[data]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct DataConfig {
        /// Where the data comes from: "mnist", { csv = "file.csv", target = "column" },
        /// { parquet = "file.parquet", target = "column" }, { images = "folder" },
        /// { array = "x.npy", targets = "y.npy" }, { text = "file.csv", column = "text",
        /// target = "label" }, { text = "folder" } or { classification = { samples = 1000, … } }.
        source: Source;
        /// Which examples train, which choose and which judge.
        split: SplitConfig = SplitConfig::default();
        /// How numbers and pixels are scaled: "standardize" to mean 0 and standard deviation 1, "normalize"
        /// to [0, 1] by the smallest and largest training value (pixels by 255), or "none". Networks learn
        /// best from the first; the last is for numbers that are scaled already.
        scale: Scale = Scale::Standardize;
        /// What takes the place of missing numbers: the training rows' "median", "mean" or "most_frequent",
        /// or { constant = 0.0 }. The median is safe where there are outliers.
        impute: Impute = Impute::Median;
        /// Add a column of 0 and 1 that says where a value was missing, for columns that miss any in training.
        missing_flags: bool = true;
        /// Shift and scale the numbers to be predicted as well; metrics stay in their own unit.
        standardize_target: bool = true;
        /// The most words that the vocabulary of texts has: the most frequent ones. 5,000 to 50,000 are usual.
        max_words: usize = 20_000, bounds::AT_LEAST_ONE;
        /// How often a word has to come in the training texts to be in the vocabulary. 2 to 5 leave out slips.
        min_count: usize = 1, bounds::AT_LEAST_ONE;
        /// The most words of a text that are kept: its first ones. Longer texts cost time in proportion.
        max_length: usize = 256, bounds::AT_LEAST_ONE;
        /// How training examples are changed at each use.
        augment: Augmentation = Augmentation::default();
    }
}

impl DataConfig {
    /// How rows become numbers.
    pub fn transforms(&self) -> TransformConfig {
        TransformConfig {
            scale: self.scale,
            impute: self.impute,
            missing_flags: self.missing_flags,
            standardize_target: self.standardize_target,
            max_words: self.max_words,
            min_count: self.min_count,
            max_length: self.max_length,
        }
    }
}

const POSITIVE_SIZE: Bound<ByteSize> =
    Bound { expected: "a size above 0, such as \"512MB\" or \"2GB\"", holds: |size| size.0 > 0 };

luthier_core::settings! {
    /// The section `[train]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct TrainConfig {
        /// Passes over the training data.
        epochs: u64, bounds::COUNT;
        /// Epochs that schedules are stretched over; all `epochs` if left out. Past them the last value holds.
        horizon: Option<u64> = None, bounds::COUNT;
        /// Examples in a step of the optimizer: a number such as 32, "full" for all of them, "auto" for the
        /// best throughput, { random = [16, 64] }, { grow = { … } } or { noise_scale = { … } }.
        batch_size: BatchSizeConfig = BatchSizeConfig::Fixed(32);
        /// Batches whose gradients are averaged before a step: a batch that is larger than the memory.
        accumulate: usize = 1, bounds::AT_LEAST_ONE;
        /// How weights follow their gradients.
        optimizer: OptimizerConfig;
        /// What training makes small: "cross_entropy" for classes and "mse" for numbers if left out.
        loss: Option<Loss> = None;
        /// What is measured after each epoch beside the loss, the accuracy or the errors, and the
        /// objective: names of metrics, such as ["f1_macro", "auroc"].
        metrics: Vec<Metric> = Vec::new();
        /// How values change while training.
        schedule: Schedules = Schedules::default();
        /// A limit on gradients: { norm = 1.0 } for all of them together, or { value = 0.5 } for each.
        gradient_clip: Option<GradientClip> = None;
        /// Penalties on the weights, beside the optimizer's own `weight_decay`: one table or a list.
        regularize: Regularize = Regularize(Vec::new());
        /// The largest norm of the weights that lead to a unit.
        max_norm: Option<f64> = None, bounds::POSITIVE;
        /// Measure and hand over an exponential moving average of the weights: { decay = 0.999 }.
        ema: Option<EmaConfig> = None;
        /// When to stop before the last epoch.
        early_stopping: Option<EarlyStopping> = None, EarlyStopping::MAKES_SENSE;
        /// Longest time of a trial of a study, its pauses left out; one that takes longer fails. It is looked at before
        /// each step.
        time_limit: Option<Duration> = None;
        /// Most memory that the training of a trial of a study may need, by an estimate from the shapes: weights, their
        /// gradients and copies, what the optimizer remembers, and what lies between the layers for a batch. One that
        /// needs more is infeasible. The data, which all trials share, is not counted.
        memory_limit: Option<ByteSize> = None, POSITIVE_SIZE;
        /// How often the model is measured on the validation examples, reported, compared and saved: a
        /// number of epochs, which may be a part of one such as 0.25, or { steps = 500 }.
        validate_every: Every = Every::Epochs(1.0);
        /// Which checkpoints `luthier train --checkpoint` keeps.
        checkpoints: CheckpointRule = defaults();
    }
}

luthier_core::settings! {
    /// Which checkpoints of a training are kept, beside the last one and the best one.
    #[derive(Debug, Clone, PartialEq)]
    pub struct CheckpointRule {
        /// Reports between two checkpoints that are kept; none if left out.
        every: Option<u64> = None, bounds::COUNT;
        /// How many of these are kept; older ones are removed.
        keep: usize = 3, bounds::AT_LEAST_ONE;
    }
}

/// How often a model is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Every {
    /// Every so many epochs, or parts of one.
    Epochs(f64),
    /// Every so many steps of the optimizer.
    Steps(u64),
}

impl Every {
    /// About how many examples are trained on from one measurement to the next, with so many in an epoch and in a step.
    pub(crate) fn examples(self, in_epoch: usize, in_step: usize) -> usize {
        match self {
            Self::Epochs(epochs) => (epochs * in_epoch as f64).ceil() as usize,
            Self::Steps(steps) => usize::try_from(steps).unwrap_or(usize::MAX).saturating_mul(in_step),
        }
    }
}

impl Decode for Every {
    const EXPECTED: &'static str = "a number of epochs such as 1 or 0.25, or { steps = 500 }";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = match &node.kind {
            Kind::Int(epochs @ 1..) => Some(Self::Epochs(*epochs as f64)),
            Kind::Float(epochs) if *epochs > 0.0 && epochs.is_finite() => Some(Self::Epochs(*epochs)),
            Kind::Table(table) if table.len() == 1 => match table.get("steps").map(|steps| &steps.kind) {
                Some(Kind::Int(steps @ 1..)) => Some(Self::Steps(*steps as u64)),
                _ => None,
            },
            _ => None,
        };
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read
    }
}

impl TrainConfig {
    /// The metrics that schedules and early stopping depend on, each with the key that names it.
    pub fn monitors(&self) -> Vec<(String, String)> {
        let schedules = self.schedule.monitors().into_iter();
        let mut monitors: Vec<(String, String)> =
            schedules.map(|(key, name)| (format!("train.schedule.{key}"), name.to_owned())).collect();
        let stopping = self.early_stopping.iter().filter_map(EarlyStopping::monitor);
        monitors.extend(stopping.map(|name| ("train.early_stopping".to_owned(), name.to_owned())));
        let sizes = self.batch_size.monitor().into_iter();
        monitors.extend(sizes.map(|name| ("train.batch_size".to_owned(), name.to_owned())));
        monitors
    }
}

/// All that says how one model is trained: `[data]`, `[model]` and `[train]` without ranges.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingConfig {
    /// The section `[data]`.
    pub data: DataConfig,
    /// The section `[model]`.
    pub model: ModelConfig,
    /// The section `[train]`.
    pub train: TrainConfig,
}

impl TrainingConfig {
    /// Reads the three sections of a filled-in file and leaves its others alone.
    ///
    /// # Errors
    ///
    /// All that is wrong with them.
    pub fn read(file: &Node, name: &str) -> Result<Self, Problems> {
        let mut problems = Problems::new(name);
        let config = Fields::open(file, "", &mut problems).and_then(|sections| {
            let data = sections.required("data", &mut problems);
            let model: Option<ModelConfig> = sections.or("model", defaults, &mut problems);
            if let (Some(model), Some(node)) = (&model, file.get("model")) {
                model.check(node, &mut problems);
            }
            let train = sections.required("train", &mut problems);
            Some(Self { data: data?, model: model?, train: train? })
        });
        problems.or(config)
    }
}
