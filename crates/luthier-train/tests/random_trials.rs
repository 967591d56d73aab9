//! Two hundred random trials over all techniques on tiny data: each ends in a value or a stated cause, a
//! pause changes nothing, and its model answers.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use luthier_core::config::{Node, Policy, Template};
use luthier_core::{
    Decision, Ending, Evaluation, Metrics, Objective, ObjectiveError, Params, Purpose, Rng, Stop, Streams,
    TrialHandle, TrialId,
};
use luthier_train::batch_size::BatchSizeConfig;
use luthier_train::data::{
    ClassificationSource, Column, ColumnValues, Dataset, Images, Inputs, SplitConfig, Table, Targets,
    TestSplit, Texts,
};
use luthier_train::model::{Activation, Architecture, Init, Layer};
use luthier_train::schedule::{Curve, Schedule};
use luthier_train::stopping::Remedy;
use luthier_train::{
    Device, Experiment, GradientClip, Loss, METRICS, MetricName, OptimizerConfig, TrainedModel,
    TrainingConfig,
};

/// How many, unless `LUTHIER_TRIALS` asks for another number.
const TRIALS: u64 = 200;

// Data

fn dataset(name: &str, inputs: Inputs, targets: Targets) -> Dataset {
    Dataset { name: name.into(), inputs, targets, given_test: None, aside: Vec::new(), notices: Vec::new() }
}

fn labels(rows: usize, classes: usize) -> Targets {
    Targets::Classes {
        labels: (0..rows).map(|row| (row % classes) as u32).collect(),
        names: ["one", "two", "three"][..classes].iter().map(|name| (*name).to_owned()).collect(),
        column: None,
    }
}

fn classes(classes: usize) -> Dataset {
    let source = ClassificationSource {
        samples: 60,
        features: 6,
        informative: 4,
        classes,
        clusters_per_class: 1,
        seed: 3,
        ..Default::default()
    };
    source.generate().expect("data")
}

/// Two columns, one of which misses a number now and then.
fn numbers() -> Dataset {
    let column = |name: &str, scale: f64, gaps: usize| Column {
        name: name.into(),
        values: ColumnValues::Numeric(
            (0..60)
                .map(|i| if i % gaps == 5 { f64::NAN } else { (f64::from(i as u32) * scale).sin() })
                .collect(),
        ),
    };
    let columns = vec![column("a", 1.1, 9), column("b", 2.3, 1000)];
    let values = (0..60).map(|i| 3.0 * (f64::from(i) * 1.1).sin() - (f64::from(i) * 2.3).sin()).collect();
    let targets = Targets::Numbers { values, name: "y".into() };
    dataset("numbers", Inputs::Table(Table { columns, rows: 60 }), targets)
}

fn images(rows: usize, channels: usize, side: usize) -> Dataset {
    let mut pixels = Vec::new();
    for row in 0..rows {
        for channel in 0..channels {
            for y in 0..side {
                for x in 0..side {
                    let bar = [y, x, (x + y) % side][row % 3] == row % side;
                    pixels.push((if bar { 180 } else { 20 } + 10 * channel + (row * 7 + x * 3) % 40) as u8);
                }
            }
        }
    }
    dataset("bars", Inputs::Images(Images::new(pixels, channels, side, side)), labels(rows, 3))
}

