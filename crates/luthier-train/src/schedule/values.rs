//! All schedules of a training together.

use luthier_core::config::Bound;
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::{PlateauState, Progress, Readings, Schedule};

const NOT_TIED: Bound<Schedule> =
    Bound { expected: "a schedule of its own, not \"tied\"", holds: |schedule| !schedule.is_tied() };

luthier_core::settings! {
    /// The key `schedule` of `[train]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Schedules {
        /// How the learning rate changes. Its base is the optimizer's `learning_rate`.
        learning_rate: Schedule = Schedule::constant(), NOT_TIED;
        /// How the batch size changes, instead of the learning rate or beside it (Smith et al. 2018). Its
        /// base is `batch_size`; values are rounded.
        batch_size: Schedule = Schedule::constant();
        /// How weight decay changes; "tied" keeps its ratio to the learning rate. Its base is the
        /// optimizer's `weight_decay`.
        weight_decay: Schedule = Schedule::constant();
        /// How strong dropout is: a factor on every rate. Its base is 1.
        dropout: Schedule = Schedule::constant();
        /// How strong augmentation is: a factor on its strengths. Its base is 1.
        augmentation: Schedule = Schedule::constant();
        /// How strong penalties on the weights are: a factor on them. Its base is 1.
        penalty: Schedule = Schedule::constant();
    }
}

impl Default for Schedules {
    fn default() -> Self {
        luthier_core::config::defaults()
    }
}

/// The values as they were set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bases {
    /// The learning rate.
    pub learning_rate: f64,
    /// Examples in a step.
    pub batch_size: usize,
    /// Weight decay.
    pub weight_decay: f64,
}

/// The values for a step. None of them is below 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    /// The learning rate.
    pub learning_rate: f64,
    /// Examples in a step, at least 1.
    pub batch_size: usize,
    /// Weight decay.
    pub weight_decay: f64,
    /// A factor on every dropout rate.
    pub dropout: f64,
    /// A factor on the strength of augmentation.
    pub augmentation: f64,
    /// A factor on penalties.
    pub penalty: f64,
}

/// What plateaus have led to so far. It belongs into a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reactions {
    /// In the order of [`Schedules::named`].
    plateaus: [PlateauState; 6],
    lowered: f64,
}

impl Default for Reactions {
    fn default() -> Self {
        Self { plateaus: [PlateauState::default(); 6], lowered: 1.0 }
    }
}

impl Reactions {
    /// Takes note of a report; gives the names of the schedules that react to it from now on. A metric
    /// that the report lacks is not noted.
    pub fn observe(&mut self, schedules: &Schedules, readings: Readings<'_>) -> Vec<&'static str> {
        let mut reacted = Vec::new();
        for (state, (name, schedule)) in self.plateaus.iter_mut().zip(schedules.named()) {
            let Some(plateau) = schedule.plateau() else { continue };
            if let Some(reading) = readings(&plateau.monitor)
                && state.observe(&plateau.wait(), reading)
            {
                reacted.push(name);
            }
        }
        reacted
    }

    /// Multiplies the learning rate by `factor` from now on, whatever its schedule: what early stopping
    /// tries first.
    pub fn lower_rate(&mut self, factor: f64) {
        self.lowered *= factor;
    }

    /// The factor on the schedule of this position.
    fn factor(&self, index: usize, schedule: &Schedule) -> f64 {
        let lowered = if index == 0 { self.lowered } else { 1.0 };
        let reactions = self.plateaus[index].reactions;
        match schedule.plateau() {
            Some(plateau) if reactions > 0 => lowered * libm::pow(plateau.factor, reactions as f64),
            _ => lowered,
        }
    }
}

impl Schedules {
    /// The schedules with their keys.
    pub fn named(&self) -> [(&'static str, &Schedule); 6] {
        [
            ("learning_rate", &self.learning_rate),
            ("batch_size", &self.batch_size),
            ("weight_decay", &self.weight_decay),
            ("dropout", &self.dropout),
            ("augmentation", &self.augmentation),
            ("penalty", &self.penalty),
        ]
    }

    /// The metrics that they depend on, each with the key of its schedule.
    pub fn monitors(&self) -> Vec<(&'static str, &str)> {
        let schedules = self.named().into_iter();
        schedules
            .flat_map(|(key, schedule)| schedule.monitors().into_iter().map(move |name| (key, name)))
            .collect()
    }

    /// The values for the step that comes after `progress`.
    ///
    /// ```
    /// use luthier_train::schedule::{Bases, Curve, Progress, Reactions, Schedule, Schedules, Step};
    /// let schedules = Schedules {
    ///     learning_rate: Curve::Step(Step { every: 5, factor: 0.5 }).into(),
    ///     weight_decay: Curve::Tied.into(),
    ///     ..Schedules::default()
    /// };
    /// let bases = Bases { learning_rate: 0.1, batch_size: 32, weight_decay: 0.01 };
    /// let values = schedules.values(&bases, &Progress::new(50, 10, 10), &Reactions::default());
    /// assert_eq!((values.learning_rate, values.weight_decay), (0.05, 0.005));
    /// ```
    pub fn values(&self, bases: &Bases, progress: &Progress<'_>, reactions: &Reactions) -> Values {
        let at = |index: usize, schedule: &Schedule, base: f64, clock: &Clock<'_>| {
            schedule.at(base, clock, reactions.factor(index, schedule)).max(0.0)
        };
        let mut clock = Clock::new(progress, 1.0);
        let learning_rate = at(0, &self.learning_rate, bases.learning_rate, &clock);
        if bases.learning_rate > 0.0 {
            clock.tied = learning_rate / bases.learning_rate;
        }
        let batch_size = at(1, &self.batch_size, bases.batch_size as f64, &clock);
        Values {
            learning_rate,
            batch_size: (batch_size.round() as usize).max(1),
            weight_decay: at(2, &self.weight_decay, bases.weight_decay, &clock),
            dropout: at(3, &self.dropout, 1.0, &clock),
            augmentation: at(4, &self.augmentation, 1.0, &clock),
            penalty: at(5, &self.penalty, 1.0, &clock),
        }
    }
}
