//! The sections `[data]` and `[train]` of a study file, and the three sections of a training together.

use luthier_core::config::{Decode, Fields, Node, Problems, bounds};

use crate::augment::Augmentation;
use crate::data::{Impute, Source, SplitConfig, TransformConfig};
use crate::loss::Loss;
use crate::model::ModelConfig;
use crate::optimizer::OptimizerConfig;
use crate::schedule::{Constant, Schedule, Schedules};

luthier_core::settings! {
    /// The section `[data]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct DataConfig {
        /// Where the data comes from: "mnist", { csv = "file.csv", target = "column" }, { images = "folder" },
        /// { array = "x.npy", targets = "y.npy" } or
        /// { classification = { samples = 1000, … } }.
        source: Source;
        /// Which examples train, which choose and which judge.
        split: SplitConfig = SplitConfig::default();
        /// Shift and scale numbers and pixels to mean 0 and standard deviation 1.
        standardize: bool = true;
        /// What takes the place of missing numbers: the training rows' "median", "mean" or "most_frequent".
        impute: Impute = Impute::Median;
        /// Shift and scale the numbers to be predicted as well; metrics stay in their own unit.
        standardize_target: bool = true;
        /// How training examples are changed at each use.
        augment: Augmentation = Augmentation::default();
    }
}

impl DataConfig {
    /// How rows become numbers.
    pub fn transforms(&self) -> TransformConfig {
        TransformConfig {
            standardize: self.standardize,
            impute: self.impute,
            standardize_target: self.standardize_target,
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

impl Decode for Impute {
    const EXPECTED: &'static str = "\"median\", \"mean\" or \"most_frequent\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = match node.as_str() {
            Some("median") => Some(Self::Median),
            Some("mean") => Some(Self::Mean),
            Some("most_frequent") => Some(Self::MostFrequent),
            _ => None,
        };
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read
    }
}
