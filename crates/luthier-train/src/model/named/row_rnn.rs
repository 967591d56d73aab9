//! Recurrent networks that read an image row by row.

use luthier_core::config::bounds;

use crate::model::builder::Builder;
use crate::model::layers::size::{DEPTH, UNITS};
use crate::model::{GruLayer, LstmLayer, Output, RnnLayer, RowsLayer};

use super::text::finish;

luthier_core::kinds! {
    /// What reads the rows.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RowRnnCell ("\"rnn\", \"lstm\" or \"gru\"") {
        /// A plain recurrent layer.
        "rnn" => Rnn,
        /// Long short-term memory.
        "lstm" => Lstm,
        /// Gated recurrent units.
        "gru" => Gru,
    }
}

luthier_core::settings! {
    /// Reads an image from top to bottom, a row at each step, and puts its last state into the output layer.
    /// The state dict has `rnn`, `lstm` or `gru`, and `fc`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RowRnn {
        /// What reads: "rnn", "lstm" or "gru".
        cell: RowRnnCell = RowRnnCell::Lstm;
        /// Its units; from 32 to 256 is usual.
        units: usize = 128, UNITS;
        /// Recurrent layers upon each other; seldom more than 2.
        layers: usize = 1, DEPTH;
        /// Probability with which units are dropped between the layers and before the output layer while
        /// training.
        dropout: f64 = 0.0, bounds::BELOW_ONE;
    }
}

impl RowRnn {
    pub(super) fn build(&self, outputs: usize, builder: &mut Builder<'_>) -> Result<(), String> {
        let Self { cell, units, layers, dropout } = *self;
        builder.name_next("rows");
        RowsLayer { rows: true }.build(builder)?;
        builder.name_next(cell.kind());
        let (bidirectional, output, init) = (false, Output::Last, None);
        match cell {
            RowRnnCell::Rnn => {
                RnnLayer { rnn: units, layers, bidirectional, dropout, output, init }.build(builder)?;
            }
            RowRnnCell::Lstm => {
                LstmLayer { lstm: units, layers, bidirectional, dropout, output, init }.build(builder)?;
            }
            RowRnnCell::Gru => {
                GruLayer { gru: units, layers, bidirectional, dropout, output, init }.build(builder)?;
            }
        }
        finish(dropout, outputs, builder)
    }
}
