//! Early stopping: patience, bounds, time, and what is tried first.

use super::*;
use crate::fixture::{refusal, setting};
use crate::settings::TrainConfig;

const STANDING: Standing<'static> =
    Standing { objective: "val_accuracy", elapsed: Duration::ZERO, batch_size: 32, examples: 1_000 };

/// The verdicts on these values of the monitored metric; smaller is better only for losses.
fn verdicts(config: &str, values: &[f64]) -> Vec<Verdict> {
    let config: EarlyStopping = setting(config);
    let mut stopper = Stopper::default();
    let mut standing = STANDING;
    let mut given = Vec::new();
    for value in values {
        let reading = |name: &str| {
            let direction = if name.ends_with("loss") { Direction::Minimize } else { Direction::Maximize };
            Some(Reading { value: *value, direction })
        };
        let verdict = stopper.observe(&config, &reading, &standing);
        if let Verdict::GrowBatch { factor, max } = verdict {
            standing.batch_size = ((standing.batch_size as f64 * factor) as usize).min(max);
        }
        given.push(verdict);
        // All of its state is in what goes into a checkpoint.
        let written = serde_json::to_string(&stopper).expect("JSON");
        stopper = serde_json::from_str(&written).expect("the same");
        if matches!(given.last(), Some(Verdict::Stop(_))) {
            break;
        }
    }
    given
}

/// After how many reports it stops, and why; nothing if it does not.
fn stop(config: &str, values: &[f64]) -> Option<(usize, String)> {
    let verdicts = verdicts(config, values);
    match verdicts.last() {
        Some(Verdict::Stop(cause)) => Some((verdicts.len(), cause.to_string())),
        _ => None,
    }
}

#[test]
fn patience_is_counted_from_the_last_improvement() {
    let config = "{ monitor = \"val_loss\", patience = 2 }";
    let found = stop(config, &[3.0, 2.0, 2.0, 1.5, 1.6, 1.5, 1.4]);
    assert_eq!(found, Some((6, "val_loss was no better than 1.5 for 2 reports".to_owned())));
    assert_eq!(stop(config, &[3.0, 2.0, 2.1, 1.9, 2.0, 1.8]), None);
}

#[test]
fn the_objective_is_watched_where_no_metric_is_named() {
    let (reports, cause) = stop("{ patience = 1 }", &[0.5, 0.6, 0.6]).expect("a stop");
    assert_eq!((reports, cause.as_str()), (3, "val_accuracy was no better than 0.6 for 1 report"));
}

#[test]
fn changes_below_the_smallest_are_no_improvements() {
    let config = "{ monitor = \"val_loss\", patience = 3, min_delta = 0.1 }";
    // Small steps add up to an improvement against the value that was last an improvement.
    assert_eq!(stop(config, &[1.0, 0.95, 0.91, 0.89, 0.85, 0.82, 0.78, 0.77]), None);
    assert_eq!(stop(config, &[1.0, 0.99, 0.98, 0.97]).map(|(reports, _)| reports), Some(4));
}

#[test]
fn bounds_stop_in_either_direction() {
    let found = stop("{ stop_above = 0.99 }", &[0.9, 0.99, 0.995]);
    assert_eq!(found, Some((3, "val_accuracy is 0.995, above 0.99".to_owned())));
    let found = stop("{ monitor = \"val_loss\", stop_below = 0.1, stop_above = 10 }", &[5.0, 0.05]);
    assert_eq!(found, Some((2, "val_loss is 0.05, below 0.1".to_owned())));
    let found = stop("{ monitor = \"val_loss\", stop_below = 0.1, stop_above = 10 }", &[50.0]);
    assert_eq!(found, Some((1, "val_loss is 50, above 10".to_owned())));
}

