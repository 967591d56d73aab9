//! Models: from the list of layers in a study file to a network with weights.
//!
//! A network is a sequence of stages. As long as each stage is the counterpart of one module of
//! PyTorch's `nn.Sequential`, stage 3's weights are named `3.weight` there as here.

mod builder;
mod init;
mod layers;
mod signal;
mod stage;
mod weights;

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::shape::Shape;

use builder::Builder;
use stage::Stage;

pub use init::{Glorot, He, Init, Orthogonal, TruncatedNormal};
pub use layers::{
    Activation, ActivationLayer, AttentionLayer, AvgPoolLayer, BatchNormLayer, Conv1dLayer, ConvLayer,
    DenseLayer, DropoutLayer, Elu, EmbeddingLayer, FlattenLayer, GlobalPool, GlobalPoolLayer, GroupNormLayer,
    GruLayer, Layer, LayerNormLayer, LeakyRelu, LstmLayer, MaxPoolLayer, Output, Padding, Position,
    PositionLayer, ResidualLayer, RnnLayer, RowsLayer, SpatialDropoutLayer,
};
pub(crate) use signal::{Pass, Signal};
pub(crate) use weights::host;
pub use weights::{Parameter, Role, Weights};

luthier_core::settings! {
    /// The section `[model]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ModelConfig {
        /// The hidden layers, from the input on. The output layer follows from the data.
        layers: Vec<Layer> = Vec::new();
        /// How initial weights are drawn where a layer does not say so itself.
        init: Init = Init::PyTorch;
    }
}

/// A layer that does not fit the shape before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {} ({kind}): {reason}", .index + 1)]
pub struct LayerError {
    /// Its place in the list of layers, from 0.
    pub index: usize,
    /// Its kind.
    pub kind: &'static str,
    /// Why it does not fit.
    pub reason: String,
}

/// A network with weights.
#[derive(Module, Debug)]
pub struct Network {
    stages: Vec<Stage>,
    #[module(skip)]
    input: Shape,
    #[module(skip)]
    parameters: Vec<Parameter>,
    #[module(skip)]
    summary: Vec<StageSummary>,
    /// Which parameters are frozen; empty if none is.
    #[module(skip)]
    frozen: Arc<[bool]>,
}

/// What a network looks like, stage by stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSummary {
    /// What the names of its parameters begin with: its number, or a name such as `features.0`.
    pub name: String,
    /// The stage in words; its module of PyTorch if there is one.
    pub layer: String,
    /// The stage as a module of PyTorch, if one does the same within an `nn.Sequential`.
    pub torch: Option<String>,
    /// The shape of one example behind it.
    pub shape: Shape,
    /// Its number of weights that are trained.
    pub weights: usize,
    /// Floating-point operations of a forward pass of one example: twice the multiplications with
    /// addition of its matrices and filters.
    pub flops: u64,
}

fn assemble<'a>(
    config: &ModelConfig,
    input: Shape,
    outputs: usize,
    seed: u64,
    device: Option<&'a Device>,
) -> Result<Builder<'a>, LayerError> {
    let mut builder = Builder::new(input, config.init, seed, device);
    for (index, layer) in config.layers.iter().enumerate() {
        layer.build(&mut builder).map_err(|reason| LayerError { index, kind: layer.kind(), reason })?;
    }
    head(&mut builder, outputs).map_err(|reason| LayerError {
        index: config.layers.len(),
        kind: "output",
        reason,
    })?;
    Ok(builder)
}

/// The output layer: fully connected, without an activation.
fn head(builder: &mut Builder<'_>, outputs: usize) -> Result<(), String> {
    if let shape @ (Shape::Sequence { .. } | Shape::Tokens { .. }) = builder.shape() {
        return Err(format!(
            "the output layer needs one vector for each example, and here come {shape}; end the layers with \
             `{{ global_pool = \"avg\" }}`, or with a recurrent layer with `output = \"last\"`"
        ));
    }
    DenseLayer::linear(outputs).build(builder)?;
    builder.check()
}

/// What the network of `config` looks like, without making its weights.
///
/// # Errors
///
/// The first layer that does not fit the shape before it.
pub fn summarize(
    config: &ModelConfig,
    input: Shape,
    outputs: usize,
) -> Result<Vec<StageSummary>, LayerError> {
    assemble(config, input, outputs, 0, None).map(|builder| builder.summary)
}

impl Network {
    /// Builds the network of `config` for examples of shape `input` and `outputs` numbers out of it,
    /// with initial weights from the streams of `seed`.
    ///
    /// # Errors
    ///
    /// The first layer that does not fit the shape before it.
    pub fn new(
        config: &ModelConfig,
        input: Shape,
        outputs: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, LayerError> {
        assemble(config, input, outputs, seed, Some(device)).map(|builder| Self::assembled(builder, input))
    }

    /// The network of a builder for examples of shape `input`.
    fn assembled(builder: Builder<'_>, input: Shape) -> Self {
        let Builder { stages, summary, parameters, .. } = builder;
        Self { stages, input, parameters, summary, frozen: Arc::default() }
    }

    /// A network of no stage, to stand in for one that has been moved out.
    pub(crate) fn empty() -> Self {
        Self {
            stages: Vec::new(),
            input: Shape::Flat(0),
            parameters: Vec::new(),
            summary: Vec::new(),
            frozen: Arc::default(),
        }
    }

    /// The shape of one example.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Its parameters, in the order in which Burn visits its tensors.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What it looks like, stage by stage.
    pub fn summary(&self) -> &[StageSummary] {
        &self.summary
    }

    /// How many stages it has.
    pub(crate) fn stage_count(&self) -> usize {
        self.stages.len()
    }

    /// Outputs `[batch, outputs]` for a batch.
    pub(crate) fn forward(&self, batch: Signal, pass: &mut Pass<'_>) -> Tensor<2> {
        self.forward_stages(batch, 0..self.stages.len(), pass).flat()
    }

    /// What comes out of the last of `stages` for what goes into the first of them.
    pub(crate) fn forward_stages(&self, signal: Signal, stages: Range<usize>, pass: &mut Pass<'_>) -> Signal {
        pass.frozen = Arc::clone(&self.frozen);
        let at_rest = if self.frozen.is_empty() { 0 } else { self.frozen_stages() };
        let mut signal = signal;
        for place in stages {
            pass.quiet = place < at_rest || (!self.frozen.is_empty() && self.is_frozen(place));
            signal = self.stages[place].forward(signal, pass);
        }
        pass.quiet = false;
        signal
    }
}

#[cfg(test)]
mod tests;
