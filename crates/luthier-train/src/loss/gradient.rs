//! The gradient of the loss of a batch by the network's outputs, on the host and in double precision.

use super::each::{Term, log_sum_exp, softplus};
use super::{BinaryFocal, BoundLoss, Focal, Huber, Loss};

/// Where less than this is left to 1, the slope of `(1 - p)^gamma` is taken from its limit.
const SMALLEST_REST: f64 = 1e-12;

/// What [`BoundLoss::gradient_into`] computes on its way, kept so that its memory serves the next batch as well.
#[derive(Debug, Default)]
pub(crate) struct LossMemory {
    /// `exp(x - highest)` for each output; the slopes of a row for other losses than cross-entropy.
    pub(super) powers: Vec<f64>,
    /// Of each row the sum of its powers, `ln Σ exp(x)`, the weight of its class, and what it adds to the loss.
    pub(super) rows: [Vec<f64>; 4],
}

impl BoundLoss {
    /// The gradient of the mean loss of a batch, row by row as `outputs`, with the sum of the terms of
    /// [`BoundLoss::each`].
    ///
    /// `outputs`, `targets` and `mixed` are as there.
    pub(crate) fn gradient(
        &self,
        outputs: &[f32],
        targets: &[f32],
        mixed: Option<(&[f32], &[f32])>,
    ) -> (Vec<f32>, Term) {
        let mut gradient = vec![0.0; outputs.len()];
        let sum = self.gradient_into(outputs, targets, mixed, &mut LossMemory::default(), &mut gradient);
        (gradient, sum)
    }

    /// The sum of the terms of [`BoundLoss::each`], which does not depend on the batches that they came in either.
    pub(crate) fn sum(&self, outputs: &[f32], targets: &[f32], mixed: Option<(&[f32], &[f32])>) -> Term {
        const ROWS: usize = 512;
        let mut sum = Term::default();
        if !matches!(self.loss, Loss::CrossEntropy(_)) {
            for term in self.each(outputs, targets, mixed) {
                sum.sum += term.sum;
                sum.weight += term.weight;
            }
            return sum;
        }
        let width = (outputs.len() / targets.len().max(1)).max(1);
        let (mut memory, mut gradient) = (LossMemory::default(), vec![0.0; outputs.len().min(ROWS * width)]);
        for (number, (outputs, targets)) in outputs.chunks(ROWS * width).zip(targets.chunks(ROWS)).enumerate()
        {
            let rows = number * ROWS..number * ROWS + targets.len();
            let mixed = mixed.map(|(seconds, shares)| (&seconds[rows.clone()], &shares[rows.clone()]));
            let gradient = &mut gradient[..outputs.len()];
            let part = self.gradient_into(outputs, targets, mixed, &mut memory, gradient);
            sum.sum += part.sum;
            sum.weight += part.weight;
        }
        sum
    }

    /// [`BoundLoss::gradient`], written to `gradient`.
    pub(crate) fn gradient_into(
        &self,
        outputs: &[f32],
        targets: &[f32],
        mixed: Option<(&[f32], &[f32])>,
        memory: &mut LossMemory,
        gradient: &mut [f32],
    ) -> Term {
        if let Loss::CrossEntropy(loss) = &self.loss {
            return self.cross_entropy(loss, outputs, targets, mixed, memory, gradient);
        }
        let width = (outputs.len() / targets.len().max(1)).max(1);
        let each = 1.0 / targets.len() as f64;
        let slopes = &mut memory.powers;
        slopes.resize(width, 0.0);
        let mut sum = Term::default();
        let rows = outputs.chunks_exact(width).zip(gradient.chunks_exact_mut(width)).zip(targets);
        for (i, ((row, gradient), target)) in rows.enumerate() {
            slopes.fill(0.0);
            let mut add = |target: f32, share: f64| {
                let target = f64::from(target);
                self.add_slopes(row, target, share * each, slopes);
                let term = self.term(row, target);
                sum.sum += share * term.sum;
                sum.weight += share * term.weight;
            };
            match mixed {
                None => add(*target, 1.0),
                Some((seconds, shares)) => {
                    let share = f64::from(shares[i]);
                    add(*target, share);
                    add(seconds[i], 1.0 - share);
                }
            }
            gradient.iter_mut().zip(&*slopes).for_each(|(number, slope)| *number = single(*slope));
        }
        sum
    }

