//! Predictions are those of differences, of the process without an observation, and of beliefs.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use super::super::model::fit;
use super::super::model::tests::conditional;
use super::*;

#[test]
fn slopes_of_predictions_are_those_of_differences() {
    let (space, rows, y) = conditional();
    let features = Features::new(&space);
    let theta = fit(&features, &rows, &y);
    let posterior = Posterior::new(&features, theta, &rows, &y).unwrap();
    let row = [1.0, 0.42, 0.5, 0.77, 1.0];
    let (here, means, deviations) = posterior.predict_with_slopes(&row);
    assert_eq!(here, posterior.predict(&row));
    for c in [1, 2, 3] {
        let at = |by: f64| {
            let mut row = row;
            row[c] += by;
            posterior.predict(&row)
        };
        let (high, low) = (at(1e-6), at(-1e-6));
        let (mean, deviation) = ((high.mean - low.mean) / 2e-6, (high.deviation - low.deviation) / 2e-6);
        assert!((means[c] - mean).abs() < 1e-5, "{c}: {} {mean}", means[c]);
        assert!((deviations[c] - deviation).abs() < 1e-5, "{c}: {} {deviation}", deviations[c]);
    }
}

#[test]
fn a_running_trial_leaves_the_means_and_is_certain() {
    let (space, rows, y) = conditional();
    let features = Features::new(&space);
    let theta = fit(&features, &rows, &y);
    let mut posterior = Posterior::new(&features, theta, &rows, &y).unwrap();
    let (there, elsewhere) = ([2.0, 0.9, 0.5, 0.1, 1.0], [0.0, 0.1, 0.5, 0.6, 1.0]);
    let before = (posterior.predict(&there), posterior.predict(&elsewhere));
    posterior.believe(&there).unwrap();
    let after = (posterior.predict(&there), posterior.predict(&elsewhere));
    assert!((before.0.mean - after.0.mean).abs() < 1e-12 && (before.1.mean - after.1.mean).abs() < 1e-12);
    assert!(after.0.deviation < before.0.deviation && after.1.deviation <= before.1.deviation);
}

#[test]
fn what_is_left_out_is_predicted_as_if_it_had_not_been_there() {
    let (space, rows, mut y) = conditional();
    let features = Features::new(&space);
    let theta = fit(&features, &rows, &y);
    let posterior = Posterior::new(&features, theta.clone(), &rows, &y).unwrap();
    // The mean is that of all: it is taken away, so that the process of the others has none to estimate.
    for y in &mut y {
        *y -= posterior.mean;
    }
    let left_out = posterior.leave_one_out(&y);
    for i in [0, 7, 19] {
        let (mut others, mut losses) = (rows.clone(), y.clone());
        others.remove(i);
        losses.remove(i);
        let mut without = Posterior::new(&features, theta.clone(), &others, &losses).unwrap();
        without.solved = without.factor.solve(&losses);
        without.mean = 0.0;
        let expected = without.predict(&rows[i]).mean;
        assert!((left_out[i] - expected).abs() < 1e-9, "{i}: {} {expected}", left_out[i]);
    }
}
