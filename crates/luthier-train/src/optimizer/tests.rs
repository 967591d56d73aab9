//! Optimizers against PyTorch, over 100 steps of recorded gradients of very different size.

use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::parameter::{Parameter, Role};
use super::{OptimizerConfig, StepSettings};
use crate::fixture::{assert_within, cases, doubles, setting, singles, text};
use crate::model::host;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/parity_optimizers.json")).expect("a fixture")
}

#[test]
fn weights_follow_gradients_as_in_pytorch() {
    let fixture = fixture();
    let gradients: Vec<Vec<f32>> =
        fixture["gradients"].as_array().expect("a list").iter().map(singles).collect();
    for case in cases(&fixture) {
        let name = text(&case["config"]);
        let config: OptimizerConfig = setting(name);
        let device = Device::flex();
        let parameters = [Parameter {
            name: "0.weight".to_owned(),
            shape: vec![12],
            role: Role::Weight,
            stage: 0,
            transposed: false,
        }];
        let mut optimizer = config.init(&parameters);
        let mut weights = vec![Tensor::<1>::from_data(singles(&fixture["start"]).as_slice(), &device)];
        let settings = StepSettings {
            learning_rate: config.learning_rate(),
            weight_decay: config.weight_decay(),
            rates: None,
        };
        let mut worst = 0.0_f64;
        for (i, gradient) in gradients.iter().enumerate() {
            if i == 37 {
                let state = optimizer.state();
                optimizer = config.init(&parameters);
                optimizer.restore(state, &device).expect("the same state");
            }
            let gradient = Tensor::<1>::from_data(gradient.as_slice(), &device);
            weights = optimizer.step(&settings, weights, vec![Some(gradient)]);
            if (i + 1) % 10 == 0 {
                let expected = doubles(&case["weights"][i / 10]);
                for (found, expected) in host(weights[0].clone()).iter().zip(&expected) {
                    // Each weight by itself: the last is a thousand times larger than the first.
                    let off = (f64::from(*found) - expected).abs() / expected.abs().max(1.0);
                    assert!(off.is_finite(), "{name}: {found} at step {}", i + 1);
                    worst = worst.max(off);
                }
            }
        }
        assert_within(worst, 1e-5, name);
    }
}
