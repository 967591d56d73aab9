//! The reference of everything that a study file may say, made of the definitions that parse it.

use std::fmt::Write;

use luthier_core::Direction;
use luthier_core::config::reference::{Section, markdown};
use luthier_runner::CommandConfig;
use luthier_train::batch_size::BatchSizeConfig;
use luthier_train::data::{ClassificationSource, Source, SplitConfig};
use luthier_train::model::{Activation, Architecture, Init, Layer, ModelConfig};
use luthier_train::schedule::Schedules;
use luthier_train::{
    Augmentation, DataConfig, EarlyStopping, EmaConfig, GradientClip, Loss, METRICS, OptimizerConfig,
    Regularize, TrainConfig,
};

use crate::study_file::{SearchSection, StudySection};

/// The sections of the reference. A new type that stands at a place of its own is named here; all that
/// can be reached from it follows.
pub fn sections() -> Vec<Section> {
    vec![
        Section::new("Study and search", "Which metric is tuned, and how configurations are chosen.")
            .with::<StudySection>("study")
            .with::<SearchSection>("search"),
        Section::new("Programs", PROGRAMS).with::<CommandConfig>("command"),
        Section::new("Data", "Where examples come from and how they become numbers.")
            .with::<DataConfig>("data")
            .with::<Source>("data.source")
            .with::<ClassificationSource>("data.source.classification"),
        Section::new("Splits", "Which rows train, which choose and which judge.")
            .with::<SplitConfig>("data.split"),
        Section::new("Augmentation", "How training examples are changed at each use.")
            .with::<Augmentation>("data.augment"),
        Section::new("Model", "What is trained, and what it takes over from another model.")
            .with::<ModelConfig>("model"),
        Section::new("Named models", "What `architecture` may be.").with::<Architecture>("model.architecture"),
        Section::new("Layers", "What `layers` is made of, in order.").with::<Layer>("model.layers"),
        Section::new("Activations", "What stands behind a layer.").with::<Activation>("activation"),
        Section::new("Initialisation", "How initial weights are drawn.").with::<Init>("model.init"),
        Section::new("Training", "How the model is trained, measured and saved.").with::<TrainConfig>("train"),
        Section::new("Batch size", "How many examples there are in a step.")
            .with::<BatchSizeConfig>("train.batch_size"),
        Section::new("Optimizers", "How weights follow their gradients.")
            .with::<OptimizerConfig>("train.optimizer"),
        Section::new("Gradients and averages", "What is done before and after a step.")
            .with::<GradientClip>("train.gradient_clip")
            .with::<EmaConfig>("train.ema"),
        Section::new("Penalties", "What keeps weights small, beside weight decay.")
            .with::<Regularize>("train.regularize"),
        Section::new(
            "Schedules",
            "How values change while training. In a file a schedule is the name of a kind, `\"cosine\"`; a \
             table, `{ kind = \"cosine\", warmup = 0.1 }`; a list of points, `[[0, 0.1], [5, 0.01]]`, each an \
             epoch and the value from then on; or a formula, `\"0.1 * 0.95^epoch\"`.",
        )
        .with::<Schedules>("train.schedule"),
        Section::new("Early stopping", "When a training ends before its last epoch, and what is tried first.")
            .with::<EarlyStopping>("train.early_stopping"),
        Section::new(
            "Losses",
            "What training makes small. In the formulas x stands for the outputs of the network, y for the \
             class of an example, p for the softmax of x, σ for the logistic function, and t for a target \
             number or, with two classes, 0 or 1.",
        )
        .with::<Loss>("train.loss"),
        Section::new("Metrics", metrics()),
        Section::new("What a run records", RECORDED),
    ]
}

