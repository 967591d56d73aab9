//! What is measured: networks with their data.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use luthier::core::config::{Node, Policy, Template};
use luthier::core::{Params, Purpose, Rng, Streams};
use luthier::train::data::{Dataset, Images, Inputs, Split, Targets, Texts};
use luthier::train::model::summarize;
use luthier::train::{Experiment, MetricName, Setup, TrainingConfig, device};

/// A case of the benchmark.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What PyTorch's script calls it.
    pub(crate) pytorch: &'static str,
    /// What it is, for people.
    pub(crate) what: &'static str,
    pub(crate) batch: usize,
    /// Threads of all that runs at once, unless the command says otherwise.
    pub(crate) threads: usize,
    pub(crate) at_once: AtOnce,
    data: Data,
    learning_rate: &'static str,
    model: &'static str,
}

/// How many trainings run beside each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtOnce {
    /// One, on all threads.
    One,
    /// As many as there are threads, each on one.
    EachThread,
    /// So many trials, from beginning to end, as many at a time as there are threads.
    Trials(usize),
}

#[derive(Clone, Copy)]
enum Data {
    /// Images of random pixels.
    Images { rows: usize, channels: usize, side: usize },
    /// The table of the case study.
    CaseStudy { rows: usize },
    /// Film reviews, or random words with about their lengths where they are missing.
    Reviews { rows: usize },
}

const CASE_STUDY: &str = r#"layers = [{ dense = 16, activation = "relu" }]"#;
const MNIST: &str = r#"
layers = [
  { conv = 32, kernel = 5, activation = "relu" }, { max_pool = 2 },
  { conv = 64, kernel = 5, activation = "relu" }, { max_pool = 2 },
  { dense = 1024, activation = "relu" },
  { dropout = 0.4 },
]"#;

/// All cases.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "mnist",
        pytorch: "mnist",
        what: "MNIST's convolutional network, batch 100",
        batch: 100,
        threads: 2,
        at_once: AtOnce::One,
        data: Data::Images { rows: 10_000, channels: 1, side: 28 },
        learning_rate: "1e-3",
        model: MNIST,
    },
    Case {
        name: "mnist-two",
        pytorch: "mnist",
        what: "MNIST's convolutional network, a training on each thread",
        batch: 100,
        threads: 2,
        at_once: AtOnce::EachThread,
        data: Data::Images { rows: 10_000, channels: 1, side: 28 },
        learning_rate: "1e-3",
        model: MNIST,
    },
    Case {
        name: "vgg16-32",
        pytorch: "vgg16-32",
        what: "VGG16 on 32x32, batch 8",
        batch: 8,
        threads: 2,
        at_once: AtOnce::One,
        data: Data::Images { rows: 512, channels: 3, side: 32 },
        learning_rate: "1e-4",
        model: r#"architecture = "vgg16""#,
    },
    Case {
        name: "vgg16-224",
        pytorch: "vgg16-224",
        what: "VGG16 on 224x224, batch 8",
        batch: 8,
        threads: 2,
        at_once: AtOnce::One,
        data: Data::Images { rows: 64, channels: 3, side: 224 },
        learning_rate: "1e-4",
        model: r#"architecture = "vgg16""#,
    },
    Case {
        name: "resnet18",
        pytorch: "resnet18",
        what: "ResNet-18 on 32x32, batch 32",
        batch: 32,
        threads: 2,
        at_once: AtOnce::One,
        data: Data::Images { rows: 2048, channels: 3, side: 32 },
        learning_rate: "1e-3",
        model: r#"architecture = "resnet18""#,
    },
    Case {
        name: "resnet18-small",
        pytorch: "resnet18-small",
        what: "ResNet-18 with the stem for small images, 32x32, batch 32",
        batch: 32,
        threads: 2,
        at_once: AtOnce::One,
        data: Data::Images { rows: 2048, channels: 3, side: 32 },
        learning_rate: "1e-3",
        model: r#"architecture = { kind = "resnet18", stem = "small" }"#,
    },
    Case {
        name: "lstm",
        pytorch: "lstm",
        what: "LSTM on film reviews, both directions, batch 50",
        batch: 50,
        threads: 2,
        at_once: AtOnce::One,
        data: Data::Reviews { rows: 8_500 },
        learning_rate: "2e-3",
        model: r#"
layers = [
  { embedding = 50, init = { kind = "truncated_normal", std = 0.1 } }, { dropout = 0.5 },
  { lstm = 64, bidirectional = true, output = "sequence" },
  { global_pool = "max" }, { dropout = 0.5 },
]"#,
    },
    Case {
        name: "case-study",
        pytorch: "case-study",
        what: "the case study's network 10-16-2, batch 32",
        batch: 32,
        threads: 1,
        at_once: AtOnce::One,
        data: Data::CaseStudy { rows: 608 },
        learning_rate: "1e-3",
        model: CASE_STUDY,
    },
    Case {
        name: "case-study-full",
        pytorch: "case-study-full",
        what: "the case study's network, all 600 rows in a batch",
        batch: 600,
        threads: 1,
        at_once: AtOnce::One,
        data: Data::CaseStudy { rows: 600 },
        learning_rate: "1e-3",
        model: CASE_STUDY,
    },
    Case {
        name: "trials",
        pytorch: "case-study",
        what: "64 trials of the case study's network, batch 32",
        batch: 32,
        threads: 2,
        at_once: AtOnce::Trials(64),
        data: Data::CaseStudy { rows: 608 },
        learning_rate: "1e-3",
        model: CASE_STUDY,
    },
    Case {
        name: "mlp",
        pytorch: "mlp",
        what: "MLP 784-512-256-10, batch 128",
        batch: 128,
        threads: 2,
        at_once: AtOnce::One,
        data: Data::Images { rows: 10_240, channels: 1, side: 28 },
        learning_rate: "1e-3",
        model: r#"layers = [{ dense = 512, activation = "relu" }, { dense = 256, activation = "relu" }]"#,
    },
];

