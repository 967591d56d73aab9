//! Early stopping, divergence, interruption, pauses and stops.

use std::sync::atomic::Ordering;

use luthier_core::{Direction, Ending, Evaluation, FailCause, Objective, StopReason};
use luthier_train::data::Split;
use luthier_train::{Advance, Checkpoint, Experiment, MetricName};

use crate::common::{
    CNN, FakeTrial, MLP, classes, evaluate, experiment, images, model, numbers, setup, start, subset,
    with_splits,
};

/// The epoch after which early stopping ends a training with these values, written down anew.
fn stops_after(values: &[f64], direction: Direction, patience: usize, min_delta: f64) -> Option<usize> {
    let (mut reference, mut improved) = (f64::INFINITY, 0);
    for (i, value) in values.iter().enumerate() {
        let loss = if direction == Direction::Maximize { -value } else { *value };
        if loss < reference - min_delta {
            (reference, improved) = (loss, i);
        } else if i - improved == patience {
            return Some(i + 1);
        }
    }
    None
}

#[test]
fn early_stopping_waits_for_its_patience() {
    const OVERFITS: &str = r#"
[model]
layers = [{ dense = 32, activation = "relu" }]

[train]
epochs = 40
batch_size = 8
optimizer = { kind = "adam", learning_rate = 0.02 }
"#;
    let mut endings = Vec::new();
    for (objective, patience, min_delta) in
        [("val_loss", 2, 0.0), ("val_loss", 5, 0.0), ("val_loss", 3, 0.05), ("val_accuracy", 3, 0.02)]
    {
        let stopping = format!("early_stopping = {{ patience = {patience}, min_delta = {min_delta} }}");
        let stopped = experiment(&format!("{OVERFITS}{stopping}\n"), classes(160, 0.3), objective);
        let direction = MetricName::parse(objective).expect("a metric").direction();
        let mut trial = FakeTrial::default();
        let evaluation = evaluate(&stopped, &mut trial);
        let mut whole = FakeTrial::default();
        evaluate(&experiment(OVERFITS, classes(160, 0.3), objective), &mut whole);
        let values: Vec<f64> = whole.reports.iter().map(|report| report.1).collect();
        let last = stops_after(&values, direction, patience, min_delta).expect("an early end");
        assert_eq!(trial.reports, whole.reports[..last], "{objective}, {patience}, {min_delta}");
        let best = values[..last].iter().copied().reduce(|a, b| if direction.better(b, a) { b } else { a });
        let best = best.expect("a value");
        let first_best = values.iter().position(|value| *value == best).expect("its epoch") as u64 + 1;
        let Evaluation::Complete { value, step, ending, .. } = evaluation else { panic!("{evaluation:?}") };
        assert_eq!((value, step), (best, Some(first_best)));
        let Ending::EarlyStopped { epoch, cause } = ending else { panic!("{ending:?}") };
        assert_eq!(epoch, last as u64);
        assert!(cause.starts_with(&format!("{objective} was no better than ")), "{cause}");
        assert!(cause.ends_with(&format!(" for {patience} reports")), "{cause}");
        endings.push(last);
    }
    assert!(endings.iter().any(|last| *last != endings[0]), "all ended at the same epoch: {endings:?}");
}

const LINEAR: &str = r"
[train]
epochs = 6
batch_size = 20
";

#[test]
fn divergence_names_its_step() {
    // With 1e200 the first step's weights are infinite. With 1e30 they are about 1e30, the loss, which is
    // computed in double precision, is still finite, and the second step's are infinite.
    for (rate, step) in [("1e200", 2), ("1e30", 3)] {
        let text = format!("{LINEAR}optimizer = {{ kind = \"sgd\", learning_rate = {rate} }}\n");
        let mut run = start(setup(&text, numbers(120), "val_rmse", 1));
        let mut asked = 0;
        let advance = run.advance(&mut || {
            asked += 1;
            false
        });
        assert_eq!(advance.expect("in memory"), Advance::Diverged { epoch: 1, step });
        assert_eq!(asked, step, "it is asked before each step");
        assert_eq!((run.position().epoch, run.best()), (0, None));
    }
}

