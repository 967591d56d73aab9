//! Whole trainings: the same bits however they run, checkpoints, early stopping, divergence,
//! interruption, and the models that are handed over.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use luthier_core::config::{Node, Policy, Template};
use luthier_core::{
    Decision, Direction, Ending, Evaluation, FailCause, Metrics, Objective, ObjectiveError, Params, Stop,
    StopReason, TrialHandle, TrialId,
};
use luthier_train::data::{
    ClassificationSource, Column, ColumnValues, Dataset, Images, Inputs, Split, SplitConfig, Table, Targets,
    TestSplit,
};
use luthier_train::{
    Answer, CheckpointError, Device, Epoch, Experiment, ObjectiveMetric, Run, Setup, TrainedModel,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

// Data

fn classes(samples: usize, flip_y: f64) -> Dataset {
    let source = ClassificationSource {
        samples,
        features: 8,
        informative: 4,
        classes: 3,
        clusters_per_class: 1,
        flip_y,
        seed: 3,
        ..Default::default()
    };
    source.generate().expect("data")
}

/// Rows of two numbers with `3 a - b` to predict.
fn numbers(samples: usize) -> Dataset {
    let column = |scale: f64| (0..samples).map(|i| (i as f64 * scale).sin()).collect::<Vec<_>>();
    let (a, b) = (column(1.1), column(2.3));
    let values = a.iter().zip(&b).map(|(a, b)| 3.0 * a - b).collect();
    let column = |name: &str, values| Column { name: name.into(), values: ColumnValues::Numeric(values) };
    Dataset {
        name: "numbers".into(),
        inputs: Inputs::Table(Table { columns: vec![column("a", a), column("b", b)], rows: samples }),
        targets: Targets::Numbers { values, name: "y".into() },
        given_test: None,
        aside: vec![],
        notices: vec![],
    }
}

/// Grey images of 8 by 8 pixels: a bright bar that lies, stands or runs aslant.
fn images(samples: usize) -> Dataset {
    let mut pixels = Vec::new();
    for i in 0..samples {
        for y in 0..8 {
            for x in 0..8 {
                let bar = match i % 3 {
                    0 => y,
                    1 => x,
                    _ => (x + y) % 8,
                };
                let noise = (i * 31 + y * 17 + x * 7) % 60;
                pixels.push((noise + if bar == (i / 3) % 8 { 150 } else { 0 }) as u8);
            }
        }
    }
    Dataset {
        name: "bars".into(),
        inputs: Inputs::Images(Images::new(pixels, 1, 8, 8)),
        targets: Targets::Classes {
            labels: (0..samples).map(|i| (i % 3) as u32).collect(),
            names: ["lying", "standing", "aslant"].map(str::to_owned).to_vec(),
            column: None,
        },
        given_test: None,
        aside: vec![],
        notices: vec![],
    }
}

fn subset(data: &Dataset, rows: &[usize]) -> (Inputs, Targets) {
    fn pick<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
        rows.iter().map(|row| values[*row]).collect()
    }
    let inputs = match &data.inputs {
        Inputs::Table(table) => Inputs::Table(Table {
            columns: table
                .columns
                .iter()
                .map(|column| match &column.values {
                    ColumnValues::Numeric(values) => Column {
                        name: column.name.clone(),
                        values: ColumnValues::Numeric(pick(values, rows)),
                    },
                    ColumnValues::Categorical { .. } => panic!("the data of these tests has numbers alone"),
                })
                .collect(),
            rows: rows.len(),
        }),
        Inputs::Text(_) => panic!("these tests have no texts"),
        Inputs::Images(images) => {
            let mut pixels = Vec::new();
            images.for_each(rows, |image| pixels.extend_from_slice(image)).expect("in memory");
            Inputs::Images(Images::new(pixels, images.channels, images.height, images.width))
        }
    };
    let targets = match &data.targets {
        Targets::Classes { labels, names, column } => {
            Targets::Classes { labels: pick(labels, rows), names: names.clone(), column: column.clone() }
        }
        Targets::Numbers { values, name } => {
            Targets::Numbers { values: pick(values, rows), name: name.clone() }
        }
    };
    (inputs, targets)
}

// Studies

const MLP: &str = r#"
[model]
layers = [{ dense = 16, activation = "relu" }, { dropout = 0.3 }, { dense = 8, activation = "tanh" }]

