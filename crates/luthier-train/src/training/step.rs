//! One step of the optimizer.

use std::sync::Arc;
use std::time::Instant;

use luthier_core::{Purpose, Streams};

use super::{Hook, Run};
use crate::data::DataError;
use crate::model::{Model, Pass, Signal, host};
use crate::optimizer::gradients::{
    accumulate, clip, norm, norm_of_change, read_gradients, read_weights, write_weights,
};
use crate::optimizer::{NoiseSample, StepSettings};
use crate::schedule::{Bases, Progress, Values};

/// What a step came to.
pub(super) enum Stepped {
    /// It was taken.
    Taken,
    /// The loss is NaN or infinite; the weights are as they were.
    NotFinite,
}

impl<M: Model> Run<M> {
    /// The values of the schedules for the next step.
    fn values(&self) -> Values {
        let train = &self.setup.config.train;
        let examples = self.setup.data.split().train.len() as u64;
        let size = (self.sizer.current() * train.accumulate) as u64;
        // With a size that changes, as many steps as the epoch would have had at the current one.
        let (done, left) = (self.at.example.div_ceil(size), (examples - self.at.example).div_ceil(size));
        let bases = Bases {
            learning_rate: train.optimizer.learning_rate(),
            batch_size: self.sizer.current(),
            weight_decay: train.optimizer.weight_decay(),
        };
        let progress = Progress {
            step: self.at.step,
            epoch: self.at.epoch,
            step_in_epoch: done,
            steps_per_epoch: done + left,
            epochs: self.horizon,
            metrics: (self.at.report > 0).then_some(&self.last),
        };
        train.schedule.values(&bases, &progress, &self.reactions)
    }

    /// Takes one step. `watched` asks for the norms that a report holds.
    pub(super) fn step(&mut self, hook: &mut dyn Hook, watched: bool) -> Result<Stepped, DataError> {
        let started = Instant::now();
        let streams = Streams::new(self.setup.seed);
        let setup = self.setup.clone();
        let (train, data) = (&setup.config.train, Arc::clone(&setup.data));
        let examples = data.split().train.len();
        let mut values = self.values();
        hook.before_step(&self.at, &mut values);
        let size = self.sizer.size(values.batch_size, &mut streams.at(Purpose::Batch, self.at.step));
        let size = size.clamp(1, examples);
        values.batch_size = size;
        let first = self.at.example as usize;
        let rows = self.order()[first..(first + size * train.accumulate).min(examples)].to_vec();
        // Two parts give two norms, from which the noise of gradients is estimated.
        let part = if self.sizer.wants_noise() { size.div_ceil(2) } else { size };

        let device = setup.device.clone().autodiff();
        let mut sum = Vec::new();
        let (mut loss, mut weight) = (0.0, 0.0);
        let mut small_norms = 0.0;
        for rows_of_part in rows.chunks(part) {
            let batch = data.training_batch(rows_of_part, self.at.pass, values.augmentation, &streams)?;
            let mut rng = streams.at(Purpose::Dropout, self.at.pass);
            let mut pass = Pass::training(&mut rng, values.dropout);
            let inputs = Signal::new(batch.inputs, rows_of_part.len(), data.shape(), &device);
            let outputs = self.model.forward(inputs, &mut pass);
            let on_host = host(outputs.clone().inner());
            // The graph is freed by going backward, so that is done even if the loss is not finite.
            let gradients = self.loss.of_batch(outputs, &batch.targets, batch.mixed.as_ref()).backward();
            let found = read_gradients(&self.model, &gradients);
            drop(gradients);
            let (part_loss, part_weight) = self.loss.sum(&on_host, &batch.targets, batch.mixed.as_ref());
            if !part_loss.is_finite() {
                return Ok(Stepped::NotFinite);
            }
            loss += part_loss;
            weight += part_weight;
            if self.sizer.wants_noise() {
                small_norms += norm(&found).powi(2);
            }
            accumulate(&mut sum, found, rows_of_part.len() as f64 / rows.len() as f64);
            let running = pass.running;
            self.replace(|model| model.with_running(running));
            self.segment.predicted.outputs.extend(on_host);
            self.segment.predicted.targets.extend(batch.targets);
            self.at.pass += 1;
        }
        if self.sizer.wants_noise() {
            let parts = rows.len().div_ceil(part);
            if parts > 1 {
                let small = small_norms / parts as f64;
                self.sizer.observe_gradient(small, norm(&sum).powi(2), part, rows.len());
            }
        }

        let weights = read_weights(&self.model);
        if let Some(penalties) = &self.penalties {
            self.segment.penalty = penalties.apply(&weights, &mut sum, values.penalty);
        }
        ...
        Ok(Stepped::Taken)
    }
}
