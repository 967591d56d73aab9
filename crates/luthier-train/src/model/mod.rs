//! Models: from the list of layers in a study file to a network with weights.
//!
//! A network is a sequence of stages. As long as each stage is the counterpart of one module of
//! PyTorch's `nn.Sequential`, stage 3's weights are named `3.weight` there as here.

mod builder;
mod init;
mod layers;
mod named;
pub(crate) mod plan;
mod signal;
mod stage;
mod weights;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use luthier_core::config::{Node, Problems};

use crate::pretrained::{LearningRates, Pattern, Thaw, Transfer, WeightsSource};
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
pub use named::{
    Architecture, Cnn, ConvText, Mlp, RecurrentText, ResNet, RowRnn, RowRnnCell, Stem, Transformer, Vgg,
};
pub use signal::{Pass, Signal};
pub(crate) use weights::{Layout, host};
pub use weights::{Parameter, Role, Weights};

luthier_core::settings! {
    /// The section `[model]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ModelConfig {
        /// The hidden layers, from the input on. The output layer follows from the data.
        layers: Vec<Layer> = Vec::new();
        /// A model with a name in place of `layers`: "vgg16", or { kind = "vgg16", width = 0.25 }.
        architecture: Option<Architecture> = None;
        /// How initial weights are drawn where a layer does not say so itself.
        init: Init = Init::PyTorch;
        /// Weights to begin with: a .safetensors, .pth or .pt file with a state dict whose names are those
        /// of the model, or "imagenet" for torchvision's file, which is downloaded once.
        weights: Option<WeightsSource> = None;
        /// Leaves the output layer out of `weights`: the way to other classes than theirs.
        new_head: bool = false;
        /// Word vectors for the embedding layer: a text file as of GloVe or word2vec, with as many numbers
        /// for a word as the embedding has. Words without one keep the vector that was drawn.
        word_vectors: Option<PathBuf> = None;
        /// What is not trained: patterns of the names of weights, such as ["features.*"].
        freeze: Vec<Pattern> = Vec::new();
        /// Frozen layers that are trained later: [{ epoch = 5, layers = ["features.28"] }].
        thaw: Vec<Thaw> = Vec::new();
        /// Factors on the learning rate by patterns of names: { "features.*" = 0.1 }. The last pattern that
        /// fits a weight holds for it; from 0.01 to 0.3 is usual for layers that were trained before.
        learning_rates: LearningRates = LearningRates::default();
    }
}

impl ModelConfig {
    /// Adds to `problems` what is wrong with the section as a whole, which stands at `node`.
    pub fn check(&self, node: &Node, problems: &mut Problems) {
        let line = |key: &str| node.get(key).map_or(node.line, |value| value.line);
        if self.architecture.is_some() && node.get("layers").is_some() {
            problems.add(
                line("layers"),
                "model.layers",
                "either `layers` or `architecture`",
                "both; `architecture` has its own layers",
            );
        }
        if self.new_head && self.weights.is_none() {
            problems.add(
                line("new_head"),
                "model.new_head",
                "`weights` to leave the output layer out of",
                "none",
            );
        }
        if self.word_vectors.is_some() && self.weights.is_some() {
            let expected = "either `weights` or `word_vectors`";
            problems.add(
                line("word_vectors"),
                "model.word_vectors",
                expected,
                "both; the weights hold vectors",
            );
        }
        if !self.thaw.is_empty() && self.freeze.is_empty() {
            problems.add(line("thaw"), "model.thaw", "`freeze` with what is frozen at first", "none");
        }
    }

    /// What it takes over from another model, and how it is trained on.
    pub fn transfer(&self) -> Transfer {
        Transfer {
            weights: self.weights.clone(),
            new_head: self.new_head,
            freeze: self.freeze.clone(),
            thaw: self.thaw.clone(),
            learning_rates: self.learning_rates.clone(),
        }
    }
}

/// A layer that does not fit the shape before it, or a named model that does not fit the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", place(*.index, .kind))]
pub struct LayerError {
    /// Its place in the list of layers, from 0; `None` for a named model.
    pub index: Option<usize>,
    /// Its kind.
    pub kind: &'static str,
    /// Why it does not fit.
    pub reason: String,
}

fn place(index: Option<usize>, kind: &str) -> String {
    match index {
        Some(index) => format!("layer {} ({kind})", index + 1),
        None => kind.to_owned(),
    }
}

/// A network with weights.
#[derive(Module, Debug)]
pub struct Network {
    stages: Vec<Stage>,
    #[module(skip)]
    input: Shape,
    #[module(skip)]
    parameters: Arc<[Parameter]>,
    #[module(skip)]
    summary: Arc<[StageSummary]>,
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
    if let Some(architecture) = &config.architecture {
        let build = architecture.build(outputs, config.init, &mut builder);
        build.map_err(|reason| LayerError { index: None, kind: architecture.kind(), reason })?;
    } else {
        for (index, layer) in config.layers.iter().enumerate() {
            layer.build(&mut builder).map_err(|reason| LayerError {
                index: Some(index),
                kind: layer.kind(),
                reason,
            })?;
        }
        let index = Some(config.layers.len());
        head(&mut builder, outputs).map_err(|reason| LayerError { index, kind: "output", reason })?;
    }
    let transfer = config.transfer().check(&builder.parameters);
    transfer.map_err(|reason| LayerError { index: None, kind: "transfer", reason })?;
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

/// Goes backward from the gradient of the loss by a model's outputs, row by row.
pub(crate) fn backward(outputs: Tensor<2>, gradient: Vec<f32>) -> Gradients {
    let gradient = TensorData::new(gradient, outputs.dims());
    let gradient = Tensor::from_data(gradient, &outputs.device());
    (outputs * gradient).sum().backward()
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

/// The kernels that compute the network of `config` on CPUs, in words; nothing where Burn computes it, because a
/// stage has none.
///
/// # Errors
///
/// The first layer that does not fit the shape before it.
pub fn kernels(
    config: &ModelConfig,
    input: Shape,
    outputs: usize,
) -> Result<Option<Vec<String>>, LayerError> {
    let builder = assemble(config, input, outputs, 0, None)?;
    Ok(plan::kernels(&Network::assembled(builder, input)))
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
        // A step of training clones the network; what stays as it is, is shared.
        let (parameters, summary) = (parameters.into(), summary.into());
        Self { stages, input, parameters, summary, frozen: Arc::default() }
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
        pass.frozen = Some(Arc::clone(&self.frozen));
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
