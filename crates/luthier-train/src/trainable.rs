//! What the loop trains: Luthier's networks, and any module of Burn's.

use std::collections::{HashMap, VecDeque};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::plan::Plan;
use crate::model::{Layout, Network, Parameter, Pass, Role, Signal, Weights, host};
use crate::shape::Shape;

/// A model that [`Run`](crate::Run) trains.
///
/// For a module of Burn's, `forward` is all that has to be written: its parameters are found by visiting
/// it. What such a module draws or measures *while* training with Burn's own layers (`Dropout`, the
/// running statistics of `BatchNorm`) is not part of a checkpoint and not repeatable; draw with
/// [`Pass::dropout`] instead.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::Linear;
/// use burn::tensor::{Tensor, activation::relu};
/// use luthier_train::model::{Pass, Signal};
/// use luthier_train::Model;
///
/// #[derive(Module, Debug)]
/// struct Mine {
///     hidden: Linear,
///     output: Linear,
/// }
///
/// impl Model for Mine {
///     fn forward(&self, batch: Signal, pass: &mut Pass<'_>) -> Tensor<2> {
///         let hidden = relu(self.hidden.forward(batch.flat()));
///         self.output.forward(pass.dropout(hidden, 0.2))
///     }
/// }
/// ```
pub trait Model: Module + 'static {
    /// Outputs `[batch, outputs]` for a batch.
    fn forward(&self, batch: Signal, pass: &mut Pass<'_>) -> Tensor<2>;

    /// Its parameters, in the order in which Burn visits its tensors.
    fn parameters(&self) -> Vec<Parameter> {
        let mut finder = Finder::default();
        self.visit(&mut finder);
        finder.found
    }

    /// Its weights on the host, in the order of [`Model::parameters`].
    fn weights(&self) -> Vec<Weights> {
        let mut reader = Reader { names: self.parameters().into(), read: Vec::new() };
        self.visit(&mut reader);
        reader.read
    }

    /// The same model with other weights, named as [`Model::weights`] names them.
    ///
    /// # Errors
    ///
    /// The names that are missing, left over or of another shape, all of them.
    fn with_weights(self, weights: &[Weights]) -> Result<Self, String> {
        let given: HashMap<&str, &Weights> = weights.iter().map(|it| (it.name.as_str(), it)).collect();
        let parameters = self.parameters();
        let mut wrong = Vec::new();
        let mut tensors = VecDeque::new();
        for parameter in &parameters {
            match given.get(parameter.name.as_str()) {
                None => wrong.push(format!("{} is missing", parameter.name)),
                Some(given) if given.shape != parameter.shape => wrong.push(format!(
                    "{} has the shape {:?}, expected {:?}",
                    given.name, given.shape, parameter.shape
                )),
                Some(given) => tensors.push_back(given.values.clone()),
            }
        }
        let unknown = |it: &&Weights| parameters.iter().all(|parameter| parameter.name != it.name);
        wrong.extend(
            weights.iter().filter(unknown).map(|it| format!("{} has no place in the model", it.name)),
        );
        if wrong.is_empty() { Ok(self.map(&mut Writer(tensors))) } else { Err(wrong.join("; ")) }
    }

    /// The same model with the running statistics that a pass has gathered.
    #[must_use]
    fn with_running(self, running: Vec<(usize, Tensor<1>)>) -> Self {
        let _ = running;
        self
    }

    /// The same model with the parameters frozen that `frozen` says, in the order of
    /// [`Model::parameters`].
    #[must_use]
    fn frozen(self, frozen: &[bool]) -> Self {
        self.map(&mut Freezer(frozen.iter().copied().collect()))
    }

    /// The shape of what the frozen beginning of the model gives, if it gives the same for an example all
    /// through a training, so that it may be computed once.
    fn features(&self) -> Option<Shape> {
        None
    }

    /// What the frozen beginning gives for a batch.
    fn forward_features(&self, batch: Signal) -> Signal {
        batch
    }

    /// Outputs for what [`Model::forward_features`] gives.
    fn forward_rest(&self, features: Signal, pass: &mut Pass<'_>) -> Tensor<2> {
        self.forward(features, pass)
    }

    /// Floating-point operations of a forward pass of one example, where they are known.
    fn flops(&self) -> Option<u64> {
        None
    }

    /// How many numbers there are between its layers for one example, where that is known.
    fn values(&self) -> Option<usize> {
        None
    }

    /// The model as an expression of PyTorch, where there is one.
    fn torch(&self) -> Option<String> {
        None
    }

    /// A plan that computes the model on CPUs, where there is one: all of it, or what comes `behind_features`
    /// (see [`Model::forward_rest`]).
    fn plan(&self, behind_features: bool) -> Option<Plan> {
        let _ = behind_features;
        None
    }
}

