//! Stochastic gradient descent with momentum, as `torch.optim.SGD` with a dampening of 0.
//!
//! With gradient g, weights w, rate γ, momentum μ and weight decay λ:
//!
//! ```text
//! g ← g + λ w
//! b ← μ b + g            (the first time b ← g)
//! w ← w - γ b            (Nesterov: w - γ (g + μ b))
//! ```

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use luthier_core::config::bounds;

luthier_core::settings! {
    /// Stochastic gradient descent.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SgdConfig {
        /// Step size.
        learning_rate: f64 = 1e-3, bounds::POSITIVE;
        /// Share of the last step that is taken again.
        momentum: f64 = 0.0, bounds::BELOW_ONE;
        /// Look ahead by one step of momentum (Nesterov 1983).
        nesterov: bool = false;
        /// L2 penalty, added to the gradient.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
    }
}

#[derive(Debug, Clone)]
pub(super) struct Sgd {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl Sgd {
    pub(super) fn new(config: &SgdConfig) -> Self {
        Self { momentum: config.momentum, nesterov: config.nesterov, weight_decay: config.weight_decay }
    }
}

/// The momentum buffer of one tensor.
#[derive(Debug, Clone)]
pub(super) struct SgdState<const D: usize> {
    buffer: Tensor<D>,
}

impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, "buffer", self.buffer.to_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        Some(Self { buffer: Tensor::from_data(source.take_tensor(prefix, "buffer")?, device) })
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weights: Tensor<D>,
        mut gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        if self.weight_decay > 0.0 {
            gradient = gradient + weights.clone().mul_scalar(self.weight_decay);
        }
        if self.momentum == 0.0 {
            return (weights - gradient.mul_scalar(rate), None);
        }
        let buffer = match state {
            Some(state) => state.buffer.mul_scalar(self.momentum) + gradient.clone(),
            None => gradient.clone(),
        };
        let step =
            if self.nesterov { gradient + buffer.clone().mul_scalar(self.momentum) } else { buffer.clone() };
        (weights - step.mul_scalar(rate), Some(SgdState { buffer }))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        SgdState { buffer: state.buffer.to_device(device) }
    }
}
