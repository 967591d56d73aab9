//! Checkpoints: taken up, lengthened, and refused.

use luthier_core::{Ending, Params};
use luthier_train::{Checkpoint, CheckpointError, Device, Report, Run, Setup, TrainedModel};
use sha2::{Digest, Sha256};

use crate::common::{
    CNN, FakeTrial, MLP, MOMENTUM, classes, evaluate, experiment, finish, images, mlp, model, numbers, setup,
    start, state, trace, traced, train,
};

pub(crate) fn bytes_of(run: &Run) -> Vec<u8> {
    run.checkpoint().to_bytes().expect("bytes")
}

/// A run of the usual training after so many epochs.
pub(crate) fn after(epochs: u64) -> Run {
    let mut run = start(mlp(5));
    train(&mut run, epochs);
    run
}

/// The usual training with some text changed.
pub(crate) fn changed(from: &str, to: &str) -> Setup {
    let text = MLP.replace(from, to);
    assert_ne!(text, MLP);
    setup(&text, classes(240, 0.05), "val_loss", 5)
}

fn resume_error(setup: Setup, bytes: &[u8]) -> CheckpointError {
    let run = Checkpoint::from_bytes(bytes).and_then(|checkpoint| Run::resume(setup, &checkpoint));
    run.err().expect("this is no checkpoint of this run")
}

// Taken up

#[test]
fn three_epochs_and_three_from_a_checkpoint_are_six() {
    let setups = [
        ("dropout and Adam", mlp(5)),
        ("momentum", setup(MOMENTUM, classes(240, 0.05), "val_accuracy", 5)),
        ("convolutions", setup(CNN, images(96), "val_accuracy", 5)),
        ("numbers", setup(MOMENTUM, numbers(120), "val_r2", 5)),
    ];
    for (name, setup) in setups {
        let straight = trace(setup.clone());
        assert_eq!(straight.reports.len(), 6);
        let mut first = start(setup.clone());
        let mut reports = train(&mut first, 3);
        let checkpoint = Checkpoint::from_bytes(&bytes_of(&first)).expect("a checkpoint");
        let mut second = Run::resume(setup, &checkpoint).expect("the same run");
        assert_eq!(second.position().epoch, 3);
        assert_eq!(second.best(), first.best());
        assert_eq!(checkpoint.best(), first.best());
        assert!(!checkpoint.has_ended());
        assert_eq!(state(&second), state(&first), "{name}: taking up changes nothing");
        reports.extend(finish(&mut second));
        assert_eq!(traced(reports, &second), straight, "{name}");
        assert_eq!(second.ending(), Some(Ending::Full));
    }
}

#[test]
fn a_checkpoint_before_the_first_epoch_is_a_fresh_run() {
    let checkpoint = start(mlp(5)).checkpoint();
    let mut run = Run::resume(mlp(5), &checkpoint).expect("the same run");
    assert_eq!(finish(&mut run), trace(mlp(5)).reports);
}

#[test]
fn equal_checkpoints_have_equal_bytes() {
    let run = after(2);
    assert_eq!(bytes_of(&run), bytes_of(&run));
    let read = Checkpoint::from_bytes(&bytes_of(&run)).expect("a checkpoint");
    assert_eq!(read.to_bytes().expect("bytes"), bytes_of(&run));
    assert_eq!(read.seed(), 5);
    assert!(read.file().contains("epochs = 6") && read.file().contains("[model]"), "{}", read.file());
}

// Lengthened

/// The learning rates of reports.
fn rates(reports: &[Report]) -> Vec<f64> {
    reports.iter().map(|report| report.metrics.get("learning_rate").expect("a rate")).collect()
}

