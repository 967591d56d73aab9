//! One step of the optimizer.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;
use luthier_core::{Purpose, Streams};

use super::{Hook, Run};
use crate::data::DataError;
use crate::model::{Pass, Signal, host};
use crate::optimizer::StepSettings;
use crate::optimizer::gradients::{
    accumulate, clip, difference_norm, norm, norm_of, read_gradients, read_weights, write_weights,
};
use crate::schedule::{Bases, Progress, Values};
use crate::trainable::Model;

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
        let (train, state) = (&self.setup.config.train, &self.state);
        let examples = self.setup.data.split().train.len() as u64;
        let size = (state.sizer.current() * train.accumulate).max(1) as u64;
        // With a size that changes, as many steps as the epoch would have had at the current one.
        let (done, left) = (state.at.example.div_ceil(size), (examples - state.at.example).div_ceil(size));
        let bases = Bases {
            learning_rate: train.optimizer.learning_rate(),
            batch_size: state.sizer.current(),
            weight_decay: train.optimizer.weight_decay(),
        };
        let progress = Progress {
            step: state.at.step,
            epoch: state.at.epoch,
            step_in_epoch: done,
            steps_per_epoch: done + left,
            epochs: state.horizon,
            metrics: (state.at.report > 0).then_some(&state.last),
        };
        train.schedule.values(&bases, &progress, &state.reactions)
    }

    /// Takes one step.
    pub(super) fn step(&mut self, hook: &mut dyn Hook) -> Result<Stepped, DataError> {
        let started = Instant::now();
        let streams = Streams::new(self.setup.seed);
        let data = Arc::clone(&self.setup.data);
        let accumulated = self.setup.config.train.accumulate;
        let examples = data.split().train.len();
        let mut values = self.values();
        hook.before_step(&self.state.at, &mut values);
        let mut rng = streams.at(Purpose::Batch, self.state.at.step);
        let size = self.state.sizer.size(values.batch_size, &mut rng).clamp(1, examples);
        let first = self.state.at.example as usize;
        let rows = self.work.order[first..(first + size * accumulated).min(examples)].to_vec();
        // Two parts give norms at two sizes, from which the noise of gradients is estimated.
        let noise = self.state.sizer.wants_noise();
        let part = if noise { size.div_ceil(2) } else { size };

        let device = self.setup.device.clone().autodiff();
        let (mut loss, mut weight, mut squares) = (0.0, 0.0, 0.0);
        let mut gradients = Vec::new();
        for rows_of_part in rows.chunks(part) {
            let share = rows_of_part.len() as f64 / rows.len() as f64;
            let mut rng = streams.at(Purpose::Dropout, self.state.at.pass);
            let mut pass = Pass::training(&mut rng, values.dropout);
            let (outputs, targets, mixed) = match &self.work.features {
                Some(features) => {
                    let signal = features.signal(rows_of_part, &device);
                    let targets = data.targets(rows_of_part);
                    (self.state.model.forward_rest(signal, &mut pass), targets, None)
                }
                None => {
                    let mut rng = streams.at(Purpose::Augment, self.state.at.pass);
                    let batch = data.training_batch(rows_of_part, values.augmentation, &mut rng)?;
                    let signal = Signal::new(batch.inputs, rows_of_part.len(), data.shape(), &device);
                    (self.state.model.forward(signal, &mut pass), batch.targets, batch.mixed)
                }
            };
            let mixed = mixed.as_ref().map(|mixed| (&mixed.targets[..], &mixed.share[..]));
            let on_host = host(outputs.clone().inner());
            // The graph is freed by going backward, so that is done even if the loss is not finite.
            let graph = self.work.loss.of_batch(outputs, &targets, mixed).backward();
            let found = read_gradients(&self.state.model, &graph);
            drop(graph);
            for term in self.work.loss.each(&on_host, &targets, mixed) {
                loss += term.sum;
                weight += term.weight;
            }
            if !loss.is_finite() {
                return Ok(Stepped::NotFinite);
            }
            if noise {
                squares += norm(&found).powi(2);
            }
            accumulate(&mut gradients, found, share);
            let running = pass.running;
            if !running.is_empty() {
                self.replace(|model| model.with_running(running));
            }
            self.state.segment.predicted.outputs.extend(on_host);
            self.state.segment.predicted.targets.extend(targets);
            self.state.at.pass += 1;
        }
        let parts = rows.len().div_ceil(part);
        if noise && parts > 1 {
            let big = norm(&gradients).powi(2);
            self.state.sizer.observe_gradient(squares / parts as f64, big, part, rows.len());
        }
        self.update(&values, gradients, rows.len());
        self.state.segment.at.seconds += started.elapsed().as_secs_f64();
        hook.after_step(&self.state.at, loss / weight.max(f64::MIN_POSITIVE));
        Ok(Stepped::Taken)
    }

    /// Follows the gradients of a step on `rows` examples.
    fn update(&mut self, values: &Values, gradients: Vec<Option<Tensor<1>>>, rows: usize) {
        let examples = self.setup.data.split().train.len() as u64;
        let train = &self.setup.config.train;
        let state = &mut self.state;
        state.at.advance(rows as u64, examples);
        // What a report holds is measured at the last step before it.
        let watched = state.at.is_due(train.validate_every, examples);
        let weights = read_weights(&state.model);
        let mut gradients = gradients;
        let penalty = state.penalties.apply(&weights, &mut gradients, values.penalty, watched);
        let found = match &train.gradient_clip {
            Some(limit) => Some(clip(limit, &mut gradients)),
            None => watched.then(|| norm(&gradients)),
        };
        let before = watched.then(|| weights.clone());
        let settings = StepSettings {
            learning_rate: values.learning_rate,
            weight_decay: values.weight_decay,
            rates: self.work.rates.as_deref(),
        };
        let mut weights = state.optimizer.step(&settings, weights, gradients);
        if let Some(limit) = &train.max_norm {
            weights = limit.apply(weights, state.optimizer.parameters());
        }
        if let Some(before) = before {
            let all = norm_of(&before).max(f64::MIN_POSITIVE);
            state.segment.at.update_ratio = difference_norm(&weights, &before) / all;
        }
        if let Some(ema) = &mut state.ema {
            ema.update(&weights);
        }
        self.replace(|model| write_weights(model, weights));
        let segment = &mut self.state.segment.at;
        segment.learning_rate = values.learning_rate;
        segment.batch_size = rows;
        if watched {
            segment.gradient_norm = found.unwrap_or(f64::NAN);
            segment.penalty = penalty.unwrap_or(f64::NAN);
        }
    }
}
