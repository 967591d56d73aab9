//! The loss of a batch, on the device and for its gradient.
//!
//! What depends on the targets alone becomes a tensor of coefficients on the host, which weights,
//! smoothing and mixing go into; the device multiplies it with what depends on the outputs. The sums are
//! for the gradient, which does not depend on their order.

use burn::tensor::{Tensor, TensorData, activation};

use super::{BinaryFocal, BoundLoss, CrossEntropy, Focal, Huber, Loss};

/// Keeps the slope of `(1 - p)^gamma` finite where p is 1 in single precision; below its resolution.
const SMALLEST_REST: f32 = 1e-12;

impl BoundLoss {
    /// The loss of a batch.
    ///
    /// `outputs` is `[batch, outputs]`; `targets` and `mixed` are as for [`BoundLoss::each`].
    pub(crate) fn of_batch(
        &self,
        outputs: Tensor<2>,
        targets: &[f32],
        mixed: Option<(&[f32], &[f32])>,
    ) -> Tensor<1> {
        let [batch, width] = outputs.dims();
        let even = 1.0 / batch as f64;
        match &self.loss {
            Loss::CrossEntropy(CrossEntropy { smoothing, .. }) => {
                let total = total(targets, mixed, |class| self.weight(class));
                let coefficients = coefficients([batch, width], targets, mixed, |row, class, share| {
                    let share = share / total;
                    if *smoothing > 0.0 {
                        for (other, coefficient) in row.iter_mut().enumerate() {
                            *coefficient -= share * smoothing / width as f64 * self.weight(other);
                        }
                    }
                    row[class as usize] -= share * (1.0 - smoothing) * self.weight(class as usize);
                });
                let coefficients = tensor(&coefficients, &outputs);
                (activation::log_softmax(outputs, 1) * coefficients).sum()
            }
            Loss::Focal(Focal { gamma, .. }) => {
                let coefficients = coefficients([batch, width], targets, mixed, |row, class, share| {
                    row[class as usize] -= share * even * self.weight(class as usize);
                });
                let coefficients = tensor(&coefficients, &outputs);
                let log = activation::log_softmax(outputs, 1);
                let rest = log.clone().exp().neg().add_scalar(1.0).clamp_min(SMALLEST_REST);
                (rest.powf_scalar(*gamma as f32) * log * coefficients).sum()
            }
            Loss::BinaryCrossEntropy(_) => self.logistic(outputs, targets, mixed, 0.0),
            Loss::BinaryFocal(BinaryFocal { gamma, .. }) => self.logistic(outputs, targets, mixed, *gamma),
            Loss::Mse | Loss::Mae | Loss::Huber(_) => {
                let Some((seconds, shares)) = mixed else {
                    let targets = column(targets.to_vec(), &outputs);
                    return self.of_error(outputs - targets).mean();
                };
                let first = column(targets.to_vec(), &outputs);
                let second = column(seconds.to_vec(), &outputs);
                let share = column(shares.to_vec(), &outputs);
                let rest = share.clone().neg().add_scalar(1.0);
                let first = self.of_error(outputs.clone() - first) * share;
                (first + self.of_error(outputs - second) * rest).mean()
            }
        }
    }

    /// The losses of one output for two classes. With s(x) = ln(1 + exp(x)), the loss of the second class
    /// is `exp(-gamma s(x)) s(-x)` and that of the first `exp(-gamma s(-x)) s(x)`.
    fn logistic(
        &self,
        outputs: Tensor<2>,
        targets: &[f32],
        mixed: Option<(&[f32], &[f32])>,
        gamma: f64,
    ) -> Tensor<1> {
        let [batch, _] = outputs.dims();
        let target = |i: usize| {
            let first = f64::from(targets[i]);
            let mixed = mixed.map_or(first, |(seconds, shares)| {
                let share = f64::from(shares[i]);
                share * first + (1.0 - share) * f64::from(seconds[i])
            });
            self.smoothed(mixed)
        };
        let of = |factor: f64, part: &dyn Fn(f64) -> f64| {
            let parts = (0..batch).map(|i| (factor * part(target(i)) / batch as f64) as f32);
            column(parts.collect(), &outputs)
        };
        let positive = of(self.weight(1), &|t| t);
        let negative = of(self.weight(0), &|t| 1.0 - t);
        let size = outputs.clone().abs();
        let tail = size.clone().neg().exp().log1p();
        // max(x, 0) as (x + |x|) / 2, whose slope at 0 is 1/2, as that of s is to be.
        let up = (size.clone() + outputs.clone()).mul_scalar(0.5) + tail.clone();
        let down = (size - outputs).mul_scalar(0.5) + tail;
        if gamma == 0.0 {
            return (positive * down + negative * up).sum();
        }
        let factor = |s: &Tensor<2>| s.clone().mul_scalar(-gamma).exp();
        (positive * factor(&up) * down.clone() + negative * factor(&down) * up).sum()
    }

    /// The loss of an error of a number.
    fn of_error(&self, error: Tensor<2>) -> Tensor<2> {
        match &self.loss {
            Loss::Mae => error.abs(),
            Loss::Huber(Huber { delta }) => {
                let error = error.abs();
                let near = error.clone().clamp_max(*delta);
                near.clone() * (error - near.mul_scalar(0.5))
            }
            _ => error.square(),
        }
    }
}

/// The sum of the weights of a batch's targets; 1 where that is 0, so that nothing is divided by it.
fn total(targets: &[f32], mixed: Option<(&[f32], &[f32])>, weight: impl Fn(usize) -> f64) -> f64 {
    let mut total = 0.0;
    for (i, target) in targets.iter().enumerate() {
        let share = mixed.map_or(1.0, |(_, shares)| f64::from(shares[i]));
        total += share * weight(*target as usize);
        if let Some((seconds, _)) = mixed {
            total += (1.0 - share) * weight(seconds[i] as usize);
        }
    }
    if total > 0.0 { total } else { 1.0 }
}

/// A matrix of zeros to which `add` (row, target, share) adds each target of each example.
fn coefficients(
    [batch, width]: [usize; 2],
    targets: &[f32],
    mixed: Option<(&[f32], &[f32])>,
    add: impl Fn(&mut [f64], f32, f64),
) -> Vec<f64> {
    let mut matrix = vec![0.0; batch * width];
    for (i, row) in matrix.chunks_exact_mut(width).enumerate() {
        let share = mixed.map_or(1.0, |(_, shares)| f64::from(shares[i]));
        add(row, targets[i], share);
        if let Some((seconds, _)) = mixed {
            add(row, seconds[i], 1.0 - share);
        }
    }
    matrix
}

/// Numbers in the shape and on the device of `like`.
fn tensor(values: &[f64], like: &Tensor<2>) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    Tensor::from_data(TensorData::new(values, like.dims()), &like.device())
}

/// A number for each example of `like`.
fn column(values: Vec<f32>, like: &Tensor<2>) -> Tensor<2> {
    let batch = values.len();
    Tensor::from_data(TensorData::new(values, [batch, 1]), &like.device())
}