fn texts() -> Dataset {
    let words = ["good", "fine", "bad", "poor", "film", "plot", "actor", "scene"];
    let texts = (0..60_usize)
        .map(|row| {
            // Some are empty, and some longer than what is kept of them.
            let length = [0, 3, 7, 20][row % 4];
            (0..length)
                .map(|word| words[(row % 2) * 2 + (row * word + word) % 6])
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    dataset("reviews", Inputs::Text(Texts { texts, column: "text".into() }), labels(60, 2))
}

// Files

const ACTIVATIONS: &str = r#"{ choice = ["none", "relu", { kind = "leaky_relu", slope = { float = [0.01, 0.3] } }, { kind = "elu", alpha = { float = [0.5, 1.5] } }, "gelu", "silu", "sigmoid", "tanh", "softplus", "mish"] }"#;

const INITS: &str = r#"{ choice = ["pytorch", { kind = "glorot_uniform", gain = { float = [0.5, 2.0] } }, "glorot_normal", "he_uniform", { kind = "he_normal", gain = { float = [0.5, 2.0] } }, "orthogonal", { kind = "truncated_normal", std = { float = [0.01, 0.2] } }, "zeros"] }"#;

const OPTIMIZERS: &str = r#"{ choice = [
  { kind = "sgd", learning_rate = { float = [1e-3, 1e20], log = true } },
  { kind = "sgd", learning_rate = 0.05, momentum = { float = [0.1, 0.99] }, nesterov = true, weight_decay = { float = [1e-5, 1e-2], log = true } },
  { kind = "sgd", momentum = 0.9, dampening = { float = [0.0, 0.5] }, decoupled = true, weight_decay = 0.01, weight_decay_on = "weights" },
  { kind = "adam", learning_rate = { float = [1e-4, 1.0], log = true }, beta1 = { float = [0.0, 0.95] }, amsgrad = { choice = [true, false] } },
  { kind = "adamw", weight_decay = { float = [1e-4, 0.1], log = true } },
  { kind = "adamax", learning_rate = { float = [1e-4, 0.1], log = true } },
  { kind = "nadam", momentum_decay = { float = [1e-3, 1e-2] } },
  { kind = "radam", weight_decay = 0.01, decoupled = { choice = [true, false] } },
  { kind = "rmsprop", centered = { choice = [true, false] }, momentum = { float = [0.0, 0.9] } },
  { kind = "adagrad", lr_decay = { float = [0.0, 0.1] } },
  { kind = "adadelta", rho = { float = [0.5, 0.99] } },
  { kind = "lion", weight_decay = 0.1 },
  { kind = "muon", adjust = { choice = ["original", "match_rms_adamw", "spectral_unclamped"] }, filters = { choice = [true, false] } },
  { kind = "prodigy", d_coef = { float = [0.5, 2.0] }, safeguard_warmup = { choice = [true, false] } },
] }"#;

/// Schedules that are factors, so that they suit any value.
const FACTORS: &str = r#"{ choice = [
  { kind = "constant", warmup_epochs = { float = [0.0, 1.0] } },
  { kind = "step", every = 1, factor = { float = [0.1, 0.9] } },
  { kind = "multi_step", milestones = [1], factor = 0.5 },
  { kind = "exponential", factor = { float = [0.5, 1.1] }, by = { choice = ["step", "epoch"] } },
  { kind = "polynomial", power = { float = [0.5, 3.0] } },
  { kind = "linear", start = { float = [0.1, 1.0] }, end = 0.1 },
  { kind = "inverse_sqrt", warmup = { float = [0.01, 0.3] } },
  { kind = "cosine", warmup = { float = [0.0, 0.3] }, plateau = { patience = 0, factor = 0.5 } },
  { kind = "cosine_restarts", period = 1, growth = 2 },
  { kind = "one_cycle", anneal = { choice = ["cosine", "linear"] }, three_phases = { choice = [true, false] } },
  { kind = "formula", formula = "base * 0.9^epoch * (1 - progress / 2)" },
  { kind = "join", parts = [{ until = 1, schedule = { kind = "linear", start = 0.1, end = 1.0 } }, { schedule = "cosine" }] },
  { kind = "product", of = ["cosine", { kind = "exponential", factor = 0.9 }] },
  { kind = "plateau", patience = { int = [0, 2] }, factor = { float = [0.1, 0.9] }, monitor = { choice = ["val_loss", "train_loss"] } },
] }"#;

const BATCH_SIZES: &str = r#"{ choice = [
  { random = [4, 16] }, { random = [2, 30], log = true }, { grow = { every = 1 }, from = 4 },
  { grow = { on_plateau = { patience = 0 }, factor = 3.0, max = 20 }, from = 6 },
  { noise_scale = { min = 2, max = 24, every = 1 }, from = 8 }, { auto = { max = 16 } }, 8, 1000, "full",
] }"#;

const STOPPING: &str = r#"{ choice = [
  { patience = 1, min_delta = { float = [0.0, 0.5] } },
  { patience = 1, first = { lower_rate = 0.5, times = 2 }, restore_best = false },
  { patience = 1, first = [{ grow_batch = 2.0, max = 32 }, { lower_rate = 0.1 }], nan = "ignore" },
  { stop_below = { float = [0.0, 1.0] }, monitor = "val_loss" },
  { stop_above = { float = [0.0, 3.0] }, monitor = "train_loss" },
  { time_limit = "1h" },
] }"#;

