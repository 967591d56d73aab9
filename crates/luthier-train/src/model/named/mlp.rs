//! Multilayer perceptrons.

use luthier_core::config::bounds;

use crate::model::builder::Builder;
use crate::model::layers::size::{DEPTH, UNITS};
use crate::model::{Activation, BatchNormLayer, DenseLayer, DropoutLayer};

luthier_core::settings! {
    /// Dense layers of one size, one behind the other. Images are flattened.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Mlp {
        /// Units of each layer; from 16 to 1024 is usual.
        units: usize = 128, UNITS;
        /// Layers before the output layer; from 1 to 5 is usual.
        depth: usize = 2, DEPTH;
        /// Activation behind each.
        activation: Activation = Activation::Relu;
        /// Probability with which units are dropped behind each while training; from 0 to 0.5 is usual.
        dropout: f64 = 0.0, bounds::BELOW_ONE;
        /// Whether batch normalisation stands before each activation.
        batch_norm: bool = false;
    }
}

impl Mlp {
    pub(super) fn build(&self, outputs: usize, builder: &mut Builder<'_>) -> Result<(), String> {
        for _ in 0..self.depth {
            DenseLayer::linear(self.units).build(builder)?;
            if self.batch_norm {
                BatchNormLayer::new().build(builder)?;
            }
            builder.activation(self.activation);
            if self.dropout > 0.0 {
                DropoutLayer { dropout: self.dropout }.build(builder)?;
            }
        }
        super::super::head(builder, outputs)
    }
}