    /// Adds `share` times the gradient of the loss of one example with this target.
    fn add_slopes(&self, row: &[f32], target: f64, share: f64, slopes: &mut [f64]) {
        let class = target as usize;
        match &self.loss {
            Loss::CrossEntropy(_) => unreachable!("it has a function of its own"),
            Loss::Focal(Focal { gamma, .. }) => {
                let normaliser = log_sum_exp(row);
                let log = row.get(class).map_or(f64::NAN, |x| f64::from(*x)) - normaliser;
                let (p, rest) = (libm::exp(log), -libm::expm1(log));
                // Of -(1 - p)^gamma ln p by ln p.
                let curve = if rest < SMALLEST_REST {
                    (1.0 + gamma) * libm::pow(rest, *gamma)
                } else {
                    libm::pow(rest, *gamma) - gamma * p * libm::pow(rest, gamma - 1.0) * log
                };
                let by_log = -share * self.weight(class) * curve;
                for (slope, x) in slopes.iter_mut().zip(row) {
                    *slope -= by_log * libm::exp(f64::from(*x) - normaliser);
                }
                if let Some(slope) = slopes.get_mut(class) {
                    *slope += by_log;
                }
            }
            Loss::BinaryCrossEntropy(_) => {
                let (x, t) = (f64::from(row[0]), self.smoothed(target));
                let wrong = self.weight(0) * (1.0 - t) * logistic(x);
                slopes[0] += share * (wrong - self.weight(1) * t * logistic(-x));
            }
            Loss::BinaryFocal(BinaryFocal { gamma, .. }) => {
                let x = f64::from(row[0]);
                // The loss of the second class is exp(-gamma s(x)) s(-x) with s(x) = ln(1 + exp(x)), that of
                // the first the same of -x.
                let of = |x: f64| {
                    let (down, up) = (softplus(-x), softplus(x));
                    -libm::exp(-gamma * up) * (gamma * logistic(x) * down + logistic(-x))
                };
                slopes[0] +=
                    share * (target * self.weight(1) * of(x) - (1.0 - target) * self.weight(0) * of(-x));
            }
            Loss::Mse => slopes[0] += share * 2.0 * (f64::from(row[0]) - target),
            Loss::Mae => {
                let error = f64::from(row[0]) - target;
                slopes[0] += share * if error == 0.0 { 0.0 } else { error.signum() };
            }
            Loss::Huber(Huber { delta }) => {
                slopes[0] += share * (f64::from(row[0]) - target).clamp(-delta, *delta);
            }
        }
    }

    /// The sum of the weights of a batch's targets; 1 where that is 0, so that nothing is divided by it.
    pub(super) fn total(&self, targets: &[f32], mixed: Option<(&[f32], &[f32])>) -> f64 {
        if self.weights.is_empty() && mixed.is_none() {
            return (targets.len() as f64).max(1.0);
        }
        let weight = |target: f32| self.weight(target as usize);
        let total: f64 = match mixed {
            None => targets.iter().map(|target| weight(*target)).sum(),
            Some((seconds, shares)) => {
                let pairs = targets.iter().zip(seconds).zip(shares);
                let of = |((first, second), share): ((&f32, &f32), &f32)| {
                    let share = f64::from(*share);
                    share * weight(*first) + (1.0 - share) * weight(*second)
                };
                pairs.map(of).sum()
            }
        };
        if total > 0.0 { total } else { 1.0 }
    }
}

/// A slope in single precision; 0 where it is below 2^-100, as that of an example about which the network is very
/// sure: processors take far longer for products with numbers that are much smaller.
#[inline]
pub(super) fn single(slope: f64) -> f32 {
    const LEAST: f64 = 1.0 / (1_u128 << 100) as f64;
    if slope.abs() < LEAST { 0.0 } else { slope as f32 }
}

/// 1 / (1 + exp(-x)), accurate on both sides.
fn logistic(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let power = libm::exp(x);
        power / (1.0 + power)
    }
}
