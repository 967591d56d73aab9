//! Two-dimensional convolutions.

use luthier_kernels::{Activation, Conv2d};

use super::image::swap_last;
use super::node::{Backward, Forward, Kernel};

/// A convolution with its places among the parameters.
pub(in crate::model) struct ConvKernel {
    conv: Conv2d,
    weight: usize,
    bias: Option<usize>,
    trained: bool,
    relu: bool,
    /// The filters with channels last.
    filters: Vec<f32>,
    /// Their gradient.
    by_filters: Vec<f32>,
}

impl ConvKernel {
    pub(in crate::model) fn new(conv: Conv2d, weight: (usize, bool), bias: Option<(usize, bool)>) -> Self {
        Self {
            conv,
            weight: weight.0,
            bias: bias.map(|bias| bias.0),
            trained: weight.1 || bias.is_some_and(|bias| bias.1),
            relu: false,
            filters: Vec::new(),
            by_filters: Vec::new(),
        }
    }

    /// A filter's channels and the size of its window.
    fn filter(&self) -> (usize, usize) {
        (self.conv.channels / self.conv.groups, self.conv.kernel * self.conv.kernel)
    }
}

impl Kernel for ConvKernel {
    fn name(&self) -> String {
        let Conv2d { channels, filters, kernel, .. } = self.conv;
        let relu = if self.relu { " + relu" } else { "" };
        format!("conv {kernel}x{kernel} {channels} -> {filters} by {}{relu}", self.conv.method())
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        let (channels, window) = self.filter();
        let weight = &run.weights[self.weight];
        self.filters.resize(weight.len(), 0.0);
        swap_last(weight, (channels, window), &mut self.filters);
        let bias = self.bias.map(|place| &run.weights[place][..]);
        self.conv.forward(run.batch, x, &self.filters, bias, self.relu, y);
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
        let (channels, window) = self.filter();
        let (weight, bias) = Backward::of_layer(run.gradients, self.weight, self.bias);
        let mut dx = if is_wanted { run.buffers.take(x.len()) } else { Vec::new() };
        let by_input = is_wanted.then_some(&mut dx[..]);
        let by_filters = weight.is_some().then(|| {
            self.by_filters.resize(self.filters.len(), 0.0);
            &mut self.by_filters[..]
        });
        self.conv.backward(run.batch, x, &self.filters, &dy, by_input, by_filters, bias);
        if let Some(weight) = weight {
            swap_last(&self.by_filters, (window, channels), weight);
        }
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
