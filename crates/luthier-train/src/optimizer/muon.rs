//! Muon (Jordan et al. 2024), as `torch.optim.Muon`, for matrices; `AdamW` for all else.
//!
//! With gradient G, matrix W of A rows (outputs) and B columns (inputs), rate γ, momentum μ and weight
//! decay λ, which is decoupled:
//!
//! ```text
//! M ← μ M + (1 - μ) G
//! U ← M                                   (Nesterov: U ← (1 - μ) G + μ M)
//! X ← U / max(‖U‖, ε), then k times: X ← a X + (b X Xᵀ + c (X Xᵀ)²) X
//! W ← W - γ λ W
//! W ← W - γ s X
//! ```
//!
//! with (a, b, c) = (3.4445, -4.7750, 2.0315), the Newton-Schulz iteration that brings all singular values
//! near 1, and s after the key `adjust`. PyTorch iterates in bfloat16; here it is single precision.
//!
//! As its authors advise, only the weights of hidden layers go by this rule. The output layer (unless
//! `output_layer` is set), embeddings, biases and normalisation go by `AdamW` with the keys that begin with
//! `adamw_`; so do filters of convolutions, as PyTorch's Muon takes matrices only, unless `filters` is set.

use burn::tensor::Tensor;
use luthier_core::config::bounds;

use super::DecayOn;
use super::adam::Adam;
use super::gradients::sum;
use super::number::follow;
use super::parameter::{Matrix, Role};
use super::parts::{HostParts, Walk};
use super::rule::{Now, Place, Rule, Slot};

luthier_core::settings! {
    /// Muon.
    #[derive(Debug, Clone, PartialEq)]
    pub struct MuonConfig {
        /// Step size γ of matrices. Search it between 1e-4 and 1e-1 on a logarithmic scale.
        learning_rate: f64 = 1e-3, bounds::POSITIVE;
        /// Momentum μ; 0.9 to 0.99.
        momentum: f64 = 0.95, bounds::BELOW_ONE;
        /// Look ahead by one step of momentum.
        nesterov: bool = true;
        /// Steps k of the Newton-Schulz iteration; 5 is usual.
        newton_schulz_steps: usize = 5, bounds::AT_LEAST_ONE;
        /// Smallest norm ε that is divided by.
        epsilon: f64 = 1e-7, bounds::POSITIVE;
        /// Factor s on the rate of a matrix with A outputs and B inputs: "original" is `sqrt(max(1, A / B))`,
        /// "match_rms_adamw" is `0.2 sqrt(max(A, B))` (rates are then those of `AdamW`), and
        /// "spectral_unclamped" is `sqrt(A / B)`.
        adjust: Adjust = Adjust::Original;
        /// Weight decay λ: each step takes the share γ λ off the weights; 1e-3 to 0.3.
        weight_decay: f64 = 0.1, bounds::NOT_NEGATIVE;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
        /// Use Muon for the filters of convolutions too, as matrices of filters and all their inputs.
        filters: bool = false;
        /// Use Muon for the output layer too.
        output_layer: bool = false;
        /// Step size of what goes by `AdamW`. A schedule of the learning rate scales it alike.
        adamw_learning_rate: f64 = 1e-3, bounds::POSITIVE;
        /// Decay of the mean of gradients in `AdamW`.
        adamw_beta1: f64 = 0.9, bounds::BELOW_ONE;
        /// Decay of the mean of squared gradients in `AdamW`.
        adamw_beta2: f64 = 0.999, bounds::BELOW_ONE;
        /// Number that `AdamW` adds to the root of the mean square.
        adamw_epsilon: f64 = 1e-8, bounds::POSITIVE;
    }
}

luthier_core::kinds! {
    /// How Muon's rate depends on the shape of a matrix.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Adjust ("\"original\", \"match_rms_adamw\" or \"spectral_unclamped\"") {
        /// `sqrt(max(1, A / B))` (Jordan et al. 2024).
        "original" => Original,
        /// `0.2 sqrt(max(A, B))` (Liu et al. 2025).
        "match_rms_adamw" => MatchRmsAdamW,
        /// `sqrt(A / B)` (Bernstein 2025).
        "spectral_unclamped" => SpectralUnclamped,
    }
}

/// The coefficients of the iteration.
const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);

impl MuonConfig {
    fn adamw(&self) -> Adam {
        Adam { beta1: self.adamw_beta1, beta2: self.adamw_beta2, epsilon: self.adamw_epsilon, amsgrad: false }
    }

    /// A tensor that goes by Muon, as a matrix.
    fn matrix(&self, place: &Place) -> Option<Matrix> {
        let parameter = &place.parameter;
        let hidden = parameter.role == Role::Weight && (!place.output || self.output_layer);
        parameter.matrix().filter(|_| hidden && (parameter.shape.len() == 2 || self.filters))
    }

    fn adjusted(&self, matrix: Matrix) -> f64 {
        let (a, b) = (matrix.outputs as f64, matrix.inputs as f64);
        match self.adjust {
            Adjust::Original => libm::sqrt((a / b).max(1.0)),
            Adjust::MatchRmsAdamW => 0.2 * libm::sqrt(a.max(b)),
            Adjust::SpectralUnclamped => libm::sqrt(a / b),
        }
    }

    /// The matrix with the singular vectors of `matrix` and singular values near 1.
    fn orthogonal(&self, matrix: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = matrix.dims();
        // The products below are then of the smaller size.
        let mut x = if rows > columns { matrix.transpose() } else { matrix };
        let norm = sum(x.clone().square().reshape([rows * columns])).sqrt().clamp_min(self.epsilon);
        x = x / norm.reshape([1, 1]);
        let (a, b, c) = COEFFICIENTS;
        for _ in 0..self.newton_schulz_steps {
            let gram = x.clone().matmul(x.clone().transpose());
            let polynomial = gram.clone().matmul(gram.clone()).mul_scalar(c) + gram.mul_scalar(b);
            x = polynomial.matmul(x.clone()) + x.mul_scalar(a);
        }
        if rows > columns { x.transpose() } else { x }
    }
}

impl Rule for MuonConfig {
    fn slots(&self, place: &Place) -> Vec<Slot> {
        match self.matrix(place) {
            Some(_) => vec![Slot::zeros("momentum")],
            None => Rule::slots(&self.adamw(), place),
        }
    }

    fn rate_factor(&self, place: &Place) -> f64 {
        match self.matrix(place) {
            Some(_) => 1.0,
            None => self.adamw_learning_rate / self.learning_rate,
        }
    }

    fn on_device(
        &self,
        now: &Now<'_>,
        memory: &mut [Tensor<1>],
        weights: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Tensor<1> {
        let Some(matrix) = self.matrix(now.place) else {
            return self.adamw().on_device(now, memory, weights, gradient);
        };
        let momentum = follow(&mut memory[0], gradient.clone(), 1.0 - self.momentum);
        let update = if self.nesterov {
            (momentum - gradient.clone()).mul_scalar(self.momentum) + gradient
        } else {
            momentum
        };
        let Matrix { outputs, inputs, transposed } = matrix;
        let kept = if transposed { [inputs, outputs] } else { [outputs, inputs] };
        let step = self.orthogonal(update.reshape(kept)).reshape([outputs * inputs]);
        weights - step.mul_scalar(now.rate * self.adjusted(matrix))
    }

    fn on_host(&self, parts: HostParts<'_>) {
        let adamw = self.adamw();
        let mut walk = Walk::new(&adamw);
        parts.each(self, |part| match self.matrix(part.now.place) {
            Some(_) => self.by_tensors(part),
            None => walk.step(part),
        });
    }
}
