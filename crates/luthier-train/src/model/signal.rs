//! What flows through a network, and what a pass through it carries along.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use luthier_core::Rng;

use crate::shape::Shape;

/// What flows through a network: a batch of examples.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one for each batch")]
pub enum Signal {
    /// `[batch, features]`
    Flat(Tensor<2>),
    /// `[batch, channels, height, width]`
    Image(Tensor<4>),
    /// Sequences of vectors.
    Sequence {
        /// `[batch, length, features]`
        values: Tensor<3>,
        /// `[batch, length]`: 1 for a real step, 0 for padding, which stands behind the last real step.
        /// Without it, every step is real.
        mask: Option<Tensor<2>>,
    },
    /// Token numbers `[batch, length]`; 0 is padding, behind the last token. The length is that of the
    /// longest text of the batch.
    Tokens(Tensor<2, Int>),
}

impl Signal {
    /// A batch of examples of `shape`, from its values in row-major order. Token numbers come as whole
    /// numbers in floating point.
    pub(crate) fn new(values: Vec<f32>, batch: usize, shape: Shape, device: &Device) -> Self {
        match shape {
            Shape::Flat(features) => {
                Self::Flat(Tensor::from_data(TensorData::new(values, [batch, features]), device))
            }
            Shape::Image { channels, height, width } => {
                let data = TensorData::new(values, [batch, channels, height, width]);
                Self::Image(Tensor::from_data(data, device))
            }
            Shape::Sequence { length, features } => {
                let data = TensorData::new(values, [batch, length, features]);
                Self::Sequence { values: Tensor::from_data(data, device), mask: None }
            }
            Shape::Tokens { length, .. } => {
                // Steps that are padding in every text would be computed for nothing. All that comes
                // later leaves padding out of account, so results do not depend on them.
                let longest = values
                    .chunks_exact(length.max(1))
                    .filter_map(|text| text.iter().rposition(|token| *token != 0.0))
                    .max()
                    .map_or(1, |last| last + 1);
                let tokens: Vec<i64> = values
                    .chunks_exact(length.max(1))
                    .flat_map(|text| text[..longest].iter().map(|token| *token as i64))
                    .collect();
                Self::Tokens(Tensor::from_data(TensorData::new(tokens, [batch, longest]), device))
            }
        }
    }

    /// Every example as one vector. Token numbers become numbers; the builder lets none come here.
    pub fn flat(self) -> Tensor<2> {
        match self {
            Self::Flat(tensor) => tensor,
            Self::Image(tensor) => tensor.flatten(1, 3),
            Self::Sequence { values, .. } => values.flatten(1, 2),
            Self::Tokens(tokens) => tokens.float(),
        }
    }
}

/// `values`, with padding set to `filling`.
pub(super) fn filled(values: Tensor<3>, mask: Option<&Tensor<2>>, filling: f32) -> Tensor<3> {
    let Some(mask) = mask else { return values };
    let mask = mask.clone().unsqueeze_dim::<3>(2);
    if filling == 0.0 {
        return values * mask;
    }
    let padding = (mask.clone() - 1.0).mul_scalar(-filling);
    values * mask + padding
}

/// The largest rate at which units are dropped, whatever the schedule of dropout says.
const MOST_DROPPED: f64 = 0.95;

/// One forward pass: evaluation, or training with its draws and what it measures on the way.
#[derive(Debug)]
pub struct Pass<'a> {
    /// Where dropout draws from; `None` in evaluation.
    rng: Option<&'a mut Rng>,
    /// A factor on every rate of dropout, from a schedule.
    dropout: f64,
    /// Running statistics after this pass: the place in [`Network::parameters`](super::Network::parameters)
    /// and the new value.
    pub(crate) running: Vec<(usize, Tensor<1>)>,
    /// Which parameters are frozen, by their place; nothing, or empty, if none is.
    pub(super) frozen: Option<Arc<[bool]>>,
    /// Whether the stage that is at work acts as in evaluation.
    pub(super) quiet: bool,
}

impl Pass<'_> {
    /// A pass that drops nothing and normalises by running statistics.
    pub(crate) fn evaluation() -> Pass<'static> {
        Pass { rng: None, dropout: 0.0, running: Vec::new(), frozen: None, quiet: false }
    }

    /// A pass of training. Dropout draws from `rng`, its rates multiplied by `dropout` (1 leaves them)
    /// and cut at 0.95; normalisation measures the batch.
    pub(crate) fn training(rng: &mut Rng, dropout: f64) -> Pass<'_> {
        Pass { rng: Some(rng), dropout, running: Vec::new(), frozen: None, quiet: false }
    }

    /// `tensor` with units dropped at this rate while training (Srivastava et al. 2014): for models of the
    /// caller's own. Layers of a study file do so by themselves.
    #[must_use]
    pub fn dropout<const D: usize>(&mut self, tensor: Tensor<D>, rate: f64) -> Tensor<D> {
        super::layers::dropout::dropped(tensor, rate, self)
    }

    /// Whether the stage that is at work trains.
    pub(super) fn is_training(&self) -> bool {
        self.rng.is_some() && !self.quiet
    }

    /// Whether the parameter at this place is frozen.
    pub(super) fn is_frozen(&self, parameter: usize) -> bool {
        self.frozen.as_ref().is_some_and(|frozen| frozen.get(parameter) == Some(&true))
    }

    /// The rate that holds in this pass for units with this `rate`, and where to draw from. `None` if
    /// nothing is to be dropped.
    pub(super) fn dropping(&mut self, rate: f64) -> Option<(f64, &mut Rng)> {
        let rate = (rate * self.dropout).clamp(0.0, MOST_DROPPED);
        if rate == 0.0 || self.quiet {
            return None;
        }
        Some((rate, self.rng.as_deref_mut()?))
    }
}
