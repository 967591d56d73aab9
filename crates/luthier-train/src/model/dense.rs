//! Fully connected layers: `y = x W + b`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::linear;
use luthier_core::config::bounds;

use crate::shape::Shape;

use super::{Activation, Builder, Operation, Signal, Stage};

luthier_core::settings! {
    /// A fully connected layer. Images are flattened before it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct DenseLayer {
        /// Number of units.
        dense: usize, bounds::AT_LEAST_ONE;
        /// Activation behind it.
        activation: Activation = Activation::None;
    }
}

/// Weights `[inputs, units]` and biases `[units]`.
#[derive(Module, Debug)]
pub(super) struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl DenseLayer {
    pub(super) fn build(&self, builder: &mut Builder<'_>) {
        let inputs = builder.shape.size();
        if !matches!(builder.shape, Shape::Flat(_)) {
            builder.plain(Operation::Flatten, "nn.Flatten()".to_owned(), Shape::Flat(inputs));
        }
        let units = self.dense;
        let torch = format!("nn.Linear({inputs}, {units})");
        builder.weighted(torch, Shape::Flat(units), (inputs + 1) * units, |builder| {
            // As PyTorch's nn.Linear: U(-1/sqrt(inputs), 1/sqrt(inputs)) for weights and biases.
            let bound = 1.0 / (inputs as f64).sqrt();
            let mut rng = builder.init_stream();
            let weight = builder.uniform([inputs, units], bound, &mut rng);
            let bias = builder.uniform([units], bound, &mut rng);
            Stage::Dense(Dense { weight, bias })
        });
        builder.activation(self.activation);
    }
}

impl Dense {
    pub(super) fn forward(&self, signal: Signal) -> Signal {
        Signal::Flat(linear(signal.flat(), self.weight.val(), Some(self.bias.val())))
    }
}