/// A case that is ready to be trained.
pub(crate) struct Prepared {
    pub(crate) setup: Setup,
    /// Trained weights of the network.
    pub(crate) weights: usize,
    /// Floating-point operations of forward and backward pass of one example.
    pub(crate) flops: f64,
    /// The tokens of texts, row after row; empty for other data.
    pub(crate) tokens: Vec<f32>,
}

impl Case {
    /// The case with its data; `folder` has the real data, if it is there.
    pub(crate) fn prepare(&self, folder: Option<&Path>) -> Result<Prepared> {
        // A training that is measured by the clock has no end. It is never validated, unless its steps are so short
        // that the outputs since the last validation, which are kept until the next, would fill the memory.
        let (epochs, every) = match (self.at_once, self.data) {
            (AtOnce::Trials(_), _) => ("10", "10"),
            (_, Data::CaseStudy { .. }) => ("1_000_000_000", "100"),
            _ => ("1_000_000", "{ steps = 1_000_000_000_000 }"),
        };
        let text = format!(
            "[data]\n{}\nmax_length = 50\n[model]\n{}\n[train]\nepochs = {epochs}\nvalidate_every = {every}\n\
             batch_size = {}\noptimizer = {{ kind = \"adam\", learning_rate = {} }}\n",
            self.data.source(folder),
            self.model,
            self.batch,
            self.learning_rate
        );
        let policy = Policy { allowed: &["data", "model", "train"], refused: &[] };
        let node = Node::parse(&text, self.name)?;
        let template = Template::new(&node, self.name, &policy)?;
        let (dataset, rows) = self.data.load(&TrainingConfig::read(&node, self.name)?, folder)?;
        ensure!(dataset.len() > rows, "{} has {} rows, and {rows} are needed", self.name, dataset.len());
        let validation = (rows..dataset.len()).collect();
        let split = Split { train: (0..rows).collect(), validation, test: Vec::new() };
        let objective = MetricName::parse("val_loss").ok_or_else(|| anyhow!("no loss to measure"))?;
        let device = device("cpu").map_err(|reason| anyhow!(reason))?;
        let experiment =
            Experiment::new(template, dataset, vec![split], objective, objective.direction(), device);
        let setup = experiment.setup(&Params::default(), 0).map_err(|reason| anyhow!(reason))?;

        let encoding = setup.data.preprocessor();
        let stages = summarize(&setup.config.model, setup.data.shape(), encoding.outputs())?;
        let forward: u64 = stages.iter().map(|stage| stage.flops).sum();
        // The backward pass computes two products for each of the forward pass: the gradients of the weights, and
        // those of the inputs, which the first layer has no use for.
        let first = stages.iter().find(|stage| stage.weights > 0).map_or(0, |stage| stage.flops);
        let mut flops = (3 * forward - first) as f64;
        let mut tokens = Vec::new();
        if let Inputs::Text(_) = experiment.dataset().inputs {
            encoding.encode(&experiment.dataset().inputs, &setup.data.split().train, &mut tokens)?;
            // Padding is no work that has to be done.
            flops *= tokens.iter().filter(|token| **token != 0.0).count() as f64 / tokens.len() as f64;
        }
        Ok(Prepared { weights: stages.iter().map(|stage| stage.weights).sum(), flops, tokens, setup })
    }
}