/// One of `lines` that may stand in a section, each with an even chance.
fn some(rng: &mut Rng, lines: &[String]) -> String {
    lines.iter().filter(|_| rng.below(2) == 0).map(|line| format!("{line}\n")).collect()
}

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len())]
}

/// The section `[train]`, for one of these losses, and metrics that suit the data.
fn train(rng: &mut Rng, losses: &str, metrics: &[&str]) -> String {
    let names = [one(rng, metrics), one(rng, metrics)];
    let points = "{ kind = \"points\", points = [[0, 0.01], [1, 0.003]], interpolation = \"linear\" }";
    let rate = if rng.below(8) == 0 { points } else { FACTORS };
    let decay = if rng.below(3) == 0 { "\"tied\"" } else { FACTORS };
    let lines = [
        format!("learning_rate = {rate}"),
        format!("weight_decay = {decay}"),
        format!("dropout = {FACTORS}"),
        format!(
            "batch_size = {}",
            one(rng, &["[[0, 8], [1, 12]]", "{ kind = \"linear\", start = 1.0, end = 2.0 }"])
        ),
        format!("augmentation = {FACTORS}"),
        format!("penalty = {FACTORS}"),
    ];
    let optional = [
        format!("loss = {{ choice = [{losses}] }}"),
        format!("metrics = [\"{}\"{}]", names[0], if names[0] == names[1] { String::new() } else { format!(", \"{}\"", names[1]) }),
        "accumulate = { int = [1, 3] }".to_owned(),
        "gradient_clip = { choice = [{ norm = { float = [0.1, 2.0] } }, { value = { float = [0.01, 1.0] } }] }".to_owned(),
        "regularize = { choice = [{ l1 = { float = [1e-6, 1e-2], log = true } }, { l2 = 1e-3, react = { } }, { start = \"auto\", layers = \"*\" }] }"
            .to_owned(),
        "max_norm = { float = [0.5, 4.0] }".to_owned(),
        "ema = { decay = { float = [0.5, 0.999] }, warmup = { choice = [true, false] } }".to_owned(),
        format!("early_stopping = {STOPPING}"),
        "validate_every = { choice = [1, 0.5, { steps = 3 }, 2] }".to_owned(),
    ];
    format!(
        "[train]\nepochs = {{ int = [1, 2] }}\nbatch_size = {BATCH_SIZES}\noptimizer = {OPTIMIZERS}\n{}\n\
         [train.schedule]\n{}",
        some(rng, &optional),
        some(rng, &lines)
    )
}

const CLASS_METRICS: [&str; 19] = [
    "loss",
    "accuracy",
    "top2",
    "balanced_accuracy",
    "precision_macro",
    "precision_micro",
    "precision_weighted",
    "recall_macro",
    "recall_micro",
    "recall_weighted",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "auroc",
    "auroc_weighted",
    "average_precision",
    "average_precision_weighted",
    "log_loss",
    "flops",
];

const LOSSES: &str = r#"{ kind = "cross_entropy" }, { kind = "cross_entropy", smoothing = { float = [0.0, 0.3] }, class_weights = "balanced" }, { kind = "focal", gamma = { float = [0.0, 5.0] } }"#;

const BINARY_LOSSES: &str = r#"{ kind = "cross_entropy" }, { kind = "binary_cross_entropy", smoothing = 0.1, positive_weight = "balanced" }, { kind = "binary_focal", alpha = { float = [0.1, 0.9] } }"#;

const OBJECTIVES: [&str; 4] = ["val_loss", "val_accuracy", "val_f1_macro", "val_auroc"];

/// Kinds of data, with models that suit them as a rule.
const FAMILIES: u64 = 8;

