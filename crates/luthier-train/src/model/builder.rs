//! Builds a network, stage by stage: shapes, names, parameters and what it all costs.
//!
//! Stages of the top level are counted from 0 and named by that number, as in PyTorch's
//! `nn.Sequential`. Named models give other names: [`Builder::scope`] puts a name before those of the
//! stages that are built in it and counts them anew (`features.0`), [`Builder::name_next`] names one
//! stage, and [`Builder::composite`] with [`Builder::part`] makes one stage of many (`layer1.0.conv1`).

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use luthier_core::{Purpose, Rng, Streams};

use crate::shape::Shape;

use super::init::{Fill, Init};
use super::stage::{Operation, Plain, Stage};
use super::weights::{Layout, Parameter, Role};
use super::{Activation, StageSummary};

/// What a stage looks like from outside.
#[derive(Debug, Clone)]
pub(crate) struct Outline {
    /// The stage in words, for people: `lstm 64`.
    pub label: String,
    /// The stage as a module of PyTorch, if one does the same within an `nn.Sequential`.
    pub torch: Option<String>,
    /// The shape of one example behind it.
    pub shape: Shape,
    /// Floating-point operations of a forward pass of one example: 2 for a multiplication with addition.
    pub flops: u64,
}

impl Outline {
    /// A stage that is a module of PyTorch.
    pub(crate) fn torch(expression: String, shape: Shape) -> Self {
        Self { label: expression.clone(), torch: Some(expression), shape, flops: 0 }
    }

    /// A stage that no module of PyTorch is within an `nn.Sequential`.
    pub(crate) fn own(label: String, shape: Shape) -> Self {
        Self { label, torch: None, shape, flops: 0 }
    }

    /// The same with so many multiplications with addition for one example, `each` at `places` places.
    pub(crate) fn multiply_adds(self, each: usize, places: usize) -> Self {
        Self { flops: (each as u64).saturating_mul(places as u64).saturating_mul(2), ..self }
    }
}

/// Where a builder stands in the names of a state dict.
#[derive(Debug, Default)]
struct Place {
    prefix: String,
    /// The number of the next stage.
    next: usize,
    /// Its name, if it is not its number.
    name: Option<String>,
}

/// The most numbers that a parameter, or an example between two stages, may have: no machine of today
/// trains more, and products of sizes stay far from overflow.
const LARGEST: usize = 1 << 31;

/// Builds a network, stage by stage.
pub(crate) struct Builder<'a> {
    pub(super) stages: Vec<Stage>,
    pub(super) summary: Vec<StageSummary>,
    pub(super) parameters: Vec<Parameter>,
    shape: Shape,
    init: Init,
    streams: Streams,
    /// Without a device the network has its shape, and no weights are drawn.
    device: Option<&'a Device>,
    place: Place,
    /// The names of the parameters of the stage at work begin so.
    current: String,
    /// Stages of the top level so far.
    stage: usize,
    /// Stages with weights so far within the one of the top level.
    inner: u64,
    depth: usize,
    /// What is larger than [`LARGEST`].
    too_large: Option<String>,
}

impl<'a> Builder<'a> {
    /// A builder of a network for examples of shape `input`. Weights are drawn from the streams of
    /// `seed`, by `init` where a layer does not say how.
    pub(super) fn new(input: Shape, init: Init, seed: u64, device: Option<&'a Device>) -> Self {
        Self {
            stages: Vec::new(),
            summary: Vec::new(),
            parameters: Vec::new(),
            shape: input,
            init,
            streams: Streams::new(seed),
            device,
            place: Place::default(),
            current: String::new(),
            stage: 0,
            inner: 0,
            depth: 0,
            too_large: None,
        }
    }

    /// The shape of one example behind the stages so far.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Goes on from another shape than the last stage gave: for a second branch.
    pub(crate) fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Names the next stage, within the scope: `conv1` instead of its number.
    pub(crate) fn name_next(&mut self, name: &str) {
        self.place.name = Some(name.to_owned());
    }

