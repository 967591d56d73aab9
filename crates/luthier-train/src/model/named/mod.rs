//! Named models: `architecture = "vgg16"` in place of a list of layers.
//!
//! VGG and ResNet are torchvision's, to the names in their state dicts; the others are small models that
//! their fields begin with. Every setting may be a range. The output layer follows from the data.

mod adaptive_pool;
mod cnn;
mod mlp;
mod resnet;
mod row_rnn;
mod text;
mod transformer;
mod vgg;

use luthier_core::config::Bound;

use super::Init;
use super::builder::Builder;

pub(crate) use adaptive_pool::AdaptivePool;
pub use cnn::Cnn;
pub use mlp::Mlp;
pub use resnet::{ResNet, Stem};
pub use row_rnn::{RowRnn, RowRnnCell};
pub(crate) use text::Branches;
pub use text::{ConvText, RecurrentText};
pub use transformer::Transformer;
pub use vgg::Vgg;

luthier_core::kinds! {
    /// A named model: its name, or `{ kind = "vgg16", width = 0.25 }` with settings.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Architecture ("a named model") {
        /// Fully connected layers of one size (a multilayer perceptron).
        "mlp" => Mlp(Mlp),
        /// Blocks of convolutions and pooling, then a dense layer (LeCun et al. 1998, with today's parts).
        "cnn" => Cnn(Cnn),
        /// VGG with 8 convolutions and 3 dense layers (Simonyan and Zisserman 2014), as torchvision's.
        "vgg11" => Vgg11(Vgg),
        /// VGG11 with batch normalisation.
        "vgg11_bn" => Vgg11Bn(Vgg),
        /// VGG with 10 convolutions and 3 dense layers.
        "vgg13" => Vgg13(Vgg),
        /// VGG13 with batch normalisation.
        "vgg13_bn" => Vgg13Bn(Vgg),
        /// VGG with 13 convolutions and 3 dense layers.
        "vgg16" => Vgg16(Vgg),
        /// VGG16 with batch normalisation.
        "vgg16_bn" => Vgg16Bn(Vgg),
        /// VGG with 16 convolutions and 3 dense layers.
        "vgg19" => Vgg19(Vgg),
        /// VGG19 with batch normalisation.
        "vgg19_bn" => Vgg19Bn(Vgg),
        /// A residual network of 18 layers (He et al. 2016), as torchvision's.
        "resnet18" => ResNet18(ResNet),
        /// A residual network of 34 layers.
        "resnet34" => ResNet34(ResNet),
        /// An LSTM over the vectors of tokens, its last state into the output layer.
        "lstm_text" => LstmText(RecurrentText),
        /// The same with gated recurrent units.
        "gru_text" => GruText(RecurrentText),
        /// Filters of several widths over the vectors of tokens, the largest value of each (Kim 2014).
        "cnn_text" => ConvText(ConvText),
        /// A recurrent layer that reads an image row by row (Le, Jaitly and Hinton 2015 read it by pixels).
        "row_rnn" => RowRnn(RowRnn),
        /// The encoder of a transformer (Vaswani et al. 2017) for texts, sequences, or the rows of images.
        "transformer" => Transformer(Transformer),
    }
}

/// A factor on numbers of channels or units.
const WIDTH: Bound<f64> =
    Bound { expected: "a number above 0 and at most 8", holds: |width| *width > 0.0 && *width <= 8.0 };

/// So many channels times `width`, at least one. Halves are rounded up.
fn scaled(channels: usize, width: f64) -> usize {
    ((channels as f64 * width + 0.5).floor() as usize).max(1)
}

impl Architecture {
    /// Builds it, output layer included. `init` is how weights are drawn, where the user says so.
    ///
    /// # Errors
    ///
    /// Why it does not fit the shape of an example.
    pub(super) fn build(&self, outputs: usize, init: Init, builder: &mut Builder<'_>) -> Result<(), String> {
        match self {
            Self::Mlp(model) => model.build(outputs, builder),
            Self::Cnn(model) => model.build(outputs, builder),
            Self::Vgg11(model) => model.build([1, 1, 2, 2, 2], false, outputs, init, builder),
            Self::Vgg11Bn(model) => model.build([1, 1, 2, 2, 2], true, outputs, init, builder),
            Self::Vgg13(model) => model.build([2, 2, 2, 2, 2], false, outputs, init, builder),
            Self::Vgg13Bn(model) => model.build([2, 2, 2, 2, 2], true, outputs, init, builder),
            Self::Vgg16(model) => model.build([2, 2, 3, 3, 3], false, outputs, init, builder),
            Self::Vgg16Bn(model) => model.build([2, 2, 3, 3, 3], true, outputs, init, builder),
            Self::Vgg19(model) => model.build([2, 2, 4, 4, 4], false, outputs, init, builder),
            Self::Vgg19Bn(model) => model.build([2, 2, 4, 4, 4], true, outputs, init, builder),
            Self::ResNet18(model) => model.build([2, 2, 2, 2], outputs, init, builder),
            Self::ResNet34(model) => model.build([3, 4, 6, 3], outputs, init, builder),
            Self::LstmText(model) => model.build(text::Cell::Lstm, outputs, builder),
            Self::GruText(model) => model.build(text::Cell::Gru, outputs, builder),
            Self::ConvText(model) => model.build(outputs, builder),
            Self::RowRnn(model) => model.build(outputs, builder),
            Self::Transformer(model) => model.build(outputs, builder),
        }?;
        builder.check()
    }

    /// What torchvision calls the model that this one is, its settings taken into account: the name under
    /// which it has weights.
    pub fn torchvision_name(&self) -> &'static str {
        match self {
            Self::Vgg11(model) if model.batch_norm => "vgg11_bn",
            Self::Vgg13(model) if model.batch_norm => "vgg13_bn",
            Self::Vgg16(model) if model.batch_norm => "vgg16_bn",
            Self::Vgg19(model) if model.batch_norm => "vgg19_bn",
            _ => self.kind(),
        }
    }
}

#[cfg(test)]
mod tests;