#[test]
fn the_clock_stops_between_reports_too() {
    let config: EarlyStopping = setting("{ time_limit = \"10m\" }");
    let at = |seconds| config.out_of_time(Duration::from_secs(seconds));
    assert_eq!((at(599), at(600)), (None, Some(Cause::TimeLimit { seconds: 600.0 })));
    let standing = Standing { elapsed: Duration::from_secs(700), ..STANDING };
    let verdict = Stopper::default().observe(&config, &|_| None, &standing);
    assert_eq!(verdict, Verdict::Stop(Cause::TimeLimit { seconds: 600.0 }));
    let without: EarlyStopping = setting("{ patience = 3 }");
    assert_eq!(without.out_of_time(Duration::MAX), None);
}

#[test]
fn a_metric_that_is_no_number_stops_or_is_waited_out() {
    let found = stop("{ patience = 5 }", &[0.5, f64::NAN]);
    assert_eq!(found, Some((2, "val_accuracy is no finite number".to_owned())));
    assert_eq!(stop("{ patience = 5 }", &[f64::INFINITY]).map(|(reports, _)| reports), Some(1));
    let patient = "{ patience = 2, nan = \"ignore\" }";
    assert_eq!(stop(patient, &[f64::NAN, 0.5, f64::NAN, 0.6]), None);
    let found = stop(patient, &[f64::NAN, f64::INFINITY]);
    assert_eq!(found, Some((2, "val_accuracy was no better for 2 reports".to_owned())));
}

#[test]
fn remedies_come_first_and_one_after_the_other() {
    let config = "{ patience = 1, first = [{ lower_rate = 0.1, times = 2 }, { grow_batch = 4, max = 100, times = 5 }] }";
    let grow = Verdict::GrowBatch { factor: 4.0, max: 100 };
    let lower = Verdict::LowerRate(0.1);
    let found = verdicts(config, &[0.5, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]);
    assert_eq!(found[..5], [Verdict::Continue, lower.clone(), Verdict::Continue, lower, grow.clone()]);
    // 32, 100 after one growth: a second would change nothing, so it is not tried.
    let Verdict::Stop(cause) = &found[5] else { panic!("{found:?}") };
    assert_eq!(
        cause.to_string(),
        "val_accuracy was no better than 0.6 for 1 report, even after 3 changes of the learning rate or batch size"
    );
    let one = verdicts("{ patience = 2, first = { grow_batch = 2.0 } }", &[0.5; 5]);
    assert_eq!(one[2], Verdict::GrowBatch { factor: 2.0, max: 1_000 });
    assert!(matches!(one[4], Verdict::Stop(Cause::NoImprovement { reports: 2, remedies: 1, .. })));
}

#[test]
fn a_report_without_the_metric_counts_for_nothing() {
    let config: EarlyStopping = setting("{ patience = 1 }");
    let mut stopper = Stopper::default();
    for _ in 0..3 {
        assert_eq!(stopper.observe(&config, &|_| None, &STANDING), Verdict::Continue);
    }
    assert_eq!(stopper, Stopper::default());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (config, expected) in [
        ("{ patence = 2 }", "did you mean `patience`?"),
        ("{ patience = 0 }", "a whole number of 1 or more"),
        ("{ patience = 1, time_limit = 10 }", "a time such as"),
        ("{ patience = 1, nan = \"go on\" }", "one of stop, ignore"),
        ("{ patience = 1, first = { lower_rate = 2 } }", "above 0 and below 1"),
        ("{ patience = 1, first = { grow_batch = 1 } }", "a number above 1"),
        ("{ patience = 1, first = { lower_rat = 0.1 } }", "did you mean `lower_rate`?"),
        ("{ patience = 1, first = \"lower_rate\" }", "or a list of them"),
    ] {
        let found = refusal::<EarlyStopping>(config);
        assert!(found.contains(expected), "{config}: {found}");
    }
    let train = |stopping: &str| {
        refusal::<TrainConfig>(&format!("{{ epochs = 1, optimizer = \"sgd\", early_stopping = {stopping} }}"))
    };
    assert_eq!(train("{ patience = 1 }"), "");
    for senseless in ["{ min_delta = 0.1 }", "{ stop_above = 1, first = { lower_rate = 0.1 } }"] {
        let found = train(senseless);
        assert!(found.contains("at least one of patience, stop_above, stop_below and time_limit"), "{found}");
    }
}
