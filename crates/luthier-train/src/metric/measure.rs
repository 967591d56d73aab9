//! Measuring a set of metrics on predictions.

use luthier_core::Metrics;
use serde::Serialize;

use super::probability::{class_of, probability_of, scores};
use super::ranking::{auroc, average_precision, in_top};
use super::regression::{mae, r2, rmse};
use super::{ConfusionMatrix, METRICS, Metric};
use crate::batch::Batch;
use crate::data::{Preprocessor, TargetEncoding, Targets, Task};
use crate::loss::{BoundLoss, Term};

/// The smallest probability that [`Metric::LogLoss`] takes the logarithm of, as scikit-learn.
const SMALLEST_PROBABILITY: f64 = f64::EPSILON;

/// The outputs of a model for some examples, with their targets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Predicted {
    /// The outputs, row by row.
    pub(crate) outputs: Vec<f32>,
    /// The encoded targets: class numbers, or (standardised) numbers.
    pub(crate) targets: Vec<f32>,
    /// The second target of each example and the share of the first, where examples were mixed.
    pub(crate) mixed: Option<(Vec<f32>, Vec<f32>)>,
    /// The sum of their losses, if it is known already.
    pub(crate) loss: Option<Term>,
}

impl Predicted {
    /// None, in the memory of these.
    pub(crate) fn emptied(mut self) -> Self {
        self.outputs.clear();
        self.targets.clear();
        Self { outputs: self.outputs, targets: self.targets, ..Self::default() }
    }

    /// Makes room for so many examples with `width` outputs each, as far as it is not much memory: what is more gets
    /// it as it comes.
    pub(crate) fn reserve(&mut self, examples: usize, width: usize) {
        const MOST: usize = 1 << 20;
        let examples = examples.min(MOST / width.max(1));
        self.targets.reserve_exact(examples);
        self.outputs.reserve_exact(examples * width);
    }

    /// Adds the outputs for a batch.
    pub(crate) fn extend(&mut self, outputs: &[f32], batch: &Batch) {
        // Those that were not mixed are mixed with themselves.
        if batch.mixed.is_some() && self.mixed.is_none() {
            self.mixed = Some((self.targets.clone(), vec![1.0; self.targets.len()]));
        }
        if let Some((targets, shares)) = &mut self.mixed {
            if let Some(mixed) = &batch.mixed {
                targets.extend_from_slice(&mixed.targets);
                shares.extend_from_slice(&mixed.share);
            } else {
                targets.extend_from_slice(&batch.targets);
                shares.resize(targets.len(), 1.0);
            }
        }
        self.outputs.extend_from_slice(outputs);
        self.targets.extend_from_slice(&batch.targets);
    }

    /// The class of an example; of a mixed one that which has the larger share.
    fn label(&self, row: usize) -> usize {
        match &self.mixed {
            Some((seconds, shares)) if shares[row] < 0.5 => seconds[row] as usize,
            _ => self.targets[row] as usize,
        }
    }
}

/// The metrics that are to be measured, each once, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSet {
    metrics: Vec<Metric>,
}

/// A metric that has no value on some rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undefined {
    /// Its name.
    pub metric: String,
    /// Why it has none.
    pub reason: String,
}

/// All that can be measured of a model on labelled rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Every metric of the task.
    pub metrics: Metrics,
    /// Those that have no value on these rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undefined: Vec<Undefined>,
    /// For classes, how often each was taken for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<ConfusionMatrix>,
}

impl MetricSet {
    /// The metrics that are always measured for a task, and `more`.
    pub fn new(task: Task, more: impl IntoIterator<Item = Metric>) -> Self {
        let mut metrics = Metric::of_task(task).to_vec();
        let mut more: Vec<Metric> = more.into_iter().collect();
        // In the order of the table, so that the order of asking changes nothing.
        let place = |metric: &Metric| match metric {
            Metric::Top(k) => (2, *k),
            other => (METRICS.iter().position(|entry| entry.metric == *other).unwrap_or(usize::MAX), 0),
        };
        more.sort_by_key(place);
        for metric in more {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        Self { metrics }
    }

    /// Every metric that can be measured of predictions of these targets.
    pub fn all(targets: &Targets) -> Self {
        match targets {
            Targets::Classes { names, .. } => Self::of(Task::Classification, names.len()),
            Targets::Numbers { .. } => Self::of(Task::Regression, 0),
        }
    }

    fn of(task: Task, classes: usize) -> Self {
        let known = METRICS.iter().map(|entry| entry.metric).chain([Metric::Top(2), Metric::Top(3)]);
        let more = known.filter(|metric| !metric.is_cost() && metric.fits_task(task, classes).is_ok());
        Self::new(task, more)
    }

    /// The metrics.
    pub fn iter(&self) -> impl Iterator<Item = Metric> {
        self.metrics.iter().copied()
    }

    /// Measures all but costs, as `{prefix}loss` and so on, and says which of them have no value here.
    /// No value is NaN unless an output is.
    pub(crate) fn measure(
        &self,
        prefix: &str,
        predicted: &Predicted,
        loss: &BoundLoss,
        preprocessor: &Preprocessor,
        into: &mut Metrics,
    ) -> Vec<Undefined> {
        let answered = Answered::new(predicted, preprocessor);
        let mut undefined = Vec::new();
        for metric in self.iter().filter(|metric| !metric.is_cost()) {
            match answered.value(metric, loss, preprocessor) {
                Ok(value) => into.insert(format!("{prefix}{}", metric.name()), value),
                Err(reason) => {
                    undefined.push(Undefined { metric: format!("{prefix}{}", metric.name()), reason });
                }
            }
        }
        undefined
    }
}

impl Measured {
    /// Every metric of the task, with the confusion matrix.
    pub(crate) fn new(predicted: &Predicted, loss: &BoundLoss, preprocessor: &Preprocessor) -> Self {
        let mut metrics = Metrics::default();
        let set = MetricSet::of(preprocessor.task(), preprocessor.outputs());
        let undefined = set.measure("", predicted, loss, preprocessor, &mut metrics);
        let confusion = Answered::new(predicted, preprocessor).confusion;
        Self { metrics, undefined, confusion }
    }
}

/// Predictions with what several metrics need of them.
struct Answered<'a> {
    predicted: &'a Predicted,
    width: usize,
    confusion: Option<ConfusionMatrix>,
    /// Rows of each class, or of all.
    counts: Vec<usize>,
    /// The scores of each ranked class, once they are asked for.
    scores: std::cell::OnceCell<Vec<Vec<f64>>>,
}

