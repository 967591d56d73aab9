//! A network compiled for CPUs: kernels in a row, each with its own backward pass and buffers.
//!
//! Burn's graph of automatic differentiation is built anew at each step, allocates every result and knows one
//! operation at a time. For networks whose stages all have kernels, the plan takes its place on the CPU: compiled
//! once from the stages, it keeps its buffers, computes no gradient that nobody asks for, joins an activation
//! with the layer before it and works on images with their channels last. Everything else, and every other
//! device, goes by Burn. What the two compute agrees to single precision; `docs/performance.md` has the figures.
//!
//! The plan holds the weights while it trains, each parameter as the network lays it out.

mod activate;
mod compile;
mod conv;
mod dense;
mod drop;
mod image;
mod node;
mod norm;
mod pool;
mod residual;
mod sequence;

use burn::tensor::Device;

use super::{Network, Pass};
use crate::model::host;
use crate::optimizer::gradients::{read_weights, write_weights};
use crate::optimizer::to_device;
use crate::shape::Shape;

use node::{Backward, Buffers, Forward, Node};
use sequence::Steps;

pub(super) use compile::{Planner, planned};
pub(super) use conv::ConvKernel;
pub(super) use dense::DenseKernel;
pub(super) use norm::NormKernel;
pub(super) use pool::{AdaptivePoolKernel, PoolKernel};
pub(super) use residual::ResidualKernel;
pub(super) use sequence::{EmbeddingKernel, OverSteps, RecurrentKernel, states};

/// A network compiled for CPUs. See [the module](self).
pub struct Plan {
    nodes: Vec<Node>,
    input: Shape,
    /// The values of each parameter, in the order of [`Network::parameters`].
    weights: Vec<Vec<f32>>,
    /// Their gradients; empty for those that are not trained.
    gradients: Vec<Vec<f32>>,
    buffers: Buffers,
    /// The input with channels last, if it is an image.
    images: Vec<f32>,
    steps: Steps,
}

/// The nodes of the stages from `first` on, and which parameters are trained; nothing without kernels for all.
fn plan(network: &Network, first: usize, input: Shape) -> Option<(Vec<Node>, Vec<bool>)> {
    let mut planner = Planner::new(network, first, input);
    let frozen = network.frozen_stages();
    for (place, stage) in network.stages.iter().enumerate() {
        planner.quiet = place < frozen || network.is_frozen(place);
        if !planner.stage(place, stage) {
            return None;
        }
    }
    Some(planner.finish())
}

/// The kernels that compute `network` on CPUs, in words; nothing where there is no plan for it.
pub(super) fn kernels(network: &Network) -> Option<Vec<String>> {
    let (nodes, _) = plan(network, 0, network.input())?;
    Some(nodes.iter().map(Node::name).collect())
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.kernels()).finish()
    }
}

impl Plan {
    /// The plan of the stages of `network` from `first` on, or nothing if one of them has no kernel. `input` is
    /// the shape of what comes into the first.
    pub(crate) fn of(network: &Network, first: usize, input: Shape) -> Option<Self> {
        let (mut nodes, trained) = plan(network, first, input)?;
        node::link(&mut nodes, false);
        let weights: Vec<Vec<f32>> = read_weights(network).into_iter().map(host).collect();
        let gradient = |(weights, trained): (&Vec<f32>, &bool)| {
            if *trained { vec![0.0; weights.len()] } else { Vec::new() }
        };
        let gradients = weights.iter().zip(&trained).map(gradient).collect();
        Some(Self {
            nodes,
            input,
            weights,
            gradients,
            buffers: Buffers::default(),
            images: Vec::new(),
            steps: Steps::default(),
        })
    }

    /// The kernels in their order, in words.
    pub fn kernels(&self) -> Vec<String> {
        self.nodes.iter().map(Node::name).collect()
    }

    /// The outputs for a batch, row by row: of training, or of evaluation as `pass` says. With
    /// `running`, measured statistics are put there.
    pub(crate) fn forward<'a>(
        &'a mut self,
        inputs: &'a [f32],
        batch: usize,
        pass: &mut Pass<'_>,
        running: &mut Vec<(usize, Vec<f32>)>,
    ) -> &'a [f32] {
        match self.input {
            Shape::Tokens { length, .. } => self.steps.read(inputs, length),
            Shape::Sequence { length, .. } => self.steps.length = length,
            Shape::Flat(_) | Shape::Image { .. } => {}
        }
        let inputs = image::channels_last(inputs, self.input, &mut self.images);
        let mut forward = Forward { batch, steps: &self.steps, weights: &self.weights, pass, running };
        node::forward(&mut self.nodes, &mut forward, inputs)
    }

    /// So many numbers of any value, for [`Plan::backward`].
    pub(crate) fn memory(&mut self, len: usize) -> Vec<f32> {
        self.buffers.take(len)
    }

    /// Goes backward from the gradient by the outputs of the last forward pass, which was on `inputs`. Its memory
    /// is the plan's from then on.
    pub(crate) fn backward(&mut self, inputs: &[f32], batch: usize, gradient: Vec<f32>) {
        let inputs = image::channels_last_again(inputs, self.input, &self.images);
        let mut backward = Backward {
            batch,
            steps: &self.steps,
            weights: &self.weights,
            gradients: &mut self.gradients,
            buffers: &mut self.buffers,
        };
        let rest = node::backward(&mut self.nodes, &mut backward, inputs, gradient);
        if let Some(rest) = rest {
            self.buffers.give(rest);
        }
    }

    /// Takes over statistics that a forward pass has measured.
    pub(crate) fn set_running(&mut self, running: Vec<(usize, Vec<f32>)>) {
        for (place, values) in running {
            self.weights[place] = values;
        }
    }

    /// The values of the parameters, to be changed.
    pub(crate) fn weights_mut(&mut self) -> &mut [Vec<f32>] {
        &mut self.weights
    }

    /// The gradients of the last backward pass; give them back with [`Plan::give`].
    pub(crate) fn take_gradients(&mut self) -> Vec<Vec<f32>> {
        let empty = |gradient: &Vec<f32>| vec![0.0; gradient.len()];
        let spare = self.buffers.spare.take();
        let spare = spare.unwrap_or_else(|| self.gradients.iter().map(empty).collect());
        std::mem::replace(&mut self.gradients, spare)
    }

    /// Takes the memory of gradients back for the next step.
    pub(crate) fn give(&mut self, gradients: Vec<Vec<f32>>) {
        self.buffers.spare = Some(gradients);
    }

    /// `model` with the weights of the plan.
    pub(crate) fn write_to<M: burn::module::Module>(&self, model: M, device: &Device) -> M {
        let tensors = self.weights.iter().map(|values| to_device(values.clone(), device)).collect();
        write_weights(model, tensors)
    }
}

#[cfg(test)]
mod tests;