/// A random file, the data that goes with it, and the metric by which it is judged.
fn draw(number: u64, rng: &mut Rng) -> (String, Dataset, &'static str) {
    let act = ACTIVATIONS;
    let dense =
        format!("{{ dense = {{ int = [3, 12] }}, activation = {act}, bias = {{ choice = [true, false] }} }}");
    let class_objective = one(rng, &OBJECTIVES);
    let augment = |rng: &mut Rng, lines: &[&str]| {
        let lines: Vec<&str> = lines.iter().copied().filter(|_| rng.below(3) == 0).collect();
        format!("augment = {{ {} }}\n", lines.join(", "))
    };
    let pictures = [
        "flip = 0.5",
        "crop = 2",
        "rotate = { float = [0.0, 30.0] }",
        "translate = { float = [0.0, 0.2] }",
        "zoom = { float = [0.0, 0.3] }",
        "brightness = 0.3",
        "contrast = 0.3",
        "erase = { probability = 0.5, fill = { choice = [\"mean\", \"noise\"] } }",
        "noise = 0.1",
        "mixup = { float = [0.0, 0.5] }",
        "cutmix = 1.0",
    ];
    let two: Vec<&str> =
        CLASS_METRICS.into_iter().chain(["precision", "recall", "f1", "weights", "bytes"]).collect();
    let scale = "scale = { choice = [\"standardize\", \"normalize\", \"none\"] }\n";
    let init = format!("init = {INITS}\n");
    match number % FAMILIES {
        0 => {
            let augment = augment(rng, &["noise = { float = [0.01, 0.5] }", "mixup = 0.2"]);
            let layers = format!(
                "layers = [{dense}, {{ choice = [{{ batch_norm = true }}, {{ layer_norm = true }}, {{ group_norm = 1 }}] }}, \
                 {{ dropout = {{ float = [0.0, 0.7] }} }}, {{ residual = [{{ activation = {act} }}, {{ layer_norm = true }}], activation = {act} }}]\n"
            );
            let train = train(rng, LOSSES, &CLASS_METRICS);
            (format!("{scale}{augment}[model]\n{init}{layers}{train}"), classes(3), class_objective)
        }
        1 => {
            let mlp = format!(
                "architecture = {{ kind = \"mlp\", units = {{ int = [2, 12] }}, depth = {{ int = [1, 4] }}, activation = {act}, dropout = {{ float = [0.0, 0.5] }}, batch_norm = {{ choice = [true, false] }} }}\n"
            );
            let train = train(rng, BINARY_LOSSES, &two);
            (format!("[model]\n{init}{mlp}{train}"), classes(2), class_objective)
        }
        2 => {
            let impute = "impute = { choice = [\"median\", \"mean\", \"most_frequent\", { constant = 0.0 }] }\nmissing_flags = { choice = [true, false] }\nstandardize_target = { choice = [true, false] }\n";
            let frozen = some(
                rng,
                &[
                    "freeze = [\"0.*\"]\nthaw = [{ epoch = 1, layers = [\"0.*\"] }]".into(),
                    "learning_rates = { \"0.*\" = 0.1 }".into(),
                ],
            );
            let losses = r#""mse", "mae", { kind = "huber", delta = { float = [0.1, 2.0] } }"#;
            let train = train(rng, losses, &["rmse", "mae", "r2", "loss", "latency_ms", "epoch_seconds"]);
            let objective = one(rng, &["val_loss", "val_rmse", "val_mae", "val_r2"]);
            (
                format!("{scale}{impute}[model]\n{init}layers = [{dense}]\n{frozen}{train}"),
                numbers(),
                objective,
            )
        }
        3 => {
            let augment = augment(rng, &pictures);
            let conv = format!(
                "{{ conv = 4, kernel = {{ int = [1, 4] }}, padding = {{ choice = [\"same\", 1, 2] }}, dilation = {{ int = [1, 2] }}, groups = {{ int = [1, 2] }}, activation = {act} }}"
            );
            let layers = format!(
                "layers = [{{ conv = 4, padding = \"same\", activation = {act}, init = {INITS} }}, \
                 {{ choice = [{{ batch_norm = true }}, {{ group_norm = 2 }}, {{ layer_norm = true }}, {{ spatial_dropout = 0.2 }}, {{ residual = [{{ conv = 4, padding = \"same\" }}, {{ batch_norm = true }}] }}] }}, \
                 {conv}, \
                 {{ choice = [{{ max_pool = {{ int = [1, 3] }} }}, {{ avg_pool = 2, stride = 1, padding = 1 }}, {{ global_pool = \"avg\" }}, {{ global_pool = \"max\" }}, {{ flatten = true }}] }}, \
                 {{ dropout = 0.3 }}, {dense}]\n"
            );
            let train = train(rng, LOSSES, &CLASS_METRICS);
            (format!("{scale}{augment}[model]\n{init}{layers}{train}"), images(48, 1, 10), class_objective)
        }
        4 => {
            let augment = augment(rng, &pictures);
            let recurrent =
                "bidirectional = { choice = [true, false] }, layers = { int = [1, 2] }, dropout = 0.2";
            let end = "output = { choice = [\"last\", \"sequence\"] }";
            let layers = format!(
                "layers = [{{ rows = true }}, {{ choice = [{{ position = \"sinusoidal\" }}, {{ position = \"learned\" }}, {{ layer_norm = true }}, {{ conv1d = 6, kernel = {{ int = [1, 3] }}, padding = \"same\", activation = {act} }}] }}, \
                 {{ choice = [{{ attention = {{ int = [1, 2] }}, feed_forward = 6, norm_first = {{ choice = [true, false] }}, activation = {act} }}, {{ spatial_dropout = 0.1 }}, {{ max_pool = 2 }}, {{ avg_pool = 2 }}, {{ dense = 6 }}] }}, \
                 {{ choice = [{{ lstm = 5, {recurrent}, output = \"last\" }}, {{ gru = 5, {recurrent}, {end} }}, {{ rnn = 5, {recurrent}, {end} }}, {{ global_pool = \"avg\" }}, {{ flatten = true }}] }}]\n"
            );
            let train = train(rng, LOSSES, &CLASS_METRICS);
            (format!("{augment}[model]\n{init}{layers}{train}"), images(48, 1, 10), class_objective)
        }
        5 => {
            // Each in turn, the one or other of which is for texts.
            let kind = Architecture::KINDS[(number / FAMILIES) as usize % Architecture::KINDS.len()];
            let settings = match kind {
                "resnet18" | "resnet34" => ", width = 0.05, stem = { choice = [\"small\", \"imagenet\"] }",
                "cnn" => {
                    ", filters = 4, dense = 8, blocks = { int = [1, 3] }, convolutions = { int = [1, 2] }, batch_norm = true"
                }
                "row_rnn" => {
                    ", units = 6, cell = { choice = [\"rnn\", \"gru\", \"lstm\"] }, layers = { int = [1, 2] }"
                }
                "transformer" => {
                    ", width = 8, heads = { int = [1, 3] }, blocks = 1, position = { choice = [\"sinusoidal\", \"learned\"] }"
                }
                "mlp" => ", units = 8",
                kind if kind.starts_with("vgg") => ", width = 0.02, dropout = 0.2",
                _ => "",
            };
            let model = format!("architecture = {{ kind = \"{kind}\"{settings} }}\n");
            let augment = augment(rng, &pictures);
            let train = train(rng, LOSSES, &CLASS_METRICS);
            (format!("{augment}[model]\n{model}{train}"), images(30, 3, 32), class_objective)
        }
        6 => {
            let layers = format!(
                "layers = [{{ embedding = 6, init = {INITS} }}, {{ choice = [{{ position = \"sinusoidal\" }}, {{ conv1d = 6, padding = \"same\" }}, {{ batch_norm = true }}, {{ spatial_dropout = 0.2 }}, {{ attention = 2 }}] }}, \
                 {{ choice = [{{ lstm = 5 }}, {{ gru = 5, bidirectional = true }}, {{ rnn = 4 }}, {{ global_pool = \"max\" }}, {{ global_pool = \"avg\" }}, {{ flatten = true }}] }}, {dense}]\n"
            );
            let train = train(rng, BINARY_LOSSES, &two);
            (
                format!("max_length = {{ int = [2, 9] }}\nmin_count = 2\n[model]\n{init}{layers}{train}"),
                texts(),
                class_objective,
            )
        }
        _ => {
            let model = "architecture = { choice = [{ kind = \"lstm_text\", embedding = 6, units = 5, bidirectional = { choice = [true, false] } }, { kind = \"gru_text\", embedding = 6, units = 5, layers = 2, dropout = 0.2 }, { kind = \"cnn_text\", embedding = 6, filters = 4, widths = { int = [1, 3] } }, { kind = \"transformer\", width = 8, heads = 2, blocks = { int = [1, 2] } }] }\n";
            let train = train(rng, BINARY_LOSSES, &two);
            (format!("max_words = 20\n[model]\n{init}{model}{train}"), texts(), class_objective)
        }
    }
}

