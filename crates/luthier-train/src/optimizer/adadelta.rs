//! Adadelta (Zeiler 2012), as `torch.optim.Adadelta`.
//!
//! With gradient g, weights w, rate γ, decay ρ and weight decay λ:
//!
//! ```text
//! g ← g + λ w                             (coupled; decoupled: w ← w - γ λ w)
//! v ← ρ v + (1 - ρ) g²
//! d ← sqrt(u + ε) / sqrt(v + ε) · g
//! u ← ρ u + (1 - ρ) d²
//! w ← w - γ d
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::bounds;

use super::DecayOn;
use super::number::{Number, follow};
use super::rule::{ElementRule, Now, Slot};

luthier_core::settings! {
    /// Adadelta.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AdadeltaConfig {
        /// Factor γ on the step, whose size the method finds itself; 0.1 to 10.
        learning_rate: f64 = 1.0, bounds::POSITIVE;
        /// Decay ρ of both means of squares; 0.8 to 0.99.
        rho: f64 = 0.9, bounds::BELOW_ONE;
        /// Number ε that is added to both mean squares; it says how large the first steps are.
        epsilon: f64 = 1e-6, bounds::POSITIVE;
        /// Weight decay λ; 1e-6 to 1e-2.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves instead of adding the decay to the gradient (L2).
        decoupled: bool = false;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    }
}

/// A step of Adadelta.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    rate: f64,
    share: f64,
    epsilon: f64,
}

impl ElementRule for AdadeltaConfig {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zeros("square"), Slot::zeros("step_square")]
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        Step { rate: now.rate, share: 1.0 - self.rho, epsilon: self.epsilon }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let square = follow(&mut slots[0], gradient.clone().square(), step.share);
        let scale = slots[1].clone().plus(step.epsilon) / square.plus(step.epsilon);
        let way = gradient * scale.root();
        follow(&mut slots[1], way.clone().square(), step.share);
        weight - way.times(step.rate)
    }
}
