//! Forks: a checkpoint that goes on under other values.

use luthier_train::{Checkpoint, Run};

use crate::checkpoints::{after, bytes_of, changed};
use crate::common::{finish, mlp, state, state_of, trace, with_seed};

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
