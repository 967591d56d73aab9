//! The process is that of scikit-learn, and its slopes are those of differences.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::{Condition, Distribution, Parameter, Purpose, Space, Streams};

use super::super::tests::{fixture, numbers};
use super::*;
use crate::sampler::gp::Posterior;

fn rows(value: &serde_json::Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn space() -> Space {
    Space::new([
        Parameter::new("x", Distribution::float(0.0, 1.0)),
        Parameter::new("y", Distribution::float(0.0, 1.0)),
        Parameter::new("kind", Distribution::choice(["a", "b", "c"])),
    ])
    .unwrap()
}

#[test]
fn likelihood_and_predictions_are_those_of_scikit_learn() {
    let case = &fixture()["process"];
    let space = space();
    let features = Features::new(&space);
    let mut theta = Hyperparameters::prior(&features);
    for (theta, length) in theta.theta.iter_mut().zip(numbers(&case["lengths"])) {
        *theta = libm::log(length);
    }
    let n = theta.theta.len();
    theta.theta[n - 2] = libm::log(case["scale"].as_f64().unwrap());
    theta.theta[n - 1] = libm::log(case["noise"].as_f64().unwrap());
    let (observed, y) = (rows(&case["rows"]), numbers(&case["y"]));

    let prior = theta.log_prior(&mut vec![0.0; n]);
    let likelihood = log_posterior(&features, &observed, &y, &theta).0 - prior;
    let expected = case["log_likelihood"].as_f64().unwrap();
    assert!((likelihood - expected).abs() < 1e-9 * expected.abs(), "{likelihood} and {expected}");

    let posterior = Posterior::new(&features, theta, &observed, &y).unwrap();
    let (means, deviations) = (numbers(&case["means"]), numbers(&case["deviations"]));
    for (row, (mean, deviation)) in rows(&case["at"]).iter().zip(means.iter().zip(deviations)) {
        let found = posterior.predict(row);
        assert!((found.mean - mean).abs() < 1e-9, "{found:?} and {mean}");
        assert!((found.deviation - deviation).abs() < 1e-9, "{found:?} and {deviation}");
    }
}

/// A space with every kind of column, rows of it, and losses.
pub(in crate::sampler::gp) fn conditional() -> (Space, Vec<Vec<f64>>, Vec<f64>) {
    let space = Space::new([
        Parameter::new("kind", Distribution::choice(["a", "b", "c"])),
        Parameter::new("x", Distribution::float(0.0, 1.0)),
        Parameter::new("layers", Distribution::int(1, 3)),
        Parameter::new("y", Distribution::float(0.0, 1.0))
            .when(Condition::AtLeast { param: "layers".into(), value: 2 }),
        Parameter::new("fixed", Distribution::int(4, 4)),
    ])
    .unwrap();
    let mut rng = Streams::new(1).at(Purpose::Sampler, 0);
    let features = Features::new(&space);
    let rows: Vec<Vec<f64>> =
        (0..20).map(|_| features.row(&space.sample(&mut rng)).expect("a row of the space")).collect();
    let y = rows.iter().map(|row| libm::sin(4.0 * row[1]) + 0.5 * row[0] + row[3] * row[4]).collect();
    (space, rows, y)
}

#[test]
fn the_gradient_is_that_of_differences() {
    let (space, rows, y) = conditional();
    let features = Features::new(&space);
    assert_eq!((features.columns.len(), features.lengths, features.warps), (5, 4, 3));
    let mut theta = Hyperparameters::prior(&features);
    for (i, theta) in theta.theta.iter_mut().enumerate() {
        *theta += 0.3 * libm::sin(i as f64) - 0.5;
    }
    let (_, gradient) = log_posterior(&features, &rows, &y, &theta);
    for (i, slope) in gradient.iter().enumerate() {
        let at = |by: f64| {
            let mut theta = theta.clone();
            theta.theta[i] += by;
            log_posterior(&features, &rows, &y, &theta).0
        };
        let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((slope - difference).abs() < 1e-5 * (1.0 + difference.abs()), "{i}: {slope} {difference}");
    }
}

#[test]
fn the_fit_is_more_likely_than_its_start() {
    let (space, rows, y) = conditional();
    let features = Features::new(&space);
    let before = log_posterior(&features, &rows, &y, &Hyperparameters::prior(&features)).0;
    let after = log_posterior(&features, &rows, &y, &fit(&features, &rows, &y)).0;
    assert!(after > before + 5.0, "{before} {after}");
}