impl<'a> Answered<'a> {
    fn new(predicted: &'a Predicted, preprocessor: &Preprocessor) -> Self {
        let rows = predicted.targets.len();
        let width = (predicted.outputs.len() / rows.max(1)).max(1);
        let scores = std::cell::OnceCell::new();
        let TargetEncoding::Classes { names } = &preprocessor.targets else {
            return Self { predicted, width, confusion: None, counts: vec![rows], scores };
        };
        let called = predicted.outputs.chunks_exact(width).map(class_of);
        let confusion = match &predicted.mixed {
            None if names.len() == 2 && width == 2 => {
                ConfusionMatrix::of_two(names, &predicted.outputs, &predicted.targets)
            }
            None => {
                let labels = predicted.targets.iter().map(|label| *label as usize);
                ConfusionMatrix::new(names, labels.zip(called))
            }
            Some(_) => ConfusionMatrix::new(names, (0..rows).map(|row| predicted.label(row)).zip(called)),
        };
        let counts = confusion.support();
        Self { predicted, width, confusion: Some(confusion), counts, scores }
    }

    /// The value of a metric, or why it has none.
    fn value(&self, metric: Metric, loss: &BoundLoss, preprocessor: &Preprocessor) -> Result<f64, String> {
        if let Some(reason) = metric.undefined(&self.counts) {
            return Err(reason);
        }
        let (outputs, targets) = (&self.predicted.outputs[..], &self.predicted.targets[..]);
        let scale = || preprocessor.target_scale();
        let none = || format!("{} is not for this task", metric.name());
        let confusion = self.confusion.as_ref().ok_or_else(none);
        Ok(match metric {
            Metric::Loss => {
                let mixed = self.predicted.mixed.as_ref();
                let mixed = mixed.map(|(seconds, shares)| (&seconds[..], &shares[..]));
                self.predicted.loss.unwrap_or_else(|| loss.sum(outputs, targets, mixed)).value()
            }
            Metric::Rmse => rmse(outputs, targets) * scale(),
            Metric::Mae => mae(outputs, targets) * scale(),
            Metric::R2 => r2(outputs, targets),
            Metric::Accuracy => confusion?.accuracy(),
            Metric::BalancedAccuracy => confusion?.balanced_accuracy(),
            Metric::Precision(average) => confusion?.precision(average),
            Metric::Recall(average) => confusion?.recall(average),
            Metric::F1(average) => confusion?.f1(average),
            Metric::Top(k) => self.mean(|row, label| f64::from(in_top(row, label, k))),
            Metric::LogLoss => self.mean(|row, label| {
                let probability = probability_of(row, label);
                // `f64::clamp` lets a NaN through, which is right.
                -libm::log(probability.clamp(SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY))
            }),
            Metric::Auroc => {
                self.ranked(false, |scores, class| auroc(scores, |row| self.predicted.label(row) == class))?
            }
            Metric::AurocWeighted => {
                self.ranked(true, |scores, class| auroc(scores, |row| self.predicted.label(row) == class))?
            }
            Metric::AveragePrecision => self.ranked(false, |scores, class| {
                average_precision(scores, |row| self.predicted.label(row) == class)
            })?,
            Metric::AveragePrecisionWeighted => self.ranked(true, |scores, class| {
                average_precision(scores, |row| self.predicted.label(row) == class)
            })?,
            Metric::LatencyMs | Metric::Weights | Metric::Flops | Metric::Bytes | Metric::EpochSeconds => {
                return Err(none());
            }
        })
    }

    /// The mean of `of` (outputs, class) over all rows.
    fn mean(&self, of: impl Fn(&[f32], usize) -> f64) -> f64 {
        let rows = self.predicted.outputs.chunks_exact(self.width).enumerate();
        let each = rows.map(|(place, row)| of(row, self.predicted.label(place)));
        each.sum::<f64>() / self.predicted.targets.len() as f64
    }

    /// `of` (scores, class) for the second of two classes, or its mean over all.
    fn ranked(&self, weighted: bool, of: impl Fn(&[f64], usize) -> f64) -> Result<f64, String> {
        if self.predicted.outputs.iter().any(|output| !output.is_finite()) {
            return Err("an output of the model is not finite".to_owned());
        }
        let scores = self.scores.get_or_init(|| scores(&self.predicted.outputs, self.width));
        if let [second] = &scores[..] {
            return Ok(of(second, 1));
        }
        let weight = |class: usize| if weighted { self.counts[class] as f64 } else { 1.0 };
        let (mut sum, mut total) = (0.0, 0.0);
        for (class, scores) in scores.iter().enumerate() {
            sum += weight(class) * of(scores, class);
            total += weight(class);
        }
        Ok(sum / total)
    }
}
