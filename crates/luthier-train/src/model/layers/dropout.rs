//! Dropout (Srivastava et al. 2014), inverted: what is kept is scaled up while training.

use burn::tensor::{Device, Tensor, TensorData};
use luthier_core::Rng;
use luthier_core::config::bounds;

use crate::model::builder::{Builder, Outline};
use crate::model::stage::Operation;
use crate::model::{Pass, Signal};
use crate::shape::Shape;

use super::size::named;

luthier_core::settings! {
    /// Sets each unit to zero with a probability while training.
    #[derive(Debug, Clone, PartialEq)]
    pub struct DropoutLayer {
        /// The probability; from 0.1 to 0.5 is usual.
        dropout: f64, bounds::BELOW_ONE;
    }
}

luthier_core::settings! {
    /// Sets whole channels of an image, or features of a sequence, to zero with a probability while
    /// training (Tompson et al. 2015). Neighbouring pixels are alike, so single ones hide little.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SpatialDropoutLayer {
        /// The probability; from 0.1 to 0.3 is usual.
        spatial_dropout: f64, bounds::BELOW_ONE;
    }
}

impl DropoutLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        if let shape @ Shape::Tokens { .. } = builder.shape() {
            return Err(format!("dropout needs numbers, and here come {}", named(shape)));
        }
        let outline = Outline::torch(format!("nn.Dropout({:?})", self.dropout), builder.shape());
        builder.plain(Operation::Dropout(self.dropout), outline);
        Ok(())
    }
}

impl SpatialDropoutLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let rate = self.spatial_dropout;
        let outline = match builder.shape() {
            shape @ Shape::Image { .. } => Outline::torch(format!("nn.Dropout2d({rate:?})"), shape),
            shape @ Shape::Sequence { .. } => Outline::own(format!("spatial_dropout {rate:?}"), shape),
            other => {
                return Err(format!(
                    "spatial dropout needs images or sequences, and here come {}",
                    named(other)
                ));
            }
        };
        builder.plain(Operation::SpatialDropout(rate), outline);
        Ok(())
    }
}

/// Drops units while training.
pub(crate) fn forward(signal: Signal, rate: f64, pass: &mut Pass<'_>) -> Signal {
    match signal {
        Signal::Flat(tensor) => Signal::Flat(dropped(tensor, rate, pass)),
        Signal::Image(tensor) => Signal::Image(dropped(tensor, rate, pass)),
        Signal::Sequence { values, mask } => Signal::Sequence { values: dropped(values, rate, pass), mask },
        Signal::Tokens(tokens) => Signal::Tokens(tokens),
    }
}

/// Drops channels or features while training.
pub(crate) fn spatial(signal: Signal, rate: f64, pass: &mut Pass<'_>) -> Signal {
    let Some((rate, rng)) = pass.dropping(rate) else { return signal };
    match signal {
        Signal::Image(tensor) => {
            let [batch, channels, ..] = tensor.dims();
            let kept = mask([batch, channels, 1, 1], rate, rng, &tensor.device());
            Signal::Image(tensor * kept)
        }
        Signal::Sequence { values, mask: real } => {
            let [batch, _, features] = values.dims();
            let kept = mask([batch, 1, features], rate, rng, &values.device());
            Signal::Sequence { values: values * kept, mask: real }
        }
        other => other,
    }
}

/// `tensor` with units dropped if `pass` is one of training.
pub(crate) fn dropped<const D: usize>(tensor: Tensor<D>, rate: f64, pass: &mut Pass<'_>) -> Tensor<D> {
    match pass.dropping(rate) {
        Some((rate, rng)) => {
            let kept = mask(tensor.dims(), rate, rng, &tensor.device());
            tensor * kept
        }
        None => tensor,
    }
}

fn mask<const D: usize>(dims: [usize; D], rate: f64, rng: &mut Rng, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(draw(dims.iter().product(), rate, rng), dims), device)
}

/// So many numbers: 0 with the probability `rate`, else `1 / (1 - rate)`. They are drawn on the host and enter
/// as data: Burn's own generator is one for the whole process.
pub(crate) fn draw(count: usize, rate: f64, rng: &mut Rng) -> Vec<f32> {
    let kept = (1.0 / (1.0 - rate)) as f32;
    let threshold = rate as f32;
    (0..count).map(|_| if rng.uniform_f32() < threshold { 0.0 } else { kept }).collect()
}
