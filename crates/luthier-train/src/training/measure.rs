//! Measuring a model: on the examples of training as they pass, and on those of validation.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::best::{Best, BestAt};
use super::{Advance, Hook, Report, Run};
use crate::batch::Batch;
use crate::data::DataError;
use crate::loss::Term;
use crate::metric::{Metric, Predicted};
use crate::model::plan::Plan;
use crate::model::{Pass, Signal, host};
use crate::optimizer::gradients::write_weights;
use crate::prepared::Prepared;
use crate::settings::Every;
use crate::shape::Shape;
use crate::trainable::Model;

/// Examples in a step of evaluation. It depends on their shape alone, so that results do not depend on it.
pub(super) fn evaluation_batch(shape: Shape) -> usize {
    ((1 << 22) / shape.size().max(1)).clamp(1, 256)
}

/// What has happened since the last measurement.
#[derive(Debug, Clone, Default)]
pub(super) struct Segment {
    /// The outputs of the training examples, with their targets.
    pub(super) predicted: Predicted,
    pub(super) at: SegmentAt,
}

/// The numbers among it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct SegmentAt {
    /// Seconds of training, without those of measuring.
    pub(super) seconds: f64,
    /// The last step's.
    pub(super) learning_rate: f64,
    /// The last step's, in examples.
    pub(super) batch_size: usize,
    /// The sum of the losses of all steps.
    #[serde(with = "luthier_core::number")]
    pub(super) loss: f64,
    /// The sum of what they weigh.
    #[serde(with = "luthier_core::number")]
    pub(super) loss_weight: f64,
    /// The last step's norm of all gradients together, before clipping.
    #[serde(with = "luthier_core::number")]
    pub(super) gradient_norm: f64,
    /// The last step's norm of the change of all weights over the norm of the weights.
    #[serde(with = "luthier_core::number")]
    pub(super) update_ratio: f64,
    /// The last step's penalty on the weights.
    #[serde(with = "luthier_core::number")]
    pub(super) penalty: f64,
}

impl<M: Model> Run<M> {
    /// The model as it is measured and handed over: without gradients, with averaged weights where they
    /// are averaged.
    pub(super) fn measured(&self) -> M {
        match &self.state.ema {
            Some(ema) => write_weights(self.state.model.valid(), ema.weights(&self.setup.device)),
            None => self.current().valid(),
        }
    }

    /// Measures the model, and draws the conclusions.
    pub(super) fn measure(&mut self, hook: &mut dyn Hook) -> Result<Advance, DataError> {
        let data = Arc::clone(&self.setup.data);
        let model = self.measured();
        let started = Instant::now();
        let rows = &data.split().validation;
        // The plan of the training has the weights that are measured, and its memory.
        let same = self.state.ema.is_none() && self.work.features.is_none();
        let plan = if same { self.work.plan.take() } else { None };
        let taken = plan.is_some();
        let mut evaluator = match plan {
            Some(plan) => Evaluator { model: &model, plan: Some(plan), device: &self.setup.device },
            None => Evaluator::new(&model, &self.setup.device),
        };
        let validation = predict(&mut evaluator, &data, rows, &mut || hook.pauses());
        if taken {
            self.work.plan = evaluator.plan.take();
        }
        let Some(validation) = validation? else { return Ok(Advance::Paused) };
        let seconds = started.elapsed().as_secs_f64();
        self.work.seconds_per_example = seconds / rows.len().max(1) as f64;

        let Segment { mut predicted, at } = std::mem::take(&mut self.state.segment);
        predicted.loss = Some(Term { sum: at.loss, weight: at.loss_weight });
        self.state.seconds += at.seconds + seconds;
        let mut metrics = self.work.costs.clone();
        let (set, loss, preprocessor) = (&self.work.metrics, &self.work.loss, data.preprocessor());
        set.measure("train_", &predicted, loss, preprocessor, &mut metrics);
        set.measure("val_", &validation, loss, preprocessor, &mut metrics);
        let examples = predicted.targets.len() as f64;
        self.state.segment.predicted = predicted.emptied();
        for (name, value) in [
            ("learning_rate", at.learning_rate),
            ("batch_size", at.batch_size as f64),
            ("gradient_norm", at.gradient_norm),
            ("update_ratio", at.update_ratio),
            ("seconds", at.seconds + seconds),
            ("examples_per_second", examples / at.seconds.max(1e-9)),
            ("latency_ms", 1e3 * self.work.seconds_per_example),
        ] {
            metrics.insert(name, value);
        }
        if set.iter().any(|metric| metric == Metric::EpochSeconds) {
            let here = self.state.at;
            let epochs = here.epoch as f64 + here.example as f64 / data.split().train.len() as f64;
            metrics.insert("epoch_seconds", self.state.seconds / epochs);
        }
        if !self.setup.config.train.regularize.0.is_empty() {
            metrics.insert("penalty", at.penalty);
        }
        let here = self.state.at;
        if self.setup.config.train.validate_every != Every::Epochs(1.0) {
            let examples = data.split().train.len() as f64;
            metrics.insert("epoch", here.epoch as f64 + here.example as f64 / examples);
            metrics.insert("step", here.step as f64);
        }
        let value = metrics.get(&self.setup.objective.name()).unwrap_or(f64::NAN);
        if !value.is_finite() || !metrics.get("val_loss").is_some_and(f64::is_finite) {
            return Ok(self.diverged());
        }
        self.state.at.measured(data.split().train.len() as u64);
        let number = self.state.at.report;
        if Best::is_beaten_by(self.state.best.as_ref(), value, self.setup.direction) {
            let at = BestAt { report: number, value, metrics: metrics.clone() };
            self.state.best = Some(Best { at, model });
        }
        let report = Report { number, value, metrics };
        self.conclude(&report);
        hook.after_report(&report);
        Ok(Advance::Report(report))
    }
}

/// The outputs of a model for `rows`, or nothing if it was told to pause.
pub(crate) fn predict<M: Model>(
    evaluator: &mut Evaluator<'_, M>,
    data: &Prepared,
    rows: &[usize],
    pauses: &mut dyn FnMut() -> bool,
) -> Result<Option<Predicted>, DataError> {
    let mut predicted = Predicted::default();
    for rows in rows.chunks(evaluation_batch(data.shape())) {
        if pauses() {
            return Ok(None);
        }
        let Batch { inputs, targets, .. } = data.batch(rows)?;
        predicted.outputs.extend(evaluator.outputs(inputs, rows.len(), data.shape()));
        predicted.targets.extend(targets);
    }
    Ok(Some(predicted))
}

/// A model that is asked: by its plan, or by Burn.
pub(crate) struct Evaluator<'a, M> {
    model: &'a M,
    plan: Option<Plan>,
    device: &'a Device,
}

impl<'a, M: Model> Evaluator<'a, M> {
    pub(crate) fn new(model: &'a M, device: &'a Device) -> Self {
        let plan = if *device == Device::flex() { model.plan(false) } else { None };
        Self { model, plan, device }
    }

    /// What comes out for `count` examples of `shape`, row by row.
    pub(crate) fn outputs(&mut self, inputs: Vec<f32>, count: usize, shape: Shape) -> Vec<f32> {
        let mut pass = Pass::evaluation();
        match &mut self.plan {
            Some(plan) => plan.forward(&inputs, count, &mut pass, &mut Vec::new()).to_vec(),
            None => host(self.model.forward(Signal::new(inputs, count, shape, self.device), &mut pass)),
        }
    }
}