#[test]
fn a_finished_run_is_lengthened_and_its_schedules_are_held() {
    let mut run = start(mlp(5));
    let reports = finish(&mut run);
    let ended = run.checkpoint();
    assert!(ended.has_ended());
    let mut longer = Run::extend(changed("epochs = 6", "epochs = 9"), &ended).expect("a longer run");
    assert_eq!((longer.ending(), longer.position().epoch), (None, 6));
    let more = finish(&mut longer);
    assert_eq!(more.iter().map(|report| report.number).collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!(longer.ending(), Some(Ending::Full));
    // The cosine was stretched over six epochs, and stays where it was to be at the end of them.
    assert!(rates(&reports)[5] > 0.0);
    assert_eq!(rates(&more), [0.0; 3]);
    // Begun with nine epochs, it would have been stretched over nine.
    assert_ne!(rates(&trace(changed("epochs = 6", "epochs = 9")).reports)[..6], rates(&reports)[..6]);
    // It is more of the same training: with a horizon in the file, all is as if it had been asked for at once.
    let held = |epochs: &str| {
        let text = MLP.replace("warmup = 0.1", "warmup = 0.1, horizon = 6").replace("epochs = 6", epochs);
        setup(&text, classes(240, 0.05), "val_loss", 5)
    };
    let mut first = start(held("epochs = 6"));
    let mut parts = finish(&mut first);
    let mut second = Run::extend(held("epochs = 9"), &first.checkpoint()).expect("a longer run");
    parts.extend(finish(&mut second));
    let straight = trace(held("epochs = 9"));
    assert_eq!(parts, straight.reports);
    assert_eq!(state(&second).tensors, straight.state.tensors);
}

#[test]
fn a_run_that_stopped_early_is_lengthened() {
    let stopping = |epochs: u64| {
        let text =
            MLP.replace("epochs = 6", &format!("epochs = {epochs}\nearly_stopping = {{ stop_below = 9.0 }}"));
        setup(&text, classes(240, 0.05), "val_loss", 5)
    };
    let mut run = start(stopping(6));
    finish(&mut run);
    assert!(matches!(run.ending(), Some(Ending::EarlyStopped { epoch: 1, .. })), "{:?}", run.ending());
    let mut longer = Run::extend(stopping(8), &run.checkpoint()).expect("a longer run");
    assert_eq!(finish(&mut longer).len(), 1);
    assert!(matches!(longer.ending(), Some(Ending::EarlyStopped { epoch: 2, .. })), "{:?}", longer.ending());
}

#[test]
fn measurements_keep_their_rhythm_in_a_lengthened_run() {
    for (every, first, second) in [
        ("2", vec![2.0, 4.0, 5.0], vec![6.0, 8.0, 9.0]),
        ("0.75", vec![0.75, 1.5, 2.25, 3.0, 3.75, 4.5, 5.0], vec![5.25, 6.0, 6.75, 7.5, 8.25, 9.0]),
    ] {
        let text = |epochs: u64| {
            format!(
                "[train]\nepochs = {epochs}\nbatch_size = 1\nvalidate_every = {every}\noptimizer = \"sgd\"\n"
            )
        };
        // 0.65 of 80 rows train: 52, so that every quarter of an epoch is a whole number of steps.
        let setup = |epochs| setup(&text(epochs), numbers(80), "val_rmse", 1);
        let at = |reports: &[Report]| -> Vec<f64> {
            reports.iter().map(|report| report.metrics.get("epoch").expect("a place")).collect()
        };
        let mut run = start(setup(5));
        assert_eq!(run.setup().data.split().train.len(), 52);
        assert_eq!(at(&finish(&mut run)), first, "every {every}");
        let mut longer = Run::extend(setup(9), &run.checkpoint()).expect("a longer run");
        assert_eq!(at(&finish(&mut longer)), second, "every {every}");
    }
}

#[test]
fn steps_longer_than_the_time_between_measurements_are_measured_once_each() {
    for every in ["0.1", "{ steps = 1 }"] {
        let text =
            format!("[train]\nepochs = 3\nbatch_size = 26\nvalidate_every = {every}\noptimizer = \"sgd\"\n");
        let reports = trace(setup(&text, numbers(80), "val_rmse", 1)).reports;
        let steps: Vec<f64> = reports.iter().map(|report| report.metrics.get("step").expect("it")).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "every {every}");
        assert!(reports.iter().all(|report| report.metrics.get("train_loss").is_some_and(f64::is_finite)));
    }
}

// Refused

