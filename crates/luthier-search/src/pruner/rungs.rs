//! Rungs: the steps at which trials are compared.

use luthier_core::View;
use luthier_core::config::{Bound, bounds};

/// 2 or more.
const FACTOR: Bound<u64> = Bound { expected: "a whole number of 2 or more", holds: |n| *n >= 2 };

luthier_core::settings! {
    /// Steps that grow by a factor.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Rungs {
        /// Steps of the first rung.
        first: u64 = 1, bounds::COUNT;
        /// Each rung has so many times the steps of the one before, and one of so many trials goes on to it.
        factor: u64 = 3, FACTOR;
    }
}

impl Default for Rungs {
    fn default() -> Self {
        Self { first: 1, factor: 3 }
    }
}

impl Rungs {
    /// The steps of the rungs, as long as a rung is no further than a factor from the end; where the end is not known,
    /// those that are of use when the last report was at `last`.
    pub(super) fn steps(&self, view: &View<'_>, last: u64) -> Vec<u64> {
        // A rung is of use once a trial has come as far as the one before it.
        let seen = || last.saturating_mul(self.factor.max(2)).saturating_mul(self.factor.max(2));
        self.below(view.steps().unwrap_or_else(seen))
    }

    /// The steps of the rungs of trials with `end` steps: the first one, and all that are no nearer than a factor to the end.
    pub(super) fn below(&self, end: u64) -> Vec<u64> {
        let (first, factor) = (self.first.max(1), self.factor.max(2));
        let mut rungs = vec![first];
        let times = |step: u64| step.checked_mul(factor);
        while let Some(next) = rungs.last().and_then(|last| times(*last))
            && times(next).is_some_and(|after| after <= end)
        {
            rungs.push(next);
        }
        rungs
    }
}

/// The last step that any trial has reported.
pub(super) fn last_step(view: &View<'_>) -> u64 {
    let last = |losses: &[(u64, f64)]| losses.last().map_or(0, |last| last.0);
    let finished = view.finished().map(|trial| last(trial.losses()));
    finished.chain(view.unfinished().map(|trial| last(trial.losses()))).max().unwrap_or(0)
}
