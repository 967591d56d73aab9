//! The same bits, in one go or in parts: pauses at any step, each through bytes.

use luthier_train::{Advance, Checkpoint, OptimizerConfig, Report, Run, Setup};

use crate::bits::{LONG, long};
use crate::common::{
    After, Trace, classes, finish, images, numbers, setup, start, state, state_of, timeless, trace, traced,
    train,
};

/// Trains with a pause after every `steps` steps, each time through bytes and a run of its own. A pause may
/// also come while the model is being measured.
fn in_parts(setup: &Setup, steps: u64) -> Trace {
    let mut run = start(setup.clone());
    let mut reports: Vec<Report> = Vec::new();
    loop {
        match run.advance(&mut After(steps)).expect("data that can be read") {
            Advance::Report(report) => reports.push(timeless(report)),
            Advance::Ended(_) => return traced(reports, &run),
            Advance::Diverged { epoch, step } => panic!("diverged in epoch {epoch}, step {step}"),
            Advance::Paused => {
                let bytes = run.checkpoint().to_bytes().expect("bytes");
                let checkpoint = Checkpoint::from_bytes(&bytes).expect("a checkpoint");
                assert_eq!(state_of(&checkpoint), state(&run));
                run = Run::resume(setup.clone(), &checkpoint).expect("the same run");
                assert_eq!(state(&run), state_of(&checkpoint), "taking up changes nothing");
            }
        }
    }
}

/// The text of a training with these lines in `[train]`, and other layers if some are given.
fn with(lines: &str, layers: &str) -> String {
    let epochs = if lines.contains("epochs") { "" } else { "epochs = 4" };
    let batch = if lines.contains("batch_size") { "" } else { "batch_size = 16" };
    let optimizer = if lines.contains("optimizer") {
        ""
    } else {
        "optimizer = { kind = \"adam\", learning_rate = 0.02 }"
    };
    let layers = if layers.is_empty() {
        "layers = [{ dense = 12, activation = \"relu\" }, { dropout = 0.2 }]"
    } else {
        layers
    };
    format!("[model]\n{layers}\n\n[train]\n{epochs}\n{batch}\n{optimizer}\n{lines}\n")
}

/// Pauses wherever they may come lead to the same bits.
fn pauses_change_nothing(name: &str, setup: &Setup) -> Trace {
    let straight = trace(setup.clone());
    for steps in [3, 1] {
        assert_eq!(in_parts(setup, steps), straight, "{name}: paused after every {steps} steps");
    }
    straight
}

#[test]
fn pauses_within_an_epoch_change_nothing_whatever_the_optimizer() {
    for kind in OptimizerConfig::KINDS {
        let text = with(&format!("optimizer = {{ kind = \"{kind}\", weight_decay = 1e-3 }}"), "");
        pauses_change_nothing(kind, &setup(&text, classes(120, 0.05), "val_loss", 5));
    }
    for settings in [
        "kind = \"sgd\", momentum = 0.9, nesterov = true, dampening = 0.0",
        "kind = \"adam\", amsgrad = true",
        "kind = \"rmsprop\", centered = true, momentum = 0.5",
    ] {
        let text = with(&format!("optimizer = {{ {settings} }}"), "");
        pauses_change_nothing(settings, &setup(&text, classes(120, 0.05), "val_loss", 5));
    }
}

