//! Freeze and thaw: whichever learning curve promises the largest improvement goes on.
//!
//! Swersky, Snoek and Adams 2014, "Freeze-thaw Bayesian optimization", arXiv:1406.3896. Symbols: f is the least loss so
//! far; mu and v are mean and variance of what a paused trial would come to at its end, as forecast from the curves of
//! all trials ([`curves`](crate::curves): lines from step to step instead of the paper's Gaussian process over curves, so
//! that it takes no time); c is the number of steps from where it stands to its end (where the end is
//! not known, to the furthest that any trial has come, or to its next pause if that is farther). The paused trial with the largest E[max(f - x, 0)] / c, x normal with mu and v, goes on, until it
//! has `growth` times its steps. The improvement is that at the end, so the cost is that of the whole way: by the cost of the next
//! part alone short trials, whose parts are short, would go before all others for ever.
//!
//! New trials take the share `explore` of all steps, for what a new one will be worth is the sampler's business. A trial
//! that cannot win is never asked for again, which is how it is stopped.
//!
//! Complexity: that of the forecasts, O(n l) for n trials of at most l reports.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use luthier_core::config::{Bound, bounds};
use luthier_core::{Admission, Budget, Decision, Pruner, Rng, Tried, Unfinished, View};

use super::best_until;
use super::rungs::last_step;
use super::standing::{is_needed, may_keep};
use crate::curves::{Curves, Forecast};

/// Trials that begin before any goes on.
const STARTUP: usize = 5;

const SHARE: Bound<f64> = Bound { expected: "a number above 0 and below 1", holds: |x| *x > 0.0 && *x < 1.0 };

const GROWTH: Bound<f64> = Bound { expected: "a number above 1", holds: |x| *x > 1.0 };

luthier_core::settings! {
    /// Lets the paused trial go on whose curve promises most.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Curve {
        /// Steps of a new trial.
        first: u64 = 1, bounds::COUNT;
        /// A trial that goes on pauses when it has so many times the steps that it had.
        growth: f64 = 2.0, GROWTH;
        /// The share of all steps that new trials take.
        explore: f64 = 0.4, SHARE;
    }
}

