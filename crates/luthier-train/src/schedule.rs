//! Schedules: the learning rate over the course of a training, as a factor on its first value.

use luthier_core::config::bounds;

luthier_core::settings! {
    /// The key `schedule` of `[train]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Schedules {
        /// How the learning rate changes.
        learning_rate: Schedule = Schedule::Constant(Constant { warmup: 0.0 });
    }
}

luthier_core::kinds! {
    /// How a value changes while training.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Schedule ("a schedule") {
        /// It stays.
        "constant" => Constant(Constant),
        /// It drops by a factor every so many epochs.
        "step" => Step(Step),
        /// It falls by a factor each epoch.
        "exponential" => Exponential(Exponential),
        /// It falls along half a cosine wave (Loshchilov and Hutter 2017).
        "cosine" => Cosine(Cosine),
    }
}

luthier_core::settings! {
    /// A value that stays.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Constant {
        /// Share of all steps over which the value first rises linearly from zero.
        warmup: f64 = 0.0, bounds::BELOW_ONE;
    }
}

luthier_core::settings! {
    /// A drop every so many epochs.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Step {
        /// Epochs between two drops.
        every: u64, bounds::COUNT;
        /// What the value is multiplied by at a drop.
        factor: f64 = 0.1, bounds::POSITIVE;
        /// Share of all steps over which the value first rises linearly from zero.
        warmup: f64 = 0.0, bounds::BELOW_ONE;
    }
}

luthier_core::settings! {
    /// A factor each epoch.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Exponential {
        /// What the value is multiplied by after each epoch.
        factor: f64 = 0.95, bounds::POSITIVE;
        /// Share of all steps over which the value first rises linearly from zero.
        warmup: f64 = 0.0, bounds::BELOW_ONE;
    }
}

luthier_core::settings! {
    /// Half a cosine wave, from the value down to a share of it, step by step.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Cosine {
        /// The share of the value that is left at the end.
        end: f64 = 0.0, bounds::SHARE;
        /// Share of all steps over which the value first rises linearly from zero.
        warmup: f64 = 0.0, bounds::BELOW_ONE;
    }
}

/// Where a training stands.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps that are done, over the whole training.
    pub step: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Epochs in the whole training.
    pub epochs: u64,
}

impl Schedule {
    /// The factor at `progress`; 1 is the value as it was set.
    ///
    /// ```
    /// use luthier_train::schedule::{Progress, Schedule, Step};
    /// let drop = Schedule::Step(Step { every: 50, factor: 0.1, warmup: 0.0 });
    /// let at = |epoch: u64| drop.factor(&Progress { step: epoch * 10, steps_per_epoch: 10, epochs: 100 });
    /// assert_eq!((at(49), at(50)), (1.0, 0.1));
    /// ```
    pub fn factor(&self, progress: &Progress) -> f64 {
        let total = (progress.steps_per_epoch * progress.epochs) as f64;
        let step = progress.step as f64;
        let epoch = (progress.step / progress.steps_per_epoch.max(1)) as f64;
        let warmup = match self {
            Self::Constant(Constant { warmup })
            | Self::Step(Step { warmup, .. })
            | Self::Exponential(Exponential { warmup, .. })
            | Self::Cosine(Cosine { warmup, .. }) => (warmup * total).floor(),
        };
        if step < warmup {
            return (step + 1.0) / warmup;
        }
        match self {
            Self::Constant(_) => 1.0,
            Self::Step(Step { every, factor, .. }) => libm::pow(*factor, (epoch / *every as f64).floor()),
            Self::Exponential(Exponential { factor, .. }) => libm::pow(*factor, epoch),
            Self::Cosine(Cosine { end, .. }) => {
                let share = ((step - warmup) / (total - warmup).max(1.0)).min(1.0);
                end + (1.0 - end) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * share))
            }
        }
    }
}
