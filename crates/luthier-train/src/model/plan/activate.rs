//! Activations.

use luthier_kernels::Activation;

use super::node::{Backward, Forward, Kernel};

/// An activation of its own.
pub(super) struct Activate {
    function: Activation,
}

impl Activate {
    pub(super) fn new(function: Activation) -> Self {
        Self { function }
    }
}

impl Kernel for Activate {
    fn name(&self) -> String {
        format!("{:?}", self.function).to_lowercase()
    }

    fn forward(&mut self, _: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        self.function.forward(x, y);
    }

    fn forward_in_place(&mut self, _: &mut Forward<'_, '_, '_>, y: &mut [f32]) {
        self.function.forward_in_place(y);
    }

    fn backward(
        &mut self,
        _: &mut Backward<'_>,
        (x, y): (&[f32], &[f32]),
        mut dy: Vec<f32>,
        _: bool,
    ) -> Vec<f32> {
        self.function.backward(if self.function.needs_input() { x } else { y }, &mut dy);
        dy
    }

    fn in_place(&self) -> bool {
        !self.function.needs_input()
    }

    fn keeps_output(&self) -> bool {
        !self.function.needs_input() && !matches!(self.function, Activation::Relu | Activation::LeakyRelu(_))
    }
}
