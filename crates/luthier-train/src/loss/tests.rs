//! Losses against PyTorch, with outputs of 80 and 1,000 among them.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;

use super::Loss;
use crate::fixture::{assert_within, cases, deviation, doubles, setting, singles, text};
use crate::model::host;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/parity_losses.json")).expect("a fixture")
}

#[test]
fn the_loss_of_each_example_is_that_of_pytorch() {
    for case in cases(&fixture()) {
        let name = text(&case["loss"]);
        let loss: Loss = setting(&format!("{name:?}"));
        let (outputs, targets) = (singles(&case["outputs"]), singles(&case["targets"]));
        let found: Vec<f64> = loss.each(&outputs, &targets).collect();
        let expected = doubles(&case["each"]);
        assert_eq!(found.len(), expected.len());
        let mut worst = 0.0_f64;
        for (found, expected) in found.iter().zip(&expected) {
            let off = (found - expected).abs() / expected.abs().max(1.0);
            assert!(off.is_finite(), "{name}: {found}, expected {expected}");
            worst = worst.max(off);
        }
        assert_within(worst, 1e-11, name);
    }
}

#[test]
fn the_gradient_of_a_batch_is_that_of_pytorch() {
    let device = Device::flex().autodiff();
    for case in cases(&fixture()) {
        let name = text(&case["loss"]);
        let loss: Loss = setting(&format!("{name:?}"));
        let (outputs, targets) = (singles(&case["outputs"]), singles(&case["targets"]));
        let shape = [targets.len(), outputs.len() / targets.len()];
        let outputs = Tensor::<2>::from_data(TensorData::new(outputs, shape), &device).require_grad();
        let mean = loss.of_batch(outputs.clone(), &targets);
        let each = doubles(&case["each"]);
        let expected = each.iter().sum::<f64>() / each.len() as f64;
        assert_within(deviation(&host(mean.clone().inner()), &[expected]), 1e-6, name);
        let gradient = outputs.grad(&mean.backward()).expect("a gradient");
        assert_within(deviation(&host(gradient), &doubles(&case["gradient"])), 1e-6, name);
    }
}

#[test]
fn an_output_that_is_not_finite_is_seen() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let sum: f64 = Loss::CrossEntropy.each(&[0.5, bad, bad], &[1.0]).sum();
        assert!(!sum.is_finite(), "cross-entropy of {bad}: {sum}");
        let sum: f64 = Loss::Mse.each(&[bad], &[1.0]).sum();
        assert!(!sum.is_finite(), "mse of {bad}: {sum}");
    }
    let sum: f64 = Loss::BinaryCrossEntropy.each(&[f32::NAN], &[1.0]).sum();
    assert!(sum.is_nan());
}
