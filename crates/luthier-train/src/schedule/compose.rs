//! Schedules made of schedules: one after the other, or on top of each other.

use luthier_core::config::{Bound, bounds};

use super::Schedule;
use super::clock::Time;

luthier_core::settings! {
    /// A part of a joined schedule.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Part {
        /// The epoch at which the next part takes over; the end of the training, if left out, which only
        /// the last part may do.
        until: Option<f64> = None, bounds::POSITIVE;
        /// The schedule. It counts epochs and steps from the beginning of its part, and is stretched over
        /// its part.
        schedule: Schedule;
    }
}

const IN_ORDER: Bound<Vec<Part>> = Bound {
    expected: "at least one part, with `until` in each but the last, and rising",
    holds: |parts| {
        let before_last = &parts[..parts.len().saturating_sub(1)];
        let ends: Vec<f64> = parts.iter().filter_map(|part| part.until).collect();
        !parts.is_empty()
            && before_last.iter().all(|part| part.until.is_some())
            && ends.windows(2).all(|pair| pair[0] < pair[1])
    },
};

luthier_core::settings! {
    /// Schedules one after the other.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Join {
        /// The parts in their order: [{ until = 5, schedule = "constant" }, { schedule = "cosine" }].
        parts: Vec<Part>, IN_ORDER;
    }
}

impl Join {
    pub(super) fn value(&self, base: f64, time: &Time<'_>) -> f64 {
        // A part begins at the first step at or past its epoch; the small number is for epochs such as 1.1,
        // of which no binary fraction is quite that.
        let per_epoch = time.clock.per_epoch;
        let first_step = |epoch: f64| (epoch * per_epoch - 1e-9).ceil();
        let mut clock = time.clock;
        clock.position = clock.position.min(time.held() * (per_epoch / time.per_epoch));
        let under_way = |part: &Part| part.until.is_none_or(|until| clock.position < first_step(until));
        // There is at least one part. After its end the last one goes on, holding its last value.
        let index = self.parts.iter().position(under_way).unwrap_or(self.parts.len() - 1);
        let start = if index == 0 { 0.0 } else { self.parts[index - 1].until.unwrap_or(0.0) };
        let part = &self.parts[index];
        let until = part.until.unwrap_or(clock.horizon).max(start);
        let clock = clock.part(first_step(start), until - start);
        part.schedule.at(base, &clock, 1.0)
    }
}

const SOME: Bound<Vec<Schedule>> =
    Bound { expected: "at least one schedule", holds: |schedules| !schedules.is_empty() };

luthier_core::settings! {
    /// Schedules on top of each other.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Product {
        /// The schedules. Each takes the value of the one before for its base.
        of: Vec<Schedule>, SOME;
    }
}

impl Product {
    pub(super) fn value(&self, base: f64, time: &Time<'_>) -> f64 {
        self.of.iter().fold(base, |value, schedule| schedule.at(value, &time.clock, 1.0))
    }
}