// Trials

/// A trial in memory, which is interrupted when it has been asked `interrupt_after` times.
#[derive(Default)]
struct Trial {
    params: Params,
    seed: u64,
    interrupt_after: Option<u64>,
    asked: AtomicU64,
    reports: u64,
    checkpoint: Option<Vec<u8>>,
}

impl TrialHandle for Trial {
    fn id(&self) -> TrialId {
        TrialId(self.seed)
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn until(&self) -> Option<u64> {
        None
    }

    fn report(&mut self, _: u64, value: f64, _: Metrics) -> Result<Decision, ObjectiveError> {
        assert!(value.is_finite());
        self.reports += 1;
        Ok(Decision::Continue)
    }

    fn interrupted(&self) -> Option<Stop> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        self.interrupt_after.is_some_and(|after| asked >= after).then_some(Stop::Interrupted)
    }

    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError> {
        Ok(self.checkpoint.clone())
    }

    fn wants_checkpoint(&self) -> bool {
        false
    }

    fn save_checkpoint(&mut self, checkpoint: Vec<u8>) -> Result<(), ObjectiveError> {
        self.checkpoint = Some(checkpoint);
        Ok(())
    }
}

/// What occurred in trials that came to a value: `optimizer adam` and the like.
type Seen = BTreeSet<String>;

