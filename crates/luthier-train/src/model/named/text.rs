//! Classifiers of texts: recurrent, and convolutional.

use burn::module::Module;
use burn::tensor::Tensor;
use luthier_core::config::bounds;

use crate::model::builder::Builder;
use crate::model::layers::size::{DEPTH, FILTERS, UNITS};
use crate::model::stage::Stage;
use crate::model::{
    Activation, Conv1dLayer, DenseLayer, DropoutLayer, EmbeddingLayer, GlobalPool, GlobalPoolLayer, GruLayer,
    LstmLayer, Output, Padding, Pass, Signal,
};
use crate::shape::Shape;

luthier_core::settings! {
    /// Vectors of tokens, a recurrent layer, and its last state into the output layer. The state dict has
    /// `embedding`, `lstm` or `gru`, and `fc`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RecurrentText {
        /// The size of the vectors of tokens; from 32 to 300 is usual, and that of the word vectors where
        /// they come from a file.
        embedding: usize = 64, UNITS;
        /// Units in each direction; from 32 to 256 is usual.
        units: usize = 64, UNITS;
        /// Recurrent layers upon each other; seldom more than 2.
        layers: usize = 1, DEPTH;
        /// Whether the text is read backwards as well.
        bidirectional: bool = false;
        /// Probability with which units are dropped behind the vectors, between the layers and before the
        /// output layer while training; from 0 to 0.5 is usual.
        dropout: f64 = 0.0, bounds::BELOW_ONE;
    }
}

/// What reads the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Lstm,
    Gru,
}

impl RecurrentText {
    pub(super) fn build(&self, cell: Cell, outputs: usize, builder: &mut Builder<'_>) -> Result<(), String> {
        let Self { embedding, units, layers, bidirectional, dropout } = *self;
        embed(embedding, builder)?;
        drop_units(dropout, "dropout", builder)?;
        let (output, init) = (Output::Last, None);
        match cell {
            Cell::Lstm => {
                builder.name_next("lstm");
                LstmLayer { lstm: units, layers, bidirectional, dropout, output, init }.build(builder)?;
            }
            Cell::Gru => {
                builder.name_next("gru");
                GruLayer { gru: units, layers, bidirectional, dropout, output, init }.build(builder)?;
            }
        }
        finish(dropout, outputs, builder)
    }
}

luthier_core::settings! {
    /// Convolutions of several widths over the vectors of tokens, beside each other, and the largest value
    /// of each filter (Kim, "Convolutional neural networks for sentence classification", 2014). The state
    /// dict has `embedding`, `convs.0` and so on, and `fc`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ConvText {
        /// The size of the vectors of tokens; from 32 to 300 is usual, and that of the word vectors where
        /// they come from a file.
        embedding: usize = 64, UNITS;
        /// Filters of each width; from 50 to 200 is usual.
        filters: usize = 100, FILTERS;
        /// Tokens that the narrowest filters see.
        kernel: usize = 3, FILTERS;
        /// Different widths: each one token wider than the one before.
        widths: usize = 3, DEPTH;
        /// Activation behind the convolutions.
        activation: Activation = Activation::Relu;
        /// Probability with which units are dropped before the output layer while training; the paper has 0.5.
        dropout: f64 = 0.0, bounds::BELOW_ONE;
    }
}

impl ConvText {
    pub(super) fn build(&self, outputs: usize, builder: &mut Builder<'_>) -> Result<(), String> {
        embed(self.embedding, builder)?;
        let before = builder.shape();
        let label = format!("convolutions of {} to {} tokens", self.kernel, self.kernel + self.widths - 1);
        builder.name_next("convs");
        builder.composite(&label, |builder| {
            let mut branches = Vec::with_capacity(self.widths);
            for number in 0..self.widths {
                builder.set_shape(before);
                branches.push(Branch {
                    stages: builder.part("", |builder| {
                        builder.name_next(&number.to_string());
                        let convolution = Conv1dLayer::new(self.filters, self.kernel + number, 1, 0);
                        Conv1dLayer { padding: Padding::Same, ..convolution }.build(builder)?;
                        builder.activation(self.activation);
                        GlobalPoolLayer { global_pool: GlobalPool::Max }.build(builder)
                    })?,
                });
            }
            builder.set_shape(Shape::Flat(self.filters * self.widths));
            Ok(Stage::Branches(Branches { branches }))
        })?;
        finish(self.dropout, outputs, builder)
    }
}

/// Stages in a row.
#[derive(Module, Debug)]
struct Branch {
    stages: Vec<Stage>,
}

/// Rows of stages beside each other; the vectors that they give are put together.
#[derive(Module, Debug)]
pub(crate) struct Branches {
    branches: Vec<Branch>,
}

impl Branches {
    pub(crate) fn forward(&self, signal: &Signal, pass: &mut Pass<'_>) -> Signal {
        let vectors = self.branches.iter().map(|branch| {
            branch.stages.iter().fold(signal.clone(), |signal, stage| stage.forward(signal, pass)).flat()
        });
        Signal::Flat(Tensor::cat(vectors.collect(), 1))
    }
}

fn embed(size: usize, builder: &mut Builder<'_>) -> Result<(), String> {
    builder.name_next("embedding");
    EmbeddingLayer { embedding: size, init: None }.build(builder)
}

pub(super) fn drop_units(rate: f64, name: &str, builder: &mut Builder<'_>) -> Result<(), String> {
    if rate == 0.0 {
        return Ok(());
    }
    builder.name_next(name);
    DropoutLayer { dropout: rate }.build(builder)
}

/// Dropout and the output layer.
pub(super) fn finish(dropout: f64, outputs: usize, builder: &mut Builder<'_>) -> Result<(), String> {
    drop_units(dropout, "dropout2", builder)?;
    builder.name_next("fc");
    DenseLayer::linear(outputs).build(builder)
}
