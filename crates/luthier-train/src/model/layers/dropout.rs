//! Dropout (Srivastava et al. 2014), inverted: what is kept is scaled up while training.

use burn::tensor::{Tensor, TensorData};
use luthier_core::Rng;
use luthier_core::config::bounds;

use crate::model::Signal;
use crate::model::builder::{Builder, Outline};
use crate::model::stage::Operation;

luthier_core::settings! {
    /// Sets each unit to zero with a probability while training.
    #[derive(Debug, Clone, PartialEq)]
    pub struct DropoutLayer {
        /// The probability.
        dropout: f64, bounds::BELOW_ONE;
    }
}

impl DropoutLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let outline = Outline::torch(format!("nn.Dropout({:?})", self.dropout), builder.shape());
        builder.plain(Operation::Dropout(self.dropout), outline);
        Ok(())
    }
}

/// Drops units by draws from `rng`. The mask is drawn on the host and enters as data: Burn's own
/// generator is one for the whole process.
pub(crate) fn forward(signal: Signal, rate: f64, rng: &mut Rng) -> Signal {
    match signal {
        Signal::Flat(tensor) => Signal::Flat(masked(tensor, rate, rng)),
        Signal::Image(tensor) => Signal::Image(masked(tensor, rate, rng)),
        Signal::Sequence { values, mask } => Signal::Sequence { values: masked(values, rate, rng), mask },
        Signal::Tokens(tokens) => Signal::Tokens(tokens),
    }
}

fn masked<const D: usize>(tensor: Tensor<D>, rate: f64, rng: &mut Rng) -> Tensor<D> {
    let kept = (1.0 / (1.0 - rate)) as f32;
    let threshold = rate as f32;
    let count: usize = tensor.dims().iter().product();
    let mask: Vec<f32> = (0..count).map(|_| if rng.uniform_f32() < threshold { 0.0 } else { kept }).collect();
    let mask = Tensor::from_data(TensorData::new(mask, tensor.dims()), &tensor.device());
    tensor * mask
}
