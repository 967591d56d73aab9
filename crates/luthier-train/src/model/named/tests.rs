//! Named models against PyTorch: the names in their state dicts and what comes out.

use burn::tensor::Device;
use serde_json::Value;

use super::*;
use crate::fixture::{assert_within, cases, deviation, doubles, setting, sizes, text};
use crate::model::{LayerError, ModelConfig, Network, Pass, Signal, StageSummary, Weights, host, summarize};
use crate::pretrained::StateDict;
use crate::shape::Shape;

mod behaviour;

const IMAGE: Shape = Shape::Image { channels: 3, height: 32, width: 32 };

/// Numbers that look drawn evenly from [-1, 1), as `named_fixtures.py` makes them.
fn even(name: &str, count: usize) -> Vec<f64> {
    let seed =
        name.bytes().fold(0x811c_9dc5_u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let number = |i: usize| {
        let mut x = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        x ^= x >> 15;
        x = x.wrapping_mul(2_246_822_519);
        x ^= x >> 13;
        x = x.wrapping_mul(3_266_489_917);
        x ^= x >> 16;
        f64::from(x) / f64::from(1_u32 << 31) - 1.0
    };
    (0..count).map(number).collect()
}

/// The values of a tensor in a fixture.
fn fill(name: &str, shape: &[usize]) -> Vec<f32> {
    let values = even(name, shape.iter().product());
    let inputs: usize = shape.iter().skip(1).product();
    let scale = (6.0 / inputs as f64).sqrt();
    let value = |(place, x): (usize, f64)| {
        (if name.ends_with("running_var") {
            1.0 + 0.5 * x
        } else if name == "embedding.weight" && place < inputs {
            0.0
        } else if shape.len() > 1 {
            scale * x
        } else if name.ends_with("weight") {
            1.0 + 0.2 * x
        } else {
            0.1 * x
        }) as f32
    };
    values.into_iter().enumerate().map(value).collect()
}

fn config(architecture: &str) -> ModelConfig {
    setting(&format!("{{ architecture = {architecture} }}"))
}

fn build(architecture: &str, input: Shape, outputs: usize) -> Result<Network, LayerError> {
    Network::new(&config(architecture), input, outputs, 7, &Device::flex())
}

/// The shape of an example of a case, its number of examples and their values.
fn batch(case: &Value) -> (Shape, usize, Vec<f32>) {
    let count = sizes(&Value::Array(vec![case["batch"].clone()]))[0];
    if let Some(texts) = case["tokens"].as_array() {
        let vocabulary = sizes(&Value::Array(vec![case["vocabulary"].clone()]))[0];
        let tokens: Vec<f32> = texts.iter().flat_map(doubles).map(|token| token as f32).collect();
        return (Shape::Tokens { length: tokens.len() / count, vocabulary }, count, tokens);
    }
    let [channels, height, width] = sizes(&case["shape"])[..] else { panic!("an image") };
    let shape = Shape::Image { channels, height, width };
    (shape, count, even("input", count * shape.size()).into_iter().map(|x| x as f32).collect())
}

fn logits(network: &Network, input: Shape, count: usize, values: Vec<f32>) -> Vec<f32> {
    let batch = Signal::new(values, count, input, &Device::flex());
    host(network.forward(batch, &mut Pass::evaluation()))
}

#[test]
fn names_shapes_and_outputs_are_those_of_pytorch() {
    let fixture: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/named_models.json")).expect("a fixture");
    for case in cases(&fixture) {
        let name = text(&case["name"]);
        let (input, count, values) = batch(case);
        let outputs = sizes(&Value::Array(vec![case["outputs"].clone()]))[0];
        let network = build(text(&case["architecture"]), input, outputs).expect(name);
        let state = case["state"].as_object().expect("a state dict");
        let mut expected: Vec<(String, Vec<usize>)> =
            state.iter().map(|(name, shape)| (name.clone(), sizes(shape))).collect();
        let mut found: Vec<(String, Vec<usize>)> =
            network.weights().into_iter().map(|weights| (weights.name, weights.shape)).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{name}");
        let weights: Vec<Weights> = expected
            .into_iter()
            .map(|(name, shape)| Weights { values: fill(&name, &shape), name, shape })
            .collect();
        let network = network.with_weights(&weights).expect("weights that fit");
        let found = logits(&network, input, count, values);
        assert_within(deviation(&found, &doubles(&case["logits"])), 1e-4, name);
    }
}

/// `scripts/train/full_vgg16.py` writes what this test reads.
#[test]
#[ignore = "needs a file of 553 MB; see scripts/train/full_vgg16.py"]
fn full_vgg16_gives_what_pytorch_gives() {
    let folder = std::env::var("LUTHIER_FULL_VGG16").expect("LUTHIER_FULL_VGG16: the folder of the script");
    let folder = std::path::Path::new(&folder);
    let expected = std::fs::read_to_string(folder.join("vgg16.json")).expect("vgg16.json");
    let expected: Value = serde_json::from_str(&expected).expect("JSON");
    let state = StateDict::open(&folder.join("vgg16.pth")).expect("vgg16.pth");
    let input = Shape::Image { channels: 3, height: 224, width: 224 };
    let network = build("\"vgg16\"", input, 1000).expect("VGG16");
    let network = state.load_into(network, false).expect("weights that fit");
    let values = even("input", 2 * input.size()).into_iter().map(|x| x as f32).collect();
    let found = logits(&network, input, 2, values);
    assert_within(deviation(&found, &doubles(&expected["logits"])), 1e-4, "the full VGG16");
}