#[test]
fn divergence_without_a_finite_epoch_is_a_failure() {
    let text = format!("{LINEAR}optimizer = {{ kind = \"sgd\", learning_rate = 1e200 }}\n");
    let mut trial = FakeTrial::default();
    let evaluation = evaluate(&experiment(&text, numbers(120), "val_rmse"), &mut trial);
    assert_eq!(evaluation, Evaluation::Failed(FailCause::Diverged { epoch: 1, step: 2 }));
    assert!(trial.reports.is_empty());
}

#[test]
fn after_a_finite_epoch_divergence_keeps_the_best_weights() {
    let schedule = "schedule = { learning_rate = { kind = \"exponential\", factor = 1e200 } }";
    let text = format!("{LINEAR}optimizer = \"sgd\"\n{schedule}\n");
    let experiment = experiment(&text, numbers(120), "val_rmse");
    let mut trial = FakeTrial::default();
    let evaluation = evaluate(&experiment, &mut trial);
    let steps_per_epoch = experiment.split().train.len().div_ceil(20) as u64;
    let Evaluation::Complete { value, step, ending, .. } = &evaluation else { panic!("{evaluation:?}") };
    assert_eq!(*ending, Ending::Diverged { epoch: 2, step: steps_per_epoch + 2 });
    assert_eq!((*step, *value), (Some(1), trial.reports[0].1));
    assert_eq!(trial.reports.len(), 1);
    let (inputs, targets) = subset(experiment.dataset(), &experiment.split().validation);
    let rmse = model(&evaluation)
        .evaluate(&inputs, &targets)
        .expect("in memory")
        .metrics
        .get("rmse")
        .expect("a metric");
    assert!((rmse - value).abs() <= 1e-12, "{rmse}, expected {value}");
}

#[test]
fn an_interrupted_trial_goes_on_to_the_same_end() {
    let experiment = experiment(MLP, classes(240, 0.05), "val_loss");
    let mut whole = FakeTrial { seed: 4, ..FakeTrial::default() };
    let expected = evaluate(&experiment, &mut whole);
    let questions = whole.asked.load(Ordering::Relaxed);
    let per_epoch = questions / 6;
    // Before the first step; in the first epoch; in the third; before its validation; at the last question.
    for after in [0, 5, 25, 3 * per_epoch - 1, questions - 1] {
        let mut trial = FakeTrial { seed: 4, interrupt_after: Some(after), ..FakeTrial::default() };
        assert_eq!(evaluate(&experiment, &mut trial), Evaluation::Paused, "interrupted after {after}");
        assert_eq!(trial.reports.len() as u64, after / per_epoch);
        assert_eq!(trial.checkpoints, 1);
        trial.interrupt_after = None;
        assert!(evaluate(&experiment, &mut trial) == expected, "interrupted after {after}: another end");
        assert_eq!(trial.reports, whole.reports);
    }
}

#[test]
fn a_trial_that_wants_a_checkpoint_gets_one_at_every_place_and_no_second_one() {
    let experiment = experiment(MLP, classes(240, 0.05), "val_loss");
    let expected = evaluate(&experiment, &mut FakeTrial { seed: 4, ..FakeTrial::default() });
    let mut trial = FakeTrial { seed: 4, wants_checkpoint: true, ..FakeTrial::default() };
    assert!(evaluate(&experiment, &mut trial) == expected, "another end");
    let steps = 6 * experiment.split().train.len().div_ceil(16) as u64;
    // Before the first step, after each, and after each report.
    assert_eq!(trial.checkpoints, 1 + steps + 6);
    let last = Checkpoint::from_bytes(&trial.checkpoint.expect("a checkpoint"));
    let last = last.expect("a whole one");
    assert!(last.has_ended());
    assert_eq!(last.position().report, 6);
}

#[test]
fn a_trial_pauses_where_it_is_told_to() {
    let experiment = experiment(CNN, images(96), "val_accuracy");
    let expected = evaluate(&experiment, &mut FakeTrial::default());
    let mut trial = FakeTrial { until: Some(2), ..FakeTrial::default() };
    assert_eq!(evaluate(&experiment, &mut trial), Evaluation::Paused);
    assert_eq!((trial.reports.len(), trial.checkpoints), (2, 1));
    trial.until = Some(6);
    assert!(evaluate(&experiment, &mut trial) == expected, "another end");
    assert_eq!(trial.reports.len(), 6);
}

