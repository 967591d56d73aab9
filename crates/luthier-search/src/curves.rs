//! Learning curves: what a trial that was cut short would have come to.
//!
//! Symbols: m(s) is a trial's best finite loss up to step s; `s_1` < `s_2` < … are the steps at which trials have been cut
//! (stopped or paused), and behind them stands the last step of all. From each of these steps to the next, m changes
//! as it did in the trials that went on: m(s_{k+1}) = `a_k` + `b_k` `m(s_k)` + e, with e of variance `v_k`, by ridge regression
//! that draws `b_k` to 1 with the weight of [`PRIOR`] trials. A chain of these lines leads from where a trial stands
//! to the last step.
//!
//! Which trials go on is decided by `m(s_k)`, on which the regression is conditioned, so that choosing the best of them
//! does not bend the lines. Losses above the third quartile at `s_1` count as that quartile, because some diverge and would
//! outweigh all others. Power laws and their mixtures (Domhan, Springenberg and Hutter 2015; Viering and Loog 2022,
//! "The shape of learning curves") need more of each curve than the few steps that most trials here get.
//!
//! Complexity: O(n k l) for n trials of at most l reports and k <= [`STEPS`] steps.

use std::borrow::Cow;

use luthier_core::{Tried, View};

/// At most so many steps at which trials were cut are told apart.
const STEPS: usize = 12;

/// The slope of 1 weighs as much as so many trials.
const PRIOR: f64 = 2.0;

/// From one step at which trials were cut to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    step: u64,
    /// The mean of m here, and at the next step.
    from: f64,
    to: f64,
    slope: f64,
    variance: f64,
}

/// What curves of a history have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Curves {
    lines: Vec<Line>,
    /// The last step of all.
    end: u64,
}

/// What is expected of a trial at the last step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Forecast {
    pub(crate) loss: f64,
    pub(crate) variance: f64,
}

type Losses = [(u64, f64)];

/// The smallest finite loss up to `step`.
fn best_until(losses: &Losses, step: u64) -> Option<f64> {
    let until = losses.iter().take_while(|report| report.0 <= step);
    until.map(|report| report.1).filter(|loss| loss.is_finite()).reduce(f64::min)
}

fn last(losses: &Losses) -> u64 {
    losses.last().map_or(0, |last| last.0)
}

/// The trials that have ended by number, then the others: the order of all sums.
pub(crate) fn by_end<'a>(view: &View<'a>) -> impl Iterator<Item = Tried<'a>> + use<'a> {
    view.tried().filter(Tried::has_ended).chain(view.tried().filter(|trial| !trial.has_ended()))
}

impl Curves {
    /// What curves of the first objective have in common.
    pub(crate) fn new(view: &View<'_>) -> Self {
        Self::of(view, 0)
    }

    /// What curves of an objective have in common.
    pub(crate) fn of(view: &View<'_>, objective: usize) -> Self {
        let is_cut = |trial: &Tried<'_>| trial.is_stopped() || trial.is_paused();
        let cut = view.tried().filter(is_cut).map(|trial| last(trial.losses()));
        let mut steps: Vec<u64> = cut.filter(|step| *step > 0).collect();
        steps.sort_unstable();
        steps.dedup();
        let n = steps.len();
        if n > STEPS {
            steps = (0..STEPS).map(|i| steps[i * (n - 1) / (STEPS - 1)]).collect();
        }
        let Some(first) = steps.first() else { return Self::default() };
        let curves: Vec<Cow<'_, Losses>> =
            by_end(view).map(|trial| trial.losses_of(objective, view.criteria())).collect();
        let mut early: Vec<f64> = curves.iter().filter_map(|losses| best_until(losses, *first)).collect();
        early.sort_unstable_by(f64::total_cmp);
        let Some(cap) = early.get(early.len() * 3 / 4).copied() else { return Self::default() };
        let end = curves.iter().map(|losses| last(losses)).max().unwrap_or(0);
        let ends = steps.iter().skip(1).copied().chain([end]);
        // Where nobody has gone on yet, a loss may change by half of the distance from the best to the middle.
        let middle = early[early.len() / 2];
        let mut variance = 0.25 * (middle - early[0]) * (middle - early[0]);
        let mut lines = Vec::with_capacity(steps.len());
        for (step, next) in steps.iter().copied().zip(ends) {
            let on = curves.iter().filter(|losses| next > step && last(losses) >= next);
            let pairs = on.filter_map(|losses| {
                Some((best_until(losses, step)?.min(cap), best_until(losses, next)?.min(cap)))
            });
            let line = Line::through(step, &pairs.collect::<Vec<_>>(), variance);
            variance = line.variance;
            lines.push(line);
        }
        Self { lines, end }
    }

