//! Metrics: what is measured of predictions, in double precision, over all examples at once, and what a
//! model costs.
//!
//! The definitions are scikit-learn's, with `zero_division = 0`. Symbols of the formulas: n examples, k
//! classes; for a class, TP, FP and FN are the examples that are rightly called it, wrongly called it and
//! wrongly called something else; P = TP + FN.

mod confusion;
mod measure;
mod name;
mod probability;
mod ranking;
mod regression;

use luthier_core::Direction;

use crate::data::{EncodedTargets, Targets, Task};

pub use confusion::ConfusionMatrix;
pub(crate) use measure::Predicted;
pub use measure::{Measured, MetricSet, Undefined};
pub use name::{MetricName, Part};
pub(crate) use probability::{class_of, probability_of};

/// How the figures of several classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Average {
    /// That of the second of two classes alone.
    Binary,
    /// The mean over the classes that occur, as labels or as predictions.
    Macro,
    /// Over all decisions together.
    Micro,
    /// The mean over the classes, each weighted by its examples.
    Weighted,
}

/// Something that is measured of predictions, or that a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The loss of training, without any penalty.
    Loss,
    /// Share of examples whose most likely class is the true one.
    Accuracy,
    /// Share of examples whose true class is among the so many most likely ones.
    Top(usize),
    /// Mean recall of the classes.
    BalancedAccuracy,
    /// Share of the examples called a class that are of it.
    Precision(Average),
    /// Share of the examples of a class that are called it.
    Recall(Average),
    /// The harmonic mean of precision and recall.
    F1(Average),
    /// Area under the receiver operating characteristic.
    Auroc,
    /// The same, each class weighted by its examples.
    AurocWeighted,
    /// Area under the steps of precision over recall.
    AveragePrecision,
    /// The same, each class weighted by its examples.
    AveragePrecisionWeighted,
    /// Cross-entropy of the probabilities.
    LogLoss,
    /// Root of the mean squared error.
    Rmse,
    /// Mean absolute error.
    Mae,
    /// Share of the targets' variance that is explained.
    R2,
    /// Milliseconds that a prediction takes.
    LatencyMs,
    /// Numbers that a model learns.
    Weights,
    /// Floating-point operations of a prediction.
    Flops,
    /// Size of a model's weights.
    Bytes,
    /// Seconds of an epoch.
    EpochSeconds,
}

/// What is to be said of a metric in a reference.
#[derive(Debug, Clone, Copy)]
pub struct MetricEntry {
    /// Its name, after `train_` or `val_` if it is measured of predictions.
    pub name: &'static str,
    /// The metric.
    pub metric: Metric,
    /// Formula, unit and source.
    pub doc: &'static str,
}

const fn entry(name: &'static str, metric: Metric, doc: &'static str) -> MetricEntry {
    MetricEntry { name, metric, doc }
}

