//! The stages of a network.

use burn::module::Module;

use crate::shape::Shape;

use super::layers::{
    activation, attention, batch_norm, conv, conv1d, dense, dropout, embedding, layer_norm, pool, recurrent,
    reshape, residual,
};
use super::named::{AdaptivePool, Branches};
use super::{Activation, GlobalPool, Pass, Signal};

/// A stage of a network.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has tens of them")]
pub(crate) enum Stage {
    /// Fully connected.
    Dense(dense::Dense),
    /// Two-dimensional convolution.
    Conv(conv::Conv),
    /// Convolution along sequences.
    Conv1d(conv1d::Conv1d),
    /// Batch normalisation.
    BatchNorm(batch_norm::BatchNorm),
    /// Layer normalisation.
    LayerNorm(layer_norm::LayerNorm),
    /// Group normalisation.
    GroupNorm(layer_norm::GroupNorm),
    /// Vectors of tokens.
    Embedding(embedding::Embedding),
    /// Learned vectors of positions.
    Positions(embedding::Positions),
    /// RNN, LSTM or GRU.
    Recurrent(recurrent::Recurrent),
    /// Attention and a feed-forward network.
    Attention(attention::Attention),
    /// Stages with a connection around them.
    Residual(residual::Residual),
    /// Stages beside each other.
    Branches(Branches),
    /// Without weights.
    Plain(Plain),
}

/// A stage without weights.
#[derive(Module, Debug)]
pub(crate) struct Plain {
    #[module(skip)]
    pub(super) operation: Operation,
}

/// What a stage without weights does.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Makes one vector of each example of this shape.
    Flatten(Shape),
    /// Makes a sequence of the rows of an image.
    Rows,
    /// Adds sines and cosines to the steps of a sequence.
    Positions,
    /// Takes the maximum or mean over windows.
    Pool(pool::Pool),
    /// Takes the maximum or mean over all.
    GlobalPool(GlobalPool),
    /// Takes means so that an image of a given size comes out.
    AdaptivePool(AdaptivePool),
    /// Drops units at a rate while training.
    Dropout(f64),
    /// Drops channels at a rate while training.
    SpatialDropout(f64),
    /// Applies a function to each unit.
    Activation(Activation),
}

impl Stage {
    /// What comes out of it for a batch.
    pub(crate) fn forward(&self, signal: Signal, pass: &mut Pass<'_>) -> Signal {
        match self {
            Self::Dense(dense) => dense.forward(signal),
            Self::Conv(conv) => conv.forward(signal),
            Self::Conv1d(conv) => conv.forward(signal),
            Self::BatchNorm(norm) => norm.forward(signal, pass),
            Self::LayerNorm(norm) => norm.forward(signal),
            Self::GroupNorm(norm) => norm.forward(signal),
            Self::Embedding(embedding) => embedding.forward(signal),
            Self::Positions(positions) => positions.forward(signal),
            Self::Recurrent(recurrent) => recurrent.forward(signal, pass),
            Self::Attention(attention) => attention.forward(signal, pass),
            Self::Residual(residual) => residual.forward(signal, pass),
            Self::Branches(branches) => branches.forward(&signal, pass),
            Self::Plain(plain) => plain.operation.forward(signal, pass),
        }
    }

    /// Whether it has no weights and draws random numbers while training.
    pub(super) fn draws(&self) -> bool {
        match self {
            Self::Plain(plain) => {
                matches!(plain.operation, Operation::Dropout(_) | Operation::SpatialDropout(_))
            }
            _ => false,
        }
    }
}

impl Operation {
    fn forward(&self, signal: Signal, pass: &mut Pass<'_>) -> Signal {
        match self {
            Self::Flatten(shape) => reshape::flatten(signal, *shape),
            Self::Rows => reshape::rows(signal),
            Self::Positions => embedding::sinusoidal(signal),
            Self::Pool(pool) => pool.forward(signal),
            Self::GlobalPool(pool) => pool.forward(signal),
            Self::AdaptivePool(pool) => pool.forward(signal),
            Self::Dropout(rate) => dropout::forward(signal, *rate, pass),
            Self::SpatialDropout(rate) => dropout::spatial(signal, *rate, pass),
            Self::Activation(function) => activation::forward(*function, signal),
        }
    }
}
