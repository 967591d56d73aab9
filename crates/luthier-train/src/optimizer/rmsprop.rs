//! `RMSprop` (Tieleman and Hinton 2012; centred: Graves 2013), as `torch.optim.RMSprop`.
//!
//! With gradient g, weights w, rate γ, decay α, momentum μ and weight decay λ:
//!
//! ```text
//! g ← g + λ w                   (coupled; decoupled: w ← w - γ λ w)
//! v ← α v + (1 - α) g²
//! u ← v                         (centred: a ← α a + (1 - α) g; u ← v - a²)
//! b ← μ b + g / (sqrt(u) + ε)   (without momentum: b ← g / (sqrt(u) + ε))
//! w ← w - γ b
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::bounds;

use super::DecayOn;
use super::number::{Number, follow};
use super::rule::{ElementRule, Now, Slot};

luthier_core::settings! {
    /// `RMSprop`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RmsPropConfig {
        /// Step size γ. Search it between 1e-5 and 1e-1 on a logarithmic scale.
        learning_rate: f64 = 1e-2, bounds::POSITIVE;
        /// Decay α of the mean of squared gradients; 0.9 to 0.999.
        alpha: f64 = 0.99, bounds::BELOW_ONE;
        /// Number ε that is added to the root of the mean square; 1e-8 to 1e-3.
        epsilon: f64 = 1e-8, bounds::POSITIVE;
        /// Divide by the standard deviation of the gradients instead of the root of their mean square.
        centered: bool = false;
        /// Momentum μ: the share of the last step that is taken again; 0.5 to 0.99, or 0 for none.
        momentum: f64 = 0.0, bounds::BELOW_ONE;
        /// Weight decay λ; 1e-6 to 1e-2.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves instead of adding the decay to the gradient (L2).
        decoupled: bool = false;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

/// A step of `RMSprop`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    rate: f64,
    share: f64,
    epsilon: f64,
    momentum: f64,
    centered: bool,
}

impl ElementRule for RmsPropConfig {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::zeros("square")];
        if self.momentum > 0.0 {
            slots.push(Slot::zeros("momentum"));
        }
        if self.centered {
            slots.push(Slot::zeros("mean"));
        }
        slots
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        Step {
            rate: now.rate,
            share: 1.0 - self.alpha,
            epsilon: self.epsilon,
            momentum: self.momentum,
            centered: self.centered,
        }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let mut square = follow(&mut slots[0], gradient.clone().square(), step.share);
        if step.centered {
            let last = slots.len() - 1;
            let mean = follow(&mut slots[last], gradient.clone(), step.share);
            // A variance; rounding may take it below 0 where the gradient does not change.
            square = (square - mean.square()).not_negative();
        }
        let mut way = gradient / square.root().plus(step.epsilon);
        if step.momentum > 0.0 {
            way = slots[1].clone().times(step.momentum) + way;
            slots[1] = way.clone();
        }
        weight - way.times(step.rate)
    }
}
