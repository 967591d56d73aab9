//! An exponential moving average of the weights (Polyak and Juditsky 1992).
//!
//! With weights w after step t, average a and decay β: `a ← β a + (1 - β) w`. With a warm-up β is
//! `min(β, (1 + t) / (10 + t))` for the updates t = 0, 1, 2, … so that the first weights are soon forgotten
//! (as in TensorFlow's `ExponentialMovingAverage`).

use burn::tensor::{Device, Tensor};
use luthier_core::config::bounds;

use super::parameter::Parameter;
use super::values::Values;

luthier_core::settings! {
    /// A moving average of the weights, which is validated and kept in place of the weights themselves.
    #[derive(Debug, Clone, PartialEq)]
    pub struct EmaConfig {
        /// Share of the average that is kept in a step. It looks back over about `1 / (1 - decay)` steps;
        /// 0.9 to 0.9999.
        decay: f64 = 0.999, bounds::BELOW_ONE;
        /// Begin with a smaller decay, so that the first weights are soon forgotten.
        warmup: bool = true;
    }
}

/// An average at work.
#[derive(Debug, Clone)]
pub(crate) struct Ema {
    config: EmaConfig,
    updates: u64,
    average: Values,
}

impl Ema {
    /// An average that begins with `weights`: the tensors of a network, flat, running statistics included.
    pub(crate) fn new(config: &EmaConfig, weights: Vec<Tensor<1>>) -> Self {
        Self { config: config.clone(), updates: 0, average: Values::Device(weights) }
    }

    /// The share of the next weights in the average.
    fn share(&mut self) -> f64 {
        let t = self.updates as f64;
        self.updates += 1;
        let decay = self.config.decay;
        1.0 - if self.config.warmup { decay.min((1.0 + t) / (10.0 + t)) } else { decay }
    }

    /// Takes in the weights after a step.
    pub(crate) fn update(&mut self, weights: &[Tensor<1>]) {
        let share = self.share();
        let Some(device) = weights.first().map(Tensor::device) else { return };
        for (average, weights) in self.average.on_device(&device).iter_mut().zip(weights) {
            let way = (weights.clone() - average.clone()).mul_scalar(share);
            *average = way + average.clone();
        }
    }

    /// Takes in weights on the host after a step.
    pub(crate) fn update_on_host(&mut self, weights: &[Vec<f32>]) {
        let share = self.share() as f32;
        for (average, weights) in self.average.on_host().iter_mut().zip(weights) {
            luthier_kernels::elementwise::lerp(average, weights, share);
        }
    }

    /// The average, on `device` if it is not on another.
    pub(crate) fn weights(&self, device: &Device) -> Vec<Tensor<1>> {
        self.average.to_device(device)
    }

    /// The number of updates, and the values by the names of the parameters.
    pub(crate) fn state(&self, parameters: &[Parameter]) -> (u64, Vec<(String, Vec<f32>)>) {
        let names = parameters.iter().map(|parameter| parameter.name.clone());
        (self.updates, names.zip(self.average.to_host()).collect())
    }

    /// Takes up what [`Ema::state`] gave.
    ///
    /// # Errors
    ///
    /// The first tensor that is missing or of another size. The average is then as it was.
    pub(crate) fn restore(
        &mut self,
        parameters: &[Parameter],
        (updates, tensors): (u64, Vec<(String, Vec<f32>)>),
    ) -> Result<(), String> {
        let take = |parameter: &Parameter| {
            let found = tensors.iter().find(|(name, _)| *name == parameter.name);
            let Some((name, values)) = found else {
                return Err(format!("the moving average has no tensor {}", parameter.name));
            };
            if values.len() != parameter.len() {
                let (found, expected) = (values.len(), parameter.len());
                return Err(format!("the average of {name} has {found} values, expected {expected}"));
            }
            Ok(values.clone())
        };
        self.average = Values::Host(parameters.iter().map(take).collect::<Result<_, _>>()?);
        self.updates = updates;
        Ok(())
    }
}
