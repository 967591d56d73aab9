//! Fully connected layers: `y = x W + b`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::linear;

use crate::model::builder::{Builder, Outline};
use crate::model::init::{Fill, Init};
use crate::model::plan::{DenseKernel, Planner};
use crate::model::stage::{Operation, Stage};
use crate::model::weights::{Layout, Role};
use crate::model::{Activation, Signal};
use crate::shape::Shape;

use super::size::{UNITS, named};

luthier_core::settings! {
    /// A fully connected layer. Images are flattened before it; on sequences it acts at each step.
    #[derive(Debug, Clone, PartialEq)]
    pub struct DenseLayer {
        /// Number of units; from 16 to 1024 is usual.
        dense: usize, UNITS;
        /// Activation behind it.
        activation: Activation = Activation::None;
        /// Whether a number of its own is added to each unit. Normalisation behind it makes that needless.
        bias: bool = true;
        /// How its initial weights are drawn; as `init` of `[model]` says where it is left out.
        init: Option<Init> = None;
    }
}

/// Weights `[inputs, units]` and biases `[units]`.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl DenseLayer {
    /// So many units without an activation.
    pub(crate) fn linear(units: usize) -> Self {
        Self { dense: units, activation: Activation::None, bias: true, init: None }
    }

    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let units = self.dense;
        let (inputs, steps, shape) = match builder.shape() {
            Shape::Flat(inputs) => (inputs, 1, Shape::Flat(units)),
            image @ Shape::Image { .. } => {
                let inputs = image.size();
                let outline = Outline::torch("nn.Flatten()".to_owned(), Shape::Flat(inputs));
                builder.plain(Operation::Flatten(image), outline);
                (inputs, 1, Shape::Flat(units))
            }
            Shape::Sequence { length, features } => {
                (features, length, Shape::Sequence { length, features: units })
            }
            tokens @ Shape::Tokens { .. } => {
                return Err(format!("a dense layer needs numbers, and here come {}", named(tokens)));
            }
        };
        let bias = if self.bias { "" } else { ", bias=False" };
        let outline = Outline::torch(format!("nn.Linear({inputs}, {units}{bias})"), shape);
        builder.weighted(outline.multiply_adds(inputs * units, steps), |builder| {
            // As PyTorch's nn.Linear: U(-1/sqrt(inputs), 1/sqrt(inputs)) for weights and biases.
            let default = Fill::Uniform(1.0 / (inputs as f64).sqrt());
            let (weight, bias) = builder.fills(self.init, default, 1);
            let mut rng = builder.init_stream();
            let role = (Role::Weight, Layout::Transposed);
            let weight = builder.parameter("weight", [inputs, units], role, weight, &mut rng);
            let bias = self
                .bias
                .then(|| builder.parameter("bias", [units], (Role::Bias, Layout::Same), bias, &mut rng));
            Stage::Dense(Dense { weight, bias })
        });
        builder.activation(self.activation);
        Ok(())
    }
}

impl Dense {
    /// Its kernel for CPUs.
    pub(crate) fn plan(&self, planner: &mut Planner<'_>) -> bool {
        let [inputs, units] = self.weight.val().dims();
        let shape = match planner.shape() {
            Shape::Flat(_) => Shape::Flat(units),
            Shape::Sequence { length, .. } => Shape::Sequence { length, features: units },
            Shape::Image { .. } | Shape::Tokens { .. } => return false,
        };
        let (weight, bias) = (planner.parameter(), self.bias.as_ref().map(|_| planner.parameter()));
        let kernel = luthier_kernels::Dense { inputs, units };
        planner.push(DenseKernel::new(kernel, weight, bias), shape)
    }

    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        let (weight, bias) = (self.weight.val(), self.bias.as_ref().map(Param::val));
        match signal {
            Signal::Sequence { values, mask } => {
                Signal::Sequence { values: steps(values, weight, bias), mask }
            }
            signal => Signal::Flat(linear(signal.flat(), weight, bias)),
        }
    }
}

/// `x W + b` at each step of `[batch, length, inputs]`: one product of matrices, which is much faster
/// backwards than one for each example.
pub(super) fn steps(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    let [batch, length, inputs] = x.dims();
    let [_, outputs] = weight.dims();
    linear(x.reshape([batch * length, inputs]), weight, bias).reshape([batch, length, outputs])
}
