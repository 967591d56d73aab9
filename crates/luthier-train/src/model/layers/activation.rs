//! Activations, as PyTorch defines them.

use burn::tensor::{Tensor, activation};

use crate::model::Signal;

luthier_core::settings! {
    /// An activation on its own.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ActivationLayer {
        /// Which one.
        activation: Activation;
    }
}

luthier_core::kinds! {
    /// A function that is applied to each unit.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Activation ("an activation") {
        /// `x`
        "none" => None,
        /// `max(x, 0)`
        "relu" => Relu,
        /// `x` above 0, `0.01 x` below.
        "leaky_relu" => LeakyRelu,
        /// `x` above 0, `exp(x) - 1` below.
        "elu" => Elu,
        /// `x Φ(x)` with the normal distribution function Φ.
        "gelu" => Gelu,
        /// `x σ(x)`, also called swish.
        "silu" => Silu,
        /// `σ(x) = 1 / (1 + exp(-x))`
        "sigmoid" => Sigmoid,
        /// `tanh(x)`
        "tanh" => Tanh,
    }
}

impl Activation {
    /// It as a module of PyTorch.
    pub(crate) fn torch(self) -> String {
        match self {
            Self::None => "nn.Identity()",
            Self::Relu => "nn.ReLU()",
            Self::LeakyRelu => "nn.LeakyReLU(0.01)",
            Self::Elu => "nn.ELU()",
            Self::Gelu => "nn.GELU()",
            Self::Silu => "nn.SiLU()",
            Self::Sigmoid => "nn.Sigmoid()",
            Self::Tanh => "nn.Tanh()",
        }
        .to_owned()
    }

    /// It, applied to each number.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Relu => activation::relu(x),
            Self::LeakyRelu => activation::leaky_relu(x, 0.01),
            Self::Elu => activation::elu(x, 1.0),
            Self::Gelu => activation::gelu(x),
            Self::Silu => activation::silu(x),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Tanh => activation::tanh(x),
        }
    }
}

/// `function`, applied to each unit.
pub(crate) fn forward(function: Activation, signal: Signal) -> Signal {
    match signal {
        Signal::Flat(tensor) => Signal::Flat(function.apply(tensor)),
        Signal::Image(tensor) => Signal::Image(function.apply(tensor)),
        Signal::Sequence { values, mask } => Signal::Sequence { values: function.apply(values), mask },
        Signal::Tokens(tokens) => Signal::Tokens(tokens),
    }
}