[train]
epochs = 6
batch_size = 16
optimizer = { kind = "adam", learning_rate = 0.01 }
schedule = { learning_rate = { kind = "cosine", warmup = 0.1 } }
"#;

const MOMENTUM: &str = r#"
[model]
layers = [{ dense = 12, activation = "gelu" }]

[train]
epochs = 6
batch_size = 20
optimizer = { kind = "sgd", learning_rate = 0.05, momentum = 0.9, nesterov = true, weight_decay = 1e-3 }
schedule = { learning_rate = { kind = "step", every = 2, factor = 0.5 } }
"#;

const CNN: &str = r#"
[model]
layers = [
  { conv = 6, padding = "same", activation = "relu" },
  { max_pool = 2 },
  { dropout = 0.2 },
  { dense = 10, activation = "silu" },
]

[train]
epochs = 6
batch_size = 12
optimizer = { kind = "adam", learning_rate = 0.01, weight_decay = 1e-4 }
"#;

fn experiment(sections: &str, data: Dataset, objective: &str) -> Experiment {
    // The data is handed over below; its section says how it is transformed.
    let text = format!("[data]\nsource = \"mnist\"\n{sections}");
    let policy = Policy { allowed: &["model", "train"], refused: &[] };
    let node = Node::parse(&text, "study.toml").expect("TOML");
    let template = Template::new(&node, "study.toml", &policy).expect("a template");
    let split = SplitConfig {
        validation: 0.25,
        test: TestSplit::Share(0.1),
        stratify: false,
        seed: 1,
        ..SplitConfig::default()
    };
    let split: Split = split.split(&data).expect("a split");
    let objective = ObjectiveMetric::parse(objective).expect("a metric");
    Experiment::new(template, data, split, objective, objective.direction(), Device::flex())
}

fn setup(sections: &str, data: Dataset, objective: &str, seed: u64) -> Setup {
    experiment(sections, data, objective).setup(&Params::default(), seed).expect("a setup")
}

fn mlp(seed: u64) -> Setup {
    setup(MLP, classes(240, 0.05), "val_loss", seed)
}

fn start(setup: Setup) -> Run {
    Run::new(setup).expect("a run")
}

fn train(run: &mut Run, epochs: usize) -> Vec<Epoch> {
    (0..epochs).map(|_| run.train_epoch(&|| false).expect("in memory")).collect()
}

/// All that there is to a run: what it reported, its best epoch, and its state bit for bit.
#[derive(Debug, PartialEq)]
struct Trace {
    reports: Vec<Epoch>,
    best: Option<(u64, f64)>,
    state: State,
}

/// The header and the tensors of a checkpoint.
#[derive(Debug, PartialEq)]
struct State {
    header: serde_json::Value,
    tensors: BTreeMap<String, Vec<u8>>,
}

/// The state of a run, without that of its optimizer: Burn writes it in any order. The weights after
/// further epochs show what it was.
fn state(run: &Run) -> State {
    let bytes = run.checkpoint().expect("a checkpoint");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a header");
    let entries = metadata.metadata().as_ref().expect("a header of ours");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let tensors: BTreeMap<String, Vec<u8>> = tensors
        .iter()
        .filter(|(name, _)| *name != "optimizer")
        .map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec()))
        .collect();
    assert!(tensors.keys().any(|name| name.starts_with("now.")));
    let mut header: serde_json::Value =
        serde_json::from_str(&entries["luthier_checkpoint"]).expect("a header");
    let fingerprint = header.as_object_mut().and_then(|header| header.remove("optimizer_state"));
    assert!(fingerprint.is_some());
    State { header, tensors }
}

fn trace(setup: Setup) -> Trace {
    let mut run = start(setup);
    let reports = train(&mut run, 6);
    assert!(reports.iter().all(|epoch| matches!(epoch, Epoch::Measured { .. })), "{reports:?}");
    Trace { reports, best: run.best(), state: state(&run) }
}

/// A trial in memory. It is interrupted when it has been asked `interrupt_after` times.
#[derive(Default)]
struct FakeTrial {
    params: Params,
    seed: u64,
    until: Option<u64>,
    interrupt_after: Option<u64>,
    asked: AtomicU64,
    stop_at: Option<u64>,
    reports: Vec<(u64, f64)>,
    metrics: Vec<Metrics>,
    checkpoint: Option<Vec<u8>>,
    checkpoints: u64,
    wants_checkpoint: bool,
}