/// What a program is told and what follows from what it does.
const PROGRAMS: &str = "\
A study file with `[command]` tunes a program in any language, in place of a training by `[data]`, `[model]` and `[train]`. \
What it is told stands in `[params]`, whose values may be ranges: `lr = { float = [1e-4, 1e-1], log = true }`. A value goes by \
its place there, such as `lr` or `optimizer.momentum`; \
`[search]` names it with its section, `params.lr`.\n\n\
| what a program is told | |\n| --- | --- |\n\
| `{NAME}` in `run` | a value as an argument, or a part of one |\n\
| `LUTHIER_PARAM_NAME` | a value as an environment variable; capitals, and `_` for all but letters and digits |\n\
| `LUTHIER_PARAMS` | a JSON file: `{\"trial\": 7, \"seed\": 1, \"until\": 9, \"checkpoint\": \"/…\", \"from\": null, \"params\": {…}}` |\n\
| `LUTHIER_TRIAL`, `LUTHIER_SEED` | the number of the trial, and the seed for all that it draws |\n\
| `LUTHIER_CHECKPOINT` | a folder of the trial's own; with `resumes` its contents come back when the trial goes on, and the \
winner's are kept (`luthier best --model out.tar`) |\n\
| `LUTHIER_FROM_TRIAL`, `LUTHIER_FROM_STEP` | with which trial's checkpoint, at which step, the trial begins, if it does: the folder \
holds a copy of it |\n\
| `LUTHIER_UNTIL` | the step at which the trial is to pause, if there is one |\n\n\
It runs in the folder of the study file. It prints how it does, and `objective` of `[study]` says under which name; the best \
value of a trial counts. Exit code 0 completes a trial, all else fails it. A trial that is stopped, paused or interrupted \
gets SIGTERM, and SIGKILL when `grace` is over; so do all processes of its group, and when the program has ended, by itself \
or because Luthier was killed, nothing that it has started lives on. (Outside Linux that holds for its process group alone.)\n\n\
A program that `resumes` reports a step first and writes its checkpoint afterwards, to another name and then renamed: so one \
that is ended between the two goes through that step again, which is not counted twice, and leaves none out. It exits at \
`LUTHIER_UNTIL`, for which it has the time of `grace`; one that goes on instead gets SIGTERM after its next report. What it \
prints from there to its end counts when the trial goes on.\n\n\
`luthier logs STUDY --trial N --output` shows what a trial printed.\n";

/// What stands in every report beside the metrics.
const RECORDED: &str = "\
Each report holds the metrics above on training and validation examples, and of the last step before it:\n\n\
| name | what |\n| --- | --- |\n\
| `learning_rate`, `batch_size` | as the schedules gave them |\n\
| `gradient_norm` | the norm of all gradients together, before clipping |\n\
| `update_ratio` | the norm of the change of the weights over the norm of the weights; about 1e-3 is usual |\n\
| `penalty` | what penalties add to the loss, where there are any |\n\
| `weights`, `flops`, `bytes` | the size of the model; operations of a forward pass of one example |\n\
| `epoch`, `step` | where the report stands, if it is not made once an epoch |\n\
| `seconds`, `examples_per_second`, `latency_ms` | measured with a clock, so they differ from run to run |\n\n\
`luthier train --checkpoint DIR` writes `last.checkpoint`, `best.checkpoint` and those that `checkpoints` of \
`[train]` keeps.\n";

/// The page, as Markdown.
pub fn page() -> String {
    let head = "# Techniques\n\n\
        All that a study file may say: keys, formulas, sources, defaults and useful ranges. `luthier \
        reference` writes this page from the definitions that read study files.\n\n\
        Wherever a value stands in `[model]` or `[train]`, a range may stand in its place: \
        `{ float = [1e-4, 1e-1], log = true }`, `{ int = [16, 64] }` or `{ choice = [...] }`. Beside it may stand what is believed of it, \
        `prior = { around = 1e-3, spread = 3 }` (for choices `weight` in the place of `spread`), and its part in the \
        comparison, `role = \"scientific\"`, `\"nuisance\"` or `\"fixed\"`: \
        [search.md](search.md#what-you-know-beforehand).\n\n";
    format!("{head}{}", markdown(&sections()))
}

fn metrics() -> String {
    let mut text =
        "A metric of predictions is called `train_NAME` or `val_NAME` as an objective or where it \
        is watched, and `NAME` in `metrics = [...]` and in `luthier evaluate`; a cost of the model has no \
        prefix. The definitions are scikit-learn's, with `zero_division = 0`. n is the number of examples \
        and k that of classes; for a class, TP, FP and FN are the examples that are rightly called it, \
        wrongly called it and wrongly called something else, and P = TP + FN.\n\n\
        | name | better | definition |\n| --- | --- | --- |\n"
            .to_owned();
    for entry in METRICS {
        let better = match entry.metric.direction() {
            Direction::Minimize => "low",
            Direction::Maximize => "high",
        };
        let doc = entry.doc.replace('|', "\\|");
        writeln!(text, "| `{}` | {better} | {doc} |", entry.name).ok();
    }
    text
}
