//! Measuring a model: on the examples of training as they pass, and on those of validation.

use std::time::Instant;

use burn::tensor::Device;
use luthier_core::{Metrics, Purpose, Streams};

use super::best::{Best, BestAt};
use super::{Advance, Hook, Report, Run};
use crate::batch::Batch;
use crate::data::DataError;
use crate::metric::Predicted;
use crate::model::{Model, Pass, Signal, host};
use crate::optimizer::gradients::{read_weights, write_weights};
use crate::prepared::Prepared;
use crate::settings::Every;

/// Examples in a step of evaluation. It is one number for all, so that results do not depend on it.
const EVALUATION_BATCH: usize = 256;

/// What has happened since the last measurement.
#[derive(Debug, Clone, Default)]
pub(super) struct Segment {
    /// The outputs of the training examples, with their targets.
    pub(super) predicted: Predicted,
    /// Seconds of training, without those of measuring.
    pub(super) seconds: f64,
    /// The last step's.
    pub(super) learning_rate: f64,
    /// The last step's, in examples.
    pub(super) batch_size: usize,
    /// The last step's norm of all gradients together, before clipping.
    pub(super) gradient_norm: f64,
    /// The last step's norm of the change of all weights over the norm of the weights.
    pub(super) update_ratio: f64,
    /// The last step's penalty on the weights.
    pub(super) penalty: f64,
}

impl<M: Model> Run<M> {
    /// The model as it is measured and handed over: without gradients, with averaged weights where they
    /// are averaged.
    fn measured(&self) -> M {
        let model = self.model.valid();
        match &self.ema {
            Some(ema) => write_weights(model, ema.weights()),
            None => model,
        }
    }

    /// Measures the model, and draws the conclusions.
    pub(super) fn measure(&mut self, hook: &mut dyn Hook) -> Result<Advance, DataError> {
        let data = std::sync::Arc::clone(&self.setup.data);
        let model = self.measured();
        let started = Instant::now();
        let rows = &data.split().validation;
        let Some(validation) = predict(&model, &data, rows, &self.setup.device, &mut || hook.pauses())?
        else {
            return Ok(Advance::Paused);
        };
        self.work.seconds_per_example = started.elapsed().as_secs_f64() / rows.len().max(1) as f64;

        let segment = std::mem::take(&mut self.segment);
        let mut metrics = Metrics::default();
        self.metrics.measure("train_", &segment.predicted, &self.loss, &mut metrics);
        self.metrics.measure("val_", &validation, &self.loss, &mut metrics);
        self.costs.add_to(&mut metrics);
        let examples = segment.predicted.targets.len() as f64;
        for (name, value) in [
            ("learning_rate", segment.learning_rate),
            ("batch_size", segment.batch_size as f64),
            ("gradient_norm", segment.gradient_norm),
            ("update_ratio", segment.update_ratio),
            ("seconds", segment.seconds),
            ("examples_per_second", examples / segment.seconds.max(1e-9)),
            ("latency_ms", 1e3 * self.work.seconds_per_example),
        ] {
            metrics.insert(name, value);
        }
        if self.penalties.is_some() {
            metrics.insert("penalty", segment.penalty);
        }
        if self.setup.config.train.validate_every != Every::Epochs(1.0) {
            let examples = data.split().train.len() as f64;
            metrics.insert("epoch", self.at.epoch as f64 + self.at.example as f64 / examples);
            metrics.insert("step", self.at.step as f64);
        }
        let value = metrics.get(&self.setup.objective.name()).unwrap_or(f64::NAN);
        if !value.is_finite() || !metrics.get("val_loss").is_some_and(f64::is_finite) {
            return Ok(self.diverged());
        }
        self.at.report += 1;
        if Best::is_beaten_by(self.best.as_ref(), value, self.setup.direction) {
            let at = BestAt { report: self.at.report, value, metrics: metrics.clone() };
            self.best = Some(Best { at, model });
        }
        let report = Report { number: self.at.report, value, metrics };
        self.conclude(&report);
        hook.after_report(&report);
        Ok(Advance::Report(report))
    }
}

/// The outputs of `model` for `rows`, or nothing if it was told to pause.
pub(crate) fn predict<M: Model>(
    model: &M,
    data: &Prepared,
    rows: &[usize],
    device: &Device,
    pauses: &mut dyn FnMut() -> bool,
) -> Result<Option<Predicted>, DataError> {
    let mut predicted = Predicted::default();
    for rows in rows.chunks(EVALUATION_BATCH) {
        if pauses() {
            return Ok(None);
        }
        let Batch { inputs, targets, .. } = data.batch(rows)?;
        let batch = Signal::new(inputs, rows.len(), data.shape(), device);
        predicted.outputs.extend(host(model.forward(batch, &mut Pass::evaluation())));
        predicted.targets.extend(targets);
    }
    Ok(Some(predicted))
}
