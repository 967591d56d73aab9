//! Schedules: values that change while training.
//!
//! One type serves the learning rate, the batch size, weight decay, and the strength of dropout,
//! augmentation and penalties. A [`Schedule`] is a [`Curve`] with what all curves have in common: a
//! warm-up before it, a scale, clips, and a reaction to plateaus.
//!
//! Notation: `base` is the value as it was set. Most curves are factors on it; points and formulas give
//! the value itself. Where a training stands is counted in epochs that are done, whole ones or with
//! the part of the epoch that is under way. If the batch size changes, so does the number of steps in
//! an epoch, and a schedule goes on from the same share of the training.

mod clock;
mod compose;
mod cosine;
mod curve;
mod decay;
mod decode;
mod formula;
mod one_cycle;
mod plateau;
mod points;
mod values;

#[cfg(test)]
mod tests;

use luthier_core::config::bounds;

pub use clock::Progress;
pub use compose::{Join, Part, Product};
pub use cosine::{Cosine, CosineRestarts};
pub use curve::Curve;
pub use decay::{Exponential, Linear, MultiStep, Polynomial, Step};
pub use formula::{Formula, FormulaCurve, FormulaError};
pub use one_cycle::{Anneal, OneCycle};
pub use plateau::{Plateau, PlateauState, Reading, Readings, ThresholdMode, Wait};
pub use points::{Interpolation, Point, Points};
pub use values::{Bases, Reactions, Schedules, Values};

use clock::Clock;

/// How a value changes while training.
///
/// In a file: the name of a curve, `"cosine"`; a table, `{ kind = "cosine", warmup = 0.1 }`; a list of
/// points, `[[0, 0.1], [5, 0.01]]`, each of them an epoch and the value from then on; or a formula,
/// `"0.1 * 0.95^epoch"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its course.
    pub curve: Curve,
    /// What goes with any curve.
    pub common: Common,
}

luthier_core::kinds! {
    /// When a value changes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum By ("\"epoch\" or \"step\"") {
        /// Once an epoch, at its beginning.
        "epoch" => Epoch,
        /// At every step.
        "step" => Step,
    }
}

luthier_core::settings! {
    /// The keys that go with any curve.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Common {
        /// Share of all steps over which the value first rises linearly from zero (Goyal et al. 2017).
        /// Up to 0.1 is usual; transformers need it. Cosine, linear, polynomial and one-cycle curves begin
        /// after it.
        warmup: f64 = 0.0, bounds::BELOW_ONE;
        /// The warm-up in epochs instead, such as 5 or 0.5.
        warmup_epochs: Option<f64> = None, bounds::NOT_NEGATIVE;
        /// What every value is multiplied by.
        scale: f64 = 1.0, bounds::NOT_NEGATIVE;
        /// The smallest value, in the unit of what is scheduled; smaller ones become it.
        min: Option<f64> = None;
        /// The largest value, in the unit of what is scheduled; larger ones become it.
        max: Option<f64> = None;
        /// Whether the value changes at every "step" or once an "epoch". Left out: each epoch for step,
        /// multi_step and exponential, else each step. The unit of epochs stays the same either way.
        by: Option<By> = None;
        /// Epochs that the schedule is stretched over; the epochs of the run as it was begun, if left
        /// out. Past it the value stays.
        horizon: Option<u64> = None, bounds::COUNT;
        /// Lower the value when a metric no longer gets better, whatever the curve.
        plateau: Option<Plateau> = None;
    }
}

impl Default for Common {
    fn default() -> Self {
        luthier_core::config::defaults()
    }
}

impl From<Curve> for Schedule {
    fn from(curve: Curve) -> Self {
        Self { curve, common: Common::default() }
    }
}

impl Schedule {
    /// The value stays.
    pub fn constant() -> Self {
        Curve::Constant.into()
    }

    /// The value at `progress`. `base` is the value as it was set, `reaction` the factor to which
    /// plateaus have led, 1 if none.
    ///
    /// ```
    /// use luthier_train::schedule::{Curve, Progress, Schedule, Step};
    /// let drop = Schedule::from(Curve::Step(Step { every: 50, factor: 0.1 }));
    /// let at = |epoch: u64| drop.value(0.5, &Progress::new(epoch * 10, 10, 100), 1.0);
    /// assert_eq!((at(49), at(50)), (0.5, 0.05));
    /// ```
    pub fn value(&self, base: f64, progress: &Progress<'_>, reaction: f64) -> f64 {
        self.at(base, &Clock::new(progress, 1.0), reaction)
    }

    fn at(&self, base: f64, clock: &Clock<'_>, reaction: f64) -> f64 {
        if self.stays() && reaction == 1.0 {
            return base;
        }
        let Common { warmup, warmup_epochs, scale, min, max, by, horizon, .. } = &self.common;
        let horizon = horizon.map_or(clock.horizon, |epochs| epochs as f64);
        let steps = horizon * clock.per_epoch;
        let warm = warmup_epochs.map_or(warmup * steps, |epochs| epochs * clock.per_epoch).floor();
        let by = by.unwrap_or_else(|| self.curve.by());
        let mut value = self.curve.value(base, &clock.within(horizon, warm, by)) * scale;
        if reaction != 1.0 {
            let floor = self.plateau().map_or(0.0, |plateau| plateau.min);
            value = (value * reaction).max(value.min(floor));
        }
        if clock.position < warm {
            value *= (clock.position + 1.0) / warm;
        }
        // Not `clamp`, which panics if the bounds are crossed.
        let value = min.map_or(value, |min| value.max(min));
        max.map_or(value, |max| value.min(max))
    }

    /// Whether nothing but a reaction changes the value: for most values of most trainings.
    fn stays(&self) -> bool {
        let Common { warmup, warmup_epochs, scale, min, max, .. } = &self.common;
        matches!(self.curve, Curve::Constant)
            && (*warmup, *warmup_epochs, *scale) == (0.0, None, 1.0)
            && (*min, *max) == (None, None)
    }

    /// What lowers the value at a plateau, if anything does.
    pub fn plateau(&self) -> Option<&Plateau> {
        match &self.curve {
            Curve::Plateau(plateau) => Some(plateau),
            _ => self.common.plateau.as_ref(),
        }
    }

    /// Whether it follows the learning rate, as a whole or in a part.
    pub fn is_tied(&self) -> bool {
        match &self.curve {
            Curve::Tied => true,
            Curve::Join(join) => join.parts.iter().any(|part| part.schedule.is_tied()),
            Curve::Product(product) => product.of.iter().any(Self::is_tied),
            _ => false,
        }
    }

    /// The metrics that it depends on.
    pub fn monitors(&self) -> Vec<&str> {
        let mut names: Vec<&str> = match &self.curve {
            Curve::Formula(curve) => curve.formula.metrics(),
            Curve::Join(join) => join.parts.iter().flat_map(|part| part.schedule.monitors()).collect(),
            Curve::Product(product) => product.of.iter().flat_map(Self::monitors).collect(),
            _ => Vec::new(),
        };
        names.extend(self.plateau().map(|plateau| plateau.monitor.as_str()));
        names
    }
}
