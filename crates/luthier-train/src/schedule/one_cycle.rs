//! The one-cycle policy (Smith and Topin 2018), as PyTorch's `OneCycleLR` has it.

use std::f64::consts::PI;

use luthier_core::config::{Bound, bounds};

use super::clock::Time;

const ABOVE_ONE: Bound<f64> = Bound { expected: "a number of 1 or more", holds: |x| *x >= 1.0 };

luthier_core::kinds! {
    /// The form of a rise or fall.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Anneal ("\"cosine\" or \"linear\"") {
        /// Half a cosine wave.
        "cosine" => Cosine,
        /// A straight line.
        "linear" => Linear,
    }
}

luthier_core::settings! {
    /// A rise to the value as it was set, and a fall far below where it began.
    #[derive(Debug, Clone, PartialEq)]
    pub struct OneCycle {
        /// Share of the training that is spent rising; 0.2 to 0.4 as a rule.
        rise: f64 = 0.3, bounds::SHARE;
        /// The value begins at the peak divided by this.
        start_divisor: f64 = 25.0, ABOVE_ONE;
        /// The value ends at its beginning divided by this.
        end_divisor: f64 = 1e4, ABOVE_ONE;
        /// The form of rise and fall: "cosine" or "linear".
        anneal: Anneal = Anneal::Cosine;
        /// Fall back to the beginning as slowly as it rose, then down to the end, as in the paper;
        /// else fall to the end at once.
        three_phases: bool = false;
    }
}

impl OneCycle {
    pub(super) fn factor(&self, time: &Time<'_>) -> f64 {
        let total = (time.end - time.warm).max(1.0);
        let tick = (time.tick - time.warm).clamp(0.0, total - 1.0);
        let begin = 1.0 / self.start_divisor;
        let end = begin / self.end_divisor;
        let rise = self.rise * total - 1.0;
        let last = total - 1.0;
        if tick <= rise {
            return self.between(begin, 1.0, tick, 0.0, rise);
        }
        if !self.three_phases {
            return self.between(1.0, end, tick, rise, last);
        }
        let fall = 2.0 * self.rise * total - 2.0;
        if tick <= fall {
            self.between(1.0, begin, tick, rise, fall)
        } else {
            self.between(begin, end, tick, fall, last)
        }
    }

    /// The value at `tick`, with `a` at tick `from` and `b` at tick `to`.
    fn between(&self, a: f64, b: f64, tick: f64, from: f64, to: f64) -> f64 {
        let share = if to > from { ((tick - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
        match self.anneal {
            Anneal::Linear => a + (b - a) * share,
            Anneal::Cosine => b + (a - b) / 2.0 * (1.0 + libm::cos(PI * share)),
        }
    }
}
