//! Where a training stands, and where a curve stands in it.

use luthier_core::Metrics;

use super::By;

/// Where a training stands before a step.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Steps that are done, over the whole training.
    pub step: u64,
    /// Epochs that are done.
    pub epoch: u64,
    /// Steps that are done in this epoch; with sizes that change, as many of the current size.
    pub step_in_epoch: u64,
    /// Steps in an epoch at the current batch size.
    pub steps_per_epoch: u64,
    /// Epochs that schedules are stretched over: those of the run as it was begun.
    pub epochs: u64,
    /// What was measured last; nothing before the first report.
    pub metrics: Option<&'a Metrics>,
}

impl Progress<'static> {
    /// After `step` steps of a training in which all epochs have the same number of steps, without
    /// metrics.
    pub fn new(step: u64, steps_per_epoch: u64, epochs: u64) -> Self {
        let per_epoch = steps_per_epoch.max(1);
        let (epoch, step_in_epoch) = (step / per_epoch, step % per_epoch);
        Self { step, epoch, step_in_epoch, steps_per_epoch: per_epoch, epochs, metrics: None }
    }
}

/// The time of a schedule: that of the training, or of a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock<'a> {
    /// Steps of the current size since its beginning.
    pub(super) position: f64,
    /// Steps in an epoch.
    pub(super) per_epoch: f64,
    /// Epochs in all.
    pub(super) horizon: f64,
    /// Steps that were really made since its beginning.
    pub(super) step: f64,
    /// The factor of the learning rate, for what is tied to it.
    pub(super) tied: f64,
    /// What was measured last.
    pub(super) metrics: Option<&'a Metrics>,
}

impl<'a> Clock<'a> {
    pub(super) fn new(progress: &Progress<'a>, tied: f64) -> Self {
        let per_epoch = progress.steps_per_epoch.max(1) as f64;
        Self {
            position: progress.epoch as f64 * per_epoch + progress.step_in_epoch as f64,
            per_epoch,
            horizon: progress.epochs as f64,
            step: progress.step as f64,
            tied,
            metrics: progress.metrics,
        }
    }

    /// The time of a curve with a horizon and a warm-up of its own, in steps.
    pub(super) fn within(self, horizon: f64, warm: f64, by: By) -> Time<'a> {
        let clock = Self { horizon, ..self };
        match by {
            By::Step => Time {
                tick: clock.position,
                per_epoch: clock.per_epoch,
                end: horizon * clock.per_epoch,
                warm,
                clock,
            },
            By::Epoch => {
                let epoch = (clock.position / clock.per_epoch).floor();
                let into_epoch = clock.position - epoch * clock.per_epoch;
                let clock = Self {
                    position: epoch * clock.per_epoch,
                    step: (clock.step - into_epoch).max(0.0),
                    ..clock
                };
                Time { tick: epoch, per_epoch: 1.0, end: horizon, warm: warm / clock.per_epoch, clock }
            }
        }
    }

    /// The time of a part that begins after so many steps and has so many epochs.
    pub(super) fn part(self, before: f64, horizon: f64) -> Self {
        Self {
            position: (self.position - before).max(0.0),
            step: (self.step - before).max(0.0),
            horizon,
            ..self
        }
    }
}

/// The time of a curve in ticks: steps, or epochs if it changes once an epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time<'a> {
    /// Ticks since the beginning.
    pub(super) tick: f64,
    /// Ticks in an epoch.
    pub(super) per_epoch: f64,
    /// Ticks in all.
    pub(super) end: f64,
    /// Ticks of the warm-up.
    pub(super) warm: f64,
    /// The time of the schedule.
    pub(super) clock: Clock<'a>,
}

impl Time<'_> {
    /// Ticks since the beginning, held at the last one of the horizon.
    pub(super) fn held(&self) -> f64 {
        self.tick.min((self.end.ceil() - 1.0).max(0.0))
    }

    /// Epochs since the beginning, held at the last tick of the horizon.
    pub(super) fn epochs(&self) -> f64 {
        self.held() / self.per_epoch
    }

    /// Ticks since the end of the warm-up, held at the last one of the horizon.
    pub(super) fn after_warmup(&self) -> f64 {
        (self.held() - self.warm).max(0.0)
    }

    /// The share that is done of what comes after the warm-up, from 0 to 1.
    pub(super) fn share(&self) -> f64 {
        self.share_of(self.end - self.warm)
    }

    /// The share that is done of so many ticks after the warm-up, from 0 to 1.
    pub(super) fn share_of(&self, ticks: f64) -> f64 {
        ((self.tick - self.warm).max(0.0) / ticks.max(1.0)).min(1.0)
    }
}
