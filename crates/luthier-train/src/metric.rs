//! Metrics: what is measured of predictions, in double precision, over all examples at once.

use luthier_core::{Direction, Metrics};

use crate::data::{EncodedTargets, Preprocessor, Task};
use crate::loss::Loss;

luthier_core::kinds! {
    /// Something that is measured of predictions.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Metric ("a metric") {
        /// The loss of training, without any penalty.
        "loss" => Loss,
        /// Share of examples whose most likely class is the true one.
        "accuracy" => Accuracy,
        /// Root of the mean squared error, in the unit of the target.
        "rmse" => Rmse,
        /// Mean absolute error, in the unit of the target.
        "mae" => Mae,
        /// Share of the targets' variance that is explained: 1 - squared error / variance.
        "r2" => R2,
    }
}

impl Metric {
    /// Which way it is good.
    pub fn direction(self) -> Direction {
        match self {
            Self::Loss | Self::Rmse | Self::Mae => Direction::Minimize,
            Self::Accuracy | Self::R2 => Direction::Maximize,
        }
    }

    /// The metrics that are measured for a task.
    pub fn of_task(task: Task) -> &'static [Self] {
        match task {
            Task::Classification => &[Self::Loss, Self::Accuracy],
            Task::Regression => &[Self::Loss, Self::Rmse, Self::Mae, Self::R2],
        }
    }

    /// The metric that is tuned where none is named.
    pub fn default_of(task: Task) -> Self {
        match task {
            Task::Classification => Self::Accuracy,
            Task::Regression => Self::Rmse,
        }
    }
}

/// The outputs of a model for some examples, with their targets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Predicted {
    /// The outputs, row by row.
    pub(crate) outputs: Vec<f32>,
    /// The encoded targets: class numbers, or (standardised) numbers.
    pub(crate) targets: Vec<f32>,
}

impl Predicted {
    /// All metrics of the task, named `{prefix}loss` and so on.
    pub(crate) fn measure(&self, prefix: &str, loss: Loss, preprocessor: &Preprocessor, into: &mut Metrics) {
        let count = self.targets.len() as f64;
        for metric in Metric::of_task(preprocessor.task()) {
            let value = match metric {
                Metric::Loss => loss.each(&self.outputs, &self.targets).sum::<f64>() / count,
                Metric::Accuracy => self.right() as f64 / count,
                Metric::Rmse => {
                    let squares: f64 = self.errors().map(|error| error * error).sum();
                    (squares / count).sqrt() * preprocessor.target_scale()
                }
                Metric::Mae => self.errors().map(f64::abs).sum::<f64>() / count * preprocessor.target_scale(),
                Metric::R2 => {
                    let mean = self.targets.iter().copied().map(f64::from).sum::<f64>() / count;
                    let spread: f64 = self.targets.iter().map(|t| (f64::from(*t) - mean).powi(2)).sum();
                    let squares: f64 = self.errors().map(|error| error * error).sum();
                    // As scikit-learn: without any spread, 1 for a perfect prediction and else 0.
                    match (spread > 0.0, squares > 0.0) {
                        (true, _) => 1.0 - squares / spread,
                        (false, true) => 0.0,
                        (false, false) => 1.0,
                    }
                }
            };
            into.insert(format!("{prefix}{}", metric.kind()), value);
        }
    }

    fn right(&self) -> usize {
        let width = self.outputs.len() / self.targets.len().max(1);
        self.outputs
            .chunks_exact(width.max(1))
            .zip(&self.targets)
            .filter(|(row, target)| class_of(row) == **target as usize)
            .count()
    }

    fn errors(&self) -> impl Iterator<Item = f64> + '_ {
        self.outputs.iter().zip(&self.targets).map(|(output, target)| f64::from(*output) - f64::from(*target))
    }
}

/// The most likely class by a row of outputs; of equal ones the first. A single output speaks for the
/// second of two classes.
pub(crate) fn class_of(row: &[f32]) -> usize {
    if let [one] = row {
        return usize::from(*one > 0.0);
    }
    let mut best = 0;
    for (class, output) in row.iter().enumerate() {
        if *output > row[best] {
            best = class;
        }
    }
    best
}

/// Encoded targets as numbers, class numbers included.
pub(crate) fn target_numbers(targets: &EncodedTargets) -> Vec<f32> {
    match targets {
        EncodedTargets::Classes(labels) => labels.iter().map(|label| *label as f32).collect(),
        EncodedTargets::Numbers(numbers) => numbers.clone(),
    }
}

#[cfg(test)]
mod tests;
