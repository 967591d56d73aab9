//! Reacting to a metric that no longer gets better, with the rules of PyTorch's `ReduceLROnPlateau`.

use luthier_core::Direction;
use luthier_core::config::bounds;
use serde::{Deserialize, Serialize};

luthier_core::kinds! {
    /// What the smallest change is measured in.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ThresholdMode ("\"rel\" or \"abs\"") {
        /// A share of the best value.
        "rel" => Rel,
        /// The unit of the metric.
        "abs" => Abs,
    }
}

luthier_core::settings! {
    /// What happens when a metric no longer gets better.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Plateau {
        /// What the value is multiplied by: 0.1 to 0.5 as a rule; above 1 it grows, which suits a batch
        /// size or a penalty.
        factor: f64 = 0.1, bounds::POSITIVE;
        /// Reports without an improvement that are put up with; one more, and the value changes.
        patience: u64 = 10;
        /// The smallest change that is an improvement.
        threshold: f64 = 1e-4, bounds::NOT_NEGATIVE;
        /// Whether the threshold is a share of the best value, "rel", or in the metric's unit, "abs".
        threshold_mode: ThresholdMode = ThresholdMode::Rel;
        /// Reports after a change for which nothing is counted.
        cooldown: u64 = 0;
        /// The value is not lowered below this.
        min: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// The metric.
        monitor: String = "val_loss".to_owned();
    }
}

/// When a metric counts as one that no longer gets better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    /// Reports without an improvement that are put up with.
    pub patience: u64,
    /// The smallest change that is an improvement.
    pub threshold: f64,
    /// What it is measured in.
    pub mode: ThresholdMode,
    /// Reports after a reaction for which nothing is counted.
    pub cooldown: u64,
}

impl Plateau {
    /// When it reacts.
    pub fn wait(&self) -> Wait {
        Wait {
            patience: self.patience,
            threshold: self.threshold,
            mode: self.threshold_mode,
            cooldown: self.cooldown,
        }
    }
}

/// A metric as it was reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Its value; it may be NaN or infinite.
    pub value: f64,
    /// Which way it is good.
    pub direction: Direction,
}

/// Gives the metrics of a report by their names.
pub type Readings<'a> = &'a dyn Fn(&str) -> Option<Reading>;

/// How long a metric has not got better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    best: Option<f64>,
    bad: u64,
    cooldown: u64,
    /// How often it has been reacted to.
    pub reactions: u64,
}

impl PlateauState {
    /// Takes note of a report; whether it is time to react. A value that is no number is no improvement.
    pub fn observe(&mut self, wait: &Wait, reading: Reading) -> bool {
        let Reading { value, direction } = reading;
        // An infinite value is never kept as the best: nothing could be compared with it.
        if value.is_finite() && self.best.is_none_or(|best| wait.improves(value, best, direction)) {
            self.best = Some(value);
            self.bad = 0;
        } else {
            self.bad += 1;
        }
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.bad = 0;
        }
        let react = self.bad > wait.patience;
        if react {
            self.bad = 0;
            self.cooldown = wait.cooldown;
            self.reactions += 1;
        }
        react
    }
}

impl Wait {
    fn improves(&self, value: f64, best: f64, direction: Direction) -> bool {
        match (self.mode, direction) {
            (ThresholdMode::Rel, Direction::Minimize) => value < best * (1.0 - self.threshold),
            (ThresholdMode::Rel, Direction::Maximize) => value > best * (1.0 + self.threshold),
            (ThresholdMode::Abs, Direction::Minimize) => value < best - self.threshold,
            (ThresholdMode::Abs, Direction::Maximize) => value > best + self.threshold,
        }
    }
}
