//! Random study files, each with the data that goes with it.

use luthier_core::Rng;
use luthier_train::data::Dataset;
use luthier_train::model::Architecture;

use crate::data::{classes, images, numbers, texts};

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
pub(crate) fn draw(number: u64, rng: &mut Rng) -> (String, Dataset, &'static str) {
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
