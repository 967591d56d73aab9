//! Optimizers against PyTorch and their authors' packages, over 100 steps of gradients of very different
//! size, and what they do with rates, decay and their state.
//!
//! The fixture comes from `scripts/train/optimizer_fixtures.py`.

use burn::tensor::{Device, Tensor};
use luthier_core::config::{Decode, Node, Problems};
use serde_json::Value;

use super::parameter::{Layout, Parameter, Role};
use super::{Optimizer, OptimizerConfig, StepSettings, to_device};
use crate::fixture::{assert_within, cases, deviation, doubles, setting, sizes, text};
use crate::model::host;

const CPU: fn() -> Device = Device::flex;

/// What a fixture has in PyTorch's layout, in the order that is kept here.
fn kept<T: Copy>(parameter: &Parameter, values: &[T]) -> Vec<T> {
    if parameter.layout == Layout::Same {
        return values.to_vec();
    }
    let (columns, rows) = (parameter.shape[0], parameter.shape[1]);
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// The first weights of a tensor, as the script has them.
fn start(number: usize, parameter: &Parameter) -> Tensor<1> {
    let value = |i: usize| (0.5 * libm::cos(1.1 * i as f64 + number as f64)) as f32;
    let values: Vec<f32> = (0..parameter.len()).map(value).collect();
    Tensor::from_data(kept(parameter, &values).as_slice(), &CPU())
}

/// The gradient of a tensor at a step from 0, as the script has it.
fn gradient(number: usize, parameter: &Parameter, step: usize) -> Tensor<1> {
    let last = (parameter.len() - 1) as f64;
    let value = |i: usize| {
        let x = i as f64;
        let scale = libm::pow(10.0, -3.0 + 4.0 * x / last);
        let wave = libm::sin((0.3 + 0.07 * x) * step as f64 + 1.3 * x + number as f64) + 0.3;
        (scale * wave) as f32
    };
    let values: Vec<f32> = (0..parameter.len()).map(value).collect();
    Tensor::from_data(kept(parameter, &values).as_slice(), &CPU())
}

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/optimizers.json")).expect("a fixture")
}

/// A parameter of this shape in PyTorch's layout.
fn parameter(name: &str, shape: &[usize]) -> Parameter {
    let weight = name.ends_with("weight");
    let transposed = weight && shape.len() == 2;
    let mut shape = shape.to_vec();
    if transposed {
        shape.reverse();
    }
    Parameter {
        name: name.to_owned(),
        shape,
        role: if weight { Role::Weight } else { Role::Bias },
        stage: name.split('.').next().and_then(|stage| stage.parse().ok()).expect("a stage"),
        layout: if transposed { Layout::Transposed } else { Layout::Same },
    }
}

fn network(fixture: &Value) -> Vec<Parameter> {
    let shapes = fixture["shapes"].as_array().expect("a list");
    shapes.iter().map(|entry| parameter(text(&entry["name"]), &sizes(&entry["shape"]))).collect()
}

/// A training along the gradients of the formula.
struct Walk {
    config: OptimizerConfig,
    parameters: Vec<Parameter>,
    optimizer: Optimizer,
    weights: Vec<Tensor<1>>,
    scheduled: bool,
    /// Whether the weights are on the host.
    on_host: bool,
}

impl Walk {
    fn new(config: &str, scheduled: bool) -> Self {
        let config: OptimizerConfig = setting(config);
        let parameters = network(&fixture());
        let optimizer = config.init(&parameters);
        let weights = parameters.iter().enumerate().map(|(number, p)| start(number, p)).collect();
        Self { config, parameters, optimizer, weights, scheduled, on_host: false }
    }

    fn step(&mut self, step: usize) {
        self.step_with(step, None);
    }

    fn step_with(&mut self, step: usize, rates: Option<&[f64]>) {
        let t = step as f64;
        let (rate, decay) = if self.scheduled { (1.0 - t / 200.0, 1.0 + t / 50.0) } else { (1.0, 1.0) };
        let settings = StepSettings {
            learning_rate: self.config.learning_rate() * rate,
            weight_decay: self.config.weight_decay() * decay,
            rates,
        };
        let gradients = self.parameters.iter().enumerate().map(|(number, p)| gradient(number, p, step));
        let weights = std::mem::take(&mut self.weights);
        if self.on_host {
            let gradients: Vec<Vec<f32>> = gradients.map(host).collect();
            let mut weights: Vec<Vec<f32>> = weights.into_iter().map(host).collect();
            self.optimizer.step_on_host(&settings, &mut weights, &gradients);
            self.weights = weights.into_iter().map(|values| to_device(values, &CPU())).collect();
        } else {
            self.weights = self.optimizer.step(&settings, weights, gradients.map(Some).collect());
        }
    }

    fn bits(&self) -> Vec<Vec<u32>> {
        let bits = |tensor: &Tensor<1>| host(tensor.clone()).into_iter().map(f32::to_bits).collect();
        self.weights.iter().map(bits).collect()
    }

