//! Optimizers, with PyTorch's definitions and defaults.
//!
//! Burn's own optimizers differ from PyTorch's in their defaults and round the bias corrections of
//! Adam to single precision, so the rules are written here, on flat tensors, one for each parameter of
//! the network in the order in which they are visited: in one pass over memory where the weights are on the
//! host, by operations on tensors where they are on a device. Their state is a list of named tensors in a fixed
//! order and a few numbers, so equal runs have equal checkpoints.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod ema;
pub(crate) mod gradients;
mod lion;
mod muon;
mod nadam;
mod number;
pub(crate) mod parameter;
mod parts;
mod prodigy;
mod radam;
mod rmsprop;
mod rule;
mod sgd;
mod state;
mod values;

use burn::tensor::{Device, Tensor};

use crate::model::host;

use parameter::Parameter;
use parts::HostParts;
use prodigy::{Distance, Part};
use rule::{Memory, Now, Place, Rule, Slot};

pub use adadelta::AdadeltaConfig;
pub use adagrad::AdagradConfig;
pub use adam::{AdamConfig, AdamWConfig};
pub use adamax::AdamaxConfig;
pub(crate) use ema::Ema;
pub use ema::EmaConfig;
pub use gradients::{ClipNorm, ClipValue, GradientClip};
pub use lion::LionConfig;
pub use muon::{Adjust, MuonConfig};
pub use nadam::NAdamConfig;
pub use prodigy::ProdigyConfig;
pub use radam::RAdamConfig;
pub use rmsprop::RmsPropConfig;
pub use sgd::SgdConfig;
pub(crate) use state::{OptimizerState, Scalars};
pub(crate) use values::to_device;

luthier_core::kinds! {
    /// How weights follow their gradients.
    #[derive(Debug, Clone, PartialEq)]
    pub enum OptimizerConfig ("an optimizer") {
        /// Stochastic gradient descent, with momentum where asked.
        "sgd" => Sgd(SgdConfig),
        /// Adam (Kingma and Ba 2015).
        "adam" => Adam(AdamConfig),
        /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
        "adamw" => AdamW(AdamWConfig),
        /// Adam with the largest gradient in place of the mean square (Kingma and Ba 2015).
        "adamax" => Adamax(AdamaxConfig),
        /// Adam with Nesterov's momentum (Dozat 2016).
        "nadam" => NAdam(NAdamConfig),
        /// Adam with a rectified variance, which needs no warm-up (Liu et al. 2020).
        "radam" => RAdam(RAdamConfig),
        /// Gradients divided by the root of their mean square (Tieleman and Hinton 2012).
        "rmsprop" => RmsProp(RmsPropConfig),
        /// Gradients divided by the root of the sum of their squares (Duchi, Hazan and Singer 2011).
        "adagrad" => Adagrad(AdagradConfig),
        /// Steps in the unit of the weights (Zeiler 2012).
        "adadelta" => Adadelta(AdadeltaConfig),
        /// The sign of the momentum (Chen et al. 2023).
        "lion" => Lion(LionConfig),
        /// Orthogonalised momentum for the matrices of hidden layers, `AdamW` for all else (Jordan et al. 2024).
        "muon" => Muon(MuonConfig),
        /// Adam that finds its own step size (Mishchenko and Defazio 2024).
        "prodigy" => Prodigy(ProdigyConfig),
    }
}

luthier_core::kinds! {
    /// What weight decay applies to.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DecayOn ("\"all\" or \"weights\"") {
        /// All parameters, as in PyTorch.
        "all" => All,
        /// Matrices, filters and embeddings, but no biases and no parameters of normalisation.
        "weights" => Weights,
    }
}

