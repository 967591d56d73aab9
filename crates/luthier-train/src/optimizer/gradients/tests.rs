//! Weights and gradients of a network as lists, clipping, accumulation, ratios and the moving average.

use burn::tensor::{Device, Tensor};

use super::{
    GradientClip, accumulate, clip, norm, read_gradients, read_weights, sum, sums, update_to_weight,
    write_weights,
};
use crate::Shape;
use crate::fixture::setting;
use crate::model::{ModelConfig, Network, Pass, Signal, host};
use crate::optimizer::parameter::{Layout, Parameter, Role};
use crate::optimizer::{Ema, EmaConfig};

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(values, &Device::flex())
}

fn gradients() -> Vec<Option<Tensor<1>>> {
    vec![Some(tensor(&[3.0, 0.0])), None, Some(tensor(&[-4.0]))]
}

fn values(gradients: &[Option<Tensor<1>>]) -> Vec<Vec<f32>> {
    gradients.iter().map(|gradient| gradient.clone().map(host).unwrap_or_default()).collect()
}

fn network() -> Network {
    let config: ModelConfig =
        setting("{ layers = [{ conv = 2, kernel = 2 }, { dense = 3, activation = \"tanh\" }] }");
    let shape = Shape::Image { channels: 1, height: 3, width: 3 };
    Network::new(&config, shape, 2, 7, &Device::flex().autodiff()).expect("a network")
}

#[test]
fn weights_that_are_read_and_written_are_the_same_and_still_trained() {
    let network = network();
    let (before, parameters) = (network.weights(), network.parameters().to_vec());
    let tensors = read_weights(&network);
    assert_eq!(tensors.len(), parameters.len());
    for (tensor, parameter) in tensors.iter().zip(&parameters) {
        assert_eq!(tensor.dims(), [parameter.len()], "{}", parameter.name);
    }
    let doubled = tensors.iter().map(|tensor| tensor.clone().mul_scalar(2.0)).collect();
    let network = write_weights(network, doubled);
    for (before, after) in before.iter().zip(network.weights()) {
        let expected: Vec<f32> = before.values.iter().map(|value| 2.0 * value).collect();
        assert_eq!((&before.name, &before.shape, expected), (&after.name, &after.shape, after.values));
    }
    let shape = network.input();
    let batch = Signal::new((0..18).map(|i| i as f32 / 18.0).collect(), 2, shape, &Device::flex().autodiff());
    let loss = network.forward(batch, &mut Pass::evaluation()).sum();
    let found = read_gradients(&network, &loss.backward());
    for (gradient, parameter) in found.into_iter().zip(&parameters) {
        let gradient = gradient.unwrap_or_else(|| panic!("{} is not trained any more", parameter.name));
        assert_eq!(gradient.dims(), [parameter.len()]);
        assert!(norm(&[Some(gradient)]) > 0.0, "{}", parameter.name);
    }
}

#[test]
fn clipping_by_norm_scales_all_gradients_alike() {
    let by = |limit: &str| clip(&setting::<GradientClip>(&format!("{{ norm = {limit} }}")), gradients());
    assert_eq!(norm(&gradients()), 5.0);
    let (clipped, before) = by("1.0");
    assert_eq!(before, 5.0);
    // PyTorch 2.15: clip_grad_norm_([3, 0], [-4]; 1.0) gives 0.599999905 and -0.799999833.
    for (found, expected) in values(&clipped).concat().iter().zip([0.599_999_905, 0.0, -0.799_999_833]) {
        assert!((f64::from(*found) - expected).abs() <= 6e-8, "{found}, expected {expected}");
    }
    assert!(clipped[1].is_none());
    let (left, before) = by("5.1");
    assert_eq!((values(&left), before), (values(&gradients()), 5.0));
}

#[test]
fn clipping_by_value_bounds_each_number() {
    let (clipped, before) = clip(&setting::<GradientClip>("{ value = 3.5 }"), gradients());
    assert_eq!(values(&clipped), [vec![3.0, 0.0], vec![], vec![-3.5]]);
    assert_eq!(before, 5.0);
}

