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

    /// [`MaxNorm::apply`] to weights on the host, but for those that are frozen.
    pub(crate) fn apply_on_host(&self, weights: &mut [Vec<f32>], frozen: &[bool]) {
        for (index, Matrix { outputs, inputs, transposed }) in &self.tensors {
            if frozen.get(*index).is_some_and(|frozen| *frozen) {
                continue;
            }
            let weights = &mut weights[*index];
            let (along, across) = if *transposed { (*outputs, 1) } else { (1, *inputs) };
            for unit in 0..*outputs {
                let places = (0..*inputs).map(|input| unit * across + input * along);
                let squares: f64 = places.clone().map(|place| f64::from(weights[place]).powi(2)).sum();
                let norm = libm::sqrt(squares);
                // Within the limit nothing changes, so that small weights are not worn away step by step.
                if norm > self.limit {
                    let factor = (self.limit / (norm + 1e-7)) as f32;
                    places.for_each(|place| weights[place] *= factor);
                }
            }
        }
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
