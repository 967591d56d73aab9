//! Max-norm: the incoming weights of a unit are kept within a ball (Srivastava et al. 2014, section 5.1).
//!
//! With the weights w of one unit and the limit c, after each step: `w ← w · min(1, c / (‖w‖ + 1e-7))`, where
//! only units with ‖w‖ > c change. It is `MaxNorm` of Keras over the inputs of a unit (`axis = 0` for dense layers,
//! `[0, 1, 2]` for convolutions). It applies to matrices and filters; embeddings, biases and normalisation stay
//! as they are.

use burn::tensor::Tensor;

use crate::optimizer::parameter::{Matrix, Parameter, Role};

/// The limit at work.
#[derive(Debug, Clone)]
pub(crate) struct MaxNorm {
    limit: f64,
    /// The parameters that it applies to.
    tensors: Vec<(usize, Matrix)>,
}

impl MaxNorm {
    /// The limit (above 0) for the units of a network with these parameters.
    pub(crate) fn new(limit: f64, parameters: &[Parameter]) -> Self {
        let weights = parameters.iter().enumerate().filter(|(_, parameter)| parameter.role == Role::Weight);
        let tensors = weights.filter_map(|(index, parameter)| Some((index, parameter.matrix()?)));
        Self { limit, tensors: tensors.collect() }
    }

    /// The weights, within the limit.
    pub(crate) fn apply(&self, mut weights: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
        for (index, Matrix { outputs, inputs, transposed }) in &self.tensors {
            let (shape, side) = if *transposed { ([*inputs, *outputs], 0) } else { ([*outputs, *inputs], 1) };
            let matrix = weights[*index].clone().reshape(shape);
            let norms = matrix.clone().square().sum_dim(side).sqrt();
            let factors = norms.clone().clamp_max(self.limit) / norms.clone().add_scalar(1e-7);
            // Exactly 1 within the limit, so that small weights are not worn away step by step.
            let factors = factors.mask_fill(norms.lower_equal_elem(self.limit), 1.0);
            weights[*index] = (matrix * factors).reshape([outputs * inputs]);
        }
        weights
    }
}
