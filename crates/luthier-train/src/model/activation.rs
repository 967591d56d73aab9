//! Activations, as PyTorch defines them.

use burn::tensor::{Tensor, activation};

use super::Signal;

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
    pub(super) fn torch(self) -> &'static str {
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
    }

    pub(super) fn forward(self, signal: Signal) -> Signal {
        match signal {
            Signal::Flat(tensor) => Signal::Flat(self.apply(tensor)),
            Signal::Image(tensor) => Signal::Image(self.apply(tensor)),
        }
    }

    fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
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
