//! The layers of study files, one kind a file.

pub(super) mod activation;
pub(super) mod attention;
pub(super) mod batch_norm;
pub(super) mod conv;
pub(super) mod conv1d;
pub(super) mod dense;
pub(super) mod dropout;
pub(super) mod embedding;
pub(super) mod global_pool;
pub(super) mod layer_norm;
pub(super) mod pool;
pub(super) mod recurrent;
pub(super) mod reshape;
pub(super) mod residual;
pub(super) mod size;

pub use activation::{Activation, ActivationLayer, Elu, LeakyRelu};
pub use attention::AttentionLayer;
pub use batch_norm::BatchNormLayer;
pub use conv::ConvLayer;
pub use conv1d::Conv1dLayer;
pub use dense::DenseLayer;
pub use dropout::{DropoutLayer, SpatialDropoutLayer};
pub use embedding::{EmbeddingLayer, Position, PositionLayer};
pub use global_pool::{GlobalPool, GlobalPoolLayer};
pub use layer_norm::{GroupNormLayer, LayerNormLayer};
pub use pool::{AvgPoolLayer, MaxPoolLayer};
pub use recurrent::{GruLayer, LstmLayer, Output, RnnLayer};
pub use reshape::{FlattenLayer, RowsLayer};
pub use residual::ResidualLayer;
pub use size::Padding;

use super::builder::Builder;

luthier_core::kinds! {
    /// A layer of a study file. Its kind is the key that says its size.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Layer ("a layer") by key {
        /// Fully connected: `y = x W + b`.
        "dense" => Dense(DenseLayer),
        /// Two-dimensional convolution over images.
        "conv" => Conv(ConvLayer),
        /// Convolution along sequences.
        "conv1d" => Conv1d(Conv1dLayer),
        /// The maximum over windows.
        "max_pool" => MaxPool(MaxPoolLayer),
        /// The mean over windows.
        "avg_pool" => AvgPool(AvgPoolLayer),
        /// The mean or maximum over a whole image or sequence.
        "global_pool" => GlobalPool(GlobalPoolLayer),
        /// Batch normalisation.
        "batch_norm" => BatchNorm(BatchNormLayer),
        /// Layer normalisation.
        "layer_norm" => LayerNorm(LayerNormLayer),
        /// Group normalisation.
        "group_norm" => GroupNorm(GroupNormLayer),
        /// Layers with a connection around them.
        "residual" => Residual(ResidualLayer),
        /// A vector for each token.
        "embedding" => Embedding(EmbeddingLayer),
        /// A vector for each position, added to sequences.
        "position" => Position(PositionLayer),
        /// A plain recurrent layer.
        "rnn" => Rnn(RnnLayer),
        /// Long short-term memory.
        "lstm" => Lstm(LstmLayer),
        /// Gated recurrent units.
        "gru" => Gru(GruLayer),
        /// Self-attention and a feed-forward network.
        "attention" => Attention(AttentionLayer),
        /// An image as a sequence of its rows.
        "rows" => Rows(RowsLayer),
        /// One vector of each example.
        "flatten" => Flatten(FlattenLayer),
        /// Dropout of whole channels.
        "spatial_dropout" => SpatialDropout(SpatialDropoutLayer),
        /// Dropout.
        "dropout" => Dropout(DropoutLayer),
        /// An activation on its own.
        "activation" => Activation(ActivationLayer),
    }
}

impl Layer {
    /// Adds it to a network.
    ///
    /// # Errors
    ///
    /// Why it does not fit the shape before it.
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        match self {
            Self::Dense(layer) => layer.build(builder),
            Self::Conv(layer) => layer.build(builder),
            Self::Conv1d(layer) => layer.build(builder),
            Self::MaxPool(layer) => layer.build(builder),
            Self::AvgPool(layer) => layer.build(builder),
            Self::GlobalPool(layer) => layer.build(builder),
            Self::BatchNorm(layer) => layer.build(builder),
            Self::LayerNorm(layer) => layer.build(builder),
            Self::GroupNorm(layer) => layer.build(builder),
            Self::Residual(layer) => layer.build(builder),
            Self::Embedding(layer) => layer.build(builder),
            Self::Position(layer) => layer.build(builder),
            Self::Rnn(layer) => layer.build(builder),
            Self::Lstm(layer) => layer.build(builder),
            Self::Gru(layer) => layer.build(builder),
            Self::Attention(layer) => layer.build(builder),
            Self::Rows(layer) => layer.build(builder),
            Self::Flatten(layer) => layer.build(builder),
            Self::SpatialDropout(layer) => layer.build(builder),
            Self::Dropout(layer) => layer.build(builder),
            Self::Activation(layer) => {
                if let shape @ crate::shape::Shape::Tokens { .. } = builder.shape() {
                    return Err(format!("an activation needs numbers, and here come {}", size::named(shape)));
                }
                builder.activation(layer.activation);
                Ok(())
            }
        }?;
        builder.check()
    }
}
