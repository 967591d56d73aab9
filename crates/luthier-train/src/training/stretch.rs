//! The steps from one measurement to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use luthier_core::{Purpose, Streams};

use super::features::Features;
use super::step::Stepped;
use super::{Hook, Run};
use crate::data::DataError;
use crate::trainable::Model;

/// What steps of a training led to.
pub(super) enum Trained {
    /// The model is to be measured.
    Due,
    /// The hook asked for a pause.
    Paused,
    /// The loss of a step is no number.
    NotFinite,
}

impl<M: Model> Run<M> {
    /// Takes steps until something else is to be done; they have been going on since `started`.
    pub(super) fn train(&mut self, hook: &mut dyn Hook, started: Instant) -> Result<Trained, DataError> {
        let mut due = self.is_due();
        while !due && !self.is_out_of_time(started) {
            if hook.pauses() {
                return Ok(Trained::Paused);
            }
            self.begin_epoch()?;
            match self.step(hook)? {
                Stepped::Taken { due: now } => due = now,
                Stepped::NotFinite => return Ok(Trained::NotFinite),
            }
        }
        Ok(Trained::Due)
    }

    /// Whether the model is to be measured before the next step, or there is none.
    pub(super) fn is_due(&self) -> bool {
        let (train, at) = (&self.setup.config.train, self.state.at);
        let examples = self.setup.data.split().train.len() as u64;
        at.is_due(train.validate_every, examples) || at.epoch >= train.epochs
    }

    /// Whether the limit of time is over; then the model is measured once more, and that is the end.
    fn is_out_of_time(&self, started: Instant) -> bool {
        let state = &self.state;
        let stopping = self.setup.config.train.early_stopping.as_ref();
        let elapsed =
            || started.elapsed() + Duration::from_secs_f64(state.seconds + state.segment.at.seconds);
        // Without a step since the last report there is nothing to measure.
        state.segment.at.batch_size > 0 && stopping.is_some_and(|it| it.out_of_time(elapsed()).is_some())
    }

    /// Draws the order of an epoch, freezes and thaws, and computes what is computed once.
    fn begin_epoch(&mut self) -> Result<(), DataError> {
        let epoch = self.state.at.epoch;
        if self.work.epoch == Some(epoch) {
            return Ok(());
        }
        let data = Arc::clone(&self.setup.data);
        let order = &mut self.work.order;
        order.clone_from(&data.split().train);
        Streams::new(self.setup.seed).at(Purpose::Order, epoch).shuffle(order);
        let transfer = self.setup.config.model.transfer();
        let frozen = transfer.frozen_at(epoch, &self.state.model.parameters());
        let changed = frozen != self.work.frozen;
        if changed {
            self.state.model = self.current().frozen(&frozen);
            self.work.features = Features::of(&self.state.model.valid(), &data, &self.setup.device)?;
            self.work.frozen = frozen;
        }
        if changed || self.work.epoch.is_none() {
            self.compile();
        }
        if let Some(auto) = self.setup.config.train.batch_size.auto().cloned()
            && self.state.sizer.measured().is_none()
        {
            let choice = self.choose_batch_size(&auto)?;
            self.state.sizer.set_measured(&choice);
            self.work.notice = Some(choice.reason);
        }
        self.work.epoch = Some(epoch);
        Ok(())
    }
}
