//! Adam (Kingma and Ba 2015), as `torch.optim.Adam`.
//!
//! With gradient g, weights w, rate γ, decays β1 and β2, step t and weight decay λ:
//!
//! ```text
//! g ← g + λ w
//! m ← β1 m + (1 - β1) g
//! v ← β2 v + (1 - β2) g²
//! w ← w - γ / (1 - β1^t) · m / (sqrt(v) / sqrt(1 - β2^t) + ε)
//! ```

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use luthier_core::config::bounds;

luthier_core::settings! {
    /// Adam.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AdamConfig {
        /// Step size.
        learning_rate: f64 = 1e-3, bounds::POSITIVE;
        /// Decay of the mean of gradients.
        beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay of the mean of squared gradients.
        beta2: f64 = 0.999, bounds::BELOW_ONE;
        /// Added to the root of the mean square.
        epsilon: f64 = 1e-8, bounds::POSITIVE;
        /// L2 penalty, added to the gradient.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
    }
}

#[derive(Debug, Clone)]
pub(super) struct Adam {
    config: AdamConfig,
}

impl Adam {
    pub(super) fn new(config: &AdamConfig) -> Self {
        Self { config: config.clone() }
    }
}

/// The moments of one tensor.
#[derive(Debug, Clone)]
pub(super) struct AdamState<const D: usize> {
    time: u64,
    mean: Tensor<D>,
    square: Tensor<D>,
}

impl<const D: usize> RecordState for AdamState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, "time", self.time.into());
        out.push_tensor(prefix, "mean", self.mean.to_data());
        out.push_tensor(prefix, "square", self.square.to_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        Some(Self {
            time: source.take_scalar(prefix, "time")?.try_into().ok()?,
            mean: Tensor::from_data(source.take_tensor(prefix, "mean")?, device),
            square: Tensor::from_data(source.take_tensor(prefix, "square")?, device),
        })
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weights: Tensor<D>,
        mut gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let AdamConfig { beta1, beta2, epsilon, weight_decay, .. } = self.config;
        if weight_decay > 0.0 {
            gradient = gradient + weights.clone().mul_scalar(weight_decay);
        }
        let new_mean = gradient.clone().mul_scalar(1.0 - beta1);
        let new_square = gradient.square().mul_scalar(1.0 - beta2);
        let state = match state {
            Some(state) => AdamState {
                time: state.time + 1,
                mean: state.mean.mul_scalar(beta1) + new_mean,
                square: state.square.mul_scalar(beta2) + new_square,
            },
            None => AdamState { time: 1, mean: new_mean, square: new_square },
        };
        let time = state.time as f64;
        let first = 1.0 - libm::pow(beta1, time);
        let second = libm::sqrt(1.0 - libm::pow(beta2, time));
        let denominator = state.square.clone().sqrt().div_scalar(second).add_scalar(epsilon);
        let step = state.mean.clone().div(denominator).mul_scalar(rate / first);
        (weights - step, Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        AdamState {
            time: state.time,
            mean: state.mean.to_device(device),
            square: state.square.to_device(device),
        }
    }
}
