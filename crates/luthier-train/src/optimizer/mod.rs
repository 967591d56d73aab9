//! Optimizers, with PyTorch's definitions and defaults.
//!
//! Burn's own optimizers differ from PyTorch's in their defaults and round the bias corrections of
//! Adam to single precision, so the rules are written here and run in Burn's machinery, which keeps
//! and stores their state by parameter.

mod adam;
mod sgd;

use burn::optim::ModuleOptimizer;

pub use adam::AdamConfig;
pub use sgd::SgdConfig;

luthier_core::kinds! {
    /// How weights follow their gradients.
    #[derive(Debug, Clone, PartialEq)]
    pub enum OptimizerConfig ("an optimizer") {
        /// Stochastic gradient descent, with momentum where asked.
        "sgd" => Sgd(SgdConfig),
        /// Adam (Kingma and Ba 2015).
        "adam" => Adam(AdamConfig),
    }
}

impl OptimizerConfig {
    /// The learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(config) => config.learning_rate,
            Self::Adam(config) => config.learning_rate,
        }
    }

    pub(crate) fn init(&self) -> ModuleOptimizer {
        match self {
            Self::Sgd(config) => sgd::Sgd::new(config).into(),
            Self::Adam(config) => adam::Adam::new(config).into(),
        }
    }
}

#[cfg(test)]
mod tests;