/// `$body` for the settings of any kind of optimizer.
macro_rules! of_any_kind {
    ($optimizer:expr, $config:ident => $body:expr) => {
        match $optimizer {
            OptimizerConfig::Sgd($config) => $body,
            OptimizerConfig::Adam($config) => $body,
            OptimizerConfig::AdamW($config) => $body,
            OptimizerConfig::Adamax($config) => $body,
            OptimizerConfig::NAdam($config) => $body,
            OptimizerConfig::RAdam($config) => $body,
            OptimizerConfig::RmsProp($config) => $body,
            OptimizerConfig::Adagrad($config) => $body,
            OptimizerConfig::Adadelta($config) => $body,
            OptimizerConfig::Lion($config) => $body,
            OptimizerConfig::Muon($config) => $body,
            OptimizerConfig::Prodigy($config) => $body,
        }
    };
}

impl OptimizerConfig {
    /// The learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        of_any_kind!(self, config => config.learning_rate)
    }

    /// The weight decay before any schedule.
    pub fn weight_decay(&self) -> f64 {
        of_any_kind!(self, config => config.weight_decay)
    }

    fn decay_on(&self) -> DecayOn {
        of_any_kind!(self, config => config.weight_decay_on)
    }

    /// Whether weight decay shrinks the weights by themselves instead of entering by the gradient.
    fn decoupled(&self) -> bool {
        match self {
            Self::Sgd(config) => config.decoupled,
            Self::Adam(config) => config.decoupled,
            Self::Adamax(config) => config.decoupled,
            Self::NAdam(config) => config.decoupled,
            Self::RAdam(config) => config.decoupled,
            Self::RmsProp(config) => config.decoupled,
            Self::Adagrad(config) => config.decoupled,
            Self::Adadelta(config) => config.decoupled,
            Self::Prodigy(config) => config.decoupled,
            Self::AdamW(_) | Self::Lion(_) | Self::Muon(_) => true,
        }
    }

    fn method(&self) -> Method {
        Method::Each(match self.clone() {
            Self::Sgd(config) => Box::new(config),
            Self::Adam(config) => Box::new(config.rule()),
            Self::AdamW(config) => Box::new(config.rule()),
            Self::Adamax(config) => Box::new(config),
            Self::NAdam(config) => Box::new(config),
            Self::RAdam(config) => Box::new(config),
            Self::RmsProp(config) => Box::new(config),
            Self::Adagrad(config) => Box::new(config),
            Self::Adadelta(config) => Box::new(config),
            Self::Lion(config) => Box::new(config),
            Self::Muon(config) => Box::new(config),
            Self::Prodigy(config) => {
                let start = config.start();
                return Method::Prodigy(config, start);
            }
        })
    }

    /// The optimizer of a network with these parameters, before its first step.
    pub(crate) fn init(&self, parameters: &[Parameter]) -> Optimizer {
        let last = parameters.iter().map(|parameter| parameter.stage).max();
        let place = |parameter: &Parameter| Place {
            parameter: parameter.clone(),
            output: Some(parameter.stage) == last,
        };
        Optimizer {
            method: self.method(),
            decoupled: self.decoupled(),
            decay_on: self.decay_on(),
            places: parameters.iter().map(place).collect(),
            memories: vec![None; parameters.len()],
        }
    }
}

/// What changes from step to step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepSettings<'a> {
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// The weight decay of this step.
    pub weight_decay: f64,
    /// A factor on the rate of each parameter; 0 leaves a parameter and what is remembered of it alone.
    pub rates: Option<&'a [f64]>,
}

/// How weights follow gradients: each tensor by itself, or with sums over all of them.
enum Method {
    Each(Box<dyn Rule>),
    Prodigy(ProdigyConfig, Distance),
}

impl Method {
    fn slots(&self, place: &Place) -> Vec<Slot> {
        match self {
            Self::Each(rule) => rule.slots(place),
            Self::Prodigy(..) => prodigy::SLOTS.to_vec(),
        }
    }
}

/// An optimizer at work: the rule and what it remembers of each parameter.
pub(crate) struct Optimizer {
    method: Method,
    decoupled: bool,
    decay_on: DecayOn,
    places: Vec<Place>,
    /// Nothing for a parameter that has had no step.
    memories: Vec<Option<Memory>>,
}

