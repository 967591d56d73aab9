//! Losses: on the device for the gradient, on the host for the record.
//!
//! The device computes what is differentiated. The figure that is reported is computed from the
//! network's outputs in double precision, so it does not depend on how the examples were batched.

use burn::tensor::{Tensor, TensorData, activation};

use crate::data::Targets;

luthier_core::kinds! {
    /// What training makes small.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Loss ("a loss") {
        /// Cross-entropy of the softmax over the classes.
        "cross_entropy" => CrossEntropy,
        /// Cross-entropy of the sigmoid of one output, for two classes.
        "binary_cross_entropy" => BinaryCrossEntropy,
        /// Mean squared error.
        "mse" => Mse,
    }
}

impl Loss {
    /// The usual loss for these targets.
    pub fn for_targets(targets: &Targets) -> Self {
        match targets {
            Targets::Classes { .. } => Self::CrossEntropy,
            Targets::Numbers { .. } => Self::Mse,
        }
    }

    /// The number of outputs that it needs for these targets.
    ///
    /// # Errors
    ///
    /// What it expects instead, where it does not fit them.
    pub fn outputs(self, targets: &Targets) -> Result<usize, String> {
        match (self, targets) {
            (Self::CrossEntropy, Targets::Classes { names, .. }) => Ok(names.len()),
            (Self::BinaryCrossEntropy, Targets::Classes { names, .. }) if names.len() == 2 => Ok(1),
            (Self::BinaryCrossEntropy, Targets::Classes { names, .. }) => {
                Err(format!("binary cross-entropy is for two classes, and the data has {}", names.len()))
            }
            (Self::Mse, Targets::Numbers { .. }) => Ok(1),
            (Self::Mse, Targets::Classes { .. }) => {
                Err("mse is for numbers, and the data has classes: use \"cross_entropy\"".to_owned())
            }
            (_, Targets::Numbers { .. }) => {
                Err(format!("{} is for classes, and the data has numbers: use \"mse\"", self.kind()))
            }
        }
    }

    /// The mean loss of a batch, for its gradient.
    ///
    /// `outputs` is `[batch, outputs]`; `targets` holds a class number or a (standardised) number for
    /// each example.
    pub(crate) fn of_batch(self, outputs: Tensor<2>, targets: &[f32]) -> Tensor<1> {
        let [batch, width] = outputs.dims();
        let device = outputs.device();
        match self {
            Self::CrossEntropy => {
                let mut chosen = vec![0.0_f32; batch * width];
                for (row, class) in targets.iter().enumerate() {
                    chosen[row * width + *class as usize] = -1.0 / batch as f32;
                }
                let chosen = Tensor::<2>::from_data(TensorData::new(chosen, [batch, width]), &device);
                (activation::log_softmax(outputs, 1) * chosen).sum()
            }
            Self::BinaryCrossEntropy => {
                // max(x, 0) - x t + ln(1 + exp(-|x|)), which does not overflow.
                let targets = Tensor::<2>::from_data(TensorData::new(targets.to_vec(), [batch, 1]), &device);
                let size = outputs.clone().abs();
                let tail = size.clone().neg().exp().log1p();
                // max(x, 0) as (x + |x|) / 2, whose slope at 0 is 1/2, as that of the whole is to be.
                ((outputs.clone() + size).mul_scalar(0.5) - outputs * targets + tail).mean()
            }
            Self::Mse => {
                let targets = Tensor::<2>::from_data(TensorData::new(targets.to_vec(), [batch, 1]), &device);
                (outputs - targets).square().mean()
            }
        }
    }

    /// The loss of each example, in double precision. The shapes are those of [`Loss::of_batch`].
    pub(crate) fn each<'a>(self, outputs: &'a [f32], targets: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let width = outputs.len() / targets.len().max(1);
        outputs.chunks_exact(width.max(1)).zip(targets).map(move |(row, target)| match self {
            Self::CrossEntropy => {
                let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let highest = f64::from(highest);
                let sum: f64 = row.iter().map(|x| libm::exp(f64::from(*x) - highest)).sum();
                let chosen = row.get(*target as usize).copied().unwrap_or(f32::NAN);
                libm::log(sum) + highest - f64::from(chosen)
            }
            Self::BinaryCrossEntropy => {
                let (x, t) = (f64::from(row[0]), f64::from(*target));
                // `f64::max` would hide a NaN.
                let positive = if x < 0.0 { 0.0 } else { x };
                positive - x * t + libm::log1p(libm::exp(-x.abs()))
            }
            Self::Mse => {
                let error = f64::from(row[0]) - f64::from(*target);
                error * error
            }
        })
    }
}

#[cfg(test)]
mod tests;
