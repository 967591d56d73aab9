//! Curves of one line: steps, powers, a straight line, the root of the steps.

use luthier_core::config::{Bound, bounds};

use super::clock::Time;

luthier_core::settings! {
    /// A drop every so many epochs.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Step {
        /// Epochs between two drops; a third of the training is usual.
        every: u64, bounds::COUNT;
        /// What the value is multiplied by at a drop, 0.1 to 0.5 as a rule.
        factor: f64 = 0.1, bounds::POSITIVE;
    }
}

impl Step {
    pub(super) fn factor(&self, time: &Time<'_>) -> f64 {
        libm::pow(self.factor, (time.epochs() / self.every as f64).floor())
    }
}

const MILESTONES: Bound<Vec<f64>> = Bound {
    expected: "at least one epoch, each above 0",
    holds: |epochs| !epochs.is_empty() && epochs.iter().all(|epoch| *epoch > 0.0),
};

luthier_core::settings! {
    /// A drop at each of some epochs.
    #[derive(Debug, Clone, PartialEq)]
    pub struct MultiStep {
        /// The epochs, such as [30, 60, 80].
        milestones: Vec<f64>, MILESTONES;
        /// What the value is multiplied by at each, 0.1 to 0.5 as a rule.
        factor: f64 = 0.1, bounds::POSITIVE;
    }
}

impl MultiStep {
    pub(super) fn factor(&self, time: &Time<'_>) -> f64 {
        let epochs = time.epochs();
        let passed = self.milestones.iter().filter(|epoch| **epoch <= epochs).count();
        libm::pow(self.factor, passed as f64)
    }
}

luthier_core::settings! {
    /// A factor each epoch.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Exponential {
        /// What the value is multiplied by after each epoch, 0.8 to 0.99 as a rule.
        factor: f64 = 0.95, bounds::POSITIVE;
    }
}

impl Exponential {
    pub(super) fn factor(&self, time: &Time<'_>) -> f64 {
        libm::pow(self.factor, time.epochs())
    }
}

luthier_core::settings! {
    /// A power of the share that is left to train.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Polynomial {
        /// The power: 1 is a straight line, 2 falls faster at first, 0.9 is usual for segmentation.
        power: f64 = 1.0, bounds::POSITIVE;
        /// The share of the value that is left at the end.
        end: f64 = 0.0, bounds::SHARE;
    }
}

impl Polynomial {
    pub(super) fn factor(&self, time: &Time<'_>) -> f64 {
        self.end + (1.0 - self.end) * libm::pow(1.0 - time.share(), self.power)
    }
}

luthier_core::settings! {
    /// A straight line between two shares of the value.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Linear {
        /// The share of the value at the beginning.
        start: f64 = 1.0, bounds::NOT_NEGATIVE;
        /// The share of the value at the end.
        end: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Epochs from one to the other; all of them, if left out. After them the value stays.
        epochs: Option<f64> = None, bounds::POSITIVE;
    }
}

impl Linear {
    pub(super) fn factor(&self, time: &Time<'_>) -> f64 {
        let share = match self.epochs {
            Some(epochs) => time.share_of(epochs * time.per_epoch),
            None => time.share(),
        };
        self.start + (self.end - self.start) * share
    }
}

/// The root of the steps; where they are counted in epochs, of the epochs.
pub(super) fn inverse_sqrt(time: &Time<'_>) -> f64 {
    // With a warm-up, a ratio that a change of the batch size leaves as it is; without, the real steps.
    let made = if time.warm >= 1.0 || time.per_epoch <= 1.0 { time.tick } else { time.clock.step };
    let made = made.min((time.end.ceil() - 1.0).max(0.0)) + 1.0;
    let warm = time.warm.max(1.0);
    libm::sqrt(warm / made.max(warm))
}
