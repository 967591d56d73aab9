//! Two-dimensional convolutions (cross-correlations, as everywhere in the field).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use luthier_core::config::{Decode, Kind, Node, Problems, bounds};

use crate::model::builder::{Builder, Outline};
use crate::model::init::Fill;
use crate::model::stage::Stage;
use crate::model::weights::{Layout, Role};
use crate::model::{Activation, Signal};
use crate::shape::Shape;

luthier_core::settings! {
    /// A two-dimensional convolution.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ConvLayer {
        /// Number of filters: the channels behind it.
        conv: usize, bounds::AT_LEAST_ONE;
        /// Height and width of a filter.
        kernel: usize = 3, bounds::AT_LEAST_ONE;
        /// Distance of two filter positions.
        stride: usize = 1, bounds::AT_LEAST_ONE;
        /// Zeros around the image: their number on each side, or "same".
        padding: Padding = Padding::Pixels(0);
        /// Activation behind it.
        activation: Activation = Activation::None;
    }
}

/// Zeros around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// So many on each side.
    Pixels(usize),
    /// As many as keep height and width; only with a stride of 1.
    Same,
}

impl Decode for Padding {
    const EXPECTED: &'static str = "a whole number of pixels, or \"same\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Int(pixels @ 0..=10_000) => Some(Self::Pixels(*pixels as usize)),
            Kind::Text(word) if word == "same" => Some(Self::Same),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

impl Padding {
    /// Zeros before and behind, for a filter of `kernel` pixels.
    fn pair(self, kernel: usize) -> (usize, usize) {
        match self {
            Self::Pixels(pixels) => (pixels, pixels),
            Self::Same => ((kernel - 1) / 2, kernel / 2),
        }
    }
}

/// Weights `[filters, channels, kernel, kernel]` and biases `[filters]`.
#[derive(Module, Debug)]
pub(crate) struct Conv {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    layer: ConvLayer,
}

impl ConvLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let Shape::Image { channels, height, width } = builder.shape() else {
            return Err(format!(
                "a convolution needs images [channels, height, width], and here come vectors of {}",
                builder.shape().size()
            ));
        };
        if self.padding == Padding::Same && self.stride != 1 {
            return Err(format!("padding \"same\" needs a stride of 1, found {}", self.stride));
        }
        let (kernel, filters) = (self.kernel, self.conv);
        let (before, behind) = self.padding.pair(kernel);
        let size = |pixels: usize| {
            let room = (pixels + before + behind).checked_sub(kernel)?;
            Some(room / self.stride + 1)
        };
        let (Some(rows), Some(columns)) = (size(height), size(width)) else {
            return Err(format!("a filter of {kernel}x{kernel} does not fit an image of {height}x{width}"));
        };
        let padding = match self.padding {
            Padding::Pixels(pixels) => pixels.to_string(),
            Padding::Same => "\"same\"".to_owned(),
        };
        let torch =
            format!("nn.Conv2d({channels}, {filters}, {kernel}, stride={}, padding={padding})", self.stride);
        let fan_in = channels * kernel * kernel;
        let shape = Shape::Image { channels: filters, height: rows, width: columns };
        let outline = Outline::torch(torch, shape).multiply_adds(fan_in * shape.size());
        builder.weighted(outline, |builder| {
            // As PyTorch's nn.Conv2d: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases.
            let fill = Fill::Uniform(1.0 / (fan_in as f64).sqrt());
            let mut rng = builder.init_stream();
            let weight = builder.parameter(
                "weight",
                [filters, channels, kernel, kernel],
                (Role::Weight, Layout::Same),
                fill.clone(),
                &mut rng,
            );
            let bias = builder.parameter("bias", [filters], (Role::Bias, Layout::Same), fill, &mut rng);
            Stage::Conv(Conv { weight, bias, layer: self.clone() })
        });
        builder.activation(self.activation);
        Ok(())
    }
}

impl Conv {
    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        let Signal::Image(images) = signal else {
            unreachable!("the builder puts convolutions behind images only")
        };
        let padding = self.layer.padding.pair(self.layer.kernel);
        let options = ConvOptions::new_with_padding([self.layer.stride; 2], [padding, padding], [1, 1], 1);
        Signal::Image(conv2d(images, self.weight.val(), Some(self.bias.val()), options))
    }
}
