//! The loss of each example, on the host and in double precision.

use super::{BinaryFocal, BoundLoss, CrossEntropy, Focal, Huber, Loss};

/// What one example adds to a loss. The loss of many examples is the sum of their `sum`s over the sum of
/// their `weight`s, in whatever batches they came.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Term {
    /// Its part of the sum.
    pub(crate) sum: f64,
    /// Its part of what the sum is divided by: the weight of its class for cross-entropy, else 1.
    pub(crate) weight: f64,
}

impl Term {
    /// The loss that a sum of terms comes to.
    pub(crate) fn value(self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { self.sum }
    }
}

impl BoundLoss {
    /// The term of each example.
    ///
    /// `outputs` holds the network's outputs row by row and `targets` a class number or a (standardised)
    /// number for each row. With `mixed`, each example also has a second target and the share of the
    /// first: its loss is `share L(first) + (1 - share) L(second)`.
    pub(crate) fn each<'a>(
        &'a self,
        outputs: &'a [f32],
        targets: &'a [f32],
        mixed: Option<(&'a [f32], &'a [f32])>,
    ) -> impl Iterator<Item = Term> + 'a {
        let width = outputs.len() / targets.len().max(1);
        outputs.chunks_exact(width.max(1)).zip(targets).enumerate().map(move |(i, (row, target))| {
            let first = self.term(row, f64::from(*target));
            let Some((seconds, shares)) = mixed else { return first };
            let second = self.term(row, f64::from(seconds[i]));
            let share = f64::from(shares[i]);
            Term {
                sum: share * first.sum + (1.0 - share) * second.sum,
                weight: share * first.weight + (1.0 - share) * second.weight,
            }
        })
    }

    pub(super) fn term(&self, row: &[f32], target: f64) -> Term {
        let class = target as usize;
        let even = |sum: f64| Term { sum, weight: 1.0 };
        match &self.loss {
            Loss::CrossEntropy(CrossEntropy { smoothing, .. }) => {
                let normaliser = log_sum_exp(row);
                let weight = self.weight(class);
                let mut sum = (1.0 - smoothing) * weight * (normaliser - output(row, class));
                if *smoothing > 0.0 {
                    let all = row
                        .iter()
                        .enumerate()
                        .map(|(other, x)| self.weight(other) * (normaliser - f64::from(*x)));
                    sum += smoothing / row.len() as f64 * all.sum::<f64>();
                }
                Term { sum, weight }
            }
            Loss::Focal(Focal { gamma, .. }) => {
                let normaliser = log_sum_exp(row);
                let nll = normaliser - output(row, class);
                // 1 - p, without the cancellation of p near 1.
                let rest = -libm::expm1(-nll);
                even(self.weight(class) * libm::pow(rest, *gamma) * nll)
            }
            Loss::BinaryCrossEntropy(_) => {
                let (x, t) = (f64::from(row[0]), self.smoothed(target));
                even(self.weight(1) * t * softplus(-x) + self.weight(0) * (1.0 - t) * softplus(x))
            }
            Loss::BinaryFocal(BinaryFocal { gamma, .. }) => {
                let x = f64::from(row[0]);
                let (right, wrong) = (softplus(-x), softplus(x));
                let positive = target * self.weight(1) * libm::exp(-gamma * wrong) * right;
                even(positive + (1.0 - target) * self.weight(0) * libm::exp(-gamma * right) * wrong)
            }
            Loss::Mse => {
                let error = f64::from(row[0]) - target;
                even(error * error)
            }
            Loss::Mae => even((f64::from(row[0]) - target).abs()),
            Loss::Huber(Huber { delta }) => {
                let error = (f64::from(row[0]) - target).abs();
                // `f64::min` would hide a NaN.
                let near = if error > *delta { *delta } else { error };
                even(near * (error - near / 2.0))
            }
        }
    }
}

pub(super) fn output(row: &[f32], class: usize) -> f64 {
    f64::from(row.get(class).copied().unwrap_or(f32::NAN))
}

/// The logarithm of the sum of exponentials.
pub(crate) fn log_sum_exp(row: &[f32]) -> f64 {
    let highest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = row.iter().map(|x| libm::exp(f64::from(*x) - highest)).sum();
    libm::log(sum) + highest
}

/// ln(1 + exp(x)), which does not overflow.
pub(super) fn softplus(x: f64) -> f64 {
    // `f64::max` would hide a NaN.
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + libm::log1p(libm::exp(-x.abs()))
}
