//! A module of Burn's own layers, trained by the same loop as the networks of study files.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, activation::relu};
use luthier_core::{Evaluation, Objective, Params};
use luthier_train::model::{Pass, Signal};
use luthier_train::{Checkpoint, Device, Experiment, MetricName, Model, Run, Setup, seeded};

use crate::common::{
    After, FakeTrial, classes, finish, split, start, state, template, timeless, trace, traced, train,
};

#[derive(Module, Debug)]
struct Mine {
    hidden: Vec<Linear>,
    output: Linear,
}

impl Model for Mine {
    fn forward(&self, batch: Signal, pass: &mut Pass<'_>) -> Tensor<2> {
        let mut values = batch.flat();
        for layer in &self.hidden {
            values = pass.dropout(relu(layer.forward(values)), 0.2);
        }
        self.output.forward(values)
    }
}

const TRAIN: &str = r#"
[train]
epochs = 6
batch_size = 16
optimizer = { kind = "adamw", learning_rate = { float = [0.001, 0.1] } }
schedule = { learning_rate = "cosine" }
regularize = { l2 = 1e-4, layers = "hidden.*" }
ema = { decay = 0.9 }
validate_every = 0.5
"#;

fn experiment(width: usize) -> Experiment<Mine> {
    let data = classes(240, 0.05);
    let (splits, objective) = (vec![split(&data)], MetricName::parse("val_loss").expect("a metric"));
    let direction = objective.direction();
    Experiment::with_model(template(TRAIN), data, splits, objective, direction, Device::flex(), move |plan| {
        let (inputs, outputs, device) = (plan.input.size(), plan.outputs, plan.device);
        Ok(seeded(plan.seed, device, || Mine {
            hidden: vec![
                LinearConfig::new(inputs, width).init(device),
                LinearConfig::new(width, width).init(device),
            ],
            output: LinearConfig::new(width, outputs).init(device),
        }))
    })
}

fn params() -> Params {
    [("train.optimizer.learning_rate".to_owned(), 0.02.into())].into_iter().collect()
}

fn mine(seed: u64) -> Setup<Mine> {
    experiment(12).setup(&params(), seed).expect("a setup")
}

#[test]
fn it_learns() {
    let reports = trace(mine(1)).reports;
    assert_eq!(reports.len(), 12);
    assert!(reports[11].value < 0.7 * reports[0].value, "{} to {}", reports[0].value, reports[11].value);
    let metrics = &reports[0].metrics;
    assert_eq!(metrics.get("weights"), Some(f64::from(8 * 12 + 12 + 12 * 12 + 12 + 12 * 3 + 3)));
    assert_eq!(metrics.get("flops"), None, "nobody knows");
    assert!(metrics.get("penalty").is_some_and(|penalty| penalty > 0.0));
}

#[test]
fn it_gives_the_same_bits_alone_and_beside_others() {
    let alone = trace(mine(1));
    assert_ne!(alone.reports, trace(mine(2)).reports);
    std::thread::scope(|scope| {
        let others: Vec<_> = [1, 2, 1].map(|seed| scope.spawn(move || (seed, trace(mine(seed))))).into();
        for other in others {
            let (seed, trace) = other.join().expect("no panic");
            assert_eq!(trace == alone, seed == 1);
        }
    });
}

#[test]
fn pauses_change_nothing() {
    use luthier_train::Advance;
    let straight = trace(mine(1));
    let mut run = start(mine(1));
    let mut reports = Vec::new();
    loop {
        match run.advance(&mut After(3)).expect("data that can be read") {
            Advance::Report(report) => reports.push(timeless(report)),
            Advance::Ended(_) => break,
            Advance::Diverged { .. } => panic!("diverged"),
            Advance::Paused => {
                let bytes = run.checkpoint().to_bytes().expect("bytes");
                run = Run::resume(mine(1), &Checkpoint::from_bytes(&bytes).expect("one")).expect("the same");
            }
        }
    }
    assert_eq!(traced(reports, &run), straight);
}

#[test]
fn it_is_lengthened_and_forked_and_refused_like_any_other() {
    let mut run = start(mine(1));
    train(&mut run, 3);
    let checkpoint = run.checkpoint();
    let names: Vec<String> =
        state(&run).tensors.into_keys().filter(|name| name.starts_with("now.")).collect();
    let expected = ["hidden.0.bias", "hidden.0.weight", "hidden.1.bias", "hidden.1.weight", "output.bias"];
    assert_eq!(names[..5], expected.map(|name| format!("now.{name}")));
    let mut setup = mine(1);
    setup.config.train.epochs = 8;
    let mut longer = Run::extend(setup, &checkpoint).expect("a longer run");
    assert_eq!(finish(&mut longer).len(), 10);
    let other = [("train.optimizer.learning_rate".to_owned(), 0.001.into())].into_iter().collect();
    let setup = experiment(12).setup(&other, checkpoint.fork_seed()).expect("a setup");
    assert_eq!(finish(&mut Run::fork(setup, &checkpoint).expect("a fork")).len(), 6);
    let error = Run::resume(experiment(13).setup(&params(), 1).expect("a setup"), &checkpoint);
    let error = error.err().expect("another model").to_string();
    assert!(error.contains("hidden.0.weight has the shape [8, 12], expected [8, 13]"), "{error}");
    assert!(error.contains("output.weight has the shape [12, 3], expected [13, 3]"), "{error}");
}

#[test]
fn it_is_a_trial_of_a_study() {
    let experiment = experiment(12);
    let mut trial = FakeTrial { params: params(), seed: 1, ..FakeTrial::default() };
    let evaluation = experiment.evaluate(&mut trial).expect("no error of the objective");
    let Evaluation::Complete { value, model: Some(model), .. } = evaluation else { panic!("{evaluation:?}") };
    assert_eq!(trial.reports.len(), 12);
    assert_eq!(Some(value), trace(mine(1)).best.map(|(_, value)| value));
    let tensors = safetensors::SafeTensors::deserialize(&model).expect("a file of safetensors");
    assert_eq!(tensors.tensor("hidden.1.weight").expect("its weights").shape(), [12, 12]);
}