    /// Builds stages whose names begin with `name` and are counted anew: `features.0`, `features.1`.
    pub(crate) fn scope<R>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> R) -> R {
        let inside = Place { prefix: joined(&self.place.prefix, name), ..Place::default() };
        let outside = std::mem::replace(&mut self.place, inside);
        let result = build(self);
        self.place = outside;
        result
    }

    /// One stage of the top level that is made of others, which [`Builder::part`] builds.
    pub(crate) fn composite(
        &mut self,
        label: &str,
        build: impl FnOnce(&mut Self) -> Result<Stage, String>,
    ) -> Result<(), String> {
        let prefix = self.take_name();
        let outside = std::mem::replace(&mut self.place, Place { prefix, ..Place::default() });
        let stages = std::mem::take(&mut self.stages);
        let summary = std::mem::take(&mut self.summary);
        let first = self.parameters.len();
        self.depth += 1;
        let stage = build(self)?;
        self.depth -= 1;
        let flops = self.summary.iter().map(|part| part.flops).sum();
        (self.stages, self.summary) = (stages, summary);
        let name = std::mem::replace(&mut self.place, outside).prefix;
        let outline = Outline { label: label.to_owned(), torch: None, shape: self.shape, flops };
        self.push(stage, name, outline, first);
        Ok(())
    }

    /// Stages within a composite one. Their names begin with `name`, if it is not empty.
    pub(crate) fn part(
        &mut self,
        name: &str,
        build: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<Vec<Stage>, String> {
        let before = self.stages.len();
        self.scope(name, build)?;
        Ok(self.stages.split_off(before))
    }

    /// A stage without weights.
    pub(crate) fn plain(&mut self, operation: Operation, outline: Outline) {
        let name = self.take_name();
        let first = self.parameters.len();
        self.push(Stage::Plain(Plain { operation }), name, outline, first);
    }

    /// A stage with weights, which `make` makes by [`Builder::parameter`].
    pub(crate) fn weighted(&mut self, outline: Outline, make: impl FnOnce(&mut Self) -> Stage) {
        let name = self.take_name();
        let first = self.parameters.len();
        self.current.clone_from(&name);
        let stage = make(self);
        self.inner += 1;
        self.push(stage, name, outline, first);
    }

    /// An activation as a stage of its own.
    pub(crate) fn activation(&mut self, activation: Activation) {
        if activation != Activation::None {
            let outline = Outline::torch(activation.torch(), self.shape);
            self.plain(Operation::Activation(activation), outline);
        }
    }

    /// What is too large in the stages so far.
    pub(super) fn check(&self) -> Result<(), String> {
        self.too_large.clone().map_or(Ok(()), Err)
    }

    fn push(&mut self, stage: Stage, name: String, outline: Outline, first: usize) {
        let Outline { label, torch, shape, flops } = outline;
        let size = shape.dims().into_iter().fold(1_usize, usize::saturating_mul);
        if size > LARGEST {
            self.too_large =
                Some(format!("{label} would make {size} numbers of an example, at most {LARGEST} can be"));
        }
        let trained = self.parameters[first..].iter().filter(|parameter| parameter.is_trained());
        let weights = trained
            .map(|parameter| parameter.shape.iter().copied().fold(1, usize::saturating_mul))
            .fold(0, usize::saturating_add);
        self.stages.push(stage);
        self.summary.push(StageSummary { name, layer: label, torch, shape, weights, flops });
        self.shape = shape;
        if self.depth == 0 {
            self.stage += 1;
            self.inner = 0;
        }
    }

    fn take_name(&mut self) -> String {
        let number = self.place.next;
        self.place.next += 1;
        let name = self.place.name.take().unwrap_or_else(|| number.to_string());
        joined(&self.place.prefix, &name)
    }

    /// The stream of the initial weights of the stage at work.
    pub(crate) fn init_stream(&self) -> Rng {
        self.streams.at(Purpose::Init, self.stage as u64 | self.inner << 32)
    }

    /// Where weights and biases come from: as the layer says, else as the model says; `default` is what
    /// PyTorch does. The weights are `blocks` matrices below each other.
    pub(super) fn fills(&self, layer: Option<Init>, default: Fill, blocks: usize) -> (Fill, Fill) {
        match layer.unwrap_or(self.init) {
            Init::PyTorch => (default.clone(), default),
            init => (Fill::Scheme(init, blocks), Fill::Constant(0.0)),
        }
    }

    /// The place that the next parameter will have in [`Network::parameters`](super::Network::parameters).
    pub(super) fn next_place(&self) -> usize {
        self.parameters.len()
    }

    /// A parameter of the stage at work, `dims` as it is kept here. The order of these calls has to be
    /// the order of the fields in the stage.
    pub(super) fn parameter<const D: usize>(
        &mut self,
        name: &str,
        dims: [usize; D],
        (role, layout): (Role, Layout),
        fill: Fill,
        rng: &mut Rng,
    ) -> Param<Tensor<D>> {
        let trained = role != Role::Running;
        self.parameters.push(Parameter {
            name: joined(&self.current, name),
            shape: dims.to_vec(),
            role,
            stage: self.stage,
            layout,
        });
        // The number of a parameter is its place in the network: an optimizer's state, which is kept
        // by that number, fits the same network in another process.
        let id = ParamId::from(self.parameters.len() as u64);
        let count = dims.iter().copied().fold(1_usize, usize::saturating_mul);
        if count > LARGEST {
            let name = joined(&self.current, name);
            self.too_large = Some(format!("{name} would have {count} weights, at most {LARGEST} can be"));
        }
        let device = self.device.filter(|_| self.too_large.is_none());
        let Some(device) = device else {
            let zeros = move |device: &Device, _| Tensor::zeros(dims, device);
            return Param::uninitialized(id, zeros, Device::flex(), trained, dims.into());
        };
        let values = fill.values(&dims, layout, rng);
        let tensor = Tensor::from_data(TensorData::new(values, dims), device);
        let tensor = if trained && tensor.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(id, tensor)
    }
}

/// `prefix.name`, or one of them where the other is empty.
fn joined(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}.{name}"),
    }
}
