//! Parameters of a network and their values on the host, named and laid out as in PyTorch.

use std::collections::{HashMap, VecDeque};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::Network;

/// What a parameter does, and so which rules of training apply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Matrices and filters: weight decay and penalties apply.
    Weight,
    /// Biases.
    Bias,
    /// Scale and shift of a normalisation.
    Norm,
    /// Vectors of tokens or positions.
    Embedding,
    /// Running statistics, which are measured and not trained.
    Running,
}

/// A parameter of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in a PyTorch state dict.
    pub name: String,
    /// Its shape here. Matrices are `[inputs, outputs]`, the transpose of PyTorch's.
    pub shape: Vec<usize>,
    /// What it does.
    pub role: Role,
    /// The stage that it belongs to, from 0.
    pub stage: usize,
    /// How it relates to the tensor of PyTorch.
    pub(crate) layout: Layout,
}

impl Parameter {
    /// Whether it is trained.
    pub fn is_trained(&self) -> bool {
        self.role != Role::Running
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// It is the same.
    Same,
    /// PyTorch keeps `[out, in]`, and here it is `[in, out]`.
    Transposed,
    /// PyTorch keeps `[channels, height, width]`, and here it is one vector.
    Image([usize; 3]),
}

impl Layout {
    /// The tensor as PyTorch has it.
    pub(super) fn export(self, name: String, (shape, values): (Vec<usize>, Vec<f32>)) -> Weights {
        match (self, &shape[..]) {
            (Self::Transposed, &[rows, columns]) => {
                Weights { name, shape: vec![columns, rows], values: transposed(&values, rows, columns) }
            }
            _ => Weights { name, shape: self.shape(&shape), values },
        }
    }

    fn import(self, weights: &Weights) -> Vec<f32> {
        match (self, &weights.shape[..]) {
            (Self::Transposed, &[rows, columns]) => transposed(&weights.values, rows, columns),
            _ => weights.values.clone(),
        }
    }

    /// The shape as PyTorch has it.
    pub(crate) fn shape(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Self::Transposed, &[rows, columns]) => vec![columns, rows],
            (Self::Image(dims), _) => dims.to_vec(),
            _ => shape.to_vec(),
        }
    }
}

/// The transpose of a row-major matrix of `rows` by `columns`.
pub(super) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

impl Network {
    /// The weights by the names of a PyTorch state dict, in its layout, running statistics included.
    pub fn weights(&self) -> Vec<Weights> {
        let mut reader = Reader::default();
        self.visit(&mut reader);
        self.parameters
            .iter()
            .zip(reader.tensors)
            .map(|(parameter, raw)| parameter.layout.export(parameter.name.clone(), raw))
            .collect()
    }