/// Runs the trial with this number: how it ended, in a word and in full, and what was in it.
fn run(number: u64) -> (&'static str, String, Seen) {
    let mut rng = Streams::new(2024).at(Purpose::Sampler, number);
    let (sections, data, objective) = draw(number, &mut rng);
    // The data is handed over apart; its section says how it is transformed.
    let text = format!("[data]\nsource = \"mnist\"\n{sections}");
    let policy = Policy { allowed: &["data", "model", "train"], refused: &[] };
    let node = Node::parse(&text, "study.toml").expect("TOML");
    let template = Template::new(&node, "study.toml", &policy).expect("a template");
    let split = SplitConfig {
        validation: 0.25,
        test: TestSplit::Share(0.1),
        stratify: false,
        seed: 1,
        ..SplitConfig::default()
    };
    let splits = vec![split.split(&data).expect("a split")];
    let objective = MetricName::parse(objective).expect("a metric");
    let direction = objective.direction();
    let experiment = Experiment::new(template, data, splits, objective, direction, Device::flex());
    let params = experiment.space().sample(&mut rng);
    let file = experiment.file(&params, number).expect("a file");
    let config = TrainingConfig::read(&file, "study.toml")
        .unwrap_or_else(|problems| panic!("{problems}\n{}", file.to_toml()));

    let mut trial = Trial { params: params.clone(), seed: number, ..Trial::default() };
    let evaluation = experiment.evaluate(&mut trial).expect("no error of the objective");
    // What is chosen by a clock may come out otherwise the next time.
    if !matches!(config.train.batch_size, BatchSizeConfig::Auto(_)) {
        let asked = trial.asked.load(Ordering::Relaxed);
        let interrupt_after = Some(rng.below(asked as usize + 1) as u64);
        let mut again = Trial { params, seed: number, interrupt_after, ..Trial::default() };
        let first = experiment.evaluate(&mut again).expect("no error of the objective");
        let second = if first == Evaluation::Paused {
            again.interrupt_after = None;
            experiment.evaluate(&mut again).expect("no error of the objective")
        } else {
            first
        };
        let paused = format!("a pause after {interrupt_after:?} of {asked}");
        same(&second, &evaluation, &format!("{paused} changed it:\n{}", file.to_toml()));
        assert_eq!(again.reports, trial.reports);
    }
    match evaluation {
        Evaluation::Complete { value, step: Some(_), ending, model: Some(model) } => {
            assert!(value.is_finite() && trial.reports > 0);
            let model = TrainedModel::from_bytes(&model, Device::flex()).expect("a model");
            let answers = model.predict(&experiment.dataset().inputs, &[]).expect("answers");
            assert_eq!(answers.len(), experiment.dataset().len());
            let word = match ending {
                Ending::Full => "full",
                Ending::EarlyStopped { .. } => "early",
                Ending::Diverged { .. } => "diverged late",
            };
            (word, ending.to_string(), seen(&config))
        }
        Evaluation::Failed(cause) => {
            assert!(!cause.to_string().is_empty());
            ("failed", cause.to_string(), Seen::new())
        }
        Evaluation::Infeasible(reason) => {
            assert!(!reason.is_empty());
            ("infeasible", reason, Seen::new())
        }
        other => panic!("{other:?}"),
    }
}