impl TrialHandle for FakeTrial {
    fn id(&self) -> TrialId {
        TrialId(0)
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn until(&self) -> Option<u64> {
        self.until
    }

    fn report(&mut self, step: u64, value: f64, metrics: Metrics) -> Result<Decision, ObjectiveError> {
        self.reports.push((step, value));
        self.metrics.push(metrics);
        Ok(if self.stop_at == Some(step) {
            Decision::Stop(StopReason::Requested)
        } else {
            Decision::Continue
        })
    }

    fn interrupted(&self) -> Option<Stop> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        self.interrupt_after.is_some_and(|after| asked >= after).then_some(Stop::Interrupted)
    }

    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError> {
        Ok(self.checkpoint.clone())
    }

    fn wants_checkpoint(&self) -> bool {
        self.wants_checkpoint
    }

    fn save_checkpoint(&mut self, checkpoint: Vec<u8>) -> Result<(), ObjectiveError> {
        self.checkpoint = Some(checkpoint);
        self.checkpoints += 1;
        Ok(())
    }
}

fn evaluate(experiment: &Experiment, trial: &mut FakeTrial) -> Evaluation {
    experiment.evaluate(trial).expect("no error of the objective")
}

fn model(evaluation: &Evaluation) -> TrainedModel {
    let Evaluation::Complete { model: Some(bytes), .. } = evaluation else {
        panic!("expected a model, found {evaluation:?}")
    };
    TrainedModel::from_bytes(bytes, Device::flex()).expect("a model")
}

// The same bits

#[test]
fn a_setup_gives_the_same_bits_every_time() {
    assert_eq!(trace(mlp(7)), trace(mlp(7)));
    let cnn = || setup(CNN, images(96), "val_accuracy", 7);
    assert_eq!(trace(cnn()), trace(cnn()));
}

#[test]
fn another_seed_gives_other_weights_and_order() {
    let (one, other) = (trace(mlp(7)), trace(mlp(8)));
    assert_ne!(one.reports, other.reports);
    assert_ne!(one.state, other.state);
}

#[test]
fn a_run_gives_the_same_bits_beside_others() {
    let alone = trace(mlp(7));
    let beside = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for seed in [7, 8, 9, 7] {
            let beside = &beside;
            scope.spawn(move || {
                let trace = trace(mlp(seed));
                if seed == 7 {
                    beside.lock().expect("no panic").push(trace);
                }
            });
        }
    });
    assert_eq!(beside.into_inner().expect("no panic"), [alone, trace(mlp(7))]);
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    // Wide enough for matrix products and convolutions to be divided among threads.
    const WIDE: &str = r#"
[model]
layers = [{ dense = 256, activation = "relu" }, { dropout = 0.3 }, { dense = 256, activation = "tanh" }]

[train]
epochs = 6
batch_size = 256
optimizer = "adam"
"#;
    let wide = || setup(WIDE, classes(600, 0.05), "val_loss", 1);
    let cnn = || setup(&CNN.replace("batch_size = 12", "batch_size = 64"), images(96), "val_loss", 1);
    let on = |threads: usize, setup: Setup| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| trace(setup))
    };
    assert_eq!(on(1, wide()), on(2, wide()));
    assert_eq!(on(1, cnn()), on(2, cnn()));
}

#[test]
fn a_model_file_has_the_same_bytes_every_time() {
    let experiment = experiment(MLP, classes(240, 0.05), "val_loss");
    let run = || evaluate(&experiment, &mut FakeTrial { seed: 7, ..FakeTrial::default() });
    let first = run();
    for _ in 0..4 {
        assert!(run() == first, "the same training wrote another file");
    }
    let bytes = model(&first).to_bytes().expect("bytes");
    assert!(matches!(&first, Evaluation::Complete { model: Some(file), .. } if *file == bytes));
}

// Checkpoints

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
        let mut first = start(setup.clone());
        let mut reports = train(&mut first, 3);
        let bytes = first.checkpoint().expect("a checkpoint");
        let mut second = Run::resume(setup, &bytes).expect("the same run");
        assert_eq!(second.epoch(), 3);
        assert_eq!(second.best(), first.best());
        assert_eq!(state(&second), state(&first), "{name}: taking up changes nothing");
        reports.extend(train(&mut second, 3));
        let resumed = Trace { reports, best: second.best(), state: state(&second) };
        assert_eq!(resumed, straight, "{name}");
        assert_eq!(second.ending(), Some(Ending::Full));
    }
}

