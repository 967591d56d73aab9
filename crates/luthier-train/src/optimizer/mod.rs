//! Optimizers, with PyTorch's definitions and defaults.
//!
//! Burn's own optimizers differ from PyTorch's in their defaults and round the bias corrections of
//! Adam to single precision, so the rules are written here, on flat tensors, one for each parameter of
//! the network in the order in which they are visited. Their state is a list of named tensors in a fixed
//! order and a few numbers, so equal runs have equal checkpoints.

mod adam;
pub(crate) mod gradients;
pub(crate) mod parameter;
mod rule;
mod sgd;
mod state;

use burn::tensor::Tensor;

use parameter::Parameter;
use rule::{Memory, Now, Place, Rule};

pub use adam::{AdamConfig, AdamWConfig};
pub use sgd::SgdConfig;
pub(crate) use state::{OptimizerState, Scalars};

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
            Self::AdamW(_) => true,
        }
    }

    fn rule(&self) -> Box<dyn Rule + Send + Sync> {
        match self {
            Self::Sgd(config) => Box::new(config.clone()),
            Self::Adam(config) => Box::new(config.rule()),
            Self::AdamW(config) => Box::new(config.rule()),
        }
    }

    /// The optimizer of a network with these parameters, before its first step.
    pub(crate) fn init(&self, parameters: &[Parameter]) -> Optimizer {
        let last = parameters.iter().map(|parameter| parameter.stage).max();
        let place = |parameter: &Parameter| Place {
            parameter: parameter.clone(),
            output: Some(parameter.stage) == last,
        };
        Optimizer {
            rule: self.rule(),
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

/// An optimizer at work: the rule and what it remembers of each parameter.
pub(crate) struct Optimizer {
    rule: Box<dyn Rule + Send + Sync>,
    decoupled: bool,
    decay_on: DecayOn,
    places: Vec<Place>,
    /// Nothing for a parameter that has had no step.
    memories: Vec<Option<Memory>>,
}

impl Optimizer {
    /// The weights after a step along `gradients`. Both are flat, without autodiff, and in the order of the
    /// network's parameters. A parameter without a gradient stays as it is.
    pub(crate) fn step(
        &mut self,
        settings: &StepSettings<'_>,
        weights: Vec<Tensor<1>>,
        gradients: Vec<Option<Tensor<1>>>,
    ) -> Vec<Tensor<1>> {
        debug_assert_eq!((weights.len(), gradients.len()), (self.places.len(), self.places.len()));
        let factor = |index: usize| settings.rates.map_or(1.0, |rates| rates[index]);
        weights
            .into_iter()
            .zip(gradients)
            .enumerate()
            .map(|(index, (weights, gradient))| match gradient {
                Some(gradient) if factor(index) != 0.0 => {
                    let rate = settings.learning_rate * factor(index);
                    self.step_one(index, rate, settings.weight_decay, weights, gradient)
                }
                _ => weights,
            })
            .collect()
    }

    fn step_one(
        &mut self,
        index: usize,
        rate: f64,
        weight_decay: f64,
        mut weights: Tensor<1>,
        mut gradient: Tensor<1>,
    ) -> Tensor<1> {
        let place = &self.places[index];
        if weight_decay != 0.0 && (self.decay_on == DecayOn::All || place.parameter.is_weight()) {
            if self.decoupled {
                weights = weights.mul_scalar(1.0 - rate * weight_decay);
            } else {
                gradient = weights.clone().mul_scalar(weight_decay) + gradient;
            }
        }
        let memory =
            self.memories[index].get_or_insert_with(|| Memory::new(&self.rule.slots(place), &weights));
        memory.time += 1;
        let now = Now { rate, time: memory.time, place };
        self.rule.step(&now, memory, weights, gradient)
    }
}

#[cfg(test)]
mod tests;