#[test]
fn pauses_change_nothing_whatever_is_remembered() {
    let react = "react = { }";
    let remedies = "first = [{ lower_rate = 0.5, times = 2 }, { grow_batch = 2.0 }]";
    for (name, lines) in [
        ("reports within an epoch", "validate_every = 0.5".to_owned()),
        ("reports by steps", "validate_every = { steps = 7 }".to_owned()),
        ("rare reports", "validate_every = 3".to_owned()),
        ("averages", "ema = { decay = 0.9 }\nvalidate_every = 0.5".to_owned()),
        ("penalties", format!("regularize = [{{ l1 = 1e-4, {react} }}, {{ l2 = 1e-3, layers = \"0.*\" }}]")),
        (
            "plateaus",
            "epochs = 12\nschedule = { learning_rate = { kind = \"plateau\", patience = 0, threshold = 0.1, \
             factor = 0.5 }, dropout = { kind = \"plateau\", patience = 1, cooldown = 1 }, weight_decay = \"tied\" }"
                .to_owned(),
        ),
        (
            "formulas of what was measured",
            "schedule = { learning_rate = \"0.01 * min(1, val_loss)\", penalty = [[0, 1.0], [2, 0.1]] }\n\
             regularize = { l2 = 1e-3 }"
                .to_owned(),
        ),
        ("early stopping", format!("epochs = 30\nearly_stopping = {{ patience = 1, min_delta = 0.01, {remedies} }}")),
        ("a growing batch", "batch_size = { grow = { every = 1 }, from = 8 }".to_owned()),
        (
            "a batch that grows on a plateau",
            "epochs = 10\nbatch_size = { grow = { on_plateau = { patience = 0, threshold = 0.1 } }, from = 8 }"
                .to_owned(),
        ),
        ("a random batch", "batch_size = { random = [4, 30] }".to_owned()),
        ("a random batch, evenly by doublings", "batch_size = { random = [2, 40], log = true }".to_owned()),
        (
            "the noise of gradients",
            "batch_size = { noise_scale = { min = 4, max = 64, every = 2 }, from = 8 }".to_owned(),
        ),
        ("all rows", "batch_size = \"full\"\nepochs = 9".to_owned()),
        ("accumulated gradients", "batch_size = 4\naccumulate = 5".to_owned()),
        ("clipping and a largest norm", "gradient_clip = { value = 0.1 }\nmax_norm = 1.0".to_owned()),
    ] {
        let setup = setup(&with(&lines, ""), classes(120, 0.2), "val_loss", 5);
        pauses_change_nothing(name, &setup);
    }
}

#[test]
fn pauses_change_nothing_whatever_the_model() {
    for name in LONG {
        let mut setup = long(name);
        setup.config.train.epochs = 3;
        pauses_change_nothing(name, &setup);
    }
    let frozen = "layers = [{ dense = 12, activation = \"relu\" }, { dense = 6 }]\nfreeze = [\"0.*\"]\n\
                  thaw = [{ epoch = 2, layers = [\"0.*\"] }]\nlearning_rates = { \"0.*\" = 0.1 }";
    let frozen = setup(&with("", frozen), classes(120, 0.05), "val_loss", 5);
    pauses_change_nothing("thawed layers", &frozen);
    // Features of frozen layers are computed once an epoch, so these must not move within one.
    let limited = "layers = [{ dense = 12, activation = \"relu\" }, { dense = 6 }]\nfreeze = [\"0.*\"]";
    let limited = setup(&with("max_norm = 0.2", limited), classes(120, 0.05), "val_loss", 5);
    pauses_change_nothing("frozen layers beside a largest norm", &limited);
    pauses_change_nothing("numbers", &setup(&with("", ""), numbers(120), "val_r2", 5));
    let lines = "loss = \"mae\"\noptimizer = { kind = \"sgd\", learning_rate = 1e20 }\nregularize = { l2 = 1.0 }\n\
                 schedule = { penalty = [[0, 0.0], [1, 1e-30]] }\nepochs = 2\nbatch_size = \"full\"";
    // On a device such sums are in single precision.
    let mut huge = setup(&with(lines, "layers = []"), numbers(60), "val_loss", 5);
    huge.plan = false;
    let huge = pauses_change_nothing("numbers that are not finite", &huge);
    let penalty = huge.reports[1].metrics.get("penalty");
    assert!(penalty.is_some_and(|penalty| !penalty.is_finite()), "{penalty:?}");
    let text = with("validate_every = 0.5", "layers = [{ rows = true }, { gru = 6, output = \"last\" }]");
    let noisy =
        setup(&format!("augment = {{ cutmix = 1.0, noise = 0.1 }}\n{text}"), images(60), "val_loss", 5);
    pauses_change_nothing("cutmix", &noisy);
}

#[test]
fn a_measured_batch_size_is_kept() {
    let setup = setup(&with("batch_size = { auto = { max = 32 } }", ""), classes(120, 0.05), "val_loss", 5);
    let mut run = start(setup.clone());
    assert_eq!(run.measured_batch_size(), None);
    let mut reports = train(&mut run, 1);
    let size = run.measured_batch_size().expect("a size");
    assert!((1..=32).contains(&size), "{size}");
    let mut again = Run::resume(setup, &run.checkpoint()).expect("the same run");
    assert_eq!(again.measured_batch_size(), Some(size));
    let mut straight = reports.clone();
    straight.extend(finish(&mut run));
    reports.extend(finish(&mut again));
    assert_eq!(traced(reports, &again), traced(straight, &run));
}
