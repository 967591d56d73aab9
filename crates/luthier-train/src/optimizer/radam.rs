//! `RAdam`, Adam with a rectified variance (Liu et al. 2020), as `torch.optim.RAdam`.
//!
//! With gradient g, weights w, rate γ, decays β1 and β2, step t and weight decay λ:
//!
//! ```text
//! g ← g + λ w                             (coupled; decoupled: w ← w - γ λ w)
//! m ← β1 m + (1 - β1) g
//! v ← β2 v + (1 - β2) g²
//! ρ = 2 / (1 - β2) - 1
//! r = ρ - 2 t β2^t / (1 - β2^t)
//! w ← w - γ / (1 - β1^t) · m · a,  where a = 1 if r ≤ 5, else
//!     a = sqrt((r - 4)(r - 2) ρ / ((ρ - 4)(ρ - 2) r)) · sqrt(1 - β2^t) / (sqrt(v) + ε)
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::bounds;

use super::DecayOn;
use super::number::{Number, follow};
use super::rule::{ElementRule, Now, Slot, power};

luthier_core::settings! {
    /// `RAdam`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RAdamConfig {
        /// Step size γ. Search it between 1e-5 and 1e-1 on a logarithmic scale.
        learning_rate: f64 = 1e-3, bounds::POSITIVE;
        /// Decay β1 of the mean of gradients; 0.8 to 0.99.
        beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay β2 of the mean of squared gradients; 0.9 to 0.9999.
        beta2: f64 = 0.999, bounds::BELOW_ONE;
        /// Number ε that is added to the root of the mean square; 1e-8 to 1e-3.
        epsilon: f64 = 1e-8, bounds::POSITIVE;
        /// Weight decay λ; 1e-6 to 1e-2.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves instead of adding the decay to the gradient (L2).
        decoupled: bool = false;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

/// A step of `RAdam`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    rate: f64,
    shares: (f64, f64),
    epsilon: f64,
    /// Whether the variance is known well enough to divide by its root.
    rectified: bool,
}

impl ElementRule for RAdamConfig {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zeros("mean"), Slot::zeros("square")]
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        let time = now.time as f64;
        let left = power(self.beta2, now.time);
        let longest = 2.0 / (1.0 - self.beta2) - 1.0;
        let length = longest - 2.0 * time * left / (1.0 - left);
        let rate = now.rate / (1.0 - power(self.beta1, now.time));
        let rectified = length > 5.0;
        let factor = if rectified {
            let rectification =
                (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length);
            libm::sqrt(rectification) * libm::sqrt(1.0 - left)
        } else {
            1.0
        };
        Step {
            rate: rate * factor,
            shares: (1.0 - self.beta1, 1.0 - self.beta2),
            epsilon: self.epsilon,
            rectified,
        }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let square = follow(&mut slots[1], gradient.clone().square(), step.shares.1);
        let mean = follow(&mut slots[0], gradient, step.shares.0);
        let way = if step.rectified { mean / square.root().plus(step.epsilon) } else { mean };
        weight - way.times(step.rate)
    }
}
