//! `NAdam`, Adam with Nesterov's momentum (Dozat 2016), as `torch.optim.NAdam`.
//!
//! With gradient g, weights w, rate γ, decays β1 and β2, momentum decay ψ, step t and weight decay λ:
//!
//! ```text
//! g ← g + λ w                             (coupled; decoupled: w ← w - γ λ w)
//! μ_t = β1 (1 - 0.96^(t ψ) / 2)           M_t = μ_1 μ_2 … μ_t
//! m ← β1 m + (1 - β1) g
//! v ← β2 v + (1 - β2) g²
//! n ← (1 - μ_t) / (1 - M_t) · g + μ_(t+1) / (1 - M_(t+1)) · m
//! w ← w - γ n / (sqrt(v / (1 - β2^t)) + ε)
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::bounds;

use super::DecayOn;
use super::number::{Number, follow};
use super::rule::{ElementRule, Now, Slot, power};

luthier_core::settings! {
    /// `NAdam`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct NAdamConfig {
        /// Step size γ. Search it between 1e-5 and 1e-1 on a logarithmic scale.
        learning_rate: f64 = 2e-3, bounds::POSITIVE;
        /// Decay β1 of the mean of gradients; 0.8 to 0.99.
        beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay β2 of the mean of squared gradients; 0.9 to 0.9999.
        beta2: f64 = 0.999, bounds::BELOW_ONE;
        /// Number ε that is added to the root of the mean square; 1e-8 to 1e-3.
        epsilon: f64 = 1e-8, bounds::POSITIVE;
        /// Momentum decay ψ: how fast the momentum rises from half of β1 to β1.
        momentum_decay: f64 = 4e-3, bounds::NOT_NEGATIVE;
        /// Weight decay λ; 1e-6 to 1e-2.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves instead of adding the decay to the gradient (L2).
        decoupled: bool = false;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

/// A step of `NAdam`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    rate: f64,
    shares: (f64, f64),
    /// Of the gradient and of the mean in the step.
    parts: (f64, f64),
    epsilon: f64,
}

impl NAdamConfig {
    /// The momentum at a time.
    fn momentum(&self, time: f64) -> f64 {
        self.beta1 * (1.0 - 0.5 * libm::pow(0.96, time * self.momentum_decay))
    }
}

impl ElementRule for NAdamConfig {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zeros("mean"), Slot::zeros("square")]
    }

    fn product(&self, time: u64) -> f64 {
        self.momentum(time as f64)
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        let time = now.time as f64;
        let (this, next) = (self.momentum(time), self.momentum(time + 1.0));
        let second = libm::sqrt(1.0 - power(self.beta2, now.time));
        // The formula above with the numerator and the denominator multiplied by `second`.
        Step {
            rate: now.rate * second,
            shares: (1.0 - self.beta1, 1.0 - self.beta2),
            parts: ((1.0 - this) / (1.0 - now.product), next / (1.0 - now.product * next)),
            epsilon: self.epsilon * second,
        }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let square = follow(&mut slots[1], gradient.clone().square(), step.shares.1);
        let mean = follow(&mut slots[0], gradient.clone(), step.shares.0);
        let ahead = gradient.times(step.parts.0) + mean.times(step.parts.1);
        weight - (ahead / square.root().plus(step.epsilon)).times(step.rate)
    }
}
