//! Forks: a checkpoint that goes on under other values.

use luthier_train::{Checkpoint, Run};

use crate::checkpoints::{after, bytes_of, changed};
use crate::common::{MLP, classes, finish, mlp, setup, start, state, state_of, trace, train, with_seed};

#[test]
fn a_fork_goes_on_under_other_values_with_other_draws() {
    let run = after(3);
    let checkpoint = run.checkpoint();
    let seed = checkpoint.fork_seed();
    assert_ne!(seed, 5);
    assert_eq!(seed, after(3).checkpoint().fork_seed(), "it follows from the checkpoint");
    assert_ne!(seed, after(2).checkpoint().fork_seed());
    let fork = |from: &str, to: &str| {
        let setup = with_seed(changed(from, to), seed);
        Run::fork(setup, &checkpoint).expect("a fork")
    };
    let mut forks = Vec::new();
    for (name, from, to) in [
        ("another rate", "learning_rate = 0.01", "learning_rate = 0.002"),
        ("another optimizer", "kind = \"adam\"", "kind = \"sgd\""),
        ("another memory", "kind = \"adam\"", "kind = \"adam\", amsgrad = true"),
        ("averages", "[train]", "[train]\nema = { decay = 0.9 }"),
        ("a penalty", "[train]", "[train]\nregularize = { l2 = 1e-3, react = { } }"),
        ("another batch size", "batch_size = 16", "batch_size = { noise_scale = { min = 4, max = 32 } }"),
        ("a longer training", "epochs = 6", "epochs = 8"),
        ("more dropout", "dropout = 0.3", "dropout = 0.5"),
    ] {
        let mut run = fork(from, to);
        assert_eq!((run.position().epoch, run.best()), (3, checkpoint.best()), "{name}");
        let here = state(&run);
        for (tensor, values) in &state_of(&checkpoint).tensors {
            if tensor.starts_with("now.") || tensor.starts_with("best.") {
                assert_eq!(here.tensors[tensor], *values, "{name}: {tensor}");
            }
        }
        let reports = finish(&mut run);
        let expected = if name == "a longer training" { 5 } else { 3 };
        assert_eq!(reports.len(), expected, "{name}");
        // A fork is a run like any other.
        let checkpoint = Checkpoint::from_bytes(&bytes_of(&fork(from, to))).expect("a checkpoint");
        let mut again = Run::resume(with_seed(changed(from, to), seed), &checkpoint).expect("the same run");
        assert_eq!(finish(&mut again), reports, "{name}");
        forks.push((name, reports));
    }
    let straight = trace(mlp(5)).reports[3..].to_vec();
    for (i, (name, reports)) in forks.iter().enumerate() {
        assert_ne!(*reports, straight, "{name}");
        assert!(forks[..i].iter().all(|(_, others)| others != reports), "{name}");
    }
    // Nothing but the draws are others.
    let mut same = Run::fork(with_seed(mlp(5), seed), &checkpoint).expect("a fork");
    assert_ne!(finish(&mut same), straight);
    let mut same = Run::fork(mlp(5), &checkpoint).expect("a fork");
    assert_eq!(finish(&mut same), straight, "with the old seed and the old values it is the old run");
}

#[test]
fn the_averages_of_a_fork_begin_with_its_weights() {
    let checkpoint = after(3).checkpoint();
    let run = Run::fork(changed("[train]", "[train]\nema = { decay = 0.9 }"), &checkpoint).expect("a fork");
    let tensors = state(&run).tensors;
    let mut seen = 0;
    for (name, values) in &tensors {
        if let Some(name) = name.strip_prefix("average.") {
            // A matrix lies transposed in a file; the same numbers are in it all the same.
            let sorted = |bytes: &[u8]| {
                let mut numbers: Vec<[u8; 4]> =
                    bytes.chunks_exact(4).map(|it| it.try_into().expect("four bytes")).collect();
                numbers.sort_unstable();
                numbers
            };
            assert_eq!(sorted(values), sorted(&tensors[&format!("now.{name}")]), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
}

#[test]
fn a_fork_needs_weights_that_fit() {
    let checkpoint = after(2).checkpoint();
    let error = Run::fork(changed("dense = 16", "dense = 17"), &checkpoint).err().expect("no fork");
    assert!(error.to_string().contains("0.weight has the shape [16, 8], expected [17, 8]"), "{error}");
}

#[test]
fn what_was_reached_before_counts_only_where_it_can_be_compared() {
    let checkpoint = after(3).checkpoint();
    let seed = checkpoint.fork_seed();
    let mut branch = Run::branch(with_seed(mlp(5), seed), &checkpoint).expect("a branch");
    assert_eq!(branch.best(), None);
    let reports = finish(&mut branch);
    let mut fork = Run::fork(with_seed(mlp(5), seed), &checkpoint).expect("a fork");
    assert_eq!(finish(&mut fork), reports, "it trains the same");
    let least = reports.iter().map(|report| report.value).fold(f64::INFINITY, f64::min);
    assert!(branch.best().is_some_and(|(number, value)| number > 3 && value == least));
    // Another metric.
    let accuracy = setup(MLP, classes(240, 0.05), "val_accuracy", seed);
    assert_eq!(Run::fork(accuracy, &checkpoint).expect("a fork").best(), None);
    // Other rows.
    let file = with_seed(mlp(5), seed)
        .file
        .replace("source = \"mnist\"", "source = \"mnist\"\nsplit = { seed = 7 }");
    let mut elsewhere = with_seed(mlp(5), seed);
    elsewhere.config.data.split.seed = 7;
    elsewhere.file = file;
    assert_eq!(Run::fork(elsewhere, &checkpoint).expect("a fork").best(), None);
}

#[test]
fn the_schedules_of_a_fork_are_stretched_over_its_own_epochs() {
    let usual = "{ kind = \"cosine\", warmup = 0.1 }";
    let scheduled = || changed(usual, "\"cosine\"");
    let mut run = start(scheduled());
    train(&mut run, 3);
    let checkpoint = run.checkpoint();
    let mut longer = scheduled();
    longer.config.train.epochs = 12;
    let rate = |report: &luthier_train::Report| report.metrics.get("learning_rate").expect("a rate");
    let fork = finish(&mut Run::branch(longer.clone(), &checkpoint).expect("a fork"));
    let whole = finish(&mut start(longer.clone()));
    assert_eq!(fork.len(), 9);
    for (fork, whole) in fork.iter().zip(&whole[3..]) {
        assert_eq!(rate(fork), rate(whole));
    }
    // A run that is lengthened holds the last value, unless it is told otherwise.
    let held = finish(&mut Run::extend(longer.clone(), &checkpoint).expect("a longer run"));
    assert!(held[3..].iter().all(|report| rate(report) == rate(&held[3])), "{held:?}");
    longer.config.train.horizon = Some(12);
    let sinking = finish(&mut Run::extend(longer, &checkpoint).expect("a longer run"));
    assert_eq!(sinking.iter().map(rate).collect::<Vec<_>>(), fork.iter().map(rate).collect::<Vec<_>>());
    // From the beginning it is the same run.
    let mut whole = scheduled();
    (whole.config.train.epochs, whole.config.train.horizon) = (12, Some(6));
    assert_eq!(finish(&mut start(whole))[3..], held);
}

#[test]
fn a_fork_needs_epochs_that_are_left() {
    let mut run = start(mlp(5));
    finish(&mut run);
    let checkpoint = run.checkpoint();
    let error = Run::fork(mlp(5), &checkpoint).err().expect("no fork");
    assert!(error.to_string().contains("it has had 6 epochs of 6, so nothing is left to train"), "{error}");
}
