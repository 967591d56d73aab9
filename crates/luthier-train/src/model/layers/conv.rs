//! Two-dimensional convolutions (cross-correlations, as everywhere in the field).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use luthier_kernels::Conv2d;

use crate::model::builder::{Builder, Outline};
use crate::model::init::{Fill, Init};
use crate::model::plan::{ConvKernel, Planner};
use crate::model::stage::Stage;
use crate::model::weights::{Layout, Role};
use crate::model::{Activation, Signal};
use crate::shape::Shape;

use super::size::{FILTERS, Padding, WINDOW, Window};

luthier_core::settings! {
    /// A two-dimensional convolution over images.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ConvLayer {
        /// Number of filters: the channels behind it. From 16 to 512 is usual, more where images are smaller.
        conv: usize, FILTERS;
        /// Height and width of a filter.
        kernel: usize = 3, WINDOW;
        /// Distance of two filter positions.
        stride: usize = 1, WINDOW;
        /// Zeros around the image: their number on each side, or "same".
        padding: Padding = Padding::Pixels(0);
        /// Distance of two pixels that a filter sees; above 1 it sees further with as many weights.
        dilation: usize = 1, WINDOW;
        /// Groups of channels that do not mix; as many as channels make a depthwise convolution.
        groups: usize = 1, FILTERS;
        /// Whether a number of its own is added to each filter. Normalisation behind it makes that needless.
        bias: bool = true;
        /// Activation behind it.
        activation: Activation = Activation::None;
        /// How its initial weights are drawn; as `init` of `[model]` says where it is left out.
        init: Option<Init> = None;
    }
}

/// Weights `[filters, channels / groups, kernel, kernel]` and biases `[filters]`.
#[derive(Module, Debug)]
pub(crate) struct Conv {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    layer: ConvLayer,
}

/// Why groups or "same" do not fit, for convolutions of one and two dimensions.
pub(super) fn check(
    (channels, filters, groups): (usize, usize, usize),
    padding: Padding,
    stride: usize,
) -> Result<(), String> {
    if padding == Padding::Same && stride != 1 {
        return Err(format!("padding \"same\" needs a stride of 1, found {stride}"));
    }
    if channels % groups != 0 || filters % groups != 0 {
        return Err(format!(
            "{groups} groups have to divide both the {channels} channels that come in and the {filters} filters"
        ));
    }
    Ok(())
}

impl ConvLayer {
    /// So many filters, without an activation.
    pub(crate) fn new(filters: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            conv: filters,
            kernel,
            stride,
            padding: Padding::Pixels(padding),
            dilation: 1,
            groups: 1,
            bias: true,
            activation: Activation::None,
            init: None,
        }
    }

    fn window(&self) -> Window {
        let extent = self.dilation * (self.kernel - 1) + 1;
        Window { extent, stride: self.stride, padding: self.padding.pair(extent) }
    }

    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let (kernel, filters, groups) = (self.kernel, self.conv, self.groups);
        let Shape::Image { channels, height, width } =
            self.window().over_image(builder.shape(), ("a convolution", "filter"))?
        else {
            unreachable!("windows over images make images")
        };
        check((channels, filters, groups), self.padding, self.stride)?;
        let mut torch = format!(
            "nn.Conv2d({channels}, {filters}, {kernel}, stride={}, padding={}",
            self.stride,
            self.padding.torch()
        );
        if self.dilation > 1 {
            torch += &format!(", dilation={}", self.dilation);
        }
        if groups > 1 {
            torch += &format!(", groups={groups}");
        }
        torch += if self.bias { ")" } else { ", bias=False)" };
        let fan_in = channels / groups * kernel * kernel;
        let outline = Outline::torch(torch, Shape::Image { channels: filters, height, width });
        builder.weighted(outline.multiply_adds(fan_in * filters, height * width), |builder| {
            // As PyTorch's nn.Conv2d: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases.
            let default = Fill::Uniform(1.0 / (fan_in as f64).sqrt());
            let (weight, bias) = builder.fills(self.init, default, 1);
            let mut rng = builder.init_stream();
            let dims = [filters, channels / groups, kernel, kernel];
            let weight = builder.parameter("weight", dims, (Role::Weight, Layout::Same), weight, &mut rng);
            let bias = self
                .bias
                .then(|| builder.parameter("bias", [filters], (Role::Bias, Layout::Same), bias, &mut rng));
            Stage::Conv(Conv { weight, bias, layer: self.clone() })
        });
        builder.activation(self.activation);
        Ok(())
    }
}

impl Conv {
    /// Its kernel for CPUs.
    pub(crate) fn plan(&self, planner: &mut Planner<'_>) -> bool {
        let Shape::Image { channels, height, width } = planner.shape() else { return false };
        let Window { stride, padding, .. } = self.layer.window();
        let ConvLayer { conv: filters, kernel, dilation, groups, .. } = self.layer;
        let conv = Conv2d { height, width, channels, filters, kernel, stride, padding, dilation, groups };
        let (height, width) = conv.output();
        let (weight, bias) = (planner.parameter(), self.bias.as_ref().map(|_| planner.parameter()));
        let shape = Shape::Image { channels: filters, height, width };
        planner.push(ConvKernel::new(conv, weight, bias), shape)
    }

    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        let Signal::Image(images) = signal else {
            unreachable!("the builder puts convolutions behind images only")
        };
        let Window { stride, padding, .. } = self.layer.window();
        let options = ConvOptions::new_with_padding(
            [stride; 2],
            [padding; 2],
            [self.layer.dilation; 2],
            self.layer.groups,
        );
        Signal::Image(conv2d(images, self.weight.val(), self.bias.as_ref().map(Param::val), options))
    }
}