impl Data {
    /// The keys of `[data]`. A source that is not read, for images, stands for any other.
    fn source(self, folder: Option<&Path>) -> String {
        match (self, folder) {
            (Self::CaseStudy { .. }, _) => "source = { classification = { samples = 1000, features = 10, \
                informative = 6, redundant = 2, class_sep = 0.8, flip_y = 0.02, seed = 1 } }"
                .to_owned(),
            (Self::Reviews { .. }, Some(folder)) => {
                let path = folder.join("text/movie_reviews.csv").display().to_string();
                format!("source = {{ text = {path:?}, column = \"text\", target = \"label\" }}")
            }
            _ => "source = \"mnist\"".to_owned(),
        }
    }

    /// The data and how many of its first rows are trained on.
    fn load(self, config: &TrainingConfig, folder: Option<&Path>) -> Result<(Dataset, usize)> {
        let mut rng = Streams::new(0).at(Purpose::Data, 0);
        Ok(match self {
            Self::CaseStudy { rows } => (config.data.source.load(Path::new("."), &|_, _, _| {})?, rows),
            Self::Reviews { rows } if folder.is_some() => {
                (config.data.source.load(Path::new("."), &|_, _, _| {})?, rows)
            }
            Self::Reviews { rows } => {
                let texts = (0..rows + 8).map(|_| text(&mut rng)).collect();
                let inputs = Inputs::Text(Texts { texts, column: "text".to_owned() });
                (Dataset::new("reviews", inputs, classes(rows + 8, 2, &mut rng)), rows)
            }
            Self::Images { rows, channels, side } => {
                let pixels = (0..(rows + 8) * channels * side * side).map(|_| rng.below(256) as u8).collect();
                let inputs = Inputs::Images(Images::new(pixels, channels, side, side));
                (Dataset::new("images", inputs, classes(rows + 8, 10, &mut rng)), rows)
            }
        })
    }
}

fn classes(rows: usize, classes: usize, rng: &mut Rng) -> Targets {
    let labels = (0..rows).map(|_| rng.below(classes) as u32).collect();
    Targets::Classes { labels, names: (0..classes).map(|class| class.to_string()).collect(), column: None }
}

/// Random words, few of them frequent.
fn text(rng: &mut Rng) -> String {
    let length = (21.0 + 9.5 * rng.normal()).clamp(1.0, 50.0) as usize;
    let words = (0..length).map(|_| format!("w{}", (18_000.0 * rng.uniform().powi(4)) as usize));
    words.collect::<Vec<_>>().join(" ")
}