    /// The same network with other weights, named and laid out as [`Network::weights`] gives them.
    /// PyTorch's counters `num_batches_tracked` may be among them; they have no use.
    ///
    /// # Errors
    ///
    /// The names that are missing, left over or of another shape, all of them.
    pub fn with_weights(self, weights: &[Weights]) -> Result<Self, String> {
        let given: HashMap<&str, &Weights> =
            weights.iter().map(|weights| (weights.name.as_str(), weights)).collect();
        let mut wrong = Vec::new();
        let mut tensors = VecDeque::with_capacity(self.parameters.len());
        for parameter in self.parameters.iter() {
            let expected = parameter.layout.shape(&parameter.shape);
            let size: usize = expected.iter().product();
            match given.get(parameter.name.as_str()) {
                None => wrong.push(format!("{} is missing", parameter.name)),
                Some(given) if given.shape != expected => wrong
                    .push(format!("{} has the shape {:?}, expected {expected:?}", given.name, given.shape)),
                Some(given) if given.values.len() != size => {
                    wrong.push(format!("{} has {} values, expected {size}", given.name, given.values.len()));
                }
                Some(given) => tensors.push_back(parameter.layout.import(given)),
            }
        }
        for given in weights {
            let counter = given.name.ends_with("num_batches_tracked");
            if !counter && self.parameters.iter().all(|expected| expected.name != given.name) {
                wrong.push(format!("{} has no place in the model", given.name));
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        Ok(self.map(&mut Writer { tensors }))
    }

    /// The same network with other values of one parameter, in PyTorch's layout; for word vectors.
    ///
    /// # Errors
    ///
    /// If it has no such parameter, or one of another size.
    pub(crate) fn with_tensor(self, weights: &Weights) -> Result<Self, String> {
        let mut all = self.weights();
        match all.iter_mut().find(|own| own.name == weights.name) {
            Some(own) => own.clone_from(weights),
            None => return Err(format!("{} has no place in the model", weights.name)),
        }
        self.with_weights(&all)
    }

    /// The same network with these running statistics: places in [`Network::parameters`] and values,
    /// as a [`Pass`](super::Pass) has gathered them.
    pub(crate) fn with_running(self, running: Vec<(usize, Tensor<1>)>) -> Self {
        if running.is_empty() {
            return self;
        }
        self.map(&mut Statistics { next: 0, running: running.into_iter().collect() })
    }

    /// The same network with the parameters frozen that `frozen` says, by their place in
    /// [`Network::parameters`]: they get no gradient. The others are trained. A stage of which every
    /// parameter is frozen acts as in evaluation, and so does all in front of the last of such stages at
    /// the beginning of the network; see [`Network::frozen_stages`].
    pub(crate) fn freeze(mut self, frozen: &[bool]) -> Self {
        self.frozen = frozen.into();
        let trained = self
            .parameters
            .iter()
            .enumerate()
            .map(|(place, parameter)| parameter.is_trained() && !frozen.get(place).is_some_and(|it| *it))
            .collect();
        self.map(&mut Freezer { trained })
    }

    /// Whether every trained parameter of a stage is frozen; `false` for a stage without any.
    pub(crate) fn is_frozen(&self, stage: usize) -> bool {
        let mut any = false;
        for (place, parameter) in self.parameters.iter().enumerate() {
            if parameter.stage == stage && parameter.is_trained() {
                if !self.frozen.get(place).is_some_and(|frozen| *frozen) {
                    return false;
                }
                any = true;
            }
        }
        any
    }

    /// How many stages at the beginning of the network give the same for an example all through a
    /// training: frozen ones, and those without weights between and behind them. (Dropout between
    /// frozen stages is at rest; dropout behind the last frozen stage is not.)
    pub(crate) fn frozen_stages(&self) -> usize {
        let thawed = self
            .parameters
            .iter()
            .find(|parameter| parameter.is_trained() && !self.is_frozen(parameter.stage))
            .map_or(self.stages.len(), |parameter| parameter.stage);
        let Some(last) = (0..thawed).rev().find(|stage| self.is_frozen(*stage)) else { return 0 };
        let draws = |stage: &usize| self.stages[*stage].draws();
        (last + 1..thawed).find(draws).unwrap_or(thawed)
    }
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
    tensors: VecDeque<Vec<f32>>,
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

struct Statistics {
    next: usize,
    running: HashMap<usize, Tensor<1>>,
}

impl ModuleMapper for Statistics {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let place = self.next;
        self.next += 1;
        match self.running.remove(&place) {
            Some(new) => param.map(|old| {
                let new = new.detach().reshape(old.dims());
                if old.is_autodiff() { new.autodiff() } else { new.inner() }
            }),
            None => param,
        }
    }
}

struct Freezer {
    trained: VecDeque<bool>,
}

impl ModuleMapper for Freezer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let trained = self.trained.pop_front().unwrap_or(false);
        let autodiff = param.val().is_autodiff();
        param.set_require_grad(trained && autodiff)
    }
}

/// The values of a tensor, in row-major order.
pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // Tensors here are always made as f32, and reading them back from memory cannot fail.
    tensor.into_data_as::<f32>().try_into_vec().unwrap_or_default()
}
