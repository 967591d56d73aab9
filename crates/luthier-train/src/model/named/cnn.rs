//! Small convolutional networks.

use luthier_core::config::{Bound, bounds};

use crate::model::builder::Builder;
use crate::model::layers::size::{FILTERS, UNITS, WINDOW};
use crate::model::{Activation, BatchNormLayer, ConvLayer, DenseLayer, DropoutLayer, MaxPoolLayer, Padding};
use crate::shape::Shape;

/// Each block halves the image.
const BLOCKS: Bound<usize> =
    Bound { expected: "a whole number from 1 to 12", holds: |n| (1..=12).contains(n) };

luthier_core::settings! {
    /// Blocks of convolutions, each with twice the filters of the one before and pooling behind it, then a
    /// dense layer.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Cnn {
        /// Number of blocks; each halves the image, so that 28 x 28 pixels have room for 4. From 2 to 4 is usual.
        blocks: usize = 2, BLOCKS;
        /// Convolutions in each block; 1 or 2 is usual.
        convolutions: usize = 1, BLOCKS;
        /// Filters of the first block; from 16 to 64 is usual.
        filters: usize = 32, FILTERS;
        /// Height and width of a filter; 3 or 5 is usual. The convolutions keep the size of the image.
        kernel: usize = 3, WINDOW;
        /// Units of the dense layer; from 64 to 512 is usual.
        dense: usize = 128, UNITS;
        /// Activation behind each convolution and the dense layer.
        activation: Activation = Activation::Relu;
        /// Probability with which units are dropped before the dense layer and the output layer while training.
        dropout: f64 = 0.0, bounds::BELOW_ONE;
        /// Whether batch normalisation stands behind each convolution.
        batch_norm: bool = false;
    }
}

impl Cnn {
    pub(super) fn build(&self, outputs: usize, builder: &mut Builder<'_>) -> Result<(), String> {
        if let Shape::Image { height, width, .. } = builder.shape()
            && height.min(width) >> self.blocks == 0
        {
            return Err(format!(
                "{} blocks, each of which halves the image, do not fit {height}x{width} pixels",
                self.blocks
            ));
        }
        let mut filters = self.filters;
        for _ in 0..self.blocks {
            for _ in 0..self.convolutions {
                let convolution = ConvLayer::new(filters, self.kernel, 1, 0);
                ConvLayer { padding: Padding::Same, bias: !self.batch_norm, ..convolution }.build(builder)?;
                if self.batch_norm {
                    BatchNormLayer::new().build(builder)?;
                }
                builder.activation(self.activation);
            }
            MaxPoolLayer { max_pool: 2, stride: None, padding: 0 }.build(builder)?;
            filters = filters.saturating_mul(2);
        }
        let dropout = |builder: &mut Builder<'_>| {
            if self.dropout > 0.0 { DropoutLayer { dropout: self.dropout }.build(builder) } else { Ok(()) }
        };
        dropout(builder)?;
        DenseLayer { activation: self.activation, ..DenseLayer::linear(self.dense) }.build(builder)?;
        dropout(builder)?;
        super::super::head(builder, outputs)
    }
}
