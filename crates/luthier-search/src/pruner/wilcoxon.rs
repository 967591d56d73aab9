//! Wilcoxon's signed-rank test against the best trial, where each step is another instance of the same task: a fold, a seed, a
//! data set.
//!
//! A report at step s is the mean over the first s instances, as with Luthier's own folds, so that the last one is the value of
//! the trial. From two reports in a row, at steps a < b with the means m, follows the mean of the instances between:
//! `(b m_b - a m_a) / (b - a)`. The means themselves hang together, and a test on them would stop a third to a half of
//! equally good trials.
//!
//! Wilcoxon 1945, "Individual comparisons by ranking methods"; as a pruner in Optuna. Symbols: `d_s` is the loss of the
//! trial on instance s minus that of the best trial on the same one, for the n instances that both have; W the sum of the ranks of |`d_s`|
//! over `d_s` > 0, equal ones sharing the mean of their ranks, and half of the ranks of `d_s` = 0 ("zsplit" in SciPy). The
//! trial is stopped if its mean loss is worse and the chance of so large a W, were the two equally good, is below p. Up to
//! n = 50 without ties and zeros the chance is exact; else normal, with the variance corrected for ties.
//!
//! Complexity: O(n²) exact, O(n log n) else.

use std::f64::consts::FRAC_1_SQRT_2;

use luthier_core::config::Bound;
use luthier_core::{Decision, Pruner, Rng, StopReason, Unfinished, View};

/// Up to so many differences the distribution is counted out.
const EXACT: usize = 50;

/// What rounding may do to a loss that is found from means, as a share of the largest loss.
const ROUNDING: f64 = 1e-9;

const CHANCE: Bound<f64> =
    Bound { expected: "a number above 0 and below 1", holds: |x| *x > 0.0 && *x < 1.0 };

luthier_core::settings! {
    /// Stops a trial that is significantly worse than the best one, where each step is another fold, seed or instance
    /// and a report is the mean of those so far.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Wilcoxon {
        /// The chance below which a difference counts: small values keep more trials.
        p: f64 = 0.1, CHANCE;
        /// Instances that both trials must have before any is stopped.
        startup_steps: usize = 2;
    }
}

impl Pruner for Wilcoxon {
    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, _: &mut Rng) -> Decision {
        // One that misses a constraint on results is no standard for others.
        let kept = view.finished().filter(luthier_core::FinishedTrial::keeps_constraints);
        let complete = kept.filter_map(|trial| Some((trial.loss()?, trial)));
        let best = complete.filter(|(loss, _)| loss.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0));
        let (Some((_, best)), Some(&(step, _))) = (best, trial.losses().last()) else {
            return Decision::Continue;
        };
        let differences = differences(trial.losses(), best.losses());
        let behind = differences.iter().sum::<f64>() > 0.0;
        if differences.len() < self.startup_steps.max(1) || !behind {
            return Decision::Continue;
        }
        let p = chance(&differences);
        if p < self.p {
            Decision::Stop(StopReason::WorseThanBest { step, best: best.id(), p })
        } else {
            Decision::Continue
        }
    }
}

/// The differences on the instances that both have, those that are equal but for rounding as equal numbers.
fn differences(trial: &[(u64, f64)], best: &[(u64, f64)]) -> Vec<f64> {
    let best: Vec<(u64, f64)> = instances(best).collect();
    let pairs = instances(trial).filter_map(|(step, loss)| {
        let at = best.binary_search_by_key(&step, |instance| instance.0).ok()?;
        Some((loss, best[at].1)).filter(|(a, b)| a.is_finite() && b.is_finite())
    });
    let pairs: Vec<(f64, f64)> = pairs.collect();
    let largest = pairs.iter().fold(0.0_f64, |most, (a, b)| most.max(a.abs()).max(b.abs()));
    let unit = if largest > 0.0 { ROUNDING * largest } else { 1.0 };
    pairs.iter().map(|(a, b)| unit * ((a - b) / unit).round()).filter(|d| d.is_finite()).collect()
}

/// The losses on each instance, from their means so far.
fn instances(means: &[(u64, f64)]) -> impl Iterator<Item = (u64, f64)> {
    let before = std::iter::once((0, 0.0)).chain(means.iter().copied());
    before.zip(means).map(|((a, before), (b, mean))| {
        let sum = *b as f64 * mean - a as f64 * before;
        (*b, sum / (*b - a).max(1) as f64)
    })
}

/// The chance of a W at least as large as that of these differences, if each had either sign with equal chance.
fn chance(differences: &[f64]) -> f64 {
    let n = differences.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| differences[*a].abs().total_cmp(&differences[*b].abs()).then(a.cmp(b)));
    let mut ranks = vec![0.0; n];
    let (mut ties, mut at) = (0.0, 0);
    let mut is_plain = differences.iter().all(|d| *d != 0.0);
    while at < n {
        let size = differences[order[at]].abs();
        let end = (at..n).find(|i| differences[order[*i]].abs() != size).unwrap_or(n);
        let count = (end - at) as f64;
        for i in &order[at..end] {
            ranks[*i] = 0.5 * (at + 1 + end) as f64;
        }
        ties += count * (count * count - 1.0);
        is_plain &= end - at == 1;
        at = end;
    }
    let share = |d: f64| {
        if d > 0.0 {
            1.0
        } else if d == 0.0 {
            0.5
        } else {
            0.0
        }
    };
    let w: f64 = differences.iter().zip(&ranks).map(|(d, rank)| share(*d) * rank).sum();
    let m = n as f64;
    if is_plain && n <= EXACT {
        return exact(n, w as usize);
    }
    let mean = 0.25 * m * (m + 1.0);
    let variance = (m * (m + 1.0) * (2.0 * m + 1.0) - 0.5 * ties) / 24.0;
    if variance <= 0.0 {
        return 1.0;
    }
    0.5 * libm::erfc((w - mean) / variance.sqrt() * FRAC_1_SQRT_2)
}

