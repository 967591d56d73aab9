//! From the stages of a network to the nodes of a plan.

use luthier_kernels::Activation as Function;

use super::activate::Activate;
use super::drop::Drop;
use super::image::Flatten;
use super::node::{Kernel, Node};
use crate::model::stage::{Operation, Stage};
use crate::model::{Activation, Elu, LeakyRelu, Network};
use crate::shape::Shape;

/// Makes the nodes of a plan, stage by stage.
pub(crate) struct Planner<'a> {
    nodes: Vec<Node>,
    /// The shape of one example behind the nodes so far.
    shape: Shape,
    /// The first stage that has nodes; those before it only have their parameters counted.
    first: usize,
    network: &'a Network,
    parameter: usize,
    trained: Vec<bool>,
    /// Whether the stage at work acts as in evaluation.
    pub(super) quiet: bool,
}

impl<'a> Planner<'a> {
    pub(super) fn new(network: &'a Network, first: usize, input: Shape) -> Self {
        let count = network.parameters().len();
        Self {
            nodes: Vec::new(),
            shape: input,
            first,
            network,
            parameter: 0,
            trained: vec![false; count],
            quiet: false,
        }
    }

    /// Adds the nodes of the stage at this place of the network; `false` if it has no kernel.
    pub(super) fn stage(&mut self, place: usize, stage: &Stage) -> bool {
        if place >= self.first {
            return self.add(stage);
        }
        self.parameter =
            self.network.parameters().iter().filter(|parameter| parameter.stage <= place).count();
        true
    }

    /// Adds the nodes of `stage`; `false` if it has no kernel.
    pub(crate) fn add(&mut self, stage: &Stage) -> bool {
        match stage {
            Stage::Dense(dense) => dense.plan(self),
            Stage::Conv(conv) => conv.plan(self),
            Stage::BatchNorm(norm) => norm.plan(self),

            Stage::Embedding(embedding) => embedding.plan(self),
            Stage::Recurrent(recurrent) => recurrent.plan(self),
            Stage::Residual(residual) => residual.plan(self),
            Stage::Plain(plain) => self.plain(&plain.operation),
            _ => false,
        }
    }

    fn plain(&mut self, operation: &Operation) -> bool {
        match operation {
            Operation::Flatten(shape @ Shape::Image { .. }) => {
                let flat = Shape::Flat(shape.size());
                if Flatten::is_needed(*shape) {
                    self.push(Flatten::new(*shape), flat)
                } else {
                    self.reshape(flat)
                }
            }
            Operation::Flatten(_) => matches!(self.shape, Shape::Flat(_)),

            Operation::Pool(pool) => pool.plan(self),
            Operation::GlobalPool(pool) => pool.plan(self),
            Operation::AdaptivePool(pool) => pool.plan(self),
            Operation::Dropout(rate) => {
                let (rate, shape) = (*rate, self.shape);
                self.dropout(rate, shape)
            }
            Operation::SpatialDropout(rate) => match self.shape {
                shape @ Shape::Image { .. } => self.push(Drop::channels(*rate, shape), shape),
                _ => false,
            },
            Operation::Activation(activation) => self.activation(*activation),
            Operation::Rows | Operation::Positions => false,
        }
    }

    /// Adds dropout of units.
    pub(crate) fn dropout(&mut self, rate: f64, shape: Shape) -> bool {
        self.push(Drop::units(rate, shape), shape)
    }

    /// Adds an activation, within the kernel before it where that can do it.
    pub(crate) fn activation(&mut self, activation: Activation) -> bool {
        let Some(function) = planned(activation) else { return true };
        let shape = self.shape;
        if function == Function::Relu && self.nodes.last_mut().is_some_and(|node| node.kernel.rectify()) {
            return true;
        }
        self.push(Activate::new(function), shape)
    }

    /// Adds a kernel, behind which an example has this shape.
    #[allow(clippy::unnecessary_wraps, reason = "every kernel ends so")]
    pub(crate) fn push(&mut self, kernel: impl Kernel + 'static, shape: Shape) -> bool {
        self.nodes.push(Node::new(Box::new(kernel), shape, self.quiet));
        self.shape = shape;
        true
    }

    /// The shape of one example behind the nodes so far.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Goes on from another shape: for a second branch.
    pub(crate) fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Calls what comes out of the last node by another shape of the same size.
    #[allow(clippy::unnecessary_wraps, reason = "as every kernel")]
    fn reshape(&mut self, shape: Shape) -> bool {
        self.shape = shape;
        true
    }

    /// The nodes that `add` adds, as a row of their own; nothing if there is one without a kernel.
    pub(crate) fn branch(&mut self, stages: &[Stage]) -> Option<Vec<Node>> {
        let outside = std::mem::take(&mut self.nodes);
        let planned = stages.iter().all(|stage| self.add(stage));
        let nodes = std::mem::replace(&mut self.nodes, outside);
        planned.then_some(nodes)
    }

    /// The place of the next parameter, and whether it is trained.
    pub(crate) fn parameter(&mut self) -> (usize, bool) {
        let place = self.parameter;
        self.parameter += 1;
        let trained = self.network.parameters()[place].is_trained() && !self.is_frozen(place);
        self.trained[place] = trained;
        (place, trained)
    }

    /// Whether the parameter at this place is frozen.
    pub(crate) fn is_frozen(&self, place: usize) -> bool {
        self.network.frozen.get(place).is_some_and(|frozen| *frozen)
    }

    /// The nodes, and which parameters are trained.
    pub(super) fn finish(self) -> (Vec<Node>, Vec<bool>) {
        (self.nodes, self.trained)
    }
}

/// The kernel of an activation; nothing for none.
pub(in crate::model) fn planned(activation: Activation) -> Option<Function> {
    Some(match activation {
        Activation::None => return None,
        Activation::Relu => Function::Relu,
        Activation::LeakyRelu(LeakyRelu { slope }) => Function::LeakyRelu(slope as f32),
        Activation::Elu(Elu { alpha }) => Function::Elu(alpha as f32),
        Activation::Gelu => Function::Gelu,
        Activation::Silu => Function::Silu,
        Activation::Sigmoid => Function::Sigmoid,
        Activation::Tanh => Function::Tanh,
        Activation::Softplus => Function::Softplus,
        Activation::Mish => Function::Mish,
    })
}
