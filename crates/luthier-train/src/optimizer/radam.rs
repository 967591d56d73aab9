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

use burn::tensor::Tensor;
use luthier_core::config::bounds;

use super::DecayOn;
use super::rule::{Memory, Now, Place, Rule, Slot};

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

impl Rule for RAdamConfig {
    fn slots(&self, _: &Place) -> Vec<Slot> {
        vec![Slot::zeros("mean"), Slot::zeros("square")]
    }

    fn step(&self, now: &Now<'_>, memory: &mut Memory, weights: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let time = now.time as f64;
        let power = libm::pow(self.beta2, time);
        let longest = 2.0 / (1.0 - self.beta2) - 1.0;
        let length = longest - 2.0 * time * power / (1.0 - power);
        let rate = now.rate / (1.0 - libm::pow(self.beta1, time));

        let square = memory.follow(1, gradient.clone().square(), 1.0 - self.beta2);
        let mean = memory.follow(0, gradient, 1.0 - self.beta1);
        if length <= 5.0 {
            return weights - mean.mul_scalar(rate);
        }
        let rectified = libm::sqrt(
            (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length),
        );
        let step = mean / square.sqrt().add_scalar(self.epsilon);
        weights - step.mul_scalar(rate * rectified * libm::sqrt(1.0 - power))
    }
}
