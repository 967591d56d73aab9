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

use burn::tensor::Tensor;
use luthier_core::config::bounds;

use super::DecayOn;
use super::rule::{Memory, Now, Place, Rule, Slot};

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

impl Rule for RmsPropConfig {
    fn slots(&self, _: &Place) -> Vec<Slot> {
        let mut slots = vec![Slot::zeros("square")];
        if self.momentum > 0.0 {
            slots.push(Slot::zeros("momentum"));
        }
        if self.centered {
            slots.push(Slot::zeros("mean"));
        }
        slots
    }

    fn step(&self, now: &Now<'_>, memory: &mut Memory, weights: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let share = 1.0 - self.alpha;
        let mut square = memory.follow(0, gradient.clone().square(), share);
        if self.centered {
            let slot = memory.tensors.len() - 1;
            let mean = memory.follow(slot, gradient.clone(), share);
            // A variance; rounding may take it below 0 where the gradient does not change.
            square = (square - mean.square()).clamp_min(0.0);
        }
        let mut step = gradient / square.sqrt().add_scalar(self.epsilon);
        if self.momentum > 0.0 {
            step = memory.tensors[1].clone().mul_scalar(self.momentum) + step;
            memory.tensors[1] = step.clone();
        }
        weights - step.mul_scalar(now.rate)
    }
}
