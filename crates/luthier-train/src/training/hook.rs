//! Hooks: what a caller does between the steps of a run.

use luthier_core::Metrics;

use super::Position;
use crate::schedule::Values;

/// One measurement of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its number, from 1. With one measurement an epoch, which is usual, the number of the epoch.
    pub number: u64,
    /// The value of the objective.
    pub value: f64,
    /// Everything that was measured: `train_loss`, `val_loss` and so on, `learning_rate`, `batch_size`,
    /// `gradient_norm`, `update_ratio`, and the times [`MEASURED_TIMES`].
    pub metrics: Metrics,
}

/// The metrics that are measured with a clock: they differ from run to run.
pub const MEASURED_TIMES: [&str; 4] = ["seconds", "examples_per_second", "latency_ms", "epoch_seconds"];

/// Called between the steps of a run; every method may be left out.
///
/// What a hook changes is not part of the configuration: a run with a hook that changes values can be
/// repeated only with the same hook.
///
/// ```
/// use luthier_train::{Hook, Position, Values};
/// /// Trains the first hundred steps at a tenth of the rate.
/// struct Gently;
/// impl Hook for Gently {
///     fn before_step(&mut self, at: &Position, values: &mut Values) {
///         if at.step < 100 {
///             values.learning_rate *= 0.1;
///         }
///     }
/// }
/// ```
pub trait Hook {
    /// Before each step of the optimizer, with the values that the schedules give for it.
    fn before_step(&mut self, at: &Position, values: &mut Values) {
        let _ = (at, values);
    }

    /// After each step, with the mean loss of its examples.
    fn after_step(&mut self, at: &Position, loss: f64) {
        let _ = (at, loss);
    }

    /// After each measurement; with one an epoch, after each epoch.
    fn after_report(&mut self, report: &Report) {
        let _ = report;
    }

    /// Whether the run is to pause here. Asked before each step and while measuring; a run that paused
    /// goes on exactly where it was.
    fn pauses(&mut self) -> bool {
        false
    }
}

/// No hook.
impl Hook for () {}

/// A closure pauses the run when it says so.
impl<F: FnMut() -> bool> Hook for F {
    fn pauses(&mut self) -> bool {
        self()
    }
}
