//! One-dimensional convolutions over sequences.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;

use crate::model::builder::{Builder, Outline};
use crate::model::init::{Fill, Init};
use crate::model::signal::filled;
use crate::model::stage::Stage;
use crate::model::weights::{Layout, Role};
use crate::model::{Activation, Signal};
use crate::shape::Shape;

use super::size::{FILTERS, Padding, WINDOW, Window};

luthier_core::settings! {
    /// A convolution along sequences. Padding behind a sequence counts as zeros.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Conv1dLayer {
        /// Number of filters: the features behind it. From 32 to 512 is usual.
        conv1d: usize, FILTERS;
        /// Steps that a filter sees; from 3 to 7 is usual.
        kernel: usize = 3, WINDOW;
        /// Distance of two filter positions.
        stride: usize = 1, WINDOW;
        /// Zeros before and behind: their number on each side, or "same".
        padding: Padding = Padding::Pixels(0);
        /// Distance of two steps that a filter sees; above 1 it sees further with as many weights.
        dilation: usize = 1, WINDOW;
        /// Groups of features that do not mix.
        groups: usize = 1, FILTERS;
        /// Whether a number of its own is added to each filter. Normalisation behind it makes that needless.
        bias: bool = true;
        /// Activation behind it.
        activation: Activation = Activation::None;
        /// How its initial weights are drawn; as `init` of `[model]` says where it is left out.
        init: Option<Init> = None;
    }
}

/// Weights `[filters, features / groups, kernel]` and biases `[filters]`.
#[derive(Module, Debug)]
pub(crate) struct Conv1d {
    weight: Param<Tensor<3>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    layer: Conv1dLayer,
}

impl Conv1dLayer {
    /// So many filters, without an activation.
    pub(crate) fn new(filters: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            conv1d: filters,
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
        let (kernel, filters, groups) = (self.kernel, self.conv1d, self.groups);
        let Shape::Sequence { length, features } =
            self.window().over_sequence(builder.shape(), ("a convolution along sequences", "filter"))?
        else {
            unreachable!("windows over sequences make sequences")
        };
        super::conv::check((features, filters, groups), self.padding, self.stride)?;
        let fan_in = features / groups * kernel;
        let label = format!("conv1d {filters}, kernel {kernel}");
        let outline = Outline::own(label, Shape::Sequence { length, features: filters });
        builder.weighted(outline.multiply_adds(fan_in * filters, length), |builder| {
            // As PyTorch's nn.Conv1d: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases.
            let default = Fill::Uniform(1.0 / (fan_in as f64).sqrt());
            let (weight, bias) = builder.fills(self.init, default, 1);
            let mut rng = builder.init_stream();
            let dims = [filters, features / groups, kernel];
            let weight = builder.parameter("weight", dims, (Role::Weight, Layout::Same), weight, &mut rng);
            let bias = self
                .bias
                .then(|| builder.parameter("bias", [filters], (Role::Bias, Layout::Same), bias, &mut rng));
            Stage::Conv1d(Conv1d { weight, bias, layer: self.clone() })
        });
        builder.activation(self.activation);
        Ok(())
    }
}

impl Conv1d {
    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        let window = self.layer.window();
        let (values, mask) = window.sequence(signal, 0.0);
        let options = ConvOptions::new_with_padding(
            [window.stride],
            [window.padding],
            [self.layer.dilation],
            self.layer.groups,
        );
        let bias = self.bias.as_ref().map(Param::val);
        let values = conv1d(values.swap_dims(1, 2), self.weight.val(), bias, options).swap_dims(1, 2);
        let mask = mask.map(|mask| window.places_of(&mask, values.dims()[1]));
        Signal::Sequence { values, mask }
    }
}

impl Window {
    /// The steps that it moves over and which of them are real, padding set to `filling`. A batch of
    /// short texts is made long enough for one place.
    pub(super) fn sequence(&self, signal: Signal, filling: f32) -> (Tensor<3>, Option<Tensor<2>>) {
        let Signal::Sequence { values, mask } = signal else {
            unreachable!("the builder puts windows of one dimension behind sequences only")
        };
        let [batch, length, features] = values.dims();
        let mut values = filled(values, mask.as_ref(), filling);
        let missing = self.extent.saturating_sub(length + self.padding.0 + self.padding.1);
        if missing > 0 {
            let more = Tensor::full([batch, missing, features], filling, &values.device());
            values = Tensor::cat(vec![values, more], 1);
        }
        (values, mask)
    }

    /// Which of its `places` are real: those that reach over real steps only, and the first.
    pub(super) fn places_of(&self, mask: &Tensor<2>, places: usize) -> Tensor<2> {
        let room = (self.padding.0 + self.padding.1) as f64 - self.extent as f64;
        let lengths = mask.clone().sum_dim(1).add_scalar(room).div_scalar(self.stride as f64).floor();
        let lengths = lengths.add_scalar(1.0).clamp_min(1.0);
        let numbers: Vec<f32> = (0..places).map(|place| place as f32).collect();
        let numbers = Tensor::<1>::from_floats(numbers.as_slice(), &mask.device()).unsqueeze_dim::<2>(0);
        let [batch, _] = mask.dims();
        numbers.expand([batch, places]).lower(lengths.expand([batch, places])).float()
    }
}
