//! Fully connected layers: `y = x W + b`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::linear;
use luthier_core::config::bounds;

use crate::model::builder::{Builder, Outline};
use crate::model::init::Fill;
use crate::model::stage::{Operation, Stage};
use crate::model::weights::{Layout, Role};
use crate::model::{Activation, Signal};
use crate::shape::Shape;

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
pub(crate) struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl DenseLayer {
    /// So many units without an activation.
    pub(crate) fn linear(units: usize) -> Self {
        Self { dense: units, activation: Activation::None }
    }

    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let inputs = builder.shape().size();
        if !matches!(builder.shape(), Shape::Flat(_)) {
            builder.plain(Operation::Flatten, Outline::torch("nn.Flatten()".to_owned(), Shape::Flat(inputs)));
        }
        let units = self.dense;
        let outline = Outline::torch(format!("nn.Linear({inputs}, {units})"), Shape::Flat(units));
        builder.weighted(outline.multiply_adds(inputs * units), |builder| {
            // As PyTorch's nn.Linear: U(-1/sqrt(inputs), 1/sqrt(inputs)) for weights and biases.
            let fill = Fill::Uniform(1.0 / (inputs as f64).sqrt());
            let mut rng = builder.init_stream();
            let weight = builder.parameter(
                "weight",
                [inputs, units],
                (Role::Weight, Layout::Transposed),
                fill.clone(),
                &mut rng,
            );
            let bias = builder.parameter("bias", [units], (Role::Bias, Layout::Same), fill, &mut rng);
            Stage::Dense(Dense { weight, bias })
        });
        builder.activation(self.activation);
        Ok(())
    }
}

impl Dense {
    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        Signal::Flat(linear(signal.flat(), self.weight.val(), Some(self.bias.val())))
    }
}