#[test]
fn a_trial_stops_where_a_report_is_answered_so() {
    let mut trial = FakeTrial { stop_at: Some(3), ..FakeTrial::default() };
    let evaluation = evaluate(&experiment(MLP, classes(240, 0.05), "val_loss"), &mut trial);
    assert_eq!(evaluation, Evaluation::Stopped(StopReason::Requested));
    assert_eq!(trial.reports.len(), 3);
}

#[test]
fn a_checkpoint_that_cannot_be_taken_up_blames_no_trial() {
    let mut trial = FakeTrial { checkpoint: Some(b"nonsense".to_vec()), ..FakeTrial::default() };
    let error =
        experiment(MLP, classes(240, 0.05), "val_loss").evaluate(&mut trial).expect_err("no checkpoint");
    assert!(error.to_string().contains("trial 0 cannot go on from its checkpoint"), "{error}");
    assert!(error.source.is_some());
}

// Folds

const FOLDS: &str =
    "[model]\nlayers = [{ dense = 6 }, { dropout = 0.2 }]\n[train]\nepochs = 3\noptimizer = \"adam\"\n";

/// The rows of one of three folds.
fn fold(fold: usize) -> Split {
    let (validation, train) = (0..90).partition(|row| row % 3 == fold);
    Split { train, validation, test: (90..120).collect() }
}

fn folds() -> Experiment {
    with_splits(FOLDS, classes(120, 0.2), (0..3).map(fold).collect(), "val_loss")
}

#[test]
fn each_fold_is_a_report_and_the_value_is_the_mean() {
    let experiment = folds();
    assert_eq!(experiment.folds(), 3);
    let mut trial = FakeTrial::default();
    let evaluation = evaluate(&experiment, &mut trial);
    let model = model(&evaluation);
    let Evaluation::Complete { value, step, ending: Ending::Full, .. } = evaluation else {
        panic!("{evaluation:?}")
    };
    assert_eq!(step, Some(3));
    // What each fold comes to by itself.
    let single = |number: usize| {
        let one = with_splits(FOLDS, classes(120, 0.2), vec![fold(number)], "val_loss");
        let evaluation = evaluate(&one, &mut FakeTrial::default());
        let Evaluation::Complete { value, .. } = evaluation else { panic!("{evaluation:?}") };
        value
    };
    let values: Vec<f64> = (0..3).map(single).collect();
    assert!((value - values.iter().sum::<f64>() / 3.0).abs() < 1e-12, "{value}: {values:?}");
    let means: Vec<f64> = (1..=3).map(|n| values[..n].iter().sum::<f64>() / n as f64).collect();
    for ((step, reported), (number, mean)) in trial.reports.iter().zip(means.iter().enumerate()) {
        assert_eq!(*step, number as u64 + 1);
        assert!((reported - mean).abs() < 1e-12);
    }
    let mut sorted = values;
    sorted.sort_by(f64::total_cmp);
    assert_eq!(model.metrics().get("val_loss"), Some(sorted[1]), "the model is that of the median fold");
}

#[test]
fn a_trial_of_folds_goes_on_where_it_was_interrupted() {
    let experiment = folds();
    let mut whole = FakeTrial { seed: 4, ..FakeTrial::default() };
    let expected = evaluate(&experiment, &mut whole);
    let questions = whole.asked.load(Ordering::Relaxed);
    for after in (0..questions).step_by(4).chain([questions - 1]) {
        let mut trial = FakeTrial { seed: 4, interrupt_after: Some(after), ..FakeTrial::default() };
        assert_eq!(evaluate(&experiment, &mut trial), Evaluation::Paused, "interrupted after {after}");
        trial.interrupt_after = None;
        assert!(evaluate(&experiment, &mut trial) == expected, "interrupted after {after}: another end");
        assert_eq!(trial.reports, whole.reports);
    }
    let mut trial = FakeTrial { seed: 4, until: Some(2), ..FakeTrial::default() };
    assert_eq!(evaluate(&experiment, &mut trial), Evaluation::Paused);
    assert_eq!(trial.reports.len(), 2);
    trial.until = None;
    assert!(evaluate(&experiment, &mut trial) == expected, "paused after two folds: another end");
}