impl Model for Network {
    fn forward(&self, batch: Signal, pass: &mut Pass<'_>) -> Tensor<2> {
        Network::forward(self, batch, pass)
    }

    fn parameters(&self) -> Vec<Parameter> {
        Network::parameters(self).to_vec()
    }

    fn weights(&self) -> Vec<Weights> {
        Network::weights(self)
    }

    fn with_weights(self, weights: &[Weights]) -> Result<Self, String> {
        Network::with_weights(self, weights)
    }

    fn with_running(self, running: Vec<(usize, Tensor<1>)>) -> Self {
        Network::with_running(self, running)
    }

    fn frozen(self, frozen: &[bool]) -> Self {
        self.freeze(frozen)
    }

    fn features(&self) -> Option<Shape> {
        let last = self.frozen_stages().checked_sub(1)?;
        match self.summary()[last].shape {
            // What comes behind tokens may be masked, and the mask would have to be kept as well.
            Shape::Sequence { .. } | Shape::Tokens { .. } => None,
            shape => Some(shape),
        }
    }

    fn forward_features(&self, batch: Signal) -> Signal {
        self.forward_stages(batch, 0..self.frozen_stages(), &mut Pass::evaluation())
    }

    fn forward_rest(&self, features: Signal, pass: &mut Pass<'_>) -> Tensor<2> {
        self.forward_stages(features, self.frozen_stages()..self.stage_count(), pass).flat()
    }

    fn flops(&self) -> Option<u64> {
        Some(self.summary().iter().map(|stage| stage.flops).sum())
    }

    fn values(&self) -> Option<usize> {
        Some(self.input().size() + self.summary().iter().map(|stage| stage.shape.size()).sum::<usize>())
    }

    fn plan(&self, behind_features: bool) -> Option<Plan> {
        match self.features().filter(|_| behind_features) {
            Some(shape) => Plan::of(self, self.frozen_stages(), shape),
            None => Plan::of(self, 0, self.input()),
        }
    }

    fn torch(&self) -> Option<String> {
        // Those of a named model are not numbered, and an `nn.Sequential` would find none of its weights.
        let modules =
            self.summary().iter().enumerate().map(|(number, stage)| {
                (stage.name == number.to_string()).then(|| stage.torch.clone()).flatten()
            });
        let modules: Option<Vec<String>> = modules.collect();
        Some(format!("nn.Sequential({})", modules?.join(", ")))
    }
}

/// A module whose parameters Burn draws, with all of them drawn from `seed`.
///
/// Burn draws at the first use of a parameter, and from one generator for the whole process: so this
/// holds a lock while `build` works, and uses every parameter once.
pub fn seeded<M: Module>(seed: u64, device: &Device, build: impl FnOnce() -> M) -> M {
    static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _lock = GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    device.seed(seed);
    let module = build();
    module.visit(&mut Finder::default());
    module
}

/// Finds the parameters of a module by their paths.
#[derive(Default)]
struct Finder {
    path: Vec<String>,
    found: Vec<Parameter>,
}

impl ModuleVisitor for Finder {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        let shape = param.val().dims().to_vec();
        let role = if shape.len() > 1 { Role::Weight } else { Role::Bias };
        self.found.push(Parameter { name, shape, role, stage: 0, layout: Layout::Same });
    }
}

struct Reader {
    names: VecDeque<Parameter>,
    read: Vec<Weights>,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(Parameter { name, shape, .. }) = self.names.pop_front() else { return };
        self.read.push(Weights { name, shape, values: host(param.val()) });
    }
}

struct Writer(VecDeque<Vec<f32>>);

impl ModuleMapper for Writer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.0.pop_front() else { return param };
        param.map(|old| {
            let new = Tensor::from_data(TensorData::new(values, old.dims()), &old.device());
            if old.is_require_grad() { new.require_grad() } else { new }
        })
    }
}

struct Freezer(VecDeque<bool>);

impl ModuleMapper for Freezer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let frozen = self.0.pop_front().unwrap_or(false);
        let autodiff = param.val().is_autodiff();
        param.set_require_grad(!frozen && autodiff)
    }
}
