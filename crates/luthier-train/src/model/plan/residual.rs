//! Residual blocks.

use luthier_kernels::Activation;
use luthier_kernels::elementwise::add_assign;

use super::node::{Backward, Forward, Kernel, Node, backward, forward, link};

/// Two rows of nodes from the same beginning, whose ends are added.
pub(in crate::model) struct ResidualKernel {
    body: Vec<Node>,
    shortcut: Vec<Node>,
    activation: Option<Activation>,
    /// The sum before the activation, where its backward pass needs that.
    sum: Vec<f32>,
}

impl ResidualKernel {
    pub(in crate::model) fn new(
        mut body: Vec<Node>,
        mut shortcut: Vec<Node>,
        activation: Option<Activation>,
    ) -> Self {
        // Whether gradients by what comes in are wanted is known later; most often they are.
        link(&mut body, true);
        link(&mut shortcut, true);
        Self { body, shortcut, activation, sum: Vec::new() }
    }
}

impl Kernel for ResidualKernel {
    fn name(&self) -> String {
        let names = |nodes: &[Node]| nodes.iter().map(Node::name).collect::<Vec<_>>().join(", ");
        format!("residual [{}] around [{}]", names(&self.shortcut), names(&self.body))
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        // In the order in which dropout draws elsewhere.
        y.copy_from_slice(forward(&mut self.shortcut, run, x));
        add_assign(y, forward(&mut self.body, run, x));
        if let Some(function) = self.activation {
            if function.needs_input() {
                self.sum.clear();
                self.sum.extend_from_slice(y);
            }
            function.forward_in_place(y);
        }
    }

    fn backward(
        &mut self,
        run: &mut Backward<'_>,
        (x, y): (&[f32], &[f32]),
        mut dy: Vec<f32>,
        _: bool,
    ) -> Vec<f32> {
        if let Some(function) = self.activation {
            function.backward(if function.needs_input() { &self.sum } else { y }, &mut dy);
        }
        let mut through = run.buffers.take(dy.len());
        through.copy_from_slice(&dy);
        let around = backward(&mut self.shortcut, run, x, dy);
        let through = backward(&mut self.body, run, x, through);
        let (Some(mut around), Some(through)) = (around, through) else {
            unreachable!("both were asked for the gradient by what came in")
        };
        add_assign(&mut around, &through);
        run.buffers.give(through);
        around
    }

    fn keeps_output(&self) -> bool {
        self.activation.is_some_and(|function| {
            !function.needs_input() && !matches!(function, Activation::Relu | Activation::LeakyRelu(_))
        })
    }

    fn is_trained(&self) -> bool {
        self.body.iter().chain(&self.shortcut).any(|node| node.kernel.is_trained())
    }
}
