//! Lion (Chen et al. 2023, algorithm 2).
//!
//! With gradient g, weights w, rate γ, decays β1 and β2 and weight decay λ, which is decoupled:
//!
//! ```text
//! w ← w - γ λ w
//! w ← w - γ sign(β1 m + (1 - β1) g)       (sign(0) = 0)
//! m ← β2 m + (1 - β2) g
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::bounds;

use super::DecayOn;
use super::number::{Number, follow};
use super::rule::{ElementRule, Now, Slot};

luthier_core::settings! {
    /// Lion.
    #[derive(Debug, Clone, PartialEq)]
    pub struct LionConfig {
        /// Step size γ: how far each weight moves in a step. Its authors take 3 to 10 times less than for
        /// `AdamW`; search it between 1e-6 and 1e-2 on a logarithmic scale.
        learning_rate: f64 = 1e-4, bounds::POSITIVE;
        /// Share β1 of the momentum in the direction of a step; 0.8 to 0.99.
        beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay β2 of the momentum; 0.9 to 0.999.
        beta2: f64 = 0.99, bounds::BELOW_ONE;
        /// Weight decay λ: each step takes the share γ λ off the weights. Its authors take 3 to 10 times
        /// more than for `AdamW`; 1e-3 to 10.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

/// A step of Lion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    rate: f64,
    shares: (f64, f64),
}

impl ElementRule for LionConfig {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zeros("momentum")]
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        Step { rate: now.rate, shares: (1.0 - self.beta1, 1.0 - self.beta2) }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let mixed = follow(&mut slots[0].clone(), gradient.clone(), step.shares.0);
        follow(&mut slots[0], gradient, step.shares.1);
        weight - mixed.sign().times(step.rate)
    }
}