    /// What is expected of a trial with these losses; `None` without a finite one.
    pub(crate) fn forecast(&self, losses: &Losses) -> Option<Forecast> {
        let best = best_until(losses, u64::MAX)?;
        let mut forecast = Forecast { loss: best, variance: 0.0 };
        let passed = self.lines.partition_point(|line| line.step <= last(losses));
        // Behind the last step at which anybody was cut, and as far as anybody has come, there is nothing to expect.
        let is_ahead = last(losses) < self.end || self.lines.last().is_some_and(|line| line.step >= self.end);
        let Some(from) = passed.checked_sub(1).filter(|_| is_ahead) else {
            return Some(forecast);
        };
        let mut ahead = self.lines[from..].iter();
        if let Some(line) = ahead.next() {
            // Perhaps it has come a part of the way to the next step already.
            let here = best_until(losses, line.step).unwrap_or(best);
            let loss = line.at(here).min(best);
            forecast = Forecast { loss, variance: line.variance };
        }
        for line in ahead {
            let variance = line.slope * line.slope * forecast.variance + line.variance;
            forecast = Forecast { loss: line.at(forecast.loss), variance };
        }
        Some(forecast)
    }
}

impl Line {
    /// The line through pairs of losses, here and at the next step; `prior` is the variance that is expected.
    fn through(step: u64, pairs: &[(f64, f64)], prior: f64) -> Self {
        if pairs.is_empty() {
            return Self { step, from: 0.0, to: 0.0, slope: 1.0, variance: prior };
        }
        let n = pairs.len() as f64;
        let from = pairs.iter().map(|pair| pair.0).sum::<f64>() / n;
        let to = pairs.iter().map(|pair| pair.1).sum::<f64>() / n;
        let spread: f64 = pairs.iter().map(|pair| (pair.0 - from) * (pair.0 - from)).sum();
        let common: f64 = pairs.iter().map(|pair| (pair.0 - from) * (pair.1 - to)).sum();
        let weight = PRIOR * spread / n;
        let slope = if spread > 0.0 { ((common + weight) / (spread + weight)).clamp(0.0, 2.0) } else { 1.0 };
        let rest = |pair: &(f64, f64)| pair.1 - to - slope * (pair.0 - from);
        let squares: f64 = pairs.iter().map(|pair| rest(pair) * rest(pair)).sum();
        Self { step, from, to, slope, variance: (squares + PRIOR * prior) / (n + PRIOR) }
    }

    fn at(&self, loss: f64) -> f64 {
        self.to + self.slope * (loss - self.from)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use luthier_core::testing::Played;
    use luthier_core::{Direction, History, TrialId};

    use super::*;

    /// A history of these curves; those shorter than the longest are paused.
    fn history(curves: &[&[f64]]) -> History {
        let longest = curves.iter().map(|curve| curve.len()).max().unwrap();
        let mut played = Played::new();
        for curve in curves {
            let trial = played.begun(None, curve);
            if curve.len() < longest {
                played.pause(trial);
            } else {
                played.complete(trial, *curve.last().unwrap());
            }
        }
        played.0
    }

    fn forecasts(curves: &[&[f64]]) -> Vec<f64> {
        let history = history(curves);
        let fitted = Curves::new(&history.view());
        curves
            .iter()
            .enumerate()
            .map(|(i, _)| {
                let view = history.view();
                let losses = view.get_unfinished(TrialId(i as u64)).map(|trial| trial.losses().to_vec());
                let losses = losses
                    .or_else(|| view.finished().find(|t| t.id().0 == i as u64).map(|t| t.losses().to_vec()));
                fitted.forecast(&losses.unwrap()).map_or(f64::NAN, |forecast| forecast.loss)
            })
            .collect()
    }

    #[test]
    fn who_was_cut_is_expected_to_go_on_as_the_others_did() {
        // Both went down by 0.4 from the first step to the second; so does the one that paused.
        let expected = forecasts(&[&[0.9, 0.5], &[0.8, 0.4], &[0.7], &[f64::NAN]]);
        assert!((expected[2] - 0.3).abs() < 1e-12, "{expected:?}");
        assert_eq!(expected[..2], [0.5, 0.4]);
        assert!(expected[3].is_nan());
    }

    #[test]
    fn a_chain_of_steps_leads_to_the_last() {
        // -0.2 to step 2, then -0.1 to step 3.
        let expected = forecasts(&[&[0.6, 0.4, 0.3], &[0.7, 0.5], &[0.9]]);
        assert!((expected[1] - 0.4).abs() < 1e-12 && (expected[2] - 0.6).abs() < 1e-12, "{expected:?}");
    }

    #[test]
    fn the_slope_is_that_of_ridge_regression_towards_one() {
        // Deviations of 1 here are deviations of 0.5 at the next step: (1 + 2) / (2 + 2) with the weight of two trials.
        let expected = forecasts(&[&[2.0, 1.0], &[4.0, 2.0], &[3.5]]);
        assert!((expected[2] - (1.5 + 0.75 * 0.5)).abs() < 1e-12, "{expected:?}");
    }

    #[test]
    fn without_anybody_who_went_on_a_loss_stands_for_itself() {
        assert_eq!(forecasts(&[&[0.5], &[0.4], &[0.6, f64::NAN]])[..2], [0.5, 0.4]);
        assert_eq!(Curves::new(&History::new(Direction::Minimize).view()), Curves::default());
    }
}
