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

use burn::tensor::Tensor;
use luthier_core::config::bounds;

use super::DecayOn;
use super::rule::{Memory, Now, Place, Rule, Slot};

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

impl Rule for AdadeltaConfig {
    fn slots(&self, _: &Place) -> Vec<Slot> {
        vec![Slot::zeros("square"), Slot::zeros("step_square")]
    }

    fn step(&self, now: &Now<'_>, memory: &mut Memory, weights: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let share = 1.0 - self.rho;
        let square = memory.follow(0, gradient.clone().square(), share);
        let scale = memory.tensors[1].clone().add_scalar(self.epsilon) / square.add_scalar(self.epsilon);
        let step = gradient * scale.sqrt();
        memory.follow(1, step.clone().square(), share);
        weights - step.mul_scalar(now.rate)
    }
}