/// All metrics. `top5` stands for every `topK`.
pub const METRICS: &[MetricEntry] = &[
    entry(
        "loss",
        Metric::Loss,
        "The loss of training, class weights and smoothing included, without any penalty.",
    ),
    entry(
        "accuracy",
        Metric::Accuracy,
        "Share of examples whose most likely class is the true one: (sum of TP) / n. Of equally likely classes the first counts. `accuracy_score`.",
    ),
    entry(
        "top5",
        Metric::Top(5),
        "Share of examples whose true class is among the 5 most likely ones; any `topK` with 2 <= K < k. Of equally likely classes the later ones rank first. `top_k_accuracy_score`.",
    ),
    entry(
        "balanced_accuracy",
        Metric::BalancedAccuracy,
        "Mean of TP / P over the classes that have examples. `balanced_accuracy_score`.",
    ),
    entry(
        "precision",
        Metric::Precision(Average::Binary),
        "TP / (TP + FP) of the second of two classes; 0 if nothing is called it. `precision_score`.",
    ),
    entry(
        "precision_macro",
        Metric::Precision(Average::Macro),
        "Mean of TP / (TP + FP) over the classes that occur, as labels or predictions. `precision_score`.",
    ),
    entry(
        "precision_micro",
        Metric::Precision(Average::Micro),
        "(sum of TP) / (sum of TP + FP); with one label an example it is the accuracy. `precision_score`.",
    ),
    entry(
        "precision_weighted",
        Metric::Precision(Average::Weighted),
        "Mean of TP / (TP + FP), weighted by P. `precision_score`.",
    ),
    entry("recall", Metric::Recall(Average::Binary), "TP / P of the second of two classes. `recall_score`."),
    entry(
        "recall_macro",
        Metric::Recall(Average::Macro),
        "Mean of TP / P over the classes that occur, as labels or predictions. `recall_score`.",
    ),
    entry(
        "recall_micro",
        Metric::Recall(Average::Micro),
        "(sum of TP) / n; with one label an example it is the accuracy. `recall_score`.",
    ),
    entry(
        "recall_weighted",
        Metric::Recall(Average::Weighted),
        "Mean of TP / P, weighted by P; it is the accuracy. `recall_score`.",
    ),
    entry(
        "f1",
        Metric::F1(Average::Binary),
        "2 TP / (2 TP + FP + FN) of the second of two classes. `f1_score`.",
    ),
    entry(
        "f1_macro",
        Metric::F1(Average::Macro),
        "Mean of 2 TP / (2 TP + FP + FN) over the classes that occur, as labels or predictions. `f1_score`.",
    ),
    entry(
        "f1_micro",
        Metric::F1(Average::Micro),
        "2 (sum of TP) / (sum of 2 TP + FP + FN); with one label an example it is the accuracy. `f1_score`.",
    ),
    entry(
        "f1_weighted",
        Metric::F1(Average::Weighted),
        "Mean of 2 TP / (2 TP + FP + FN), weighted by P. `f1_score`.",
    ),
    entry(
        "auroc",
        Metric::Auroc,
        "Probability that an example of a class ranks above one of another, ties counting half; of the second of two classes, or the mean over all classes, each against the rest. Left out where a class has no example. `roc_auc_score(multi_class=\"ovr\")`.",
    ),
    entry(
        "auroc_weighted",
        Metric::AurocWeighted,
        "The same mean, weighted by P. `roc_auc_score(multi_class=\"ovr\", average=\"weighted\")`.",
    ),
    entry(
        "average_precision",
        Metric::AveragePrecision,
        "Sum over the thresholds of (rise of recall) x precision; of the second of two classes, or the mean over all classes. Left out where a class has no example. `average_precision_score`.",
    ),
    entry(
        "average_precision_weighted",
        Metric::AveragePrecisionWeighted,
        "The same mean, weighted by P. `average_precision_score(average=\"weighted\")`.",
    ),
    entry(
        "log_loss",
        Metric::LogLoss,
        "Mean of -ln p_y, with p_y at least 2.2e-16: cross-entropy without weights and smoothing, comparable between losses. `log_loss`.",
    ),
    entry(
        "rmse",
        Metric::Rmse,
        "sqrt(mean of (prediction - target)^2), in the unit of the target. `root_mean_squared_error`.",
    ),
    entry(
        "mae",
        Metric::Mae,
        "Mean of |prediction - target|, in the unit of the target. `mean_absolute_error`.",
    ),
    entry(
        "r2",
        Metric::R2,
        "1 - (sum of squared errors) / (sum of squared distances of the targets from their mean). 1 is perfect, 0 no better than the mean. Without any spread 1 for a perfect prediction and else 0. Left out for a single example. `r2_score`.",
    ),
    entry("latency_ms", Metric::LatencyMs, "Milliseconds that the prediction of one example takes."),
    entry("weights", Metric::Weights, "Numbers that the model learns."),
    entry(
        "flops",
        Metric::Flops,
        "Floating-point operations of the prediction of one example: two for each multiply-add.",
    ),
    entry("bytes", Metric::Bytes, "Bytes of the model's weights in single precision."),
    entry(
        "epoch_seconds",
        Metric::EpochSeconds,
        "Seconds that an epoch takes on average until then, its validation included.",
    ),
];

impl Metric {
    /// Its name, without `train_` or `val_`.
    pub fn name(self) -> String {
        if let Self::Top(k) = self {
            return format!("top{k}");
        }
        let entry = METRICS.iter().find(|entry| entry.metric == self);
        entry.map_or_else(String::new, |entry| entry.name.to_owned())
    }

