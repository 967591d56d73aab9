//! Each kind of layer against PyTorch. The fixture comes from `scripts/train/layer_fixtures.py`.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use luthier_core::{Purpose, Streams};
use serde_json::Value;

use crate::fixture::{assert_within, cases, deviation, doubles, setting, singles, sizes, text};
use crate::model::{Activation, ModelConfig, Network, Pass, Role, Signal, Weights, host};
use crate::shape::Shape;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/layers.json")).expect("a fixture")
}

fn shape(case: &Value) -> Shape {
    let vocabulary = case["vocabulary"].as_u64().map(|vocabulary| vocabulary as usize);
    match (&sizes(&case["input"])[..], vocabulary) {
        (&[channels, height, width], _) => Shape::Image { channels, height, width },
        (&[length, features], _) => Shape::Sequence { length, features },
        (&[length], Some(vocabulary)) => Shape::Tokens { length, vocabulary },
        (dims, _) => Shape::Flat(dims[0]),
    }
}

fn network(case: &Value, device: &Device) -> Network {
    let config: ModelConfig = setting(&format!("{{ layers = [{}] }}", text(&case["layers"])));
    let network = Network::new(&config, shape(case), 3, 0, device).unwrap_or_else(|error| {
        panic!("{}: {error}", text(&case["name"]));
    });
    let weights = case["weights"].as_object().expect("weights").iter().map(|(name, weights)| Weights {
        name: name.clone(),
        shape: sizes(&weights["shape"]),
        values: singles(&weights["values"]),
    });
    let weights: Vec<Weights> = weights.collect();
    let names: Vec<&str> = weights.iter().map(|weights| weights.name.as_str()).collect();
    let own: Vec<&str> = network.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    let mut sorted = (names.clone(), own.clone());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1, "{}", text(&case["name"]));
    network.with_weights(&weights).expect("the weights of a state dict")
}

struct Gradients {
    of: GradientsParams,
    tensors: Vec<Option<(Vec<usize>, Vec<f32>)>>,
}

impl ModuleVisitor for Gradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.of.get::<D>(param.id);
        self.tensors.push(gradient.map(|gradient| (gradient.dims().to_vec(), host(gradient))));
    }
}

#[test]
fn outputs_gradients_and_running_statistics_are_those_of_pytorch() {
    let device = Device::flex().autodiff();
    for case in cases(&fixture()) {
        let name = text(&case["name"]);
        let network = network(case, &device);
        let batch = Signal::new(singles(&case["batch"]), 3, shape(case), &device);
        let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
        let train = case["train"].as_bool().unwrap_or(false);
        let mut pass = if train { Pass::training(&mut rng, 1.0) } else { Pass::evaluation() };
        let outputs = network.forward(batch, &mut pass);
        let found = host(outputs.clone().inner());
        assert_within(deviation(&found, &doubles(&case["outputs"])), 1e-5, &format!("{name}: outputs"));

        let factors = Tensor::<2>::from_data(TensorData::new(singles(&case["factors"]), [3, 3]), &device);
        let of = GradientsParams::from_grads((outputs * factors).sum().backward(), &network);
        let mut gradients = Gradients { of, tensors: Vec::new() };
        network.visit(&mut gradients);
        // A gradient that vanishes in mathematics is rounding, here as there: it is measured against the
        // largest of all.
        let expected = case["gradients"].as_object().expect("gradients");
        let largest = expected
            .values()
            .flat_map(doubles)
            .fold(0.0_f64, |largest, gradient| largest.max(gradient.abs()));
        for (parameter, gradient) in network.parameters().iter().zip(gradients.tensors) {
            if parameter.role == Role::Running {
                assert!(gradient.is_none(), "{} is not trained", parameter.name);
                continue;
            }
            let gradient = gradient.unwrap_or_else(|| panic!("{name}: {} has no gradient", parameter.name));
            let found = parameter.layout.export(parameter.name.clone(), gradient);
            let expected = doubles(&case["gradients"][&found.name]);
            let own = expected.iter().fold(0.0_f64, |own, gradient| own.max(gradient.abs()));
            let off = if own < 1e-9 * largest {
                found.values.iter().fold(0.0_f64, |off, x| off.max(f64::from(x.abs()))) / largest
            } else {
                deviation(&found.values, &expected)
            };
            assert_within(off, 2e-5, &format!("{name}: {}", found.name));
        }

        let running = std::mem::take(&mut pass.running);
        let statistics = case["running"].as_object();
        assert_eq!(running.len(), statistics.map_or(0, serde_json::Map::len), "{name}");
        let after = network.with_running(running).weights();
        for (statistic, expected) in statistics.into_iter().flatten() {
            let found = after.iter().find(|weights| weights.name == *statistic).expect("a statistic");
            assert_within(
                deviation(&found.values, &doubles(expected)),
                1e-5,
                &format!("{name}: {statistic}"),
            );
        }
    }
}

#[test]
fn stages_are_the_modules_of_pytorch() {
    let mut compared = 0;
    for case in cases(&fixture()) {
        let network = network(case, &Device::flex());
        let found: Option<Vec<String>> = network.summary().iter().map(|stage| stage.torch.clone()).collect();
        if let Some(expected) = case["torch"].as_array() {
            let expected: Vec<String> = expected.iter().map(|torch| text(torch).to_owned()).collect();
            assert_eq!(found, Some(expected), "{}", text(&case["name"]));
            compared += 1;
        } else {
            assert_eq!(found, None, "{}", text(&case["name"]));
        }
        let weights: usize = network.summary().iter().map(|stage| stage.weights).sum();
        let trained = network.parameters().iter().filter(|parameter| parameter.is_trained());
        assert_eq!(
            weights,
            trained.map(|parameter| parameter.shape.iter().product::<usize>()).sum::<usize>()
        );
    }
    assert!(compared >= 5);
}

#[test]
fn parameters_are_in_the_order_of_a_visit_and_have_its_shapes() {
    struct Shapes(Vec<(u64, Vec<usize>)>);

    impl ModuleVisitor for Shapes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push((param.id.val(), param.val().dims().to_vec()));
        }
    }

    for case in cases(&fixture()) {
        let network = network(case, &Device::flex());
        let mut shapes = Shapes(Vec::new());
        network.visit(&mut shapes);
        let expected: Vec<(u64, Vec<usize>)> = (1..)
            .zip(network.parameters())
            .map(|(number, parameter)| (number, parameter.shape.clone()))
            .collect();
        assert_eq!(shapes.0, expected, "{}", text(&case["name"]));
    }
}

#[test]
fn activations_and_their_gradients_are_those_of_pytorch() {
    let fixture = fixture();
    for case in fixture["activations"].as_array().expect("a list") {
        let name = text(&case["config"]);
        let function: Activation = setting(name);
        let x = singles(&case["x"]);
        let size = [x.len()];
        let x = Tensor::<1>::from_data(TensorData::new(x, size), &Device::flex().autodiff()).require_grad();
        let y = function.apply(x.clone());
        let each = |found: Vec<f32>, expected: &Value, what: &str| {
            for (found, expected) in found.into_iter().zip(doubles(expected)) {
                let off = (f64::from(found) - expected).abs() / expected.abs().max(1e-2);
                // NaN is not within either.
                assert!(off <= 1e-4, "{name}: {what} {found}, expected {expected}");
            }
        };
        each(host(y.clone().inner()), &case["y"], "value");
        let gradients = y.sum().backward();
        each(host(x.grad(&gradients).expect("a gradient")), &case["gradient"], "gradient");
    }
}
