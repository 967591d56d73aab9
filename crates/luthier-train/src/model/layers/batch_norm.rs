//! Batch normalisation (Ioffe and Szegedy 2015), as PyTorch defines it.
//!
//! With the mean μ and variance σ² of a channel over batch and places, scale γ and shift β:
//!
//! ```text
//! y = γ (x - μ) / √(σ² + ε) + β
//! running mean     ← (1 - m) running mean     + m μ
//! running variance ← (1 - m) running variance + m σ² n / (n - 1)
//! ```
//!
//! Evaluation, a frozen layer, and a batch with a single number a channel use the running statistics.
//! Of sequences with padding only the real steps count.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::{batch_norm, batch_norm_train};
use luthier_core::config::bounds;

use crate::model::builder::{Builder, Outline};
use crate::model::init::Fill;
use crate::model::plan::{NormKernel, Planner};
use crate::model::stage::Stage;
use crate::model::weights::{Layout, Role};
use crate::model::{Pass, Signal};
use crate::shape::Shape;

use super::size::{ON, named};

luthier_core::settings! {
    /// Batch normalisation: of each channel of an image, or each feature of a vector or sequence.
    #[derive(Debug, Clone, PartialEq)]
    pub struct BatchNormLayer {
        /// Always true.
        batch_norm: bool, ON;
        /// The share of a batch in the running statistics; smaller for small batches.
        momentum: f64 = 0.1, bounds::SHARE;
        /// Added to the variance.
        epsilon: f64 = 1e-5, bounds::POSITIVE;
    }
}

/// Scale, shift and running statistics, `[channels]` each.
#[derive(Module, Debug)]
pub(crate) struct BatchNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    running_mean: Param<Tensor<1>>,
    running_var: Param<Tensor<1>>,
    /// The place of `weight` among the parameters of the network.
    #[module(skip)]
    place: usize,
    #[module(skip)]
    layer: BatchNormLayer,
}

impl BatchNormLayer {
    /// The one of PyTorch's defaults.
    pub(crate) fn new() -> Self {
        Self { batch_norm: true, momentum: 0.1, epsilon: 1e-5 }
    }

    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let shape = builder.shape();
        let (channels, name) = match shape {
            Shape::Flat(features) => (features, Some("1d")),
            Shape::Image { channels, .. } => (channels, Some("2d")),
            Shape::Sequence { features, .. } => (features, None),
            Shape::Tokens { .. } => {
                return Err(format!("batch normalisation needs numbers, and here come {}", named(shape)));
            }
        };
        let outline = match name {
            Some(name) => {
                let mut torch = format!("nn.BatchNorm{name}({channels}");
                if self.epsilon != 1e-5 {
                    torch += &format!(", eps={:?}", self.epsilon);
                }
                if self.momentum != 0.1 {
                    torch += &format!(", momentum={:?}", self.momentum);
                }
                Outline::torch(torch + ")", shape)
            }
            None => Outline::own("batch_norm".to_owned(), shape),
        };
        builder.weighted(outline, |builder| {
            let place = builder.next_place();
            let mut parameter = |name: &str, role: Role, value: f32| {
                let mut rng = builder.init_stream();
                builder.parameter(name, [channels], (role, Layout::Same), Fill::Constant(value), &mut rng)
            };
            Stage::BatchNorm(BatchNorm {
                weight: parameter("weight", Role::Norm, 1.0),
                bias: parameter("bias", Role::Norm, 0.0),
                running_mean: parameter("running_mean", Role::Running, 0.0),
                running_var: parameter("running_var", Role::Running, 1.0),
                place,
                layer: self.clone(),
            })
        });
        Ok(())
    }
}

