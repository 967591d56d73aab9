//! The percentile rule: a running trial is stopped while it is behind most of those before it.
//!
//! Symbols: b(t, s) is the best finite loss that trial t reported up to step s, infinite if there is
//! none. A running trial t at step s is stopped if b(t, s) > P, where P is the percentile of b(u, s) over
//! the complete trials u.
//!
//! Optuna's `PercentilePruner` compares b(t, s) with what the others reported at s itself, and Vizier
//! (Golovin et al. 2017) with the mean of what they reported up to s. Here it is like with like: a trial
//! counts with its best step in the end, so the best so far is what is compared. It follows that a trial
//! which early stopping ended before s stays in the comparison with its best, and that a curve which
//! rises after its best step lowers the bar for nobody. As with both peers, only complete trials are
//! compared with: those that were stopped would make the bar at late steps depend on how many got there.
//!
//! With several objectives, or where results have to keep constraints, trial t is stopped if so many percent of the
//! complete trials are on better fronts at step s ([`standing`](super::standing)).

use luthier_core::config::Bound;
use luthier_core::{Decision, Pruner, Rng, StopReason, TrialId, Tried, Unfinished, View};

use super::best_until;
use super::standing::{by_one_loss, fronts, is_measured};

const PERCENTILE: Bound<f64> =
    Bound { expected: "a number from 0 to 100", holds: |x| (0.0..=100.0).contains(x) };

luthier_core::settings! {
    /// Stops a trial whose best loss so far is strictly above a percentile of the complete trials' best at the
    /// same step.
    ///
    /// Nothing is stopped before [`startup_trials`](Self::startup_trials) trials are complete, nor in the
    /// warm-up, nor where fewer than [`min_trials`](Self::min_trials) had reported by that step. A report of
    /// NaN or an infinity is no value; a trial without any other is the worst possible one.
    ///
    /// ```
    /// use luthier_search::pruner::Percentile;
    /// let top_quarter = Percentile::new(25.0).with_warmup_steps(3);
    /// assert_eq!(top_quarter.startup_trials, 5);
    /// assert_eq!(Percentile::median(), Percentile::new(50.0));
    /// ```
    #[derive(Debug, Clone, PartialEq)]
    pub struct Percentile {
        /// The percentile of losses: 50 is the median, and 25 keeps only the top quarter.
        percentile: f64 = 25.0, PERCENTILE;
        /// Complete trials with reports before any trial is stopped.
        startup_trials: usize = 5;
        /// Steps up to this one are not judged. If left out, it is a tenth of the longest complete trial, rounded up:
        /// 1 epoch of 10, 10 of 100. The first epochs say little, and least of a trial whose learning rate is still
        /// warming up, for which a tenth of the training is usual.
        warmup_steps: Option<u64> = None;
        /// Complete trials that must have reported by a step for it to be judged.
        min_trials: usize = 1;
    }
}

luthier_core::settings! {
    /// The percentile rule with the median (Golovin et al. 2017, "Google Vizier: a service for black-box optimization",
    /// section 3.2).
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Median {
        /// Complete trials with reports before any trial is stopped.
        startup_trials: usize = 5;
        /// Steps up to this one are not judged; a tenth of the longest complete trial if left out.
        warmup_steps: Option<u64> = None;
        /// Complete trials that must have reported by a step for it to be judged.
        min_trials: usize = 1;
    }
}

impl Default for Median {
    fn default() -> Self {
        Self { startup_trials: 5, warmup_steps: None, min_trials: 1 }
    }
}

impl From<&Median> for Percentile {
    fn from(median: &Median) -> Self {
        Self {
            percentile: 50.0,
            startup_trials: median.startup_trials,
            warmup_steps: median.warmup_steps,
            min_trials: median.min_trials,
        }
    }
}

impl Percentile {
    /// Stops a trial that is behind the median of the complete ones.
    pub fn median() -> Self {
        Self::from(&Median::default())
    }

    /// The rule with this percentile (clamped to `0..=100`) and the default settings.
    pub fn new(percentile: f64) -> Self {
        Self {
            percentile: percentile.clamp(0.0, 100.0),
            startup_trials: 5,
            warmup_steps: None,
            min_trials: 1,
        }
    }

    /// The same rule, judging no step up to `steps`.
    #[must_use]
    pub fn with_warmup_steps(mut self, steps: u64) -> Self {
        self.warmup_steps = Some(steps);
        self
    }
}

impl Percentile {
    /// The decision on a trial where there is more than one loss.
    fn by_fronts(&self, view: &View<'_>, trial: TrialId, step: u64) -> Decision {
        let reached = |other: &Tried<'_>| other.losses().first().is_some_and(|first| first.0 <= step);
        let compared = |other: &Tried<'_>| {
            (other.is_complete() && reached(other) || other.id() == trial) && is_measured(view, *other, step)
        };
        let trials: Vec<Tried<'_>> = view.tried().filter(compared).collect();
        let (fronts, _) = fronts(view, &trials, step);
        // Who does not tell all objectives on the way is not judged.
        let Some(own) = trials.iter().position(|other| other.id() == trial).map(|place| fronts[place]) else {
            return Decision::Continue;
        };
        let before = fronts.iter().filter(|front| **front < own).count() as u64;
        let of = trials.len() as u64 - 1;
        if before > 0 && 100.0 * before as f64 >= self.percentile * of as f64 {
            Decision::Stop(StopReason::BehindFronts { step, before, of })
        } else {
            Decision::Continue
        }
    }
}

impl Pruner for Percentile {
    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, _: &mut Rng) -> Decision {
        let Some(&(step, _)) = trial.losses().last() else { return Decision::Continue };
        let complete: Vec<&[(u64, f64)]> = view
            .finished()
            .filter(|other| other.loss().is_some())
            .map(|other| other.losses())
            .filter(|losses| !losses.is_empty())
            .collect();
        let longest = complete.iter().filter_map(|losses| losses.last()).map(|last| last.0).max();
        let warmup = self.warmup_steps.unwrap_or(longest.unwrap_or(0).div_ceil(10));
        if complete.len() < self.startup_trials || step <= warmup {
            return Decision::Continue;
        }
        let reached = complete.iter().filter(|losses| losses[0].0 <= step);
        let mut others: Vec<f64> = reached.map(|losses| best_until(losses, step)).collect();
        if others.is_empty() || others.len() < self.min_trials {
            return Decision::Continue;
        }
        if !by_one_loss(view) {
            return self.by_fronts(view, trial.id(), step);
        }
        let loss = best_until(trial.losses(), step);
        let threshold = percentile(&mut others, self.percentile);
        if loss > threshold {
            Decision::Stop(StopReason::BehindPercentile {
                step,
                percentile: self.percentile,
                // JSON, in which reasons are stored, has no infinity; the largest number is as bad.
                loss: loss.min(f64::MAX),
                threshold,
            })
        } else {
            Decision::Continue
        }
    }
}

/// The percentile of `values` (not empty, no NaN; they are sorted), between two neighbours by their
/// distance, as `numpy.percentile` does.
fn percentile(values: &mut [f64], percentile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = percentile / 100.0 * (values.len() - 1) as f64;
    let below = place.floor() as usize;
    let (low, high) = (values[below], values[(below + 1).min(values.len() - 1)]);
    let share = place - below as f64;
    // Between two infinities, or exactly on a value, there is nothing to weigh.
    if share == 0.0 || low == high { low } else { low + share * (high - low) }
}

#[cfg(test)]
mod tests;
