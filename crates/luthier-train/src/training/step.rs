//! One step of the optimizer.

use burn::tensor::Tensor;
use luthier_core::{Purpose, Streams};

use super::gradients::Gradients;
use super::pass::{Examples, Passed};
use super::{Hook, Run};
use crate::batch::Batch;
use crate::batch_size::GradientNorms;
use crate::data::DataError;
use crate::loss::Term;
use crate::optimizer::StepSettings;
use crate::optimizer::gradients::{
    clip, clip_on_host, norm, norm_on_host, read_weights, update_to_weight, update_to_weight_on_host,
    write_weights,
};
use crate::schedule::{Bases, Progress, Values};
use crate::trainable::Model;

/// What a step came to.
pub(super) enum Stepped {
    /// It was taken; `due` says that the model is to be measured before the next one, or that there is none.
    Taken { due: bool },
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
    ///
    /// What trials share is only read in it: a count of owners that all threads change is slower than a small network.
    pub(super) fn step(&mut self, hook: &mut dyn Hook) -> Result<Stepped, DataError> {
        let order = std::mem::take(&mut self.work.order);
        let stepped = self.step_in(&order, hook);
        self.work.order = order;
        stepped
    }

    /// Takes one step in an epoch of this order.
    fn step_in(&mut self, order: &[usize], hook: &mut dyn Hook) -> Result<Stepped, DataError> {
        let train = &self.setup.config.train;
        let noise = train.batch_size.wants_gradients();
        let mut values = self.values();
        hook.before_step(&self.state.at, &mut values);
        let examples = order.len();
        let size = values.batch_size.clamp(1, examples);
        let first = self.state.at.example as usize;
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
        let Some(gradients) = gradients else { return Ok(Stepped::Taken { due: self.is_due() }) };
        let parts = rows.len().div_ceil(part);
        if noise && parts > 1 {
            let (small, big) = (squares / parts as f64, gradients.norm().powi(2));
            let norms = GradientNorms { small, big, small_size: part, big_size: rows.len() };
            self.state.sizer.observe_gradient(&self.setup.config.train.batch_size, &norms);
        }
        let due = self.update(&values, gradients, rows.len());
        let at = &mut self.state.segment.at;
        (at.loss, at.loss_weight) = (at.loss + loss, at.loss_weight + weight);
        hook.after_step(&self.state.at, if weight > 0.0 { loss / weight } else { loss });
        Ok(Stepped::Taken { due })
    }

    /// The gradients on `rows` with the sum of the losses; nothing if it is no number. `next` are the rows
    /// behind them in the epoch.
    fn gradients(
        &mut self,
        rows: &[usize],
        next: &[usize],
        values: &Values,
    ) -> Result<Option<(Gradients, Term)>, DataError> {
        let pass_number = self.state.at.pass;
        let data = &self.setup.data;
        let examples = if let Some(features) = &self.work.features {
            let batch = Batch::new(features.rows(rows), data.targets(rows));
            Examples { batch, shape: features.shape }
        } else {
            let batch = self.work.feeder.batch(pass_number, rows, values.augmentation, next)?;
            Examples { batch, shape: data.shape() }
        };
        let mut rng = Streams::new(self.setup.seed).at(Purpose::Dropout, pass_number);
        let Some(mut passed) = self.pass(&examples, &mut rng, values.dropout) else { return Ok(None) };
        self.follow_running(&mut passed);
        let Passed { gradients, loss, .. } = passed;
        let predicted = &mut self.state.segment.predicted;
        if predicted.targets.is_empty() {
            let every = self.setup.config.train.validate_every;
            let expected = every.examples(self.setup.data.split().train.len(), rows.len());
            predicted.reserve(expected, self.work.outputs.len() / rows.len());
        }
        predicted.extend(&self.work.outputs, &examples.batch);
        self.work.feeder.give(examples.batch);
        self.state.at.pass += 1;
        Ok(Some((gradients, loss)))
    }

    /// Follows the gradients of a step on `rows` examples. Whether the model is to be measured behind it.
    fn update(&mut self, values: &Values, gradients: Gradients, rows: usize) -> bool {
        let examples = self.setup.data.split().train.len() as u64;
        self.state.at.advance(rows as u64, examples);
        // What a report holds is measured at the last step before it.
        let watched = self.is_due();
        let state = &mut self.state;
        state.segment.at.learning_rate = values.learning_rate;
        state.segment.at.batch_size = rows;
        match gradients {
            Gradients::Host(gradients) => self.update_on_host(values, gradients, watched),
            Gradients::Device(gradients) => self.update_on_device(values, gradients, watched),
        }
        watched
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
