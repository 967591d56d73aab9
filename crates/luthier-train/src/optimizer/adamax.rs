//! Adamax (Kingma and Ba 2015, section 7), as `torch.optim.Adamax`.
//!
//! With gradient g, weights w, rate γ, decays β1 and β2, step t and weight decay λ:
//!
//! ```text
//! g ← g + λ w                             (coupled; decoupled: w ← w - γ λ w)
//! m ← β1 m + (1 - β1) g
//! u ← max(β2 u, |g| + ε)
//! w ← w - γ / (1 - β1^t) · m / u
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::bounds;

use super::DecayOn;
use super::number::{Number, follow};
use super::rule::{ElementRule, Now, Slot, power};

luthier_core::settings! {
    /// Adamax.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AdamaxConfig {
        /// Step size γ. Search it between 1e-5 and 1e-1 on a logarithmic scale.
        learning_rate: f64 = 2e-3, bounds::POSITIVE;
        /// Decay β1 of the mean of gradients; 0.8 to 0.99.
        beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay β2 of the largest gradient; 0.9 to 0.9999.
        beta2: f64 = 0.999, bounds::BELOW_ONE;
        /// Number ε that is added to the size of each gradient.
        epsilon: f64 = 1e-8, bounds::POSITIVE;
        /// Weight decay λ; 1e-6 to 1e-2.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves instead of adding the decay to the gradient (L2).
        decoupled: bool = false;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

/// A step of Adamax.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// With the correction of the mean.
    rate: f64,
    share: f64,
    beta2: f64,
    epsilon: f64,
}

impl ElementRule for AdamaxConfig {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zeros("mean"), Slot::zeros("largest")]
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        let first = 1.0 - power(self.beta1, now.time);
        Step { rate: now.rate / first, share: 1.0 - self.beta1, beta2: self.beta2, epsilon: self.epsilon }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let size = gradient.clone().size().plus(step.epsilon);
        let largest = slots[1].clone().times(step.beta2).larger(size);
        slots[1] = largest.clone();
        let mean = follow(&mut slots[0], gradient, step.share);
        weight - (mean / largest).times(step.rate)
    }
}