#[test]
fn a_checkpoint_that_was_cut_off_is_refused() {
    let bytes = bytes_of(&after(2));
    for length in [0, 1, 7, 8, 9, 31, 32, 33, 100, 1_000, bytes.len() / 2, bytes.len() - 100, bytes.len() - 1]
    {
        let error = resume_error(mlp(5), &bytes[..length]);
        assert!(matches!(error, CheckpointError::Broken(_)), "cut to {length}: {error:?}");
        assert!(error.to_string().starts_with("this is not a whole checkpoint: "), "{error}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(resume_error(mlp(5), &longer), CheckpointError::Broken(_)));
    let error = resume_error(mlp(5), b"This is a text, and not a short one, but it is no checkpoint.");
    assert!(matches!(error, CheckpointError::Broken(_)), "{error:?}");
}

#[test]
fn no_altered_byte_is_taken_for_a_checkpoint_or_makes_a_model_panic() {
    let small = "[model]\nlayers = [{ dense = 2 }]\n[train]\nepochs = 2\noptimizer = \"adam\"\n";
    let experiment = experiment(small, numbers(24), "val_loss");
    let setup = experiment.setup(&Params::default(), 0).expect("a setup");
    let mut run = start(setup);
    train(&mut run, 1);
    let checkpoint = bytes_of(&run);
    let model = model(&evaluate(&experiment, &mut FakeTrial::default())).to_bytes().expect("bytes");
    let mut refused = 0;
    for (i, flip) in (0..checkpoint.len().max(model.len())).zip([0x01, 0x10, 0x80].into_iter().cycle()) {
        let altered = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.get_mut(i).map(|byte| *byte ^= flip).map(|()| bytes)
        };
        if let Some(bytes) = altered(&checkpoint) {
            let error = Checkpoint::from_bytes(&bytes).expect_err("an altered byte");
            assert!(matches!(error, CheckpointError::Broken(_)), "byte {i}: {error:?}");
        }
        if let Some(bytes) = altered(&model) {
            refused += u32::from(TrainedModel::from_bytes(&bytes, Device::flex()).is_err());
        }
    }
    assert!(refused > 500, "{refused}");
}

/// A checkpoint with some text altered and its digest made to fit again, as another program might write it.
fn forged(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes[..bytes.len() - 32].to_vec();
    let place = bytes.windows(from.len()).position(|part| part == from.as_bytes());
    let place = place.unwrap_or_else(|| panic!("{from} is not in the checkpoint"));
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

#[test]
fn a_checkpoint_of_another_program_is_refused() {
    let bytes = bytes_of(&after(2));
    let error = resume_error(mlp(5), &forged(&bytes, r#"\"version\":3"#, r#"\"version\":9"#));
    assert!(matches!(error, CheckpointError::Version(9)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the checkpoint has version 9, expected 3: go on with the program that wrote it"
    );
    for (from, to) in [
        ("luthier_checkpoint", "luthier_chickpoint"),
        (r#"\"epoch\":2"#, r#"\"epoch\":x"#),
        (r#"\"report\""#, r#"\"rapport"#),
        ("now.0.weight", "not.0.weight"),
        ("best.0.bias", "bust.0.bias"),
        ("optimizer.0.bias", "optimizer.0.bios"),
    ] {
        if from.len() != to.len() {
            continue;
        }
        let error = resume_error(mlp(5), &forged(&bytes, from, to));
        let whole = matches!(error, CheckpointError::Broken(_) | CheckpointError::Other(_));
        assert!(whole && !error.to_string().is_empty(), "{from}: {error:?}");
    }
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let bytes = bytes_of(&after(2));
    let refused = |setup: Setup| {
        let error = resume_error(setup, &bytes);
        assert!(matches!(error, CheckpointError::Other(_)), "{error:?}");
        let said = error.to_string();
        assert!(said.starts_with("the checkpoint is of another training: "), "{said}");
        said
    };
    assert!(refused(mlp(6)).ends_with("its seed is 5, not 6"));
    for (from, to, parts) in [
        ("dense = 16", "dense = 17", ["dense = 16", "dense = 17"]),
        (
            ", { dense = 8, activation = \"tanh\" }",
            "",
            ["it says `  { dense = 8, activation = \"tanh\" },`", "the file does not"],
        ),
        ("kind = \"adam\"", "kind = \"sgd\"", ["its optimizer is adam, not sgd", ""]),
        (
            "batch_size = 16",
            "batch_size = 8",
            ["it says `batch_size = 16`", "the file says `batch_size = 8`"],
        ),
        ("learning_rate = 0.01", "learning_rate = 0.1", ["learning_rate = 0.01", "learning_rate = 0.1"]),
        ("[train]", "[train]\nloss = \"focal\"", ["the file says `loss = \"focal\"`", "it does not"]),
    ] {
        let said = refused(changed(from, to));
        for part in parts {
            assert!(said.contains(part), "{to}: {part:?} is not in \"{said}\"");
        }
    }
}

#[test]
fn a_model_that_differs_is_refused_without_a_file_too() {
    let bytes = bytes_of(&after(2));
    for (setup, part) in [
        (changed("dense = 16", "dense = 17"), "0.weight has the shape [16, 8], expected [17, 8]"),
        (changed(", { dense = 8, activation = \"tanh\" }", ""), "5.weight has no place"),
    ] {
        let mut setup = setup;
        setup.file.clear();
        let error = resume_error(setup, &bytes);
        assert!(matches!(error, CheckpointError::Other(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{part:?} is not in \"{error}\"");
    }
}

#[test]
fn fewer_epochs_than_it_has_had_do_not_lengthen_a_run() {
    let mut run = start(mlp(5));
    finish(&mut run);
    let ended = run.checkpoint();
    for epochs in ["epochs = 5", "epochs = 1"] {
        let error = Run::extend(changed("epochs = 6", epochs), &ended).err().expect("no longer run");
        assert!(error.to_string().contains("it has had 6 epochs"), "{error}");
    }
    let error = Run::extend(mlp(5), &ended).err().expect("no longer run");
    assert!(error.to_string().contains("6 do not lengthen it; ask for more"), "{error}");
    let unfinished = after(3).checkpoint();
    let error = Run::extend(changed("epochs = 6", "epochs = 2"), &unfinished).err().expect("no longer run");
    assert!(error.to_string().contains("it has had 3 epochs"), "{error}");
}
