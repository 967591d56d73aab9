//! The gradients of a step, on the host or on a device.

use burn::tensor::Tensor;

use crate::optimizer::gradients::{accumulate, accumulate_on_host, norm, norm_on_host};

/// A gradient for each parameter, in the order of the model's.
pub(super) enum Gradients {
    /// Of a plan; empty for what has none.
    Host(Vec<Vec<f32>>),
    /// Of Burn's graph.
    Device(Vec<Option<Tensor<1>>>),
}

impl Gradients {
    /// The L2 norm of all of them together.
    pub(super) fn norm(&self) -> f64 {
        match self {
            Self::Host(gradients) => norm_on_host(gradients),
            Self::Device(gradients) => norm(gradients),
        }
    }

    /// `sum + share · self`. With the share of each batch in all examples, the result is the gradient of the
    /// mean loss over all of them.
    pub(super) fn added_to(self, sum: Option<Self>, share: f64) -> Self {
        match (sum, self) {
            // One batch that is all of the step, as most are.
            (None, new) if share == 1.0 => new,
            (Some(Self::Host(mut sum)), Self::Host(new)) => {
                accumulate_on_host(&mut sum, new, share);
                Self::Host(sum)
            }
            (Some(Self::Device(sum)), Self::Device(new)) => Self::Device(accumulate(sum, new, share)),
            (_, Self::Host(new)) => {
                let mut sum = Vec::new();
                accumulate_on_host(&mut sum, new, share);
                Self::Host(sum)
            }
            (_, Self::Device(new)) => Self::Device(accumulate(Vec::new(), new, share)),
        }
    }
}
