//! Adagrad (Duchi, Hazan and Singer 2011), as `torch.optim.Adagrad`.
//!
//! With gradient g, weights w, rate γ, its decay η, step t and weight decay λ:
//!
//! ```text
//! g ← g + λ w                                   (coupled; decoupled: w ← w - γ λ w)
//! s ← s + g²                                    (it begins with the initial value)
//! w ← w - γ / (1 + (t - 1) η) · g / (sqrt(s) + ε)
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::bounds;

use super::DecayOn;
use super::number::Number;
use super::rule::{ElementRule, Now, Slot};

luthier_core::settings! {
    /// Adagrad.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AdagradConfig {
        /// Step size γ. Search it between 1e-4 and 1 on a logarithmic scale.
        learning_rate: f64 = 1e-2, bounds::POSITIVE;
        /// Decay η of the step size; 0 to 1e-2. The sum of squares makes steps smaller already.
        lr_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// What the sum of squares begins with; 0 to 1.
        initial_accumulator_value: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Number ε that is added to the root of the sum.
        epsilon: f64 = 1e-10, bounds::POSITIVE;
        /// Weight decay λ; 1e-6 to 1e-2.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves instead of adding the decay to the gradient (L2).
        decoupled: bool = false;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

/// A step of Adagrad: the rate and ε.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    rate: f64,
    epsilon: f64,
}

impl ElementRule for AdagradConfig {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        vec![Slot { name: "sum", initial: self.initial_accumulator_value }]
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        let rate = now.rate / (1.0 + (now.time - 1) as f64 * self.lr_decay);
        Step { rate, epsilon: self.epsilon }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let sum = gradient.clone().square() + slots[0].clone();
        slots[0] = sum.clone();
        weight - (gradient / sum.root().plus(step.epsilon)).times(step.rate)
    }
}