/// How far below `best` a normal variable is expected to be, where it is below it.
fn improvement(best: f64, forecast: Forecast) -> f64 {
    let deviation = forecast.variance.sqrt();
    let gain = best - forecast.loss;
    if deviation <= 0.0 {
        return gain.max(0.0);
    }
    let z = gain / deviation;
    let density = libm::exp(-0.5 * z * z) / (2.0 * PI).sqrt();
    deviation * density + gain * 0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

impl Curve {
    /// The paused trial that promises most, and the step at which it pauses next.
    fn best<'a>(&self, view: &View<'a>) -> Option<(Tried<'a>, u64)> {
        let curves = Curves::new(view);
        // Those that miss a constraint on results count only where all do.
        let (kept, missed): (Vec<Tried<'_>>, _) = view.tried().partition(|trial| may_keep(view, *trial));
        let counted = if kept.is_empty() { &missed } else { &kept };
        let losses = counted.iter().map(|trial| best_until(trial.losses(), u64::MAX));
        let best = losses.fold(f64::INFINITY, f64::min);
        let asked = if kept.iter().any(Tried::is_paused) { &kept } else { &missed };
        let furthest = last_step(view);
        let mut chosen: Option<(f64, Tried<'_>, u64)> = None;
        for trial in asked.iter().filter(|trial| trial.is_paused()) {
            let Some(forecast) = curves.forecast(trial.losses()) else { continue };
            let at = trial.losses().last().map_or(0, |last| last.0);
            let next = ((at as f64 * self.growth).round() as u64).max(at.saturating_add(1));
            let end = view.steps().unwrap_or_else(|| furthest.max(next));
            let cost = end.saturating_sub(at).max(1);
            let score = improvement(best, forecast) / cost as f64;
            // Of equal ones the older.
            if chosen.is_none_or(|chosen| score > chosen.0) {
                chosen = Some((score, *trial, next));
            }
        }
        chosen.map(|(_, trial, next)| (trial, next))
    }
}

impl Pruner for Curve {
    fn decide(&self, _: &View<'_>, _: &Unfinished<'_>, _: &mut Rng) -> Decision {
        Decision::Continue
    }

    fn admit(&self, view: &View<'_>) -> Admission {
        let new = Admission::New(Budget::Until(self.first));
        let last = |losses: &[(u64, f64)]| losses.last().map_or(0, |last| last.0);
        let finished: u64 = view.finished().map(|trial| last(trial.losses())).sum();
        let unfinished: u64 = view.unfinished().map(|trial| last(trial.losses()).max(self.first)).sum();
        let begun = (view.len() as u64).saturating_mul(self.first) as f64;
        let share = self.explore * (finished + unfinished) as f64;
        if view.is_closed() {
            // Nobody begins any more: the best comes to an end, so that every study has a winner.
            return match self.best(view).filter(|(trial, _)| is_needed(view, *trial)) {
                Some((trial, _)) => Admission::Resume(trial.id(), Budget::Full),
                None => new,
            };
        }
        if view.len() < STARTUP || begun < share {
            return new;
        }
        match self.best(view) {
            Some((trial, next)) if view.steps().is_some_and(|steps| next >= steps) => {
                Admission::Resume(trial.id(), Budget::Full)
            }
            Some((trial, next)) => Admission::Resume(trial.id(), Budget::Until(next)),
            None => new,
        }
    }

    fn decides(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use luthier_core::TrialId;
    use luthier_core::testing::Played;

    fn curve() -> Curve {
        Curve { first: 1, growth: 2.0, explore: 0.4 }
    }

    #[test]
    fn the_improvement_is_that_of_a_normal_variable() {
        // scipy: quad(lambda x: (1 - x) * norm.pdf(x, 1.5, 0.5), -inf, 1) = 0.04165773529384…
        let forecast = Forecast { loss: 1.5, variance: 0.25 };
        assert!(
            (improvement(1.0, forecast) - 0.041_657_735_293_84).abs() < 1e-13,
            "{}",
            improvement(1.0, forecast)
        );
        assert_eq!(improvement(1.0, Forecast { loss: 0.25, variance: 0.0 }), 0.75);
    }

    #[test]
    fn the_trial_that_promises_most_goes_on_and_new_ones_have_their_share() {
        let mut played = Played::with_steps(16);
        for value in [0.9, 0.5, 0.8, 0.7, 0.6] {
            assert_eq!(curve().admit(&played.0.view()), Admission::New(Budget::Until(1)));
            let trial = played.begun(Some(1), &[value]);
            played.pause(trial);
        }
        assert_eq!(curve().admit(&played.0.view()), Admission::Resume(TrialId(1), Budget::Until(2)));
        played.resume(TrialId(1), Some(2));
        played.report(TrialId(1), 2, 0.45);
        played.pause(TrialId(1));
        played.resume(TrialId(1), Some(16));
        for step in 3..=13 {
            played.report(TrialId(1), step, 0.45);
        }
        // 17 steps so far; five of them, less than two fifths, were those of new trials.
        assert_eq!(curve().admit(&played.0.view()), Admission::New(Budget::Until(1)));
    }

    #[test]
    fn the_cost_is_that_of_the_whole_way() {
        let mut played = Played::with_steps(16);
        for value in [0.5, 0.9, 0.9, 0.9, 0.52] {
            let trial = played.begun(Some(1), &[value]);
            played.pause(trial);
        }
        played.resume(TrialId(0), Some(8));
        for (step, value) in (2..=8).zip([0.48, 0.47, 0.46, 0.45, 0.44, 0.43, 0.42]) {
            played.report(TrialId(0), step, value);
        }
        played.pause(TrialId(0));
        // The next step of trial 4 takes an eighth of what the next part of trial 0 takes, its whole way twice as much.
        assert_eq!(curve().admit(&played.0.view()), Admission::Resume(TrialId(0), Budget::Full));
    }

    #[test]
    fn at_the_end_somebody_comes_to_its_end() {
        let mut played = Played::with_steps(16);
        for value in [0.9, 0.5] {
            let trial = played.begun(Some(1), &[value]);
            played.pause(trial);
        }
        let closed = |played: &Played| curve().admit(&played.0.view().closing(true));
        assert_eq!(closed(&played), Admission::Resume(TrialId(1), Budget::Full));
        played.resume(TrialId(1), None);
        assert!(matches!(closed(&played), Admission::New(_)));
    }
}
