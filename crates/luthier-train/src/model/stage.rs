//! The stages of a network.

use burn::module::Module;

use super::layers::{activation, conv, dense, dropout};
use super::{Activation, MaxPoolLayer, Pass, Signal};

/// A stage of a network.
#[derive(Module, Debug)]
pub(crate) enum Stage {
    /// Fully connected.
    Dense(dense::Dense),
    /// Two-dimensional convolution.
    Conv(conv::Conv),
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
    /// Makes one vector of each example.
    Flatten,
    /// Takes the maximum over windows.
    MaxPool(MaxPoolLayer),
    /// Drops units at a rate while training.
    Dropout(f64),
    /// Applies a function to each unit.
    Activation(Activation),
}

impl Stage {
    /// What comes out of it for a batch.
    pub(crate) fn forward(&self, signal: Signal, pass: &mut Pass<'_>) -> Signal {
        match self {
            Self::Dense(dense) => dense.forward(signal),
            Self::Conv(conv) => conv.forward(signal),
            Self::Plain(plain) => plain.operation.forward(signal, pass),
        }
    }

    /// Whether it draws random numbers while training.
    pub(super) fn draws(&self) -> bool {
        match self {
            Self::Plain(plain) => matches!(plain.operation, Operation::Dropout(_)),
            _ => false,
        }
    }
}

impl Operation {
    fn forward(&self, signal: Signal, pass: &mut Pass<'_>) -> Signal {
        match self {
            Self::Flatten => Signal::Flat(signal.flat()),
            Self::MaxPool(pool) => pool.forward(signal),
            Self::Dropout(rate) => match pass.dropping(*rate) {
                Some((rate, rng)) => dropout::forward(signal, rate, rng),
                None => signal,
            },
            Self::Activation(function) => activation::forward(*function, signal),
        }
    }
}