#[test]
fn accumulated_batches_are_weighted_by_their_sizes() {
    let other = vec![Some(tensor(&[1.0, 2.0])), Some(tensor(&[8.0])), None];
    // Batches of 3 and of 1.
    let sum = accumulate(Vec::new(), gradients(), 0.75);
    let sum = accumulate(sum, other, 0.25);
    assert_eq!(values(&sum), [vec![2.5, 0.5], vec![2.0], vec![-3.0]]);
    assert_eq!(values(&accumulate(Vec::new(), gradients(), 1.0)), values(&gradients()));
}

#[test]
fn the_update_is_measured_against_the_weights_that_are_trained() {
    let parameter =
        |role: Role| Parameter { name: "0".to_owned(), shape: vec![2], role, stage: 0, layout: Layout::Same };
    let parameters = [parameter(Role::Weight), parameter(Role::Bias), parameter(Role::Running)];
    let before = [tensor(&[3.0, 0.0]), tensor(&[0.0, 4.0]), tensor(&[100.0, 0.0])];
    let after = [tensor(&[3.0, 0.5]), tensor(&[0.0, 4.0]), tensor(&[0.0, 0.0])];
    assert_eq!(update_to_weight(&parameters, &before, &after), 0.1);
    assert_eq!(update_to_weight(&parameters[..1], &[tensor(&[0.0; 2])], &[tensor(&[1.0; 2])]), 0.0);
}

#[test]
fn a_sum_does_not_depend_on_the_number_of_threads() {
    let many: Vec<f32> = (0..5_000_000).map(|i| 1.0 / (i % 977 + 1) as f32).collect();
    let many = tensor(&many);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| sums(vec![many.clone(), tensor(&[1.0, 2.0])]))
    };
    let exact: f64 = (0..5_000_000).map(|i| f64::from(1.0 / (i % 977 + 1) as f32)).sum();
    let found = with(1);
    assert_eq!(found[1], 3.0);
    assert!((found[0] / exact - 1.0).abs() < 1e-5, "{found:?}, expected {exact}");
    for threads in [2, 3, 4] {
        assert_eq!(with(threads), found);
    }
    assert_eq!(host(sum(tensor(&[0.5, 0.25]))), [0.75]);
}

#[test]
fn the_average_follows_its_formula_and_survives_its_state() {
    let parameters = [Parameter {
        name: "0.bias".to_owned(),
        shape: vec![1],
        role: Role::Bias,
        stage: 0,
        layout: Layout::Same,
    }];
    let config: EmaConfig = setting("{ decay = 0.2 }");
    let mut ema = Ema::new(&config, vec![tensor(&[0.0])]);
    let mut expected = 0.0;
    for (t, weight) in [1.0_f32, 3.0, -2.0, 5.0].into_iter().enumerate() {
        ema.update(&[tensor(&[weight])]);
        // 1/10, 2/11, then 0.2, as 3/12 is more.
        let decay = ((1.0 + t as f64) / (10.0 + t as f64)).min(0.2);
        expected = decay * expected + (1.0 - decay) * f64::from(weight);
        assert!((f64::from(host(ema.weights(&Device::flex())[0].clone())[0]) - expected).abs() < 1e-6);
    }
    let mut other = Ema::new(&config, vec![tensor(&[9.0])]);
    let state = ema.state(&parameters);
    assert_eq!(state.0, 4);
    other.restore(&parameters, state).expect("the same state");
    ema.update(&[tensor(&[0.3])]);
    other.update_on_host(&[vec![0.3]]);
    assert_eq!(ema.state(&parameters), other.state(&parameters));
    let wrong = (4, vec![("0.bias".to_owned(), vec![1.0, 2.0])]);
    let error = other.restore(&parameters, wrong).expect_err("two values");
    assert_eq!(error, "the average of 0.bias has 2 values, expected 1");

    let mut steady = Ema::new(&setting("{ decay = 0.5, warmup = false }"), vec![tensor(&[0.0])]);
    steady.update(&[tensor(&[1.0])]);
    assert_eq!(host(steady.weights(&Device::flex())[0].clone()), [0.5]);
}
