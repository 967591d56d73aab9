//! Optimizers against PyTorch, over 100 steps of recorded gradients of very different size.

use burn::module::{Module, Param, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Device, Tensor};
use serde_json::Value;

use super::OptimizerConfig;
use crate::fixture::{assert_within, cases, doubles, setting, singles, text};
use crate::model::host;

/// A module of one tensor.
#[derive(Module, Debug)]
struct Probe {
    weights: Param<Tensor<1>>,
}

impl Probe {
    fn new(values: &[f32]) -> Self {
        let weights = Tensor::from_data(values, &Device::flex().autodiff()).require_grad();
        Self { weights: Param::initialized(ParamId::from(1), weights) }
    }

    /// The gradient of the sum of `weights * gradient` is `gradient`.
    fn step(self, optimizer: &mut ModuleOptimizer, rate: f64, gradient: &[f32]) -> Self {
        let gradient = Tensor::<1>::from_data(gradient, &Device::flex().autodiff());
        let gradients = (self.weights.val() * gradient).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &self);
        optimizer.step(rate, self, gradients)
    }
}

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
        let mut optimizer = config.init();
        let mut probe = Probe::new(&singles(&fixture["start"]));
        let mut worst = 0.0_f64;
        for (i, gradient) in gradients.iter().enumerate() {
            if i == 37 {
                // The optimizer's state goes through its bytes on the way.
                let bytes = optimizer.into_bytes().expect("bytes").to_vec();
                optimizer = config.init().from_bytes(Bytes::from_bytes_vec(bytes)).expect("the same state");
            }
            probe = probe.step(&mut optimizer, config.learning_rate(), gradient);
            if (i + 1) % 10 == 0 {
                let expected = doubles(&case["weights"][i / 10]);
                for (found, expected) in host(probe.weights.val().inner()).iter().zip(&expected) {
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