/// Asserts that two trials came to the same, bit for bit.
fn same(one: &Evaluation, other: &Evaluation, said: &str) {
    let parts = |evaluation: &Evaluation| match evaluation {
        Evaluation::Complete { value, step, ending, model } => {
            let model = model.clone().unwrap_or_default();
            let length = u64::from_le_bytes(model[..8].try_into().expect("eight bytes")) as usize;
            let header = String::from_utf8(model[8..8 + length].to_vec()).expect("text");
            (format!("{value:?} {step:?} {ending}"), header, model)
        }
        other => (format!("{other:?}"), String::new(), Vec::new()),
    };
    let ((one, one_header, one_model), (other, other_header, other_model)) = (parts(one), parts(other));
    assert_eq!(one, other, "{said}");
    assert_eq!(one_header, other_header, "{said}");
    assert!(one_model == other_model, "other weights: {said}");
}

/// All techniques of a file.
fn seen(config: &TrainingConfig) -> Seen {
    let mut seen = Seen::new();
    let mut add = |what: &str, kind: &str| {
        seen.insert(format!("{what} {kind}"));
    };
    let (data, model, train) = (&config.data, &config.model, &config.train);
    add("optimizer", train.optimizer.kind());
    for (key, schedule) in train.schedule.named() {
        curves(schedule, &mut |kind| add("curve", kind));
        if schedule.curve != Curve::Constant {
            add("schedule", key);
        }
    }
    add(
        "batch size",
        match train.batch_size {
            BatchSizeConfig::Fixed(_) => "fixed",
            BatchSizeConfig::Full => "full",
            BatchSizeConfig::Auto(_) => "auto",
            BatchSizeConfig::Random(_) => "random",
            BatchSizeConfig::Grow(_) => "grow",
            BatchSizeConfig::NoiseScale(_) => "noise_scale",
        },
    );
    if let Some(loss) = &train.loss {
        add("loss", loss.kind());
    }
    for metric in &train.metrics {
        add("metric", &metric.name());
    }
    add("init", model.init.kind());
    for layer in &model.layers {
        layers(layer, &mut add);
    }
    if let Some(architecture) = &model.architecture {
        add("architecture", architecture.kind());
    }
    for penalty in &train.regularize.0 {
        add("penalty", if penalty.react.is_some() { "react" } else { penalty.start.kind() });
    }
    if let Some(clip) = &train.gradient_clip {
        add("clip", clip.kind());
    }
    if let Some(stopping) = &train.early_stopping {
        add("stopping", stopping.nan.kind());
        stopping.first.0.iter().for_each(|remedy| add("remedy", remedy.kind()));
        for (key, is_set) in [
            ("patience", stopping.patience.is_some()),
            ("above", stopping.stop_above.is_some()),
            ("below", stopping.stop_below.is_some()),
            ("time", stopping.time_limit.is_some()),
        ] {
            if is_set {
                add("stopping", key);
            }
        }
    }
    let augment = &data.augment;
    for (key, is_set) in [
        ("train ema", train.ema.is_some()),
        ("train max_norm", train.max_norm.is_some()),
        ("train accumulate", train.accumulate > 1),
        ("model freeze", !model.freeze.is_empty()),
        ("model learning_rates", model.learning_rates != Default::default()),
        ("augment flip", augment.flip > 0.0),
        ("augment crop", augment.crop > 0),
        ("augment rotate", augment.rotate > 0.0),
        ("augment translate", augment.translate > 0.0),
        ("augment zoom", augment.zoom > 0.0),
        ("augment brightness", augment.brightness > 0.0),
        ("augment contrast", augment.contrast > 0.0),
        ("augment erase", augment.erase.is_some()),
        ("augment noise", augment.noise > 0.0),
        ("augment mixup", augment.mixup > 0.0),
        ("augment cutmix", augment.cutmix > 0.0),
    ] {
        if is_set {
            seen.insert(key.to_owned());
        }
    }
    seen
}

