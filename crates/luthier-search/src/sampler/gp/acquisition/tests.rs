//! The logarithm of the improvement is right where the improvement itself vanishes.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use super::super::tests::{fixture, numbers};
use super::*;

#[test]
fn values_are_those_of_sixty_digits() {
    for case in fixture()["log_h"].as_array().unwrap() {
        let [z, expected] = numbers(case)[..] else { panic!("two numbers") };
        let (found, _) = log_h(z);
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{z}: {found} and {expected}");
    }
}

#[test]
fn slopes_are_those_of_differences() {
    for (best, mean, deviation) in [(0.0, 0.5, 0.3), (0.0, -1.0, 0.7), (-2.0, 3.0, 0.15), (0.0, 9.0, 0.3)] {
        let at = |mean, deviation| log_improvement(best, Prediction { mean, deviation });
        let h = 1e-6;
        let (value, by_mean, by_deviation) =
            log_improvement_with_slopes(best, Prediction { mean, deviation });
        assert_eq!(value, at(mean, deviation));
        let mean_difference = (at(mean + h, deviation) - at(mean - h, deviation)) / (2.0 * h);
        let difference = (at(mean, deviation + h) - at(mean, deviation - h)) / (2.0 * h);
        assert!((by_mean / mean_difference - 1.0).abs() < 1e-4, "{by_mean} {mean_difference}");
        assert!((by_deviation / difference - 1.0).abs() < 1e-4, "{by_deviation} {difference}");
    }
}
