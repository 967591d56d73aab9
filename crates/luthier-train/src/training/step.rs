//! One step of the optimizer.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;
use luthier_core::{Purpose, Streams};

use super::gradients::Gradients;
use super::pass::{Examples, Passed};
use super::{Hook, Run};
use crate::batch::Batch;
use crate::batch_size::GradientNorms;
use crate::data::DataError;
use crate::loss::Term;
use crate::metric::Predicted;
use crate::optimizer::StepSettings;
use crate::optimizer::gradients::{
    clip, clip_on_host, norm, norm_on_host, read_weights, update_to_weight, update_to_weight_on_host,
    write_weights,
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
        let examples = self.setup.data.split().train.len();
        let at = state.at;
        let progress = |steps_done: u64, steps_left: u64| Progress {
            step: at.step,
            epoch: at.epoch,
            step_in_epoch: steps_done,
            steps_per_epoch: steps_done + steps_left,
            epochs: state.horizon,
            metrics: (at.report > 0).then_some(&state.last),
        };
        let streams = Streams::new(self.setup.seed);
        let size = state.sizer.size(&train.batch_size, &progress(0, 1), examples, streams);
        let bases = Bases {
            learning_rate: train.optimizer.learning_rate(),
            batch_size: size,
            weight_decay: train.optimizer.weight_decay(),
        };
        // With a size that changes, as many steps as the epoch would have had at this one.
        let in_step = (train.batch_size.nominal(size) * train.accumulate) as u64;
        let left = (examples as u64 - at.example).div_ceil(in_step);
        train.schedule.values(&bases, &progress(at.example.div_ceil(in_step), left), &state.reactions)
    }

    /// Takes one step.
    pub(super) fn step(&mut self, hook: &mut dyn Hook) -> Result<Stepped, DataError> {
        let started = Instant::now();
        let data = Arc::clone(&self.setup.data);
        let train = &self.setup.config.train;
        let noise = train.batch_size.wants_gradients();
        let mut values = self.values();
        hook.before_step(&self.state.at, &mut values);
        let examples = data.split().train.len();
        let size = values.batch_size.clamp(1, examples);
        let first = self.state.at.example as usize;
        let order = Arc::clone(&self.work.order);
        let rows = &order[first..(first + size * train.accumulate).min(examples)];
        // Two parts give norms at two sizes, from which the noise of gradients is estimated.
        let part = if noise { size.div_ceil(2) } else { size };

        let mut gradients = None;
        let (mut loss, mut weight, mut squares) = (0.0, 0.0, 0.0);
        for (number, rows_of_part) in rows.chunks(part).enumerate() {
            let next = (first + (number + 1) * part).min(examples);
            let share = rows_of_part.len() as f64 / rows.len() as f64;
            let Some((found, term)) = self.gradients(rows_of_part, &order[next..], &values)? else {
                return Ok(Stepped::NotFinite);
            };
            (loss, weight) = (loss + term.sum, weight + term.weight);
            if noise {
                squares += found.norm().powi(2);
            }
            gradients = Some(found.added_to(gradients, share));
        }
        let Some(gradients) = gradients else { return Ok(Stepped::Taken) };
        let parts = rows.len().div_ceil(part);
        if noise && parts > 1 {
            let (small, big) = (squares / parts as f64, gradients.norm().powi(2));
            let norms = GradientNorms { small, big, small_size: part, big_size: rows.len() };
            self.state.sizer.observe_gradient(&self.setup.config.train.batch_size, &norms);
        }
        self.update(&values, gradients, rows.len());
        let at = &mut self.state.segment.at;
        (at.loss, at.loss_weight) = (at.loss + loss, at.loss_weight + weight);
        at.seconds += started.elapsed().as_secs_f64();
        hook.after_step(&self.state.at, if weight > 0.0 { loss / weight } else { loss });
        Ok(Stepped::Taken)
    }

    /// The gradients on `rows` with the sum of the losses; nothing if it is no number. `next` are the rows
    /// behind them in the epoch.
    fn gradients(
        &mut self,
        rows: &[usize],
        next: &[usize],
        values: &Values,
    ) -> Result<Option<(Gradients, Term)>, DataError> {
        let data = Arc::clone(&self.setup.data);
        let pass_number = self.state.at.pass;
        let examples = if let Some(features) = &self.work.features {
            let (inputs, targets) = (features.rows(rows), data.targets(rows));
            Examples { inputs, shape: features.shape, targets, mixed: None }
        } else {
            let batch = self.work.feeder.batch(pass_number, rows, values.augmentation, next)?;
            let Batch { inputs, targets, mixed } = batch;
            Examples { inputs, shape: data.shape(), targets, mixed }
        };
        let mut rng = Streams::new(self.setup.seed).at(Purpose::Dropout, pass_number);
        let Some(mut passed) = self.pass(&examples, &mut rng, values.dropout) else { return Ok(None) };
        self.follow_running(&mut passed);
        let Passed { outputs, gradients, loss, .. } = passed;
        let Examples { targets, mixed, .. } = examples;
        self.state.segment.predicted.extend(Predicted {
            outputs,
            targets,
            mixed: mixed.map(|mixed| (mixed.targets, mixed.share)),
            loss: None,
        });
        self.state.at.pass += 1;
        Ok(Some((gradients, loss)))
    }

    /// Follows the gradients of a step on `rows` examples.
    fn update(&mut self, values: &Values, gradients: Gradients, rows: usize) {
        let examples = self.setup.data.split().train.len() as u64;
        let (train, state) = (&self.setup.config.train, &mut self.state);
        state.at.advance(rows as u64, examples);
        // What a report holds is measured at the last step before it.
        let watched = state.at.is_due(train.validate_every, examples) || state.at.epoch >= train.epochs;
        state.segment.at.learning_rate = values.learning_rate;
        state.segment.at.batch_size = rows;
        match gradients {
            Gradients::Host(gradients) => self.update_on_host(values, gradients, watched),
            Gradients::Device(gradients) => self.update_on_device(values, gradients, watched),
        }
    }

    fn update_on_host(&mut self, values: &Values, mut gradients: Vec<Vec<f32>>, watched: bool) {
        let (train, state) = (&self.setup.config.train, &mut self.state);
        let Some(plan) = &mut self.work.plan else { return };
        let weights = plan.weights_mut();
        state.penalties.add_gradient_on_host(values.penalty, weights, &mut gradients);
        let found = match &train.gradient_clip {
            Some(limit) => clip_on_host(limit, &mut gradients),
            None if watched => norm_on_host(&gradients),
            None => 0.0,
        };
        let before = if watched { weights.to_vec() } else { Vec::new() };
        let settings = StepSettings {
            learning_rate: values.learning_rate,
            weight_decay: values.weight_decay,
            rates: self.work.rates.as_deref(),
        };
        state.optimizer.step_on_host(&settings, weights, &gradients);
        if let Some(limit) = &self.work.max_norm {
            // What is frozen stays as it is: features may have been computed with it.
            limit.apply_on_host(weights, &self.work.frozen);
        }
        if let Some(ema) = &mut state.ema {
            ema.update_on_host(weights);
        }
        if watched {
            let segment = &mut state.segment.at;
            segment.gradient_norm = found;
            segment.penalty = state.penalties.value_on_host(values.penalty, &before);
            segment.update_ratio = update_to_weight_on_host(&self.work.parameters, &before, weights);
        }
        plan.give(gradients);
    }

    fn update_on_device(&mut self, values: &Values, gradients: Vec<Option<Tensor<1>>>, watched: bool) {
        let (train, state) = (&self.setup.config.train, &mut self.state);
        let weights = read_weights(&state.model);
        let mut gradients = gradients;
        state.penalties.add_gradient(values.penalty, &weights, &mut gradients);
        let (gradients, found) = match &train.gradient_clip {
            Some(limit) => clip(limit, gradients),
            None if watched => {
                let found = norm(&gradients);
                (gradients, found)
            }
            None => (gradients, 0.0),
        };
        let before = if watched { weights.clone() } else { Vec::new() };
        let settings = StepSettings {
            learning_rate: values.learning_rate,
            weight_decay: values.weight_decay,
            rates: self.work.rates.as_deref(),
        };
        let mut weights = state.optimizer.step(&settings, weights, gradients);
        if let Some(limit) = &self.work.max_norm {
            let free = weights.clone();
            weights = limit.apply(weights);
            // What is frozen stays as it is: features may have been computed with it.
            for ((weights, free), frozen) in weights.iter_mut().zip(free).zip(&self.work.frozen) {
                if *frozen {
                    *weights = free;
                }
            }
        }
        if let Some(ema) = &mut state.ema {
            ema.update(&weights);
        }
        if watched {
            let segment = &mut state.segment.at;
            segment.gradient_norm = found;
            segment.penalty = state.penalties.value(values.penalty, &before);
            segment.update_ratio = update_to_weight(&self.work.parameters, &before, &weights);
        }
        self.replace(|model| write_weights(model, weights));
    }
}
