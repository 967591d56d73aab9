//! The encoder of a transformer, as a classifier.

use luthier_core::config::bounds;

use crate::model::builder::Builder;
use crate::model::layers::size::{DEPTH, FILTERS, UNITS};
use crate::model::{
    Activation, AttentionLayer, DenseLayer, EmbeddingLayer, GlobalPool, GlobalPoolLayer, LayerNormLayer,
    Position, PositionLayer, RowsLayer,
};
use crate::shape::Shape;

use super::text::{drop_units, finish};

luthier_core::settings! {
    /// Blocks of attention over the vectors of tokens, of a sequence or of the rows of an image; the mean
    /// over all steps goes into the output layer. Normalises before each part (Xiong et al. 2020). The
    /// state dict has `embedding` or `project`, `encoder` as PyTorch's `nn.TransformerEncoder`, and `fc`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Transformer {
        /// Number of blocks; from 1 to 6 is usual.
        blocks: usize = 2, DEPTH;
        /// The size of the vectors; from 32 to 256 is usual, and that of the word vectors where they come
        /// from a file. The heads divide it.
        width: usize = 64, UNITS;
        /// Number of heads; from 2 to 8 is usual.
        heads: usize = 4, FILTERS;
        /// Units of the feed-forward networks; four times the width where it is left out.
        feed_forward: Option<usize> = None, UNITS;
        /// Activation of the feed-forward networks.
        activation: Activation = Activation::Relu;
        /// How steps know their place: "sinusoidal" or "learned".
        position: Position = Position::Sinusoidal;
        /// Probability with which weights of attention and units are dropped while training; from 0.1 to
        /// 0.3 is usual.
        dropout: f64 = 0.1, bounds::BELOW_ONE;
    }
}

impl Transformer {
    pub(super) fn build(&self, outputs: usize, builder: &mut Builder<'_>) -> Result<(), String> {
        match builder.shape() {
            Shape::Tokens { .. } => {
                builder.name_next("embedding");
                EmbeddingLayer { embedding: self.width, init: None }.build(builder)?;
            }
            shape => {
                if matches!(shape, Shape::Image { .. }) {
                    builder.name_next("rows");
                    RowsLayer { rows: true }.build(builder)?;
                } else if matches!(shape, Shape::Flat(_)) {
                    return Err(format!("it needs texts, sequences or images, and here come {shape}"));
                }
                builder.name_next("project");
                DenseLayer::linear(self.width).build(builder)?;
            }
        }
        builder.name_next("position");
        PositionLayer { position: self.position, init: None }.build(builder)?;
        drop_units(self.dropout, "dropout", builder)?;
        builder.scope("encoder", |builder| {
            builder
                .scope("layers", |builder| (0..self.blocks).try_for_each(|_| self.block().build(builder)))?;
            builder.name_next("norm");
            LayerNormLayer { layer_norm: true, epsilon: 1e-5 }.build(builder)
        })?;
        builder.name_next("pool");
        GlobalPoolLayer { global_pool: GlobalPool::Avg }.build(builder)?;
        finish(self.dropout, outputs, builder)
    }

    fn block(&self) -> AttentionLayer {
        AttentionLayer {
            attention: self.heads,
            feed_forward: self.feed_forward,
            activation: self.activation,
            dropout: self.dropout,
            norm_first: true,
            epsilon: 1e-5,
            init: None,
        }
    }
}
