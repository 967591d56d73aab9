//! Data, study files and a trial for the tests of whole trainings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use luthier_core::config::{Node, Policy, Template};
use luthier_core::{
    Decision, Evaluation, Metrics, Objective, ObjectiveError, Params, Stop, StopReason, TrialHandle, TrialId,
};
use luthier_train::data::{
    ClassificationSource, Column, ColumnValues, Dataset, Images, Inputs, Split, SplitConfig, Table, Targets,
    TestSplit, Texts,
};
use luthier_train::{
    Advance, Checkpoint, Device, Experiment, Hook, MEASURED_TIMES, MetricName, Model, Position, Report, Run,
    Setup, TrainedModel,
};
use safetensors::SafeTensors;

// Data

pub(crate) fn classes(samples: usize, flip_y: f64) -> Dataset {
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
pub(crate) fn numbers(samples: usize) -> Dataset {
    let column = |scale: f64| (0..samples).map(|i| (i as f64 * scale).sin()).collect::<Vec<_>>();
    let (a, b) = (column(1.1), column(2.3));
    let values = a.iter().zip(&b).map(|(a, b)| 3.0 * a - b).collect();
    let column = |name: &str, values| Column { name: name.into(), values: ColumnValues::Numeric(values) };
    let inputs = Inputs::Table(Table { columns: vec![column("a", a), column("b", b)], rows: samples });
    Dataset::new("numbers", inputs, Targets::Numbers { values, name: "y".into() })
}

/// Grey images of 8 by 8 pixels: a bright bar that lies, stands or runs aslant.
pub(crate) fn images(samples: usize) -> Dataset {
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
    let targets = Targets::Classes {
        labels: (0..samples).map(|i| (i % 3) as u32).collect(),
        names: ["lying", "standing", "aslant"].map(str::to_owned).to_vec(),
        column: None,
    };
    Dataset::new("bars", Inputs::Images(Images::new(pixels, 1, 8, 8)), targets)
}

/// Texts of two sorts of words, some of them empty, and some longer than others.
pub(crate) fn texts(samples: usize) -> Dataset {
    let words = ["good", "fine", "bad", "poor", "film", "plot", "actor", "scene"];
    let text = |row: usize| {
        let length = [0, 3, 7, 12][row % 4];
        let word = |place: usize| words[(row % 2) * 2 + (row * place + place) % 6];
        (0..length).map(word).collect::<Vec<_>>().join(" ")
    };
    Dataset {
        name: "reviews".into(),
        inputs: Inputs::Text(Texts { texts: (0..samples).map(text).collect(), column: "text".into() }),
        targets: Targets::Classes {
            labels: (0..samples).map(|row| (row % 2) as u32).collect(),
            names: ["good", "bad"].map(str::to_owned).to_vec(),
            column: None,
        },
        given_test: None,
        aside: vec![],
        notices: vec![],
    }
}

pub(crate) fn subset(data: &Dataset, rows: &[usize]) -> (Inputs, Targets) {
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
        Inputs::Text(_) => panic!("the data of these tests has no texts"),
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

pub(crate) const MLP: &str = r#"
[model]
layers = [{ dense = 16, activation = "relu" }, { dropout = 0.3 }, { dense = 8, activation = "tanh" }]

[train]
epochs = 6
batch_size = 16
optimizer = { kind = "adam", learning_rate = 0.01 }
schedule = { learning_rate = { kind = "cosine", warmup = 0.1 } }
"#;

pub(crate) const MOMENTUM: &str = r#"
[model]
layers = [{ dense = 12, activation = "gelu" }]

[train]
epochs = 6
batch_size = 20
optimizer = { kind = "sgd", learning_rate = 0.05, momentum = 0.9, nesterov = true, weight_decay = 1e-3 }
schedule = { learning_rate = { kind = "step", every = 2, factor = 0.5 } }
"#;

pub(crate) const CNN: &str = r#"
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

/// A template of `[data]`, `[model]` and `[train]`; `sections` begin with further keys of `[data]`.
pub(crate) fn template(sections: &str) -> Template {
    // The data is handed over apart; its section says how it is transformed.
    let text = format!("[data]\nsource = \"mnist\"\n{sections}");
    let policy = Policy { allowed: &["data", "model", "train"], refused: &[] };
    let node = Node::parse(&text, "study.toml").expect("TOML");
    Template::new(&node, "study.toml", &policy).expect("a template")
}

pub(crate) fn split(data: &Dataset) -> Split {
    let split =
        SplitConfig { validation: 0.25, test: TestSplit::Share(0.1), seed: 1, ..SplitConfig::default() };
    split.split(data).expect("a split")
}

pub(crate) fn experiment(sections: &str, data: Dataset, objective: &str) -> Experiment {
    let splits = vec![split(&data)];
    with_splits(sections, data, splits, objective)
}

pub(crate) fn with_splits(sections: &str, data: Dataset, splits: Vec<Split>, objective: &str) -> Experiment {
    let objective = MetricName::parse(objective).expect("a metric");
    Experiment::new(template(sections), data, splits, objective, objective.direction(), Device::flex())
}

pub(crate) fn setup(sections: &str, data: Dataset, objective: &str, seed: u64) -> Setup {
    experiment(sections, data, objective).setup(&Params::default(), seed).expect("a setup")
}

/// The same with another seed.
pub(crate) fn with_seed<M: Model>(mut setup: Setup<M>, seed: u64) -> Setup<M> {
    setup.seed = seed;
    setup
}

pub(crate) fn mlp(seed: u64) -> Setup {
    setup(MLP, classes(240, 0.05), "val_loss", seed)
}

pub(crate) fn start<M: Model>(setup: Setup<M>) -> Run<M> {
    Run::new(setup).expect("a run")
}

// What is compared

/// A report without what is measured with a clock.
pub(crate) fn timeless(mut report: Report) -> Report {
    for name in MEASURED_TIMES {
        report.metrics.remove(name);
    }
    report
}

/// Trains until so many epochs are done and measured, or to the end. Gives the reports.
pub(crate) fn train<M: Model>(run: &mut Run<M>, epochs: u64) -> Vec<Report> {
    let mut reports = Vec::new();
    while run.ending().is_none() && run.position().epoch < epochs {
        match run.advance(&mut ()).expect("data that can be read") {
            Advance::Report(report) => reports.push(timeless(report)),
            other => panic!("expected a report, found {other:?}"),
        }
    }
    reports
}

/// Trains to the end: all reports.
pub(crate) fn finish<M: Model>(run: &mut Run<M>) -> Vec<Report> {
    train(run, u64::MAX)
}

/// All that there is to a run: what it reported, its best epoch, and its state bit for bit.
#[derive(Debug, PartialEq)]
pub(crate) struct Trace {
    pub(crate) reports: Vec<Report>,
    pub(crate) best: Option<(u64, f64)>,
    pub(crate) state: State,
}

/// The header and the tensors of a checkpoint, without what is measured with a clock.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) header: serde_json::Value,
    pub(crate) tensors: BTreeMap<String, Vec<u8>>,
}

/// The state of a run.
pub(crate) fn state<M: Model>(run: &Run<M>) -> State {
    state_of(&run.checkpoint())
}

/// The state in a checkpoint.
pub(crate) fn state_of(checkpoint: &Checkpoint) -> State {
    let bytes = checkpoint.to_bytes().expect("bytes");
    // The digest stands behind it.
    let bytes = &bytes[..bytes.len() - 32];
    let (_, metadata) = SafeTensors::read_metadata(bytes).expect("a header");
    let entries = metadata.metadata().as_ref().expect("a header of ours");
    let tensors = SafeTensors::deserialize(bytes).expect("tensors");
    let tensors: BTreeMap<String, Vec<u8>> =
        tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect();
    assert!(tensors.keys().any(|name| name.starts_with("now.")));
    let mut header: serde_json::Value =
        serde_json::from_str(&entries["luthier_checkpoint"]).expect("a header");
    remove_times(&mut header);
    State { header, tensors }
}

fn remove_times(value: &mut serde_json::Value) {
    if let Some(entries) = value.as_object_mut() {
        entries.retain(|name, _| !MEASURED_TIMES.contains(&name.as_str()));
        entries.values_mut().for_each(remove_times);
    }
}

/// All of a training.
pub(crate) fn trace<M: Model>(setup: Setup<M>) -> Trace {
    let mut run = start(setup);
    let reports = finish(&mut run);
    traced(reports, &run)
}

pub(crate) fn traced<M: Model>(reports: Vec<Report>, run: &Run<M>) -> Trace {
    Trace { reports, best: run.best(), state: state(run) }
}

/// Pauses after so many steps.
pub(crate) struct After(pub(crate) u64);

impl Hook for After {
    fn after_step(&mut self, _at: &Position, _loss: f64) {
        self.0 = self.0.saturating_sub(1);
    }

    fn pauses(&mut self) -> bool {
        self.0 == 0
    }
}

/// A trial in memory. It is interrupted when it has been asked `interrupt_after` times.
#[derive(Default)]
pub(crate) struct FakeTrial {
    pub(crate) params: Params,
    pub(crate) seed: u64,
    pub(crate) until: Option<u64>,
    pub(crate) interrupt_after: Option<u64>,
    pub(crate) asked: AtomicU64,
    pub(crate) stop_at: Option<u64>,
    pub(crate) reports: Vec<(u64, f64)>,
    pub(crate) metrics: Vec<Metrics>,
    pub(crate) checkpoint: Option<Vec<u8>>,
    pub(crate) checkpoints: u64,
    pub(crate) wants_checkpoint: bool,
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

pub(crate) fn evaluate(experiment: &Experiment, trial: &mut FakeTrial) -> Evaluation {
    experiment.evaluate(trial).expect("no error of the objective")
}

pub(crate) fn model(evaluation: &Evaluation) -> TrainedModel {
    let Evaluation::Complete { model: Some(bytes), .. } = evaluation else {
        panic!("expected a model, found {evaluation:?}")
    };
    TrainedModel::from_bytes(bytes, Device::flex()).expect("a model")
}
