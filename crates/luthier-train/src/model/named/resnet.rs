//! Residual networks (He et al., "Deep residual learning for image recognition", 2016).
//!
//! As torchvision's: names and shapes of the state dict, and initial weights: convolutions normal with the
//! standard deviation `√(2 / fan_out)`, the output layer as PyTorch's `nn.Linear`.

use crate::model::builder::{Builder, Outline};
use crate::model::init::Init;
use crate::model::layers::residual;
use crate::model::stage::Operation;
use crate::model::{
    Activation, BatchNormLayer, ConvLayer, DenseLayer, FlattenLayer, GlobalPool, MaxPoolLayer,
};
use crate::shape::Shape;

use super::vgg::by_fan_out;
use super::{WIDTH, scaled};

luthier_core::kinds! {
    /// The first layers of a residual network.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Stem ("\"imagenet\" or \"small\"") {
        /// A convolution of 7 x 7 with stride 2 and pooling, for images of about 224 x 224 pixels.
        "imagenet" => ImageNet,
        /// A convolution of 3 x 3 alone, for images of about 32 x 32 pixels (the paper's for CIFAR-10).
        "small" => Small,
    }
}

luthier_core::settings! {
    /// A residual network of basic blocks.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ResNet {
        /// A factor on all numbers of filters. 1 is the published model; from 0.125 to 0.5 is enough for
        /// small images and few classes.
        width: f64 = 1.0, WIDTH;
        /// The first layers: "imagenet" for large images, "small" for those below about 64 x 64 pixels.
        stem: Stem = Stem::ImageNet;
    }
}

impl ResNet {
    /// Builds it with so many blocks of each size.
    pub(super) fn build(
        &self,
        blocks: [usize; 4],
        outputs: usize,
        init: Init,
        builder: &mut Builder<'_>,
    ) -> Result<(), String> {
        if !matches!(builder.shape(), Shape::Image { .. }) {
            return Err(format!("it needs images, and here come {}", builder.shape()));
        }
        let first = scaled(64, self.width);
        let (kernel, stride, padding) = if self.stem == Stem::Small { (3, 1, 1) } else { (7, 2, 3) };
        convolution(("conv1", "bn1"), first, (kernel, stride, padding), init, builder)?;
        builder.name_next("relu");
        builder.activation(Activation::Relu);
        if self.stem == Stem::ImageNet {
            builder.name_next("maxpool");
            MaxPoolLayer { max_pool: 3, stride: Some(2), padding: 1 }.build(builder)?;
        }
        for (size, count) in blocks.into_iter().enumerate() {
            let filters = scaled(64 << size, self.width);
            builder.scope(&format!("layer{}", size + 1), |builder| {
                for number in 0..count {
                    let stride = if size > 0 && number == 0 { 2 } else { 1 };
                    block(filters, stride, init, builder)?;
                }
                Ok::<(), String>(())
            })?;
        }
        if let Shape::Image { channels, .. } = builder.shape() {
            builder.name_next("avgpool");
            let shape = Shape::Image { channels, height: 1, width: 1 };
            let outline = Outline::torch("nn.AdaptiveAvgPool2d(1)".to_owned(), shape);
            builder.plain(Operation::GlobalPool(GlobalPool::Avg), outline);
        }
        builder.name_next("flatten");
        FlattenLayer { flatten: true }.build(builder)?;
        builder.name_next("fc");
        DenseLayer::linear(outputs).build(builder)
    }
}

/// A convolution without biases and batch normalisation behind it, by their names.
fn convolution(
    (conv, norm): (&str, &str),
    filters: usize,
    (kernel, stride, padding): (usize, usize, usize),
    init: Init,
    builder: &mut Builder<'_>,
) -> Result<(), String> {
    let Shape::Image { channels, .. } = builder.shape() else {
        return Err("a convolution needs images".to_owned());
    };
    let init = (init == Init::PyTorch).then(|| by_fan_out(channels, filters));
    builder.name_next(conv);
    ConvLayer { bias: false, init, ..ConvLayer::new(filters, kernel, stride, padding) }.build(builder)?;
    builder.name_next(norm);
    BatchNormLayer::new().build(builder)
}

/// Two convolutions of 3 x 3 and a connection around them, through a convolution of 1 x 1 where the shape
/// changes.
fn block(filters: usize, stride: usize, init: Init, builder: &mut Builder<'_>) -> Result<(), String> {
    let body = |builder: &mut Builder<'_>| {
        convolution(("conv1", "bn1"), filters, (3, stride, 1), init, builder)?;
        builder.name_next("relu");
        builder.activation(Activation::Relu);
        convolution(("conv2", "bn2"), filters, (3, 1, 1), init, builder)
    };
    let shortcut = |builder: &mut Builder<'_>, _| {
        let Shape::Image { channels, .. } = builder.shape() else { return Ok(()) };
        if stride == 1 && channels == filters {
            return Ok(());
        }
        convolution(("0", "1"), filters, (1, stride, 0), init, builder)
    };
    residual::build("basic block", ("", body), ("downsample", shortcut), Activation::Relu, builder)
}
