//! Attention blocks: an encoder layer of a transformer (Vaswani et al. 2017), as PyTorch's
//! `nn.TransformerEncoderLayer` with `batch_first=True`.
//!
//! ```text
//! attention(x) = softmax(Q Kᵀ / √(features / heads)) V  for each head, with Q, K, V = x W + b
//! norm first:  x ← x + attention(norm1(x));   x ← x + feed_forward(norm2(x))
//! else:        x ← norm1(x + attention(x));   x ← norm2(x + feed_forward(x))
//! feed_forward(x) = activation(x W₁ + b₁) W₂ + b₂
//! ```
//!
//! Padding is attended to by no step.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::module::layer_norm;
use luthier_core::Rng;
use luthier_core::config::{Bound, bounds};

use crate::model::builder::{Builder, Outline};
use crate::model::init::{Fill, Init};
use crate::model::stage::Stage;
use crate::model::weights::{Layout, Role};
use crate::model::{Activation, Pass, Signal};
use crate::shape::Shape;

use super::dense::steps;
use super::dropout::dropped;
use super::layer_norm::scale_and_shift;
use super::size::{FILTERS, named};

const HIDDEN: Bound<usize> =
    Bound { expected: "a whole number from 0 to 16777216", holds: |n| *n <= 1 << 24 };

luthier_core::settings! {
    /// A block of self-attention and a feed-forward network, each with a connection around it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AttentionLayer {
        /// Number of heads; it divides the features. From 2 to 8 is usual, with 16 to 64 features each.
        attention: usize, FILTERS;
        /// Units of the feed-forward network; four times the features where it is left out, and 0 for none.
        feed_forward: Option<usize> = None, HIDDEN;
        /// Activation of the feed-forward network.
        activation: Activation = Activation::Relu;
        /// Probability with which weights of attention, and units behind each part, are dropped in training.
        dropout: f64 = 0.1, bounds::BELOW_ONE;
        /// Normalises before each part instead of behind it: trains without warm-up (Xiong et al. 2020).
        norm_first: bool = true;
        /// Added to the variance when normalising.
        epsilon: f64 = 1e-5, bounds::POSITIVE;
        /// How its initial weights are drawn; as `init` of `[model]` says where it is left out.
        init: Option<Init> = None;
    }
}

/// Weights and biases `[inputs, outputs]` and `[outputs]`.
#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// Scale and shift.
#[derive(Module, Debug)]
struct Norm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

/// An attention block.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    /// To queries, keys and values.
    in_proj: Linear,
    out_proj: Linear,
    linear1: Option<Linear>,
    linear2: Option<Linear>,
    norm1: Norm,
    norm2: Option<Norm>,
    #[module(skip)]
    layer: AttentionLayer,
}

impl AttentionLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let (heads, shape) = (self.attention, builder.shape());
        let Shape::Sequence { length, features } = shape else {
            return Err(format!(
                "attention needs sequences [length, features], and here come {}",
                named(shape)
            ));
        };
        if features % heads != 0 {
            return Err(format!("{heads} heads have to divide the {features} features that come in"));
        }
        let hidden = self.feed_forward.unwrap_or(4 * features);
        let each = 4 * features * features + 2 * length * features + 2 * features * hidden;
        let outline = Outline::own(format!("attention, {heads} heads"), shape).multiply_adds(each, length);
        builder.weighted(outline, |builder| {
            let mut rng = builder.init_stream();
            let zeros = Fill::Constant(0.0);
            // As PyTorch: Glorot's for the projection to queries, keys and values, as one matrix.
            let glorot = Fill::Uniform((6.0 / (4 * features) as f64).sqrt());
            let even = |inputs: usize| Fill::Uniform(1.0 / (inputs as f64).sqrt());
            let (fill, _) = builder.fills(self.init, glorot, 3);
            let names = ("self_attn.in_proj_weight", "self_attn.in_proj_bias");
            let in_proj =
                Linear::new(builder, names, [features, 3 * features], (fill, zeros.clone()), &mut rng);
            let (fill, _) = builder.fills(self.init, even(features), 1);
            let names = ("self_attn.out_proj.weight", "self_attn.out_proj.bias");
            let out_proj = Linear::new(builder, names, [features, features], (fill, zeros), &mut rng);
            let mut forward = |builder: &mut Builder<'_>, names, dims: [usize; 2]| {
                let fills = builder.fills(self.init, even(dims[0]), 1);
                (hidden > 0).then(|| Linear::new(builder, names, dims, fills, &mut rng))
            };
            let linear1 = forward(builder, ("linear1.weight", "linear1.bias"), [features, hidden]);
            let linear2 = forward(builder, ("linear2.weight", "linear2.bias"), [hidden, features]);
            let norm = |builder: &mut Builder<'_>, names| {
                let (weight, bias) = scale_and_shift(builder, names, features, Layout::Same);
                Norm { weight, bias }
            };
            let norm1 = norm(builder, ("norm1.weight", "norm1.bias"));
            let norm2 = (hidden > 0).then(|| norm(builder, ("norm2.weight", "norm2.bias")));
            let layer = self.clone();
            Stage::Attention(Attention { in_proj, out_proj, linear1, linear2, norm1, norm2, layer })
        });
        Ok(())
    }
}

