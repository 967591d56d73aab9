//! Layer and group normalisation: `y = γ (x - μ) / √(σ² + ε) + β` with the mean and variance of one
//! example, so that batches play no part.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::layer_norm;
use luthier_core::config::bounds;

use crate::model::Signal;
use crate::model::builder::{Builder, Outline};
use crate::model::init::Fill;
use crate::model::stage::Stage;
use crate::model::weights::{Layout, Role};
use crate::shape::Shape;

use super::size::{FILTERS, ON, named};

luthier_core::settings! {
    /// Layer normalisation (Ba et al. 2016): of all numbers of a vector or an image, or of each step of
    /// a sequence.
    #[derive(Debug, Clone, PartialEq)]
    pub struct LayerNormLayer {
        /// Always true.
        layer_norm: bool, ON;
        /// Added to the variance.
        epsilon: f64 = 1e-5, bounds::POSITIVE;
    }
}

luthier_core::settings! {
    /// Group normalisation (Wu and He 2018): of groups of channels of one example.
    #[derive(Debug, Clone, PartialEq)]
    pub struct GroupNormLayer {
        /// Number of groups; it divides the channels. 8 to 32 is usual; 1 takes all channels together,
        /// as many as channels take each alone.
        group_norm: usize, FILTERS;
        /// Added to the variance.
        epsilon: f64 = 1e-5, bounds::POSITIVE;
    }
}

/// Scale and shift: for each number that is normalised.
#[derive(Module, Debug)]
pub(crate) struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

/// Scale and shift: for each channel.
#[derive(Module, Debug)]
pub(crate) struct GroupNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    layer: GroupNormLayer,
}

/// Scale 1 and shift 0 for so many numbers.
pub(super) fn scale_and_shift(
    builder: &mut Builder<'_>,
    (weight, bias): (&str, &str),
    size: usize,
    layout: Layout,
) -> (Param<Tensor<1>>, Param<Tensor<1>>) {
    let mut rng = builder.init_stream();
    let role = (Role::Norm, layout);
    let weight = builder.parameter(weight, [size], role, Fill::Constant(1.0), &mut rng);
    let bias = builder.parameter(bias, [size], role, Fill::Constant(0.0), &mut rng);
    (weight, bias)
}

fn epsilon_of(epsilon: f64) -> String {
    if epsilon == 1e-5 { String::new() } else { format!(", eps={epsilon:?}") }
}

impl LayerNormLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let shape = builder.shape();
        let (size, layout, text) = match shape {
            Shape::Flat(features) | Shape::Sequence { features, .. } => {
                (features, Layout::Same, features.to_string())
            }
            Shape::Image { channels, height, width } => {
                (shape.size(), Layout::Image([channels, height, width]), shape.to_string())
            }
            Shape::Tokens { .. } => {
                return Err(format!("layer normalisation needs numbers, and here come {}", named(shape)));
            }
        };
        let outline = Outline::torch(format!("nn.LayerNorm({text}{})", epsilon_of(self.epsilon)), shape);
        builder.weighted(outline, |builder| {
            let (weight, bias) = scale_and_shift(builder, ("weight", "bias"), size, layout);
            Stage::LayerNorm(LayerNorm { weight, bias, epsilon: self.epsilon })
        });
        Ok(())
    }
}

impl GroupNormLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let (shape, groups) = (builder.shape(), self.group_norm);
        let (channels, in_torch) = match shape {
            Shape::Flat(features) => (features, true),
            Shape::Image { channels, .. } => (channels, true),
            Shape::Sequence { features, .. } => (features, false),
            Shape::Tokens { .. } => {
                return Err(format!("group normalisation needs numbers, and here come {}", named(shape)));
            }
        };
        if channels % groups != 0 {
            return Err(format!("{groups} groups have to divide the {channels} channels that come in"));
        }
        let outline = if in_torch {
            let text = format!("nn.GroupNorm({groups}, {channels}{})", epsilon_of(self.epsilon));
            Outline::torch(text, shape)
        } else {
            Outline::own(format!("group_norm {groups}"), shape)
        };
        builder.weighted(outline, |builder| {
            let (weight, bias) = scale_and_shift(builder, ("weight", "bias"), channels, Layout::Same);
            Stage::GroupNorm(GroupNorm { weight, bias, layer: self.clone() })
        });
        Ok(())
    }
}

impl LayerNorm {
    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        let (weight, bias) = (self.weight.val(), Some(self.bias.val()));
        match signal {
            Signal::Sequence { values, mask } => {
                Signal::Sequence { values: layer_norm(values, weight, bias, self.epsilon), mask }
            }
            Signal::Image(images) => {
                let dims = images.dims();
                let flat: Tensor<2> = images.flatten(1, 3);
                Signal::Image(layer_norm(flat, weight, bias, self.epsilon).reshape(dims))
            }
            signal => Signal::Flat(layer_norm(signal.flat(), weight, bias, self.epsilon)),
        }
    }
}

impl GroupNorm {
    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        match signal {
            Signal::Image(images) => {
                let dims @ [batch, channels, height, width] = images.dims();
                let places = images.reshape([batch, channels, height * width]);
                Signal::Image(self.normalise(places, None).reshape(dims))
            }
            Signal::Sequence { values, mask } => {
                let values = self.normalise(values.swap_dims(1, 2), mask.as_ref()).swap_dims(1, 2);
                Signal::Sequence { values, mask }
            }
            signal => {
                let flat = signal.flat();
                Signal::Flat(self.normalise(flat.unsqueeze_dim::<3>(2), None).squeeze_dim(2))
            }
        }
    }

    /// Normalises `[batch, channels, places]`; only the real places count.
    fn normalise(&self, x: Tensor<3>, mask: Option<&Tensor<2>>) -> Tensor<3> {
        let [batch, channels, places] = x.dims();
        let (groups, each) = (self.layer.group_norm, channels / self.layer.group_norm);
        let x = x.reshape([batch, groups, each, places]);
        // Means over the places, then over the channels of a group.
        let mean = |x: Tensor<4>| match mask {
            None => x.mean_dim(3).mean_dim(2),
            Some(mask) => {
                let real = mask.clone().reshape([batch, 1, 1, places]);
                let count = real.clone().sum_dim(3).clamp_min(1.0);
                ((x * real).sum_dim(3) / count).mean_dim(2)
            }
        };
        let centred = x.clone() - mean(x);
        let variance = mean(centred.clone() * centred.clone());
        let normal = centred / variance.add_scalar(self.layer.epsilon).sqrt();
        let scale = self.weight.val().reshape([1, channels, 1]);
        let shift = self.bias.val().reshape([1, channels, 1]);
        normal.reshape([batch, channels, places]) * scale + shift
    }
}
