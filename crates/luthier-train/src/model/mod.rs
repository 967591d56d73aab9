//! Models: from the list of layers in a study file to a network with weights.
//!
//! A network is a sequence of stages, each the counterpart of one module of PyTorch's
//! `nn.Sequential`, so that stage 3's weights are named `3.weight` there as here.

mod activation;
mod conv;
mod dense;
mod dropout;
mod max_pool;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use luthier_core::{Purpose, Rng, Streams};

use crate::shape::Shape;

pub use activation::{Activation, ActivationLayer};
pub use conv::{ConvLayer, Padding};
pub use dense::DenseLayer;
pub use dropout::DropoutLayer;
pub use max_pool::MaxPoolLayer;

luthier_core::kinds! {
    /// A layer of a study file. Its kind is the key that says its size.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Layer ("a layer") by key {
        /// Fully connected.
        "dense" => Dense(DenseLayer),
        /// Two-dimensional convolution.
        "conv" => Conv(ConvLayer),
        /// Two-dimensional maximum pooling.
        "max_pool" => MaxPool(MaxPoolLayer),
        /// Dropout.
        "dropout" => Dropout(DropoutLayer),
        /// An activation on its own.
        "activation" => Activation(ActivationLayer),
    }
}

luthier_core::settings! {
    /// The section `[model]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ModelConfig {
        /// The hidden layers, from the input on. The output layer follows from the data.
        layers: Vec<Layer> = Vec::new();
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

/// A stage of a network: one module of PyTorch's `nn.Sequential`.
#[derive(Module, Debug)]
enum Stage {
    Dense(dense::Dense),
    Conv(conv::Conv),
    Plain(Plain),
}

/// A stage without weights.
#[derive(Module, Debug)]
struct Plain {
    #[module(skip)]
    operation: Operation,
}

#[derive(Debug, Clone)]
enum Operation {
    Flatten,
    MaxPool(MaxPoolLayer),
    Dropout(f64),
    Activation(Activation),
}

/// What flows through a network: a batch of vectors or of images.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// `[batch, features]`
    Flat(Tensor<2>),
    /// `[batch, channels, height, width]`
    Image(Tensor<4>),
}

impl Signal {
    /// A batch of examples of `shape`, from its values in row-major order.
    pub(crate) fn new(values: Vec<f32>, batch: usize, shape: Shape, device: &Device) -> Self {
        if let Shape::Image { channels, height, width } = shape {
            let data = TensorData::new(values, [batch, channels, height, width]);
            return Self::Image(Tensor::from_data(data, device));
        }
        Self::Flat(Tensor::from_data(TensorData::new(values, [batch, shape.size()]), device))
    }

    fn flat(self) -> Tensor<2> {
        match self {
            Self::Flat(tensor) => tensor,
            Self::Image(tensor) => tensor.flatten(1, 3),
        }
    }
}

/// A network with weights.
#[derive(Module, Debug)]
pub struct Network {
    stages: Vec<Stage>,
    #[module(skip)]
    input: Shape,
}

/// What a network looks like, stage by stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSummary {
    /// The stage as a module of PyTorch.
    pub torch: String,
    /// The shape of one example behind it.
    pub shape: Shape,
    /// Its number of weights.
    pub weights: usize,
}

/// Builds a network, stage by stage.
struct Builder<'a> {
    stages: Vec<Stage>,
    summary: Vec<StageSummary>,
    shape: Shape,
    streams: Streams,
    next_param: u64,
    device: Option<&'a Device>,
}

impl Builder<'_> {
    /// A stage without weights.
    fn plain(&mut self, operation: Operation, torch: String, shape: Shape) {
        self.stages.push(Stage::Plain(Plain { operation }));
        self.summary.push(StageSummary { torch, shape, weights: 0 });
        self.shape = shape;
    }

    /// A stage with weights; `make` is called only where weights are wanted.
    fn weighted(
        &mut self,
        torch: String,
        shape: Shape,
        weights: usize,
        make: impl FnOnce(&mut Self) -> Stage,
    ) {
        if self.device.is_some() {
            let stage = make(self);
            self.stages.push(stage);
        }
        self.summary.push(StageSummary { torch, shape, weights });
        self.shape = shape;
    }

    fn activation(&mut self, activation: Activation) {
        if activation != Activation::None {
            let shape = self.shape;
            self.plain(Operation::Activation(activation), activation.torch().to_owned(), shape);
        }
    }

    /// The stream of the next stage's initial weights.
    fn init_stream(&self) -> Rng {
        self.streams.at(Purpose::Init, self.summary.len() as u64)
    }

    /// A parameter with values from a uniform distribution on `[-bound, bound)`.
    fn uniform<const D: usize>(&mut self, dims: [usize; D], bound: f64, rng: &mut Rng) -> Param<Tensor<D>> {
        let count: usize = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|_| ((2.0 * rng.uniform() - 1.0) * bound) as f32).collect();
        self.next_param += 1;
        let tensor = match self.device {
            Some(device) => Tensor::from_data(TensorData::new(values, dims), device),
            None => unreachable!("weights are made only where there is a device"),
        };
        // The number of a parameter is its place in the network: an optimizer's state, which is kept
        // by that number, fits the same network in another process.
        let tensor = if tensor.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(ParamId::from(self.next_param), tensor)
    }
}

impl Layer {
    fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        match self {
            Self::Dense(layer) => {
                layer.build(builder);
                Ok(())
            }
            Self::Conv(layer) => layer.build(builder),
            Self::MaxPool(layer) => layer.build(builder),
            Self::Dropout(layer) => {
                layer.build(builder);
                Ok(())
            }
            Self::Activation(layer) => {
                builder.activation(layer.activation);
                Ok(())
            }
        }
    }
}

