//! The sections `[data]` and `[train]` of a study file, and the three sections of a training together.

use luthier_core::config::{Fields, Node, Problems, bounds};

use crate::augment::Augmentation;
use crate::data::{Impute, Scale, Source, SplitConfig, TransformConfig};
use crate::loss::Loss;
use crate::model::ModelConfig;
use crate::optimizer::OptimizerConfig;
use crate::schedule::{Constant, Schedule, Schedules};

luthier_core::settings! {
    /// The section `[data]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct DataConfig {
        /// Where the data comes from: "mnist", { csv = "file.csv", target = "column" },
        /// { parquet = "file.parquet", target = "column" }, { text = "file.csv", column = "text",
        /// target = "label" }, { text = "folder" }, { images = "folder" }, { array = "x.npy",
        /// targets = "y.npy" } or { classification = { samples = 1000, … } }.
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

luthier_core::settings! {
    /// The section `[train]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct TrainConfig {
        /// Passes over the training data.
        epochs: u64, bounds::COUNT;
        /// Examples in a step of the optimizer.
        batch_size: usize = 32, bounds::AT_LEAST_ONE;
        /// How weights follow their gradients.
        optimizer: OptimizerConfig;
        /// What training makes small: "cross_entropy" for classes and "mse" for numbers if left out.
        loss: Option<Loss> = None;
        /// How values change while training.
        schedule: Schedules = Schedules { learning_rate: Schedule::Constant(Constant { warmup: 0.0 }) };
        /// When to stop before the last epoch.
        early_stopping: Option<EarlyStopping> = None;
    }
}

luthier_core::settings! {
    /// Stops a training whose objective no longer gets better.
    #[derive(Debug, Clone, PartialEq)]
    pub struct EarlyStopping {
        /// Epochs without an improvement that are waited for.
        patience: u64, bounds::COUNT;
        /// The smallest change that is an improvement.
        min_delta: f64 = 0.0, bounds::NOT_NEGATIVE;
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
            let model = sections.or("model", || ModelConfig { layers: Vec::new() }, &mut problems);
            let train = sections.required("train", &mut problems);
            Some(Self { data: data?, model: model?, train: train? })
        });
        problems.or(config)
    }
}
