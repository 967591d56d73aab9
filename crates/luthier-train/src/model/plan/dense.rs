//! Fully connected layers.

use luthier_kernels::{Activation, Dense};

use super::node::{Backward, Forward, Kernel};

/// A fully connected layer with its places among the parameters.
pub(in crate::model) struct DenseKernel {
    dense: Dense,
    weight: usize,
    bias: Option<usize>,
    trained: bool,
    relu: bool,
}

impl DenseKernel {
    pub(in crate::model) fn new(dense: Dense, weight: (usize, bool), bias: Option<(usize, bool)>) -> Self {
        let trained = weight.1 || bias.is_some_and(|bias| bias.1);
        Self { dense, weight: weight.0, bias: bias.map(|bias| bias.0), trained, relu: false }
    }
}

impl Kernel for DenseKernel {
    fn name(&self) -> String {
        let relu = if self.relu { " + relu" } else { "" };
        format!("dense {} -> {}{relu}", self.dense.inputs, self.dense.units)
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        let bias = self.bias.map(|place| &run.weights[place][..]);
        self.dense.forward(x.len() / self.dense.inputs, x, &run.weights[self.weight], bias, y);
        if self.relu {
            Activation::Relu.forward_in_place(y);
        }
    }

    fn backward(
        &mut self,
        run: &mut Backward<'_>,
        (x, y): (&[f32], &[f32]),
        mut dy: Vec<f32>,
        is_wanted: bool,
    ) -> Vec<f32> {
        if self.relu {
            Activation::Relu.backward(y, &mut dy);
        }
        let (weight, bias) = Backward::of_layer(run.gradients, self.weight, self.bias);
        let mut dx = if is_wanted { run.buffers.take(x.len()) } else { Vec::new() };
        let by_input = is_wanted.then_some(&mut dx[..]);
        self.dense.backward(
            x.len() / self.dense.inputs,
            x,
            &run.weights[self.weight],
            &dy,
            by_input,
            weight,
            bias,
        );
        run.buffers.give(dy);
        dx
    }

    fn rectify(&mut self) -> bool {
        self.relu = true;
        true
    }

    fn is_trained(&self) -> bool {
        self.trained
    }
}