#[test]
fn a_checkpoint_before_the_first_epoch_is_a_fresh_run() {
    let bytes = start(mlp(5)).checkpoint().expect("a checkpoint");
    let mut run = Run::resume(mlp(5), &bytes).expect("the same run");
    assert_eq!(train(&mut run, 6), trace(mlp(5)).reports);
}

fn resume_error(setup: Setup, bytes: &[u8]) -> CheckpointError {
    Run::resume(setup, bytes).err().expect("this is no checkpoint of this run")
}

#[test]
fn a_checkpoint_that_was_cut_off_or_altered_is_refused() {
    let mut run = start(mlp(5));
    train(&mut run, 2);
    let bytes = run.checkpoint().expect("a checkpoint");
    for length in [0, 1, 7, 8, 9, 100, 1_000, bytes.len() / 2, bytes.len() - 100, bytes.len() - 1] {
        let error = resume_error(mlp(5), &bytes[..length]);
        assert!(matches!(error, CheckpointError::Broken(_)), "cut to {length}: {error:?}");
    }
    let altered = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let place = bytes.windows(from.len()).position(|part| part == from.as_bytes());
        let place = place.unwrap_or_else(|| panic!("{from} is not in the checkpoint"));
        let mut bytes = bytes.clone();
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        resume_error(mlp(5), &bytes)
    };
    for (from, to) in [
        ("luthier_checkpoint", "luthier_chickpoint"),
        (r#"\"epoch\":2"#, r#"\"epoch\":x"#),
        (r#"\"step\""#, r#"\"stop\""#),
        ("now.0.weight", "not.0.weight"),
        ("best.0.bias", "bust.0.bias"),
    ] {
        let error = altered(from, to);
        let whole = matches!(error, CheckpointError::Broken(_) | CheckpointError::Other(_));
        assert!(whole && !error.to_string().is_empty(), "{from}: {error:?}");
    }
    assert!(matches!(altered(r#"\"version\":1"#, r#"\"version\":9"#), CheckpointError::Version(9)));
    let error = altered(r#"\"epoch\":2"#, r#"\"epoch\":1"#);
    assert!(matches!(error, CheckpointError::Other(_)), "{error:?}");
    let error = resume_error(mlp(5), b"This is a text, and not a short one, but it is no checkpoint.");
    assert!(matches!(error, CheckpointError::Broken(_)), "{error:?}");
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let mut run = start(mlp(5));
    train(&mut run, 2);
    let bytes = run.checkpoint().expect("a checkpoint");
    let changed = |from: &str, to: &str| {
        let text = MLP.replace(from, to);
        assert_ne!(text, MLP);
        setup(&text, classes(240, 0.05), "val_loss", 5)
    };
    for (what, setup, part) in [
        ("another seed", mlp(6), "its seed is 5, not 6"),
        (
            "a wider layer",
            changed("dense = 16", "dense = 17"),
            "0.weight has the shape [16, 8], expected [17, 8]",
        ),
        ("a layer less", changed(", { dense = 8, activation = \"tanh\" }", ""), "5.weight has no place"),
        ("another optimizer", changed("kind = \"adam\"", "kind = \"sgd\""), "its optimizer is adam, not sgd"),
        ("another batch size", changed("batch_size = 16", "batch_size = 8"), "step 20 after epoch 2"),
    ] {
        let error = resume_error(setup, &bytes);
        assert!(matches!(error, CheckpointError::Other(_)), "{what}: {error:?}");
        assert!(error.to_string().contains(part), "{what}: {part:?} is not in \"{error}\"");
    }
}

#[test]
fn no_altered_byte_makes_a_checkpoint_or_a_model_panic() {
    let small = "[model]\nlayers = [{ dense = 2 }]\n[train]\nepochs = 2\noptimizer = \"adam\"\n";
    let experiment = experiment(small, numbers(24), "val_loss");
    let setup = experiment.setup(&Params::default(), 0).expect("a setup");
    let mut run = start(setup.clone());
    train(&mut run, 1);
    let checkpoint = run.checkpoint().expect("a checkpoint");
    let model = model(&evaluate(&experiment, &mut FakeTrial::default())).to_bytes().expect("bytes");
    let mut refused = [0, 0];
    for (i, flip) in (0..checkpoint.len().max(model.len())).zip([0x01, 0x10, 0x80].into_iter().cycle()) {
        let altered = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.get_mut(i).map(|byte| *byte ^= flip).map(|()| bytes)
        };
        if let Some(bytes) = altered(&checkpoint) {
            refused[0] += u32::from(Run::resume(setup.clone(), &bytes).is_err());
        }
        if let Some(bytes) = altered(&model) {
            refused[1] += u32::from(TrainedModel::from_bytes(&bytes, Device::flex()).is_err());
        }
    }
    assert!(refused.iter().all(|count| *count > 500), "{refused:?}");
}

// Early stopping and the best epoch

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
        let direction = ObjectiveMetric::parse(objective).expect("a metric").direction();
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
        assert_eq!(ending, Ending::EarlyStopped { epoch: last as u64, patience: patience as u64 });
        endings.push(last);
    }
    assert!(endings.iter().any(|last| *last != endings[0]), "all ended at the same epoch: {endings:?}");
}

#[test]
fn the_model_handed_over_is_that_of_the_best_epoch() {
    for (sections, data, objective) in [
        (MLP, classes(160, 0.3), "val_loss"),
        (MOMENTUM, numbers(120), "val_rmse"),
        (CNN, images(96), "val_accuracy"),
        (&MLP.replace("[train]", "[train]\nloss = \"binary_cross_entropy\""), two_classes(), "val_loss"),
    ] {
        let experiment = experiment(sections, data, objective);
        let mut trial = FakeTrial::default();
        let evaluation = evaluate(&experiment, &mut trial);
        let model = model(&evaluation);
        let Evaluation::Complete { value, step: Some(step), ending: Ending::Full, .. } = evaluation else {
            panic!("{evaluation:?}")
        };
        assert_eq!((step, value), trial.reports[step as usize - 1]);
        assert_eq!(trial.reports.len(), 6);
        let (inputs, targets) = subset(experiment.dataset(), &experiment.split().validation);
        let reported = &trial.metrics[step as usize - 1];
        assert_eq!(model.metrics(), reported);
        let found = model.evaluate(&inputs, &targets).unwrap();
        assert!(!found.is_empty());
        for (name, found) in found.iter() {
            let expected = reported.get(&format!("val_{name}")).expect("the metric");
            assert!((found - expected).abs() <= 1e-12, "{objective}: {name} is {found}, expected {expected}");
        }
        let objective = objective.strip_prefix("val_").expect("a metric of validation");
        assert!((found.get(objective).expect("the objective") - value).abs() <= 1e-12);
    }
}

fn two_classes() -> Dataset {
    ClassificationSource { samples: 120, features: 8, informative: 4, ..Default::default() }
        .generate()
        .expect("data")
}

// Divergence

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
        let asked = AtomicU64::new(0);
        let epoch = run.train_epoch(&|| {
            asked.fetch_add(1, Ordering::Relaxed);
            false
        });
        assert_eq!(epoch.unwrap(), Epoch::Diverged { step });
        assert_eq!(asked.into_inner(), step, "it is asked before each step");
        assert_eq!((run.epoch(), run.best()), (0, None));
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
    let rmse = model(&evaluation).evaluate(&inputs, &targets).unwrap().get("rmse").expect("a metric");
    assert!((rmse - value).abs() <= 1e-12, "{rmse}, expected {value}");
}

// Interruption, pauses, stops

#[test]
fn an_interrupted_trial_goes_on_to_the_same_end() {
    let experiment = experiment(MLP, classes(240, 0.05), "val_loss");
    let mut whole = FakeTrial { seed: 4, ..FakeTrial::default() };
    let expected = evaluate(&experiment, &mut whole);
    let questions = whole.asked.load(Ordering::Relaxed);
    // Before the first step; in the first epoch; in the third; before its validation; at the last question.
    for after in [0, 5, 25, 32, questions - 1] {
        let mut trial = FakeTrial {
            seed: 4,
            interrupt_after: Some(after),
            wants_checkpoint: true,
            ..FakeTrial::default()
        };
        assert_eq!(evaluate(&experiment, &mut trial), Evaluation::Paused, "interrupted after {after}");
        let per_epoch = questions / 6;
        assert_eq!(trial.reports.len() as u64, after / per_epoch);
        assert_eq!(trial.checkpoint.is_some(), after >= per_epoch);
        trial.interrupt_after = None;
        assert!(evaluate(&experiment, &mut trial) == expected, "interrupted after {after}: another end");
        assert_eq!(trial.reports, whole.reports);
    }
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

// What makes no sense

#[test]
fn what_makes_no_sense_is_infeasible_with_its_reason() {
    let layers = |layers: &str| CNN.replace("{ max_pool = 2 }", layers);
    let loss = |loss: &str| MLP.replace("[train]", &format!("[train]\nloss = \"{loss}\""));
    for (what, sections, data, parts) in [
        (
            "a filter larger than the image",
            layers("{ conv = 4, kernel = 9 }"),
            images(96),
            ["conv", "a filter of 9x9 does not fit an image of 8x8"],
        ),
        (
            "a window larger than the image",
            layers("{ max_pool = 9 }"),
            images(96),
            ["max_pool", "a window of 9x9 does not fit an image of 8x8"],
        ),
        (
            "padding same with a stride",
            layers("{ conv = 4, padding = \"same\", stride = 2 }"),
            images(96),
            ["conv", "padding \"same\" needs a stride of 1, found 2"],
        ),
        (
            "a convolution on a table",
            CNN.to_owned(),
            classes(240, 0.05),
            ["conv", "a convolution needs images [channels, height, width], and here come vectors of 8"],
        ),
        (
            "pooling behind a dense layer",
            MLP.replace("{ dropout = 0.3 }", "{ max_pool = 2 }"),
            classes(240, 0.05),
            ["max_pool", "vectors of 16"],
        ),
        (
            "two classes' loss on three",
            loss("binary_cross_entropy"),
            classes(240, 0.05),
            ["binary cross-entropy is for two classes", "the data has 3"],
        ),
        ("mse on classes", loss("mse"), classes(240, 0.05), ["mse is for numbers", "use \"cross_entropy\""]),
        (
            "cross-entropy on numbers",
            loss("cross_entropy"),
            numbers(120),
            ["cross_entropy is for classes", "use \"mse\""],
        ),
    ] {
        let evaluation = evaluate(&experiment(&sections, data, "val_loss"), &mut FakeTrial::default());
        let Evaluation::Infeasible(reason) = evaluation else { panic!("{what}: {evaluation:?}") };
        for part in parts {
            assert!(reason.contains(part), "{what}: {part:?} is not in {reason:?}");
        }
    }
}

// Models

#[test]
fn a_model_survives_its_file() {
    for (sections, data, objective) in [
        (MLP, classes(160, 0.1), "val_loss"),
        (MOMENTUM, numbers(120), "val_r2"),
        (CNN, images(96), "val_accuracy"),
    ] {
        let experiment = experiment(sections, data, objective);
        let first = model(&evaluate(&experiment, &mut FakeTrial { seed: 3, ..FakeTrial::default() }));
        let bytes = first.to_bytes().expect("bytes");
        let second = TrainedModel::from_bytes(&bytes, Device::flex()).expect("the same model");
        let inputs = &experiment.dataset().inputs;
        assert_eq!(first.predict(inputs, &[]).unwrap(), second.predict(inputs, &[]).unwrap());
        assert_eq!(first.predict(inputs, &[]).unwrap().len(), experiment.dataset().len());
        assert_eq!(first.file(), second.file());
        assert_eq!(first.metrics(), second.metrics());
        assert!(second.to_bytes().expect("bytes") == bytes);
        let sealed = experiment.test(&bytes, 1).expect("a model").expect("test rows");
        let (inputs, targets) = subset(experiment.dataset(), &experiment.split().test);
        assert_eq!(sealed, second.evaluate(&inputs, &targets).unwrap());
    }
}

#[test]
fn the_file_in_a_model_repeats_its_training() {
    let experiment = experiment(MLP, classes(160, 0.1), "val_loss");
    let seed = 1 << 52;
    let model = model(&evaluate(&experiment, &mut FakeTrial { seed, ..FakeTrial::default() }));
    let file = Node::parse(model.file(), "the model's file").expect("TOML");
    let written = file.get("trial").and_then(|trial| trial.get("seed")).and_then(Node::as_value);
    assert_eq!(written.and_then(|value| value.as_i64()), Some(seed as i64));
    assert_eq!(
        file.get("train").map(Node::describe),
        experiment.file(&Params::default(), seed).expect("a file").get("train").map(Node::describe)
    );
}

#[test]
fn what_is_no_model_is_refused_with_a_reason() {
    let mut trial = FakeTrial::default();
    let evaluation = evaluate(&experiment(MLP, classes(160, 0.1), "val_loss"), &mut trial);
    let bytes = model(&evaluation).to_bytes().expect("bytes");
    let refused = |bytes: &[u8]| TrainedModel::from_bytes(bytes, Device::flex()).err().expect("no model");
    for length in [0, 1, 7, 8, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(!refused(&bytes[..length]).is_empty(), "cut to {length}");
    }
    assert!(!refused(b"a text that is somewhat longer than the eight bytes of a length\n").is_empty());
    let weights = [1_u8; 16];
    let view = TensorView::new(Dtype::F32, vec![2, 2], &weights);
    let foreign = safetensors::serialize([("0.weight", view.expect("a tensor"))], None).expect("a file");
    assert_eq!(refused(&foreign), "its metadata has no entry `luthier`");
    let altered = |from: &str, to: &str| {
        let place = bytes.windows(from.len()).position(|part| part == from.as_bytes()).expect("in the file");
        let mut bytes = bytes.clone();
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        refused(&bytes)
    };
    assert_eq!(altered(r#"\"version\":1"#, r#"\"version\":7"#), "it has version 7, expected 1");
    assert!(altered("dense = 16", "dense = 17").contains("0.weight has the shape [16, 8], expected [17, 8]"));
    assert!(altered("cross_entropy", "cross_entrapy").contains("\"cross_entrapy\" is unknown"));
    let (name, renamed) = (r#""0.weight":"#, r#""9.weight":"#);
    assert!(altered(name, renamed).contains("0.weight is missing; 9.weight has no place"));
}

#[test]
fn a_model_that_cannot_be_opened_is_called_by_its_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let open = || TrainedModel::open(&path, Device::flex()).err().expect("no model").to_string();
    assert!(open().starts_with("cannot read ") && open().contains("model.safetensors"), "{}", open());
    std::fs::write(&path, "text").expect("a file");
    assert!(open().contains("model.safetensors cannot be used as a model: "), "{}", open());
}

/// With `LUTHIER_MODELS=FOLDER`, for each of three models `NAME.safetensors`, its encoded inputs
/// `NAME.csv` and its outputs `NAME.out.csv`, to be compared with those of `load_in_pytorch.py`.
///
/// They predict numbers that are not standardised, so an answer is the network's output itself.
#[test]
#[ignore = "writes files for scripts/train/load_in_pytorch.py"]
fn models_for_pytorch() {
    let folder = std::env::var("LUTHIER_MODELS").expect("a folder in LUTHIER_MODELS");
    let bars = images(96);
    let values = (0..96).map(|i| f64::from(i % 7)).collect();
    let bars = Dataset { targets: Targets::Numbers { values, name: "y".into() }, ..bars };
    for (name, sections, data) in
        [("mlp", MLP, numbers(120)), ("momentum", MOMENTUM, numbers(120)), ("cnn", CNN, bars)]
    {
        let sections = format!("standardize_target = false\n{sections}");
        let experiment = experiment(&sections, data, "val_loss");
        let model = model(&evaluate(&experiment, &mut FakeTrial::default()));
        let inputs = &experiment.dataset().inputs;
        let encoded = model.preprocessor().encode_all(inputs).unwrap();
        let width = encoded.len() / experiment.dataset().len();
        let rows: Vec<String> = encoded
            .chunks_exact(width)
            .map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            .collect();
        let outputs: Vec<String> = model
            .predict(inputs, &[])
            .unwrap()
            .into_iter()
            .map(|prediction| match prediction.answer {
                Answer::Number { value } => value.to_string(),
                Answer::Class { .. } => panic!("the target is a number"),
            })
            .collect();
        let write = |ending: &str, content: &[u8]| {
            std::fs::write(Path::new(&folder).join(format!("{name}{ending}")), content).expect("a file");
        };
        write(".safetensors", &model.to_bytes().expect("bytes"));
        write(".csv", format!("{}\n", rows.join("\n")).as_bytes());
        write(".out.csv", format!("{}\n", outputs.join("\n")).as_bytes());
    }
}