fn curves(schedule: &Schedule, add: &mut dyn FnMut(&str)) {
    add(schedule.curve.kind());
    match &schedule.curve {
        Curve::Join(join) => join.parts.iter().for_each(|part| curves(&part.schedule, add)),
        Curve::Product(product) => product.of.iter().for_each(|schedule| curves(schedule, add)),
        _ => {}
    }
}

fn layers(layer: &Layer, add: &mut dyn FnMut(&str, &str)) {
    add("layer", layer.kind());
    let activation = match layer {
        Layer::Dense(layer) => layer.activation,
        Layer::Conv(layer) => layer.activation,
        Layer::Conv1d(layer) => layer.activation,
        Layer::Activation(layer) => layer.activation,
        Layer::Attention(layer) => layer.activation,
        Layer::Residual(layer) => {
            layer.residual.iter().for_each(|layer| layers(layer, add));
            layer.activation
        }
        _ => return,
    };
    add("activation", activation.kind());
}

/// All that has to occur.
fn expected() -> Seen {
    let mut expected = Seen::new();
    let mut add = |what: &str, kinds: &[&str]| {
        expected.extend(kinds.iter().map(|kind| format!("{what} {kind}")));
    };
    add("optimizer", OptimizerConfig::KINDS);
    add("curve", Curve::KINDS);
    add("schedule", &["learning_rate", "batch_size", "weight_decay", "dropout", "augmentation", "penalty"]);
    add("batch size", &["fixed", "full", "auto", "random", "grow", "noise_scale"]);
    add("loss", Loss::KINDS);
    add("init", Init::KINDS);
    add("layer", Layer::KINDS);
    add("activation", Activation::KINDS);
    add("architecture", Architecture::KINDS);
    add("penalty", &["given", "auto", "react"]);
    add("clip", GradientClip::KINDS);
    add("remedy", Remedy::KINDS);
    add("stopping", &["patience", "above", "below", "time", "stop", "ignore"]);
    add("train", &["ema", "max_norm", "accumulate"]);
    add("model", &["freeze", "learning_rates"]);
    let augment = ["flip", "crop", "rotate", "translate", "zoom", "brightness", "contrast"];
    add("augment", &augment);
    add("augment", &["erase", "noise", "mixup", "cutmix"]);
    // `top5` stands for every number.
    let metrics: Vec<&str> = METRICS.iter().map(|entry| entry.name).filter(|name| *name != "top5").collect();
    add("metric", &metrics);
    expected
}

#[test]
fn two_hundred_random_trials_end_in_a_value_or_a_stated_cause() {
    let trials =
        std::env::var("LUTHIER_TRIALS").ok().and_then(|number| number.parse().ok()).unwrap_or(TRIALS);
    let first = std::env::var("LUTHIER_FIRST").ok().and_then(|number| number.parse().ok()).unwrap_or(0);
    let next = AtomicU64::new(first);
    let ended = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= trials {
                        return;
                    }
                    let end = catch_unwind(AssertUnwindSafe(|| run(number)));
                    ended.lock().expect("no panic").insert(number, end.ok());
                }
            });
        }
    });
    let ended = ended.into_inner().expect("no panic");
    let panicked: Vec<u64> =
        ended.iter().filter(|(_, end)| end.is_none()).map(|(number, _)| *number).collect();
    assert!(panicked.is_empty(), "these trials failed, with the messages above: {panicked:?}");

    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut causes = Vec::new();
    let mut occurred = Seen::new();
    for (number, (word, said, seen)) in ended.into_iter().filter_map(|(number, end)| Some((number, end?))) {
        *counts.entry(word).or_default() += 1;
        occurred.extend(seen);
        if ["failed", "infeasible"].contains(&word) {
            causes.push(format!("{number}: {said}"));
        }
    }
    let complete = trials as usize - causes.len();
    let causes = causes.join("\n");
    assert!(complete as u64 > trials * 7 / 10, "{complete} came to a value: {counts:?}\n{causes}");
    let expected = expected();
    let missing: Vec<&String> = expected.difference(&occurred).collect();
    assert!(counts.contains_key("failed") && counts.contains_key("infeasible"), "{counts:?}");
    assert!(missing.is_empty(), "in no trial that came to a value: {missing:?}\n{counts:?}\n{causes}");
}
