//! The layers of study files, one kind a file.

pub(super) mod activation;
pub(super) mod conv;
pub(super) mod dense;
pub(super) mod dropout;
pub(super) mod max_pool;

pub use activation::{Activation, ActivationLayer};
pub use conv::{ConvLayer, Padding};
pub use dense::DenseLayer;
pub use dropout::DropoutLayer;
pub use max_pool::MaxPoolLayer;

use super::builder::Builder;

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

impl Layer {
    /// Adds it to a network.
    ///
    /// # Errors
    ///
    /// Why it does not fit the shape before it.
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        match self {
            Self::Dense(layer) => layer.build(builder),
            Self::Conv(layer) => layer.build(builder),
            Self::MaxPool(layer) => layer.build(builder),
            Self::Dropout(layer) => layer.build(builder),
            Self::Activation(layer) => {
                builder.activation(layer.activation);
                Ok(())
            }
        }
    }
}
