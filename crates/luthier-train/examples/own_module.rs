//! A module of one's own, trained by Luthier's loop: `cargo run --release -p luthier-train --example own_module`.
//!
//! The data, the schedule, early stopping and the checkpoints are those of any study file; only the model is
//! built here, of Burn's layers.

#![allow(clippy::print_stdout, reason = "an example that prints what it does")]

use std::error::Error;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, activation::relu};
use luthier_core::Params;
use luthier_core::config::{Node, Policy, Template};
use luthier_train::data::{ClassificationSource, SplitConfig};
use luthier_train::model::{Pass, Signal};
use luthier_train::{Advance, Checkpoint, Experiment, MetricName, Model, Run, device, seeded};

/// Two dense layers, and a connection from the input around the first.
#[derive(Module, Debug)]
struct Wide {
    hidden: Linear,
    output: Linear,
}

impl Model for Wide {
    fn forward(&self, batch: Signal, pass: &mut Pass<'_>) -> Tensor<2> {
        let inputs = batch.flat();
        // Dropout draws from the trial's own stream, so that a run can be repeated and resumed.
        let hidden = pass.dropout(relu(self.hidden.forward(inputs.clone())), 0.2);
        self.output.forward(Tensor::cat(vec![inputs, hidden], 1))
    }
}

const FILE: &str = r#"
[data]
source = { classification = { samples = 2000, features = 20, informative = 10, classes = 3, clusters_per_class = 2, seed = 1 } }

[train]
epochs = 20
batch_size = 32
optimizer = { kind = "adamw", learning_rate = 0.005 }
schedule = { learning_rate = { kind = "cosine", warmup = 0.1 } }
early_stopping = { patience = 5 }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let node = Node::parse(FILE, "own.toml")?;
    let template = Template::new(&node, "own.toml", &Policy { allowed: &[], refused: &[] })?;
    // The rows may come from anywhere; here from the generator that the file names.
    let source = ClassificationSource {
        samples: 2000,
        features: 20,
        informative: 10,
        classes: 3,
        clusters_per_class: 2,
        seed: 1,
        ..Default::default()
    };
    let data = source.generate()?;
    let split = SplitConfig::default().split(&data)?;
    let objective = MetricName::parse("val_accuracy").ok_or("no such metric")?;
    let direction = objective.direction();
    let experiment =
        Experiment::with_model(template, data, vec![split], objective, direction, device("cpu")?, |plan| {
            let (inputs, hidden) = (plan.input.size(), 64);
            // Burn draws initial weights; `seeded` makes it draw them from the trial's seed.
            Ok(seeded(plan.seed, plan.device, || Wide {
                hidden: LinearConfig::new(inputs, hidden).init(plan.device),
                output: LinearConfig::new(inputs + hidden, plan.outputs).init(plan.device),
            }))
        });

    // A run is a value. Here it is set down after 100 steps, and goes on from the bytes.
    let setup = experiment.setup(&Params::default(), 0)?;
    let mut run = Run::new(setup.clone())?;
    let mut questions = 0;
    let mut pause = || {
        questions += 1;
        questions > 100
    };
    while let Advance::Report(report) = run.advance(&mut pause)? {
        println!("epoch {}: accuracy {:.3}", report.number, report.value);
    }
    let bytes = run.checkpoint().to_bytes()?;
    println!("set down at step {} in {} bytes", run.position().step, bytes.len());

    let mut run = Run::resume(setup, &Checkpoint::from_bytes(&bytes)?)?;
    let ending = loop {
        match run.advance(&mut ())? {
            Advance::Report(report) => println!("epoch {}: accuracy {:.3}", report.number, report.value),
            Advance::Ended(ending) => break ending,
            other => return Err(format!("{other:?}").into()),
        }
    };
    let (epoch, accuracy) = run.best().ok_or("nothing was measured")?;
    println!("{ending}; the best was epoch {epoch} with accuracy {accuracy:.3}");
    Ok(())
}
