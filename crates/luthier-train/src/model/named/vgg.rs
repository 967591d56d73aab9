//! VGG (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014).
//!
//! As torchvision's: names and shapes of the state dict, and initial weights: convolutions normal with the
//! standard deviation `√(2 / fan_out)`, dense layers with 0.01, biases 0.

use luthier_core::config::bounds;

use crate::model::builder::Builder;
use crate::model::init::{He, Init};
use crate::model::{
    Activation, BatchNormLayer, ConvLayer, DenseLayer, DropoutLayer, FlattenLayer, MaxPoolLayer,
};
use crate::shape::Shape;

use super::{AdaptivePool, WIDTH, scaled};

/// Filters of the convolutions between two poolings.
const FILTERS: [usize; 5] = [64, 128, 256, 512, 512];

luthier_core::settings! {
    /// VGG, for images of at least 32 x 32 pixels.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Vgg {
        /// A factor on all numbers of filters and units. 1 is the published model of 130 million weights;
        /// from 0.125 to 0.5 is enough for small images and few classes.
        width: f64 = 1.0, WIDTH;
        /// Probability with which units of the dense layers are dropped while training.
        dropout: f64 = 0.5, bounds::BELOW_ONE;
        /// Whether batch normalisation stands behind each convolution, as in the models with `_bn`. Without
        /// it, the deep ones hardly train from scratch.
        batch_norm: bool = false;
    }
}

/// Normal with the standard deviation `√(2 / fan_out)` for a filter of `inputs` to `outputs` channels.
pub(super) fn by_fan_out(inputs: usize, outputs: usize) -> Init {
    // He's divides by √fan_in, which is smaller than fan_out by inputs / outputs.
    Init::HeNormal(He { gain: libm::sqrt(2.0 * inputs as f64 / outputs as f64) })
}

impl Vgg {
    /// Builds it with so many convolutions before each pooling.
    pub(super) fn build(
        &self,
        convolutions: [usize; 5],
        batch_norm: bool,
        outputs: usize,
        init: Init,
        builder: &mut Builder<'_>,
    ) -> Result<(), String> {
        let Shape::Image { channels, height, width } = builder.shape() else {
            return Err(format!("it needs images, and here come {}", builder.shape()));
        };
        if height < 32 || width < 32 {
            return Err(format!(
                "it halves the image five times and needs at least 32x32 pixels, found {height}x{width}"
            ));
        }
        let own = init == Init::PyTorch;
        builder.scope("features", |builder| {
            let mut channels = channels;
            for (count, filters) in convolutions.into_iter().zip(FILTERS) {
                let filters = scaled(filters, self.width);
                for _ in 0..count {
                    let init = own.then(|| by_fan_out(channels, filters));
                    ConvLayer { init, ..ConvLayer::new(filters, 3, 1, 1) }.build(builder)?;
                    if batch_norm || self.batch_norm {
                        BatchNormLayer::new().build(builder)?;
                    }
                    builder.activation(Activation::Relu);
                    channels = filters;
                }
                MaxPoolLayer { max_pool: 2, stride: None, padding: 0 }.build(builder)?;
            }
            Ok::<(), String>(())
        })?;
        builder.name_next("avgpool");
        AdaptivePool { height: 7, width: 7 }.build(builder)?;
        builder.name_next("flatten");
        FlattenLayer { flatten: true }.build(builder)?;
        builder.scope("classifier", |builder| {
            let hidden = scaled(4096, self.width);
            let dense = |units: usize, builder: &mut Builder<'_>| {
                let gain = 0.01 * libm::sqrt(builder.shape().size() as f64);
                let init = own.then_some(Init::HeNormal(He { gain }));
                DenseLayer { init, ..DenseLayer::linear(units) }.build(builder)
            };
            for _ in 0..2 {
                dense(hidden, builder)?;
                builder.activation(Activation::Relu);
                DropoutLayer { dropout: self.dropout }.build(builder)?;
            }
            dense(outputs, builder)
        })
    }
}