impl Optimizer {
    /// How many numbers it remembers when every parameter has had a step.
    pub(crate) fn numbers(&self) -> usize {
        let trained = self.places.iter().filter(|place| place.parameter.is_trained());
        trained.map(|place| self.method.slots(place).len() * place.parameter.len()).sum()
    }

    /// The weights after a step along `gradients`. Both are flat, without autodiff, and in the order of the
    /// network's parameters. A parameter without a gradient stays as it is.
    pub(crate) fn step(
        &mut self,
        settings: &StepSettings<'_>,
        mut weights: Vec<Tensor<1>>,
        gradients: Vec<Option<Tensor<1>>>,
    ) -> Vec<Tensor<1>> {
        debug_assert_eq!((weights.len(), gradients.len()), (self.places.len(), self.places.len()));
        let (mut parts, mut moved) = (Vec::new(), Vec::new());
        let places = self.places.iter().zip(&mut self.memories);
        for (index, (gradient, (place, memory))) in gradients.into_iter().zip(places).enumerate() {
            let factor = settings.rates.map_or(1.0, |rates| rates[index]);
            let Some(gradient) = gradient.filter(|_| factor != 0.0) else { continue };
            let old = weights[index].clone();
            let device = old.device();
            let decays = self.decay_on == DecayOn::All || place.parameter.is_weight();
            let slots = |place: &Place| Memory::new(&self.method.slots(place), place.parameter.len());
            let memory = memory.get_or_insert_with(|| slots(place));
            memory.time += 1;
            match &self.method {
                Method::Each(rule) => {
                    let decay = if decays { settings.weight_decay } else { 0.0 };
                    let now = Now::of(
                        &**rule,
                        settings.learning_rate * factor,
                        (decay, self.decoupled),
                        memory,
                        place,
                    );
                    let (old, gradient) = now.decay.apply(old, gradient);
                    let memory = memory.slots.on_device(&device);
                    weights[index] = rule.on_device(&now, memory, old, gradient);
                }
                Method::Prodigy(..) => {
                    let memory = memory.slots.on_device(&device);
                    parts.push(Part { memory, factor, decays, weights: old, gradient });
                    moved.push(index);
                }
            }
        }
        if let Method::Prodigy(config, distance) = &mut self.method {
            for (index, new) in moved.into_iter().zip(config.step(settings, distance, parts)) {
                weights[index] = new;
            }
        }
        weights
    }

    /// Takes a step along `gradients` with weights on the host. A parameter whose gradient is empty stays as
    /// it is.
    pub(crate) fn step_on_host(
        &mut self,
        settings: &StepSettings<'_>,
        weights: &mut [Vec<f32>],
        gradients: &[Vec<f32>],
    ) {
        let Method::Each(rule) = &self.method else {
            return self.step_by_tensors(settings, weights, gradients);
        };
        rule.on_host(HostParts {
            settings,
            decoupled: self.decoupled,
            decay_on: self.decay_on,
            places: &self.places,
            memories: &mut self.memories,
            weights,
            gradients,
        });
    }

    /// [`Optimizer::step_on_host`] by [`Optimizer::step`], for what has sums over all parameters.
    fn step_by_tensors(
        &mut self,
        settings: &StepSettings<'_>,
        weights: &mut [Vec<f32>],
        gradients: &[Vec<f32>],
    ) {
        let device = Device::flex();
        let tensor = |values: &Vec<f32>| to_device(values.clone(), &device);
        let old = weights.iter().map(tensor).collect();
        let along = gradients.iter().map(|it| (!it.is_empty()).then(|| tensor(it))).collect();
        for (weights, new) in weights.iter_mut().zip(self.step(settings, old, along)) {
            *weights = host(new);
        }
    }
}

#[cfg(test)]
mod tests;