    /// The metric of this name.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(digits) = name.strip_prefix("top") {
            let k = digits.parse().ok().filter(|k| *k >= 2)?;
            return (digits == format!("{k}")).then_some(Self::Top(k));
        }
        METRICS.iter().find(|entry| entry.name == name).map(|entry| entry.metric)
    }

    /// Which way it is good.
    pub fn direction(self) -> Direction {
        match self {
            Self::Loss | Self::LogLoss | Self::Rmse | Self::Mae => Direction::Minimize,
            _ if self.is_cost() => Direction::Minimize,
            _ => Direction::Maximize,
        }
    }

    /// Whether it is what a model costs rather than something that is measured of predictions.
    pub fn is_cost(self) -> bool {
        matches!(self, Self::LatencyMs | Self::Weights | Self::Flops | Self::Bytes | Self::EpochSeconds)
    }

    /// Whether it can be measured on these targets.
    ///
    /// # Errors
    ///
    /// What it is for instead.
    pub fn fits(self, targets: &Targets) -> Result<(), String> {
        match targets {
            Targets::Classes { names, .. } => self.fits_task(Task::Classification, names.len()),
            Targets::Numbers { .. } => self.fits_task(Task::Regression, 0),
        }
    }

    fn fits_task(self, task: Task, classes: usize) -> Result<(), String> {
        let name = self.name();
        match (self, task) {
            (Self::Loss, _) => Ok(()),
            _ if self.is_cost() => Ok(()),
            (Self::Rmse | Self::Mae | Self::R2, Task::Regression) => Ok(()),
            (Self::Rmse | Self::Mae | Self::R2, Task::Classification) => {
                Err(format!("{name} is for numbers, and the data has classes"))
            }
            (_, Task::Regression) => Err(format!("{name} is for classes, and the data has numbers")),
            (Self::Top(k), _) if k >= classes => {
                Err(format!("{name} is for more than {k} classes, and the data has {classes}"))
            }
            (
                Self::Precision(Average::Binary) | Self::Recall(Average::Binary) | Self::F1(Average::Binary),
                _,
            ) if classes != 2 => Err(format!(
                "{name} is for two classes, and the data has {classes}: use {name}_macro, {name}_micro or {name}_weighted"
            )),
            _ => Ok(()),
        }
    }

    /// Why it has no value on these rows, if it has none. `counts` says how many rows there are of each
    /// class, or holds the one number of rows where there are no classes.
    pub fn undefined(self, counts: &[usize]) -> Option<String> {
        let rows: usize = counts.iter().sum();
        let absent = counts.iter().position(|count| *count == 0);
        match self {
            _ if self.is_cost() => None,
            _ if rows == 0 => Some("there are no rows".to_owned()),
            Self::R2 if rows < 2 => Some("it needs two rows, and there is one".to_owned()),
            Self::Auroc | Self::AurocWeighted => match absent {
                Some(class) => {
                    Some(format!("it needs rows of every class, and there are none of class {}", class + 1))
                }
                None if counts.len() < 2 => Some("it needs two classes, and there is one".to_owned()),
                None => None,
            },
            Self::AveragePrecision | Self::AveragePrecisionWeighted => match counts {
                [_, positive] => (*positive == 0).then(|| "there are no rows of the second class".to_owned()),
                _ => absent.map(|class| {
                    format!("it needs rows of every class, and there are none of class {}", class + 1)
                }),
            },
            _ => None,
        }
    }

    /// The metrics that are measured for a task without being asked for.
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

/// Encoded targets as numbers, class numbers included.
pub(crate) fn target_numbers(targets: &EncodedTargets) -> Vec<f32> {
    match targets {
        EncodedTargets::Classes(labels) => labels.iter().map(|label| *label as f32).collect(),
        EncodedTargets::Numbers(numbers) => numbers.clone(),
    }
}

/// How many of `rows` are of each class; empty for numbers.
pub(crate) fn class_counts(targets: &Targets, rows: &[usize]) -> Vec<usize> {
    let Targets::Classes { labels, names, .. } = targets else { return Vec::new() };
    let mut counts = vec![0; names.len()];
    for row in rows {
        counts[labels[*row] as usize] += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