fn assemble<'a>(
    config: &ModelConfig,
    input: Shape,
    outputs: usize,
    seed: u64,
    device: Option<&'a Device>,
) -> Result<Builder<'a>, LayerError> {
    let mut builder = Builder {
        stages: Vec::new(),
        summary: Vec::new(),
        shape: input,
        streams: Streams::new(seed),
        next_param: 0,
        device,
    };
    for (index, layer) in config.layers.iter().enumerate() {
        layer.build(&mut builder).map_err(|reason| LayerError { index, kind: layer.kind(), reason })?;
    }
    let head = DenseLayer { dense: outputs, activation: Activation::None };
    head.build(&mut builder);
    Ok(builder)
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
    /// with initial weights from the streams of `seed` (PyTorch's defaults for each layer).
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
        let builder = assemble(config, input, outputs, seed, Some(device))?;
        Ok(Self { stages: builder.stages, input })
    }

    /// A network of no stage, to stand in for one that has been moved out.
    pub(crate) fn empty() -> Self {
        Self { stages: Vec::new(), input: Shape::Flat(0) }
    }

    /// The shape of one example.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Outputs `[batch, outputs]` for a batch. With `dropout`, units are dropped by draws from it.
    pub(crate) fn forward(&self, batch: Signal, mut dropout: Option<&mut Rng>) -> Tensor<2> {
        let mut signal = batch;
        for stage in &self.stages {
            signal = match stage {
                Stage::Dense(dense) => dense.forward(signal),
                Stage::Conv(conv) => conv.forward(signal),
                Stage::Plain(plain) => match &plain.operation {
                    Operation::Flatten => Signal::Flat(signal.flat()),
                    Operation::MaxPool(pool) => pool.forward(signal),
                    Operation::Dropout(rate) => match dropout.as_deref_mut() {
                        Some(rng) => dropout::forward(signal, *rate, rng),
                        None => signal,
                    },
                    Operation::Activation(activation) => activation.forward(signal),
                },
            };
        }
        signal.flat()
    }

    /// The weights by the names that PyTorch's `nn.Sequential` gives them, in its layout.
    pub fn weights(&self) -> Vec<Weights> {
        let mut reader = Reader::default();
        self.visit(&mut reader);
        self.names()
            .into_iter()
            .zip(reader.tensors)
            .map(|((name, layout), raw)| layout.export(name, raw))
            .collect()
    }

    /// The same network with other weights, named and laid out as [`Network::weights`] gives them.
    ///
    /// # Errors
    ///
    /// The names that are missing, left over or of another shape, all of them.
    pub fn with_weights(self, weights: &[Weights]) -> Result<Self, String> {
        let own = self.weights();
        let mut wrong = Vec::new();
        for expected in &own {
            match weights.iter().find(|given| given.name == expected.name) {
                None => wrong.push(format!("{} is missing", expected.name)),
                Some(given) if given.shape != expected.shape => wrong.push(format!(
                    "{} has the shape {:?}, expected {:?}",
                    expected.name, given.shape, expected.shape
                )),
                Some(_) => {}
            }
        }
        for given in weights {
            if own.iter().all(|expected| expected.name != given.name) {
                wrong.push(format!("{} has no place in the model", given.name));
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let raw = self
            .names()
            .into_iter()
            .filter_map(|(name, layout)| {
                Some(layout.import(weights.iter().find(|given| given.name == name)?))
            })
            .collect();
        Ok(self.map(&mut Writer { tensors: raw }))
    }

    fn names(&self) -> Vec<(String, Layout)> {
        let mut names = Vec::new();
        for (i, stage) in self.stages.iter().enumerate() {
            let layout = match stage {
                Stage::Dense(_) => Layout::Transposed,
                Stage::Conv(_) => Layout::Same,
                Stage::Plain(_) => continue,
            };
            names.push((format!("{i}.weight"), layout));
            names.push((format!("{i}.bias"), Layout::Same));
        }
        names
    }
}

/// A tensor of weights on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Its name, as in a PyTorch state dict.
    pub name: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// Its values in row-major order.
    pub values: Vec<f32>,
}

/// How a tensor here relates to PyTorch's.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Same,
    /// `nn.Linear` keeps `[out, in]`, Burn `[in, out]`.
    Transposed,
}

impl Layout {
    fn export(self, name: String, (shape, values): (Vec<usize>, Vec<f32>)) -> Weights {
        match (self, &shape[..]) {
            (Self::Transposed, &[rows, columns]) => {
                Weights { name, shape: vec![columns, rows], values: transposed(&values, rows, columns) }
            }
            _ => Weights { name, shape, values },
        }
    }

    fn import(self, weights: &Weights) -> Vec<f32> {
        match (self, &weights.shape[..]) {
            (Self::Transposed, &[rows, columns]) => transposed(&weights.values, rows, columns),
            _ => weights.values.clone(),
        }
    }
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

#[derive(Default)]
struct Reader {
    tensors: Vec<(Vec<usize>, Vec<f32>)>,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        self.tensors.push((tensor.dims().to_vec(), host(tensor)));
    }
}

struct Writer {
    tensors: std::collections::VecDeque<Vec<f32>>,
}

impl ModuleMapper for Writer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.tensors.pop_front() else { return param };
        param.map(|old| {
            let new = Tensor::from_data(TensorData::new(values, old.dims()), &old.device());
            if old.is_require_grad() { new.require_grad() } else { new }
        })
    }
}

/// The values of a tensor, in row-major order.
pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // Tensors here are always made as f32, and reading them back from memory cannot fail.
    tensor.into_data_as::<f32>().try_into_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests;
