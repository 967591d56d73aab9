//! Activations, as PyTorch defines them.

use burn::tensor::{Tensor, activation};
use luthier_core::config::bounds;

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
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Activation ("an activation") {
        /// `x`
        "none" => None,
        /// `max(x, 0)` (Nair and Hinton 2010): the usual one behind dense layers and convolutions.
        "relu" => Relu,
        /// `x` above 0, `slope x` below (Maas et al. 2013).
        "leaky_relu" => LeakyRelu(LeakyRelu),
        /// `x` above 0, `alpha (exp(x) - 1)` below (Clevert et al. 2016).
        "elu" => Elu(Elu),
        /// `x Φ(x)` with the normal distribution function Φ (Hendrycks and Gimpel 2016).
        "gelu" => Gelu,
        /// `x σ(x)`, also called swish (Elfwing et al. 2018).
        "silu" => Silu,
        /// `σ(x) = 1 / (1 + exp(-x))`
        "sigmoid" => Sigmoid,
        /// `tanh(x)`
        "tanh" => Tanh,
        /// `log(1 + exp(x))` (Dugas et al. 2001)
        "softplus" => Softplus,
        /// `x tanh(log(1 + exp(x)))` (Misra 2020)
        "mish" => Mish,
    }
}

luthier_core::settings! {
    /// Settings of the leaky rectifier.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct LeakyRelu {
        /// The slope below 0; from 0.01 to 0.3 is usual.
        slope: f64 = 0.01, bounds::NOT_NEGATIVE;
    }
}

luthier_core::settings! {
    /// Settings of the exponential linear unit.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Elu {
        /// What it goes to far below 0, with a minus sign.
        alpha: f64 = 1.0, bounds::POSITIVE;
    }
}

impl Activation {
    /// It as a module of PyTorch.
    pub(crate) fn torch(self) -> String {
        match self {
            Self::None => "nn.Identity()",
            Self::Relu => "nn.ReLU()",
            Self::LeakyRelu(LeakyRelu { slope }) => return format!("nn.LeakyReLU({slope:?})"),
            Self::Elu(Elu { alpha }) if alpha != 1.0 => return format!("nn.ELU({alpha:?})"),
            Self::Elu(_) => "nn.ELU()",
            Self::Gelu => "nn.GELU()",
            Self::Silu => "nn.SiLU()",
            Self::Sigmoid => "nn.Sigmoid()",
            Self::Tanh => "nn.Tanh()",
            Self::Softplus => "nn.Softplus()",
            Self::Mish => "nn.Mish()",
        }
        .to_owned()
    }

    /// It, applied to each number.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Relu => activation::relu(x),
            Self::LeakyRelu(LeakyRelu { slope }) => activation::leaky_relu(x, slope),
            Self::Elu(Elu { alpha }) => {
                // Burn's own takes the exponential of large numbers too, and their gradient is NaN.
                let positive = x.clone().greater_scalar(0.0);
                let below =
                    x.clone().mask_fill(positive.clone(), 0.0).exp().sub_scalar(1.0).mul_scalar(alpha);
                below.mask_where(positive, x)
            }
            Self::Gelu => activation::gelu(x),
            Self::Silu => activation::silu(x),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Tanh => activation::tanh(x),
            Self::Softplus => activation::softplus(x, 1.0),
            Self::Mish => activation::mish(x),
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
