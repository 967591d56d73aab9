//! Adam (Kingma and Ba 2015), as `torch.optim.Adam`, with `AMSGrad` (Reddi, Kale and Kumar 2018).
//!
//! With gradient g, weights w, rate γ, decays β1 and β2, step t and weight decay λ:
//!
//! ```text
//! g ← g + λ w                        (coupled; decoupled: w ← w - γ λ w)
//! m ← β1 m + (1 - β1) g
//! v ← β2 v + (1 - β2) g²
//! u ← v                              (AMSGrad: u ← max(u, v))
//! w ← w - γ / (1 - β1^t) · m / (sqrt(u) / sqrt(1 - β2^t) + ε)
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::bounds;

use super::DecayOn;
use super::number::{Number, follow};
use super::rule::{ElementRule, Now, Slot, powers};

luthier_core::settings! {
    /// Adam.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AdamConfig {
        /// Step size γ. Search it between 1e-5 and 1e-1 on a logarithmic scale.
        learning_rate: f64 = 1e-3, bounds::POSITIVE;
        /// Decay β1 of the mean of gradients; 0.8 to 0.99.
        beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay β2 of the mean of squared gradients; 0.9 to 0.9999.
        beta2: f64 = 0.999, bounds::BELOW_ONE;
        /// Number ε that is added to the root of the mean square; 1e-8 to 1e-3.
        epsilon: f64 = 1e-8, bounds::POSITIVE;
        /// Divide by the largest mean square so far instead of the present one (AMSGrad).
        amsgrad: bool = false;
        /// Weight decay λ; 1e-6 to 1e-2.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves (`AdamW`) instead of adding the decay to the gradient (L2).
        decoupled: bool = false;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

luthier_core::settings! {
    /// `AdamW` (Loshchilov and Hutter 2019), as `torch.optim.AdamW`: Adam with decoupled weight decay.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AdamWConfig {
        /// Step size γ. Search it between 1e-5 and 1e-1 on a logarithmic scale.
        learning_rate: f64 = 1e-3, bounds::POSITIVE;
        /// Decay β1 of the mean of gradients; 0.8 to 0.99.
        beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay β2 of the mean of squared gradients; 0.9 to 0.9999.
        beta2: f64 = 0.999, bounds::BELOW_ONE;
        /// Number ε that is added to the root of the mean square; 1e-8 to 1e-3.
        epsilon: f64 = 1e-8, bounds::POSITIVE;
        /// Divide by the largest mean square so far instead of the present one (AMSGrad).
        amsgrad: bool = false;
        /// Weight decay λ: each step takes the share γ λ off the weights; 1e-4 to 0.3.
        weight_decay: f64 = 1e-2, bounds::NOT_NEGATIVE;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

/// What Adam's step needs beside the rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub amsgrad: bool,
}

impl AdamConfig {
    pub(super) fn rule(&self) -> Adam {
        Adam { beta1: self.beta1, beta2: self.beta2, epsilon: self.epsilon, amsgrad: self.amsgrad }
    }
}

impl AdamWConfig {
    pub(super) fn rule(&self) -> Adam {
        Adam { beta1: self.beta1, beta2: self.beta2, epsilon: self.epsilon, amsgrad: self.amsgrad }
    }
}

/// A step of Adam.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    rate: f64,
    shares: (f64, f64),
    epsilon: f64,
    amsgrad: bool,
}

impl ElementRule for Adam {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::zeros("mean"), Slot::zeros("square")];
        if self.amsgrad {
            slots.push(Slot::zeros("largest"));
        }
        slots
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        let [first, second] = powers([self.beta1, self.beta2], now.time);
        let (first, second) = (1.0 - first, libm::sqrt(1.0 - second));
        // The formula above with the numerator and the denominator multiplied by `second`.
        Step {
            rate: now.rate * second / first,
            shares: (1.0 - self.beta1, 1.0 - self.beta2),
            epsilon: self.epsilon * second,
            amsgrad: self.amsgrad,
        }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let mut square = follow(&mut slots[1], gradient.clone().square(), step.shares.1);
        let mean = follow(&mut slots[0], gradient, step.shares.0);
        if step.amsgrad {
            square = slots[2].clone().larger(square);
            slots[2] = square.clone();
        }
        weight - (mean / square.root().plus(step.epsilon)).times(step.rate)
    }
}