/// The share of all sign patterns of n ranks whose positive ones add up to `w` or more.
fn exact(n: usize, w: usize) -> f64 {
    let total = n * (n + 1) / 2;
    // How many patterns have each sum, as shares, so that nothing overflows.
    let mut shares = vec![0.0; total + 1];
    shares[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..=total).rev() {
            let with = if sum >= rank { shares[sum - rank] } else { 0.0 };
            shares[sum] = 0.5 * (shares[sum] + with);
        }
    }
    shares[w..].iter().sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use super::*;
    use luthier_core::testing::Played;
    use luthier_core::{Constraint, Criteria, Direction, History};

    #[test]
    fn the_chance_is_that_of_scipy() {
        // scripts/search/wilcoxon_fixtures.py
        let cases: serde_json::Value = serde_json::from_str(include_str!("wilcoxon_fixtures.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let differences: Vec<f64> =
                case["differences"].as_array().unwrap().iter().map(|d| d.as_f64().unwrap()).collect();
            let expected = case["p"].as_f64().unwrap();
            let found = chance(&differences);
            assert!((found - expected).abs() < 1e-12, "{differences:?}: {found}, expected {expected}");
        }
        assert_eq!(cases.as_array().unwrap().len(), 12);
    }

    /// The means so far.
    fn means(instances: &[f64]) -> Vec<f64> {
        (1..=instances.len()).map(|n| instances[..n].iter().sum::<f64>() / n as f64).collect()
    }

    #[test]
    fn who_is_worse_than_the_best_on_most_instances_stops() {
        let wilcoxon = Wilcoxon { p: 0.1, startup_steps: 2 };
        let mut played = Played::new();
        let best = played.whole(&means(&[0.1, 0.2, 0.3, 0.4, 0.5]));
        played.whole(&means(&[0.9, 0.9, 0.9, 0.9, 0.9]));
        let worse = played.begun(None, &means(&[0.2, 0.4, 0.6, 0.8]));
        // One of 2^4 patterns of signs is as bad.
        let reason = StopReason::WorseThanBest { step: 4, best, p: 0.0625 };
        assert_eq!(played.decide(&wilcoxon, worse), Decision::Stop(reason));
        let few = played.begun(None, &means(&[0.2, 0.4, 0.6]));
        let better = played.begun(None, &means(&[0.0, 0.1, 0.2, 0.3]));
        let mixed = played.begun(None, &means(&[0.2, 0.1, 0.5, 0.35]));
        for trial in [few, better, mixed] {
            assert_eq!(played.decide(&wilcoxon, trial), Decision::Continue);
        }
    }

    #[test]
    fn who_misses_a_limit_on_results_is_no_standard() {
        let limit = Constraint::parse("megabytes <= 10").unwrap();
        let criteria = Criteria { objectives: Vec::new(), constraints: vec![limit] };
        for (megabytes, stops) in [(1.0, true), (99.0, false)] {
            let mut played = Played(History::new(Direction::Minimize).with_criteria(criteria.clone()));
            let first = played.start(None);
            for step in 1..=6 {
                played.report_with(first, step, 0.1, &[("megabytes", megabytes)]);
            }
            played.complete(first, 0.1);
            let second = played.start(None);
            for step in 1..=6 {
                played.report_with(second, step, 0.5, &[("megabytes", 1.0)]);
            }
            let pruner = Wilcoxon { p: 0.1, startup_steps: 2 };
            assert_eq!(matches!(played.decide(&pruner, second), Decision::Stop(_)), stops, "{megabytes}");
        }
    }

    #[test]
    fn losses_are_found_again_from_their_means() {
        let (a, b) = ([0.3, 0.1, 0.7, 0.2, 0.9], [0.1, 0.1, 0.5, 0.4, 0.3]);
        let at = |instances: &[f64]| -> Vec<(u64, f64)> { (1..).zip(means(instances)).collect() };
        let found = differences(&at(&a), &at(&b));
        for (found, (a, b)) in found.iter().zip(a.iter().zip(b)) {
            assert!((found - (a - b)).abs() < 1e-8, "{found} {a} {b}");
        }
        // Equal ones are told from others.
        assert_eq!((found[1], found[0].abs()), (0.0, found[3].abs()));
    }

    #[test]
    fn equally_good_trials_are_stopped_about_as_often_as_p_says() {
        // By the last of five folds; each look is one chance more, so that it comes to somewhat more than p.
        let (wilcoxon, studies) = (Wilcoxon { p: 0.1, startup_steps: 2 }, 400);
        let stopped = (0..studies).filter(|study| {
            let mut rng = luthier_core::Streams::new(*study).at(luthier_core::Purpose::Data, 0);
            let mut draw = || -> Vec<f64> { (0..5).map(|_| rng.uniform()).collect() };
            let mut played = Played::new();
            played.whole(&means(&draw()));
            let trial = draw();
            (2..=5).any(|n| {
                let begun = played.begun(None, &means(&trial)[..n]);
                played.decide(&wilcoxon, begun) != Decision::Continue
            })
        });
        let share = stopped.count() as f64 / studies as f64;
        assert!((0.05..0.17).contains(&share), "{share}");
    }
}