    /// The same walk with the optimizer's state taken through its names and bytes.
    fn revived(mut self) -> Self {
        let state = self.optimizer.state();
        let scalars = serde_json::to_string(&state.scalars).expect("JSON");
        let state = super::OptimizerState {
            scalars: serde_json::from_str(&scalars).expect("the scalars"),
            tensors: state.tensors,
        };
        self.optimizer = self.config.init(&self.parameters);
        self.optimizer.restore(state).expect("the same state");
        self
    }
}

#[test]
fn weights_follow_gradients_as_in_pytorch() {
    let fixture = fixture();
    let recorded = sizes(&fixture["recorded"]);
    let mut failures = Vec::new();
    for (case, on_host) in cases(&fixture).iter().flat_map(|case| [(case, false), (case, true)]) {
        let name = text(&case["config"]);
        let mut walk = Walk::new(name, case["scheduled"].as_bool().expect("a truth value"));
        walk.on_host = on_host;
        let mut worst = 0.0_f64;
        for step in 0..100 {
            walk.step(step);
            let Some(place) = recorded.iter().position(|at| *at == step + 1) else { continue };
            for (number, parameter) in walk.parameters.iter().enumerate() {
                let expected = kept(parameter, &doubles(&case["weights"][place][number]));
                let off = deviation(&host(walk.weights[number].clone()), &expected);
                worst = if off <= worst { worst } else { off };
            }
        }
        let checked = std::panic::catch_unwind(|| assert_within(worst, 1e-5, name));
        if checked.is_err() {
            failures.push(format!("{worst:e} {name}, on the host: {on_host}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_step_on_the_host_does_not_depend_on_the_number_of_threads() {
    let of = |threads: usize| {
        let config: OptimizerConfig = setting("{ kind = \"adam\", weight_decay = 0.1 }");
        let parameters = [parameter("0.weight", &[700, 300])];
        let mut optimizer = config.init(&parameters);
        let mut weights = vec![host(start(0, &parameters[0]))];
        let gradients = [host(gradient(0, &parameters[0], 1))];
        let settings = StepSettings { learning_rate: 0.1, weight_decay: 0.1, rates: None };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| (0..3).for_each(|_| optimizer.step_on_host(&settings, &mut weights, &gradients)));
        weights
    };
    assert_eq!(of(1), of(2));
    assert_eq!(of(1), of(4));
}

#[test]
fn what_is_remembered_of_a_weight_without_gradients_becomes_nothing() {
    for config in ["{ kind = \"adam\", beta2 = 0.9 }", "{ kind = \"sgd\", momentum = 0.9 }", "\"lion\""] {
        let config: OptimizerConfig = setting(config);
        let parameters = [parameter("0.weight", &[7, 3])];
        let mut optimizer = config.init(&parameters);
        let mut weights = vec![host(start(0, &parameters[0]))];
        let settings = StepSettings { learning_rate: 0.1, weight_decay: 0.0, rates: None };
        optimizer.step_on_host(&settings, &mut weights, &[host(gradient(0, &parameters[0], 1))]);
        for _ in 0..10_000 {
            optimizer.step_on_host(&settings, &mut weights, &[vec![0.0; 21]]);
        }
        for (name, values) in optimizer.state().tensors {
            assert!(values.iter().all(|value| *value == 0.0), "{name}: {values:?}");
        }
    }
}

#[test]
fn a_state_that_is_taken_up_goes_on_to_the_same_bits() {
    for kind in OptimizerConfig::KINDS {
        let config = match *kind {
            "sgd" => "{ kind = \"sgd\", momentum = 0.9 }".to_owned(),
            "rmsprop" => "{ kind = \"rmsprop\", momentum = 0.9, centered = true }".to_owned(),
            "adam" => "{ kind = \"adam\", amsgrad = true }".to_owned(),
            kind => format!("\"{kind}\""),
        };
        let (mut one, mut other) = (Walk::new(&config, false), Walk::new(&config, false));
        for step in 0..20 {
            one.step(step);
            other.step(step);
            (one.on_host, other.on_host) = (step > 13, step > 13);
            if step == 11 || step == 0 || step == 16 {
                other = other.revived();
            }
        }
        assert_eq!(one.bits(), other.bits(), "{kind}");
        assert_eq!(one.optimizer.state(), other.optimizer.state(), "{kind}");
        assert!(one.bits() != Walk::new(&config, false).bits(), "{kind} does nothing");
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_with_its_reason() {
    let mut walk = Walk::new("\"adam\"", false);
    walk.step(0);
    let state = walk.optimizer.state();
    assert_eq!(state.tensors[0].0, "0.weight.mean");
    let mut refused = |change: &dyn Fn(&mut super::OptimizerState), part: &str| {
        let mut changed = state.clone();
        change(&mut changed);
        let error = walk.optimizer.restore(changed).expect_err(part);
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    };
    refused(&|state| state.tensors.retain(|(name, _)| name != "0.bias.square"), "no tensor 0.bias.square");
    refused(&|state| state.tensors[2].1.push(0.0), "0.bias.mean has 5 values, expected 4");
    refused(
        &|state| state.tensors.push(("9.weight.mean".to_owned(), vec![])),
        "no place for the tensor 9.weight",
    );
    refused(&|state| state.scalars.steps.truncate(4), "of 4 parameters, expected 5");
    let of_prodigy = Walk::new("\"prodigy\"", false).optimizer.state();
    let error = Walk::new("\"sgd\"", false).optimizer.restore(of_prodigy);
    assert!(error.expect_err("another optimizer").contains("another optimizer"));
    assert_eq!(walk.optimizer.state(), state, "a state that was refused leaves the optimizer alone");
}

#[test]
fn a_factor_on_the_rate_of_a_parameter_scales_its_step_and_zero_freezes_it() {
    let config = "{ kind = \"sgd\", learning_rate = 0.1, momentum = 0.9 }";
    let (mut plain, mut scaled) = (Walk::new(config, false), Walk::new(config, false));
    let before = host(scaled.weights[0].clone());
    for step in 0..5 {
        plain.step(step);
        scaled.step_with(step, Some(&[0.0, 1.0, 0.5, 1.0, 1.0]));
    }
    assert_eq!(host(scaled.weights[0].clone()), before);
    assert_eq!(scaled.optimizer.state().scalars.steps, [0, 5, 5, 5, 5]);
    assert_eq!(plain.bits()[1], scaled.bits()[1]);
    let begin = host(start(2, &plain.parameters[2]));
    let way = |walk: &Walk| -> Vec<f64> {
        let now = host(walk.weights[2].clone());
        now.iter().zip(&begin).map(|(now, begin)| f64::from(*now) - f64::from(*begin)).collect()
    };
    for (whole, half) in way(&plain).into_iter().zip(way(&scaled)) {
        assert!((whole - 2.0 * half).abs() <= 1e-6 + 1e-5 * whole.abs(), "{whole} is not twice {half}");
    }
}

#[test]
fn what_has_no_gradient_stays_as_it_is() {
    for kind in OptimizerConfig::KINDS {
        let config = format!("{{ kind = \"{kind}\", weight_decay = 0.1 }}");
        let mut walk = Walk::new(&config, false);
        let settings = StepSettings { learning_rate: 0.1, weight_decay: 0.1, rates: None };
        let before = walk.bits();
        let mut gradients = vec![None; 5];
        gradients[1] = Some(gradient(1, &walk.parameters[1], 0));
        walk.weights = walk.optimizer.step(&settings, walk.weights.clone(), gradients);
        let after = walk.bits();
        assert!(after[1] != before[1], "{kind}");
        for index in [0, 2, 3, 4] {
            assert_eq!(after[index], before[index], "{kind}");
        }
    }
}

#[test]
fn prodigy_finds_a_step_size_from_a_millionth_on() {
    // The bottom of (w - 3)² in each of twelve weights, from 0 on.
    let config: OptimizerConfig = setting("\"prodigy\"");
    let parameters = [parameter("0.weight", &[3, 4])];
    let mut optimizer = config.init(&parameters);
    let mut weights = vec![Tensor::<1>::zeros([12], &CPU())];
    let settings = StepSettings { learning_rate: 1.0, weight_decay: 0.0, rates: None };
    for _ in 0..400 {
        let gradient = weights[0].clone().sub_scalar(3.0).mul_scalar(2.0);
        weights = optimizer.step(&settings, weights, vec![Some(gradient)]);
    }
    for weight in host(weights[0].clone()) {
        assert!((weight - 3.0).abs() < 0.1, "{weight}");
    }
}

#[test]
fn a_centred_rmsprop_bears_gradients_that_do_not_change() {
    // The variance is 0, which rounding may take below.
    let config: OptimizerConfig = setting("{ kind = \"rmsprop\", centered = true, alpha = 0.9 }");
    let parameters = [parameter("0.weight", &[3, 4])];
    let mut optimizer = config.init(&parameters);
    let mut weights = vec![Tensor::<1>::zeros([12], &CPU())];
    let settings = StepSettings { learning_rate: 1e-3, weight_decay: 0.0, rates: None };
    let constant = gradient(0, &parameters[0], 0);
    for _ in 0..1_000 {
        weights = optimizer.step(&settings, weights, vec![Some(constant.clone())]);
    }
    assert!(host(weights[0].clone()).iter().all(|weight| weight.is_finite()));
}

#[test]
fn nesterov_without_momentum_is_refused() {
    let node = Node::parse("optimizer = { kind = \"sgd\", nesterov = true }", "study.toml").expect("TOML");
    let mut problems = Problems::new("study.toml");
    let node = node.get("optimizer").expect("the key");
    assert_eq!(OptimizerConfig::decode(node, "train.optimizer", &mut problems), None);
    let problem = problems.iter().next().expect("a problem");
    assert_eq!((problem.line, &*problem.path), (Some(1), "train.optimizer.nesterov"));
    assert_eq!(problem.found, "true, with momentum 0 and dampening 0");
    assert_eq!(problems.iter().count(), 1);
}