impl BatchNorm {
    /// Its kernel for CPUs.
    pub(crate) fn plan(&self, planner: &mut Planner<'_>) -> bool {
        let shape = planner.shape();
        let channels = match shape {
            Shape::Flat(features) => features,
            Shape::Image { channels, .. } => channels,
            Shape::Sequence { .. } | Shape::Tokens { .. } => return false,
        };
        let frozen = planner.is_frozen(self.place);
        let parameters = [(); 4].map(|()| planner.parameter());
        let BatchNormLayer { momentum, epsilon, .. } = self.layer;
        planner.push(NormKernel::new(channels, parameters, (momentum, epsilon), frozen), shape)
    }

    pub(crate) fn forward(&self, signal: Signal, pass: &mut Pass<'_>) -> Signal {
        match signal {
            Signal::Flat(tensor) => Signal::Flat(self.normalise(tensor, pass)),
            Signal::Image(tensor) => Signal::Image(self.normalise(tensor, pass)),
            Signal::Sequence { values, mask: Some(mask) } if self.measures(pass) => {
                let values = self.normalise_masked(values, &mask, pass);
                Signal::Sequence { values, mask: Some(mask) }
            }
            Signal::Sequence { values, mask } => {
                let values = self.normalise(values.swap_dims(1, 2), pass).swap_dims(1, 2);
                Signal::Sequence { values, mask }
            }
            Signal::Tokens(tokens) => Signal::Tokens(tokens),
        }
    }

    fn measures(&self, pass: &Pass<'_>) -> bool {
        pass.is_training() && !pass.is_frozen(self.place)
    }

    /// Normalises `[batch, channels, …]`.
    fn normalise<const D: usize>(&self, x: Tensor<D>, pass: &mut Pass<'_>) -> Tensor<D> {
        let (weight, bias, epsilon) = (self.weight.val(), self.bias.val(), self.layer.epsilon);
        let dims = x.dims();
        let count = dims.iter().product::<usize>() / dims[1].max(1);
        if !self.measures(pass) || count < 2 {
            let (mean, variance) = (self.running_mean.val(), self.running_var.val());
            return batch_norm(x, weight, bias, mean, variance, epsilon);
        }
        let measured = batch_norm_train(x, weight, bias, epsilon);
        let unbiased = measured.variance.inner().mul_scalar(count as f64 / (count - 1) as f64);
        self.record(measured.mean.inner(), unbiased, pass);
        measured.output
    }

    /// Normalises `[batch, length, features]` by its real steps.
    fn normalise_masked(&self, x: Tensor<3>, mask: &Tensor<2>, pass: &mut Pass<'_>) -> Tensor<3> {
        let [batch, length, features] = x.dims();
        let rows = x.reshape([batch * length, features]);
        let real = mask.clone().reshape([batch * length, 1]);
        let count = real.clone().sum_dim(0).clamp_min(1.0);
        let mean = (rows.clone() * real.clone()).sum_dim(0) / count.clone();
        let centred = rows - mean.clone();
        let variance = (centred.clone() * centred.clone() * real).sum_dim(0) / count.clone();
        let deviation = variance.clone().add_scalar(self.layer.epsilon).sqrt();
        let scale = self.weight.val().unsqueeze_dim::<2>(0);
        let normal = centred / deviation * scale + self.bias.val().unsqueeze_dim::<2>(0);
        let count = count.inner();
        let unbiased = variance.inner() * count.clone() / count.sub_scalar(1.0).clamp_min(1.0);
        self.record(mean.inner().squeeze_dim(0), unbiased.squeeze_dim(0), pass);
        normal.reshape([batch, length, features])
    }

    fn record(&self, mean: Tensor<1>, variance: Tensor<1>, pass: &mut Pass<'_>) {
        let share = self.layer.momentum;
        let after = |old: &Param<Tensor<1>>, new: Tensor<1>| {
            old.val().inner().mul_scalar(1.0 - share) + new.mul_scalar(share)
        };
        pass.running.push((self.place + 2, after(&self.running_mean, mean)));
        pass.running.push((self.place + 3, after(&self.running_var, variance)));
    }
}
