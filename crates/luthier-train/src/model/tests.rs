//! Networks against PyTorch, and what is drawn for them: initial weights and dropout.

mod behaviour;
mod building;
mod layers;

use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use luthier_core::{Purpose, Streams};
use serde_json::Value;

use super::*;
use crate::fixture::{assert_within, cases, deviation, doubles, setting, singles, sizes, text};
use crate::loss::Loss;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/parity_networks.json")).expect("a fixture")
}

fn config(case: &Value) -> ModelConfig {
    setting(&format!("{{ layers = [{}] }}", text(&case["layers"])))
}

fn weights(case: &Value) -> Vec<Weights> {
    let weights = case["weights"].as_object().expect("weights");
    let tensor = |(name, weights): (&String, &Value)| Weights {
        name: name.clone(),
        shape: sizes(&weights["shape"]),
        values: singles(&weights["values"]),
    };
    weights.iter().map(tensor).collect()
}

fn outputs(case: &Value) -> usize {
    case["outputs"].as_u64().expect("a number") as usize
}

/// The network of a case, with its weights, and the case's batch.
fn load(case: &Value, device: &Device) -> (Network, Signal) {
    let input = sizes(&case["input"]);
    let network = Network::new(&config(case), shape(&input), outputs(case), 0, device).expect("a network");
    let network = network.with_weights(&weights(case)).expect("the weights of a state dict");
    let batch = Signal::new(singles(&case["batch"]), doubles(&case["targets"]).len(), shape(&input), device);
    (network, batch)
}

fn shape(dims: &[usize]) -> Shape {
    match *dims {
        [channels, height, width] => Shape::Image { channels, height, width },
        [length, features] => Shape::Sequence { length, features },
        _ => Shape::Flat(dims[0]),
    }
}

#[test]
fn stages_are_the_modules_of_pytorch() {
    for case in cases(&fixture()) {
        let name = text(&case["name"]);
        let stages =
            summarize(&config(case), shape(&sizes(&case["input"])), outputs(case)).expect("a network");
        let found: Vec<&str> = stages.iter().map(|stage| stage.torch.as_deref().expect("a module")).collect();
        let expected: Vec<&str> = case["torch"].as_array().expect("a list").iter().map(text).collect();
        assert_eq!(found, expected, "{name}");
        let count: usize = stages.iter().map(|stage| stage.weights).sum();
        assert_eq!(count, weights(case).iter().map(|weights| weights.values.len()).sum::<usize>(), "{name}");
        assert_eq!(stages.last().expect("an output layer").shape.dims(), [outputs(case)], "{name}");
    }
}

#[test]
fn weights_have_the_names_and_shapes_of_a_state_dict() {
    for case in cases(&fixture()) {
        let (network, _) = load(case, &Device::flex());
        assert_eq!(network.weights(), weights(case), "{}", text(&case["name"]));
    }
}

#[test]
fn outputs_are_those_of_pytorch() {
    for case in cases(&fixture()) {
        let (network, batch) = load(case, &Device::flex());
        let found = host(network.forward(batch, &mut Pass::evaluation()));
        assert_within(deviation(&found, &doubles(&case["logits"])), 1e-5, text(&case["name"]));
    }
}

#[test]
fn gradients_are_those_of_pytorch() {
    struct Gradients {
        of: GradientsParams,
        tensors: Vec<(Vec<usize>, Vec<f32>)>,
    }

    impl ModuleVisitor for Gradients {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.of.get::<D>(param.id).expect("a gradient for every weight");
            self.tensors.push((gradient.dims().to_vec(), host(gradient)));
        }
    }

    for case in cases(&fixture()) {
        let name = text(&case["name"]);
        let (network, batch) = load(case, &Device::flex().autodiff());
        let loss: Loss = setting(&case["loss"].to_string());
        let outputs = network.forward(batch, &mut Pass::evaluation());
        let (gradient, _) =
            loss.bind(&[]).gradient(&host(outputs.clone().inner()), &singles(&case["targets"]), None);
        let of = GradientsParams::from_grads(backward(outputs, gradient), &network);
        let mut gradients = Gradients { of, tensors: Vec::new() };
        network.visit(&mut gradients);
        assert_eq!(gradients.tensors.len(), case["gradients"].as_object().expect("gradients").len());
        for (parameter, tensor) in network.parameters().iter().zip(gradients.tensors) {
            let found = parameter.layout.export(parameter.name.clone(), tensor);
            let expected = doubles(&case["gradients"][&found.name]);
            assert_within(deviation(&found.values, &expected), 1e-4, &format!("{name}: {}", found.name));
        }
    }
}