impl Linear {
    fn new(
        builder: &mut Builder<'_>,
        (weight, bias): (&str, &str),
        dims: [usize; 2],
        (weights, biases): (Fill, Fill),
        rng: &mut Rng,
    ) -> Self {
        let weight = builder.parameter(weight, dims, (Role::Weight, Layout::Transposed), weights, rng);
        let bias = builder.parameter(bias, [dims[1]], (Role::Bias, Layout::Same), biases, rng);
        Self { weight, bias }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        steps(x, self.weight.val(), Some(self.bias.val()))
    }
}

impl Attention {
    pub(crate) fn forward(&self, signal: Signal, pass: &mut Pass<'_>) -> Signal {
        let Signal::Sequence { values: x, mask } = signal else {
            unreachable!("the builder puts attention behind sequences only")
        };
        let norm = |x: Tensor<3>, norm: &Norm| {
            layer_norm(x, norm.weight.val(), Some(norm.bias.val()), self.layer.epsilon)
        };
        let mut x = if self.layer.norm_first {
            x.clone() + self.attend(norm(x, &self.norm1), mask.as_ref(), pass)
        } else {
            norm(x.clone() + self.attend(x, mask.as_ref(), pass), &self.norm1)
        };
        if let (Some(linear1), Some(linear2), Some(norm2)) = (&self.linear1, &self.linear2, &self.norm2) {
            let mut feed_forward = |x: Tensor<3>| {
                let hidden = self.layer.activation.apply(linear1.forward(x));
                let hidden = dropped(hidden, self.layer.dropout, pass);
                dropped(linear2.forward(hidden), self.layer.dropout, pass)
            };
            x = if self.layer.norm_first {
                x.clone() + feed_forward(norm(x, norm2))
            } else {
                norm(x.clone() + feed_forward(x), norm2)
            };
        }
        Signal::Sequence { values: x, mask }
    }

    fn attend(&self, x: Tensor<3>, mask: Option<&Tensor<2>>, pass: &mut Pass<'_>) -> Tensor<3> {
        let [batch, length, features] = x.dims();
        let heads = self.layer.attention;
        let size = features / heads;
        let projected = self.in_proj.forward(x);
        let part = |number: usize| {
            let part = projected.clone().narrow(2, number * features, features);
            part.reshape([batch, length, heads, size]).swap_dims(1, 2)
        };
        let scale = 1.0 / (size as f64).sqrt();
        let mut scores = part(0).mul_scalar(scale).matmul(part(1).swap_dims(2, 3));
        if let Some(mask) = mask {
            // So far below the others that its share is 0 exactly.
            let padding = mask.clone().sub_scalar(1.0).mul_scalar(1e9).reshape([batch, 1, 1, length]);
            scores = scores + padding;
        }
        let shares = dropped(softmax(scores, 3), self.layer.dropout, pass);
        let mixed = shares.matmul(part(2)).swap_dims(1, 2).reshape([batch, length, features]);
        dropped(self.out_proj.forward(mixed), self.layer.dropout, pass)
    }
}
