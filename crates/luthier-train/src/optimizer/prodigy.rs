//! Prodigy (Mishchenko and Defazio 2024), as its authors' package `prodigyopt`: Adam that finds its own
//! step size.
//!
//! It estimates the distance d from the first weights to good ones and takes it as Adam's step size. The
//! sums run over all weights of the network. With gradient g, weights w, first weights w0, rate γ, decays β1,
//! β2 and β3 (the root of β2 if left out), step t, coefficient c, growth q and weight decay λ:
//!
//! ```text
//! p = γ d                                 (bias_correction: · sqrt(1 - β2^t) / (1 - β1^t))
//! g ← g + λ w                             (coupled)
//! r ← β3 r + d/d0 · p · Σ g (w0 - w)
//! m ← β1 m + (1 - β1) d g
//! v ← β2 v + (1 - β2) d² g²
//! s ← β3 s + d/d0 · p · g                 (safeguard_warmup: d in place of p)
//! e = c r / Σ |s|                         x ← max(x, e)
//! d ← max(d, e) if it was d0 still; then d ← min(x, q d)
//! w ← w - p λ w                           (decoupled)
//! w ← w - p m / (sqrt(v) + d ε)
//! ```
//!
//! The way w0 - w that a weight has gone is summed up step by step instead of taken as a difference: the
//! first steps are a millionth in size, which single precision loses in the difference.

use burn::tensor::Tensor;
use luthier_core::config::bounds;
use serde::{Deserialize, Serialize};

use super::gradients::sums;
use super::number::follow;
use super::rule::{Slot, power};
use super::{DecayOn, StepSettings};

luthier_core::settings! {
    /// Prodigy.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ProdigyConfig {
        /// Factor γ on the step size that the method finds. Leave it at 1; a schedule may lower it.
        learning_rate: f64 = 1.0, bounds::POSITIVE;
        /// Decay β1 of the mean of gradients; 0.8 to 0.99.
        beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay β2 of the mean of squared gradients; 0.9 to 0.9999.
        beta2: f64 = 0.999, bounds::BELOW_ONE;
        /// Decay β3 of the sums that the distance is estimated from; the root of β2 if left out.
        beta3: Option<f64> = None, bounds::BELOW_ONE;
        /// Number ε in the denominator.
        epsilon: f64 = 1e-8, bounds::POSITIVE;
        /// Weight decay λ; 1e-4 to 0.3.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves instead of adding the decay to the gradient (L2).
        decoupled: bool = true;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
        /// Correct the bias of both means, as Adam does.
        bias_correction: bool = false;
        /// Keep a warm-up of the learning rate out of the estimate of the distance.
        safeguard_warmup: bool = false;
        /// The distance d0 that the estimate begins with; rarely of importance.
        d0: f64 = 1e-6, bounds::POSITIVE;
        /// Coefficient c of the estimate; 0.5 to 2. This is the key to turn where steps are too large.
        d_coef: f64 = 1.0, bounds::POSITIVE;
        /// By which factor q the distance may grow in a step, such as 1.02; any if left out.
        growth_rate: Option<f64> = None, bounds::POSITIVE;
    }
}

/// The estimate of the distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Distance {
    /// d
    #[serde(with = "luthier_core::number")]
    now: f64,
    /// x
    #[serde(with = "luthier_core::number")]
    largest: f64,
    /// r
    #[serde(with = "luthier_core::number")]
    numerator: f64,
    /// Steps that are done.
    steps: u64,
}

/// One parameter in a step.
pub(super) struct Part<'a> {
    pub memory: &'a mut [Tensor<1>],
    /// The factor on its rate.
    pub factor: f64,
    /// Whether weight decay applies to it.
    pub decays: bool,
    pub weights: Tensor<1>,
    pub gradient: Tensor<1>,
}

/// The tensors that are kept for each parameter.
pub(super) const SLOTS: [Slot; 4] =
    [Slot::zeros("mean"), Slot::zeros("square"), Slot::zeros("sum"), Slot::zeros("way")];
const MEAN: usize = 0;
const SQUARE: usize = 1;
const SUM: usize = 2;
const WAY: usize = 3;

impl ProdigyConfig {
    pub(super) fn start(&self) -> Distance {
        Distance { now: self.d0, largest: self.d0, numerator: 0.0, steps: 0 }
    }

    /// The weights of all parts after a step. A factor on the rate of a part scales its step alone.
    pub(super) fn step(
        &self,
        settings: &StepSettings<'_>,
        distance: &mut Distance,
        mut parts: Vec<Part<'_>>,
    ) -> Vec<Tensor<1>> {
        let (rate, decay) = (settings.learning_rate, settings.weight_decay);
        if rate == 0.0 {
            return parts.into_iter().map(|part| part.weights).collect();
        }
        let d = distance.now;
        let beta3 = self.beta3.unwrap_or_else(|| libm::sqrt(self.beta2));
        let time = distance.steps + 1;
        let correction = if self.bias_correction {
            libm::sqrt(1.0 - power(self.beta2, time)) / (1.0 - power(self.beta1, time))
        } else {
            1.0
        };
        let pace = d * rate * correction;
        let weight = d / self.d0 * if self.safeguard_warmup { d } else { pace };

        let mut summands = Vec::with_capacity(2 * parts.len());
        for part in &mut parts {
            if decay != 0.0 && part.decays && !self.decoupled {
                part.gradient = part.weights.clone().mul_scalar(decay) + part.gradient.clone();
            }
            let gradient = &part.gradient;
            summands.push(part.memory[WAY].clone() * gradient.clone());
            let scaled = gradient.clone().mul_scalar(d);
            follow(&mut part.memory[SQUARE], scaled.clone().square(), 1.0 - self.beta2);
            follow(&mut part.memory[MEAN], scaled, 1.0 - self.beta1);
            let sum = part.memory[SUM].clone().mul_scalar(beta3) + gradient.clone().mul_scalar(weight);
            part.memory[SUM] = sum.clone();
            summands.push(sum.abs());
        }
        let totals = sums(summands);
        let product: f64 = totals.iter().step_by(2).sum();
        let denominator: f64 = totals.iter().skip(1).step_by(2).sum();
        if denominator == 0.0 {
            return parts.into_iter().map(|part| part.weights).collect();
        }
        distance.numerator = beta3 * distance.numerator + d / self.d0 * pace * product;
        let estimate = self.d_coef * distance.numerator / denominator;
        let grown = if d == self.d0 { d.max(estimate) } else { d };
        distance.largest = distance.largest.max(estimate);
        distance.now = distance.largest.min(grown * self.growth_rate.unwrap_or(f64::INFINITY));
        distance.steps += 1;

        parts
            .into_iter()
            .map(|part| {
                let pace = pace * part.factor;
                // Without momentum the authors' code takes the gradient by the new distance.
                let mean = match self.beta1 {
                    0.0 => part.gradient.mul_scalar(distance.now),
                    _ => part.memory[MEAN].clone(),
                };
                let root = part.memory[SQUARE].clone().sqrt();
                let mut step = (mean / root.add_scalar(distance.now * self.epsilon)).mul_scalar(pace);
                if decay != 0.0 && part.decays && self.decoupled {
                    // The decay comes first, and Adam's step does not depend on the weights.
                    step = part.weights.clone().mul_scalar(pace * decay) + step;
                }
                part.memory[WAY] = part.memory[WAY].clone() + step.clone();
                part.weights - step
            })
            .collect()
    }
}