#[test]
fn weights_that_do_not_fit_are_all_named() {
    let model: ModelConfig = setting("{ layers = [{ dense = 3 }] }");
    let network = Network::new(&model, Shape::Flat(2), 1, 0, &Device::flex()).expect("a network");
    let mut weights = network.weights();
    weights[0].shape = vec![2, 3];
    weights[1].name = "1.bias".into();
    weights[3].name = "7.bias".into();
    let message = network.with_weights(&weights).expect_err("three wrong tensors");
    for part in ["0.weight has the shape [2, 3], expected [3, 2]", "0.bias is missing", "7.bias has no place"]
    {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn initial_weights_are_uniform_within_one_over_the_root_of_the_inputs() {
    let model: ModelConfig = setting("{ layers = [{ conv = 40, kernel = 5 }, { dense = 50 }] }");
    let network =
        Network::new(&model, Shape::Image { channels: 6, height: 8, width: 8 }, 200, 3, &Device::flex())
            .expect("a network");
    let weights = network.weights();
    let fan_in = |name: &str| match name.split('.').next() {
        Some("0") => 6 * 5 * 5,
        Some("2") => 40 * 4 * 4,
        _ => 50,
    };
    assert_eq!(weights.len(), 6);
    for Weights { name, values, .. } in weights {
        let bound = 1.0 / f64::from(fan_in(&name)).sqrt();
        let values: Vec<f64> = values.into_iter().map(|x| f64::from(x) / bound).collect();
        let count = values.len() as f64;
        assert!(values.iter().all(|x| x.abs() <= 1.0 + 1e-6), "{name} leaves its bounds");
        // Standard errors: of the mean sqrt(1/3 / n), of the variance sqrt(4/45 / n).
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|x| x * x).sum::<f64>() / count - mean * mean;
        assert!(mean.abs() < 4.0 * (1.0 / 3.0 / count).sqrt(), "{name}: mean {mean}");
        assert!(
            (variance - 1.0 / 3.0).abs() < 4.0 * (4.0 / 45.0 / count).sqrt() + 1.0 / count,
            "{name}: {variance}"
        );
    }
}

#[test]
fn each_layer_and_seed_draws_weights_of_its_own() {
    let model: ModelConfig = setting("{ layers = [{ dense = 4 }, { dense = 4 }] }");
    let weights =
        |seed| Network::new(&model, Shape::Flat(4), 4, seed, &Device::flex()).expect("a network").weights();
    let first = weights(1);
    assert_eq!(first, weights(1));
    assert_ne!(first[0].values, first[2].values);
    for (one, other) in first.iter().zip(weights(2)) {
        assert_ne!(one.values, other.values, "{}", one.name);
    }
}

fn dropped(rate: f64, seed: u64) -> Vec<f32> {
    let ones = Signal::new(vec![1.0; 20_000], 200, Shape::Flat(100), &Device::flex());
    let mut rng = Streams::new(seed).at(Purpose::Dropout, 0);
    let model: ModelConfig = setting(&format!("{{ layers = [{{ dropout = {rate} }}] }}"));
    let network = Network::new(&model, Shape::Flat(100), 1, 0, &Device::flex()).expect("a network");
    host(network.forward_stages(ones, 0..1, &mut Pass::training(&mut rng, 1.0)).flat())
}

#[test]
fn dropout_drops_its_share_and_scales_the_rest() {
    for rate in [0.1, 0.5, 0.85] {
        let values = dropped(rate, 1);
        let kept = (1.0 / (1.0 - rate)) as f32;
        assert!(values.iter().all(|x| *x == 0.0 || *x == kept), "only 0 and {kept}");
        let share = values.iter().filter(|x| **x == 0.0).count() as f64 / values.len() as f64;
        let error = (rate * (1.0 - rate) / values.len() as f64).sqrt();
        assert!((share - rate).abs() < 4.0 * error, "{share} dropped at a rate of {rate}");
        assert_ne!(values, dropped(rate, 2));
        // No unit and no example is dropped more than others.
        let of_unit = |unit: usize| values.iter().skip(unit).step_by(100).filter(|x| **x == 0.0).count();
        let error = (rate * (1.0 - rate) / 200.0).sqrt();
        assert!((0..100).all(|unit| (of_unit(unit) as f64 / 200.0 - rate).abs() < 5.0 * error));
    }
}

#[test]
fn dropout_at_rate_zero_leaves_the_signal_alone() {
    assert_eq!(dropped(0.0, 1), vec![1.0; 20_000]);
}

#[test]
fn dropout_acts_in_training_alone() {
    let device = Device::flex();
    let build = |layers: &str| {
        let model: ModelConfig = setting(&format!("{{ layers = [{layers}] }}"));
        Network::new(&model, shape(&[1, 6, 6]), 2, 5, &device).expect("a network")
    };
    let with = build("{ dropout = 0.5 }, { conv = 3 }, { dropout = 0.5 }, { dense = 8 }");
    let without = build("{ dropout = 0 }, { conv = 3 }, { dropout = 0 }, { dense = 8 }");
    let batch = || Signal::new((0..72).map(|i| i as f32 / 72.0).collect(), 2, shape(&[1, 6, 6]), &device);
    let plain = host(without.forward(batch(), &mut Pass::evaluation()));
    assert_eq!(host(with.forward(batch(), &mut Pass::evaluation())), plain);
    let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
    assert_eq!(host(without.forward(batch(), &mut Pass::training(&mut rng, 1.0))), plain);
    assert_ne!(host(with.forward(batch(), &mut Pass::training(&mut rng, 1.0))), plain);
}
