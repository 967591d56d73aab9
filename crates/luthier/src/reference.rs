//! The reference of everything that a study file may say, made of the definitions that parse it.

use std::fmt::Write;

use luthier_core::Direction;
use luthier_core::config::reference::{Section, markdown};
use luthier_train::data::{ClassificationSource, CsvSource, SplitConfig};
use luthier_train::model::{Activation, Layer, ModelConfig};
use luthier_train::schedule::Schedules;
use luthier_train::{DataConfig, EarlyStopping, Loss, METRICS, OptimizerConfig, TrainConfig};

use crate::study_file::{SearchSection, StudySection};

/// The sections of the reference. A new type that stands at a place of its own is named here; all that
/// can be reached from it follows.
pub fn sections() -> Vec<Section> {
    vec![
        Section::new("Study and search", "Which metric is tuned, and how configurations are chosen.")
            .with::<StudySection>("study")
            .with::<SearchSection>("search"),
        Section::new("Data", "Where examples come from and how they become numbers.")
            .with::<DataConfig>("data")
            .with::<CsvSource>("data.source")
            .with::<ClassificationSource>("data.source.classification"),
        Section::new("Splits", "Which rows train, which choose and which judge.")
            .with::<SplitConfig>("data.split"),
        Section::new("Model", "What is trained.").with::<ModelConfig>("model"),
        Section::new("Layers", "What `layers` is made of, in order.").with::<Layer>("model.layers"),
        Section::new("Activations", "What stands behind a layer.").with::<Activation>("activation"),
        Section::new("Training", "How the model is trained.").with::<TrainConfig>("train"),
        Section::new("Optimizers", "How weights follow their gradients.")
            .with::<OptimizerConfig>("train.optimizer"),
        Section::new("Schedules", "How values change while training.").with::<Schedules>("train.schedule"),
        Section::new("Early stopping", "When a training ends before its last epoch.")
            .with::<EarlyStopping>("train.early_stopping"),
        Section::new(
            "Losses",
            "What training makes small. In the formulas x stands for the outputs of the network, y for the \
             class of an example, p for the softmax of x, σ for the logistic function, and t for a target \
             number or, with two classes, 0 or 1.",
        )
        .with::<Loss>("train.loss"),
        Section::new("Metrics", metrics()),
    ]
}

/// The page, as Markdown.
pub fn page() -> String {
    let head = "# Techniques\n\n\
        All that a study file may say: keys, formulas, sources, defaults and useful ranges. `luthier \
        reference` writes this page from the definitions that read study files.\n\n\
        Wherever a value stands in `[model]` or `[train]`, a range may stand in its place: \
        `{ float = [1e-4, 1e-1], log = true }`, `{ int = [16, 64] }` or `{ choice = [...] }`.\n\n";
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
