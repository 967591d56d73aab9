//! The gradient of the loss of a batch by the network's outputs, on the host and in double precision.

use super::each::{Term, log_sum_exp, output, softplus};
use super::{BinaryFocal, BoundLoss, CrossEntropy, Focal, Huber, Loss};

/// Where less than this is left to 1, the slope of `(1 - p)^gamma` is taken from its limit.
const SMALLEST_REST: f64 = 1e-12;

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
        let width = outputs.len() / targets.len().max(1);
        let total = match &self.loss {
            Loss::CrossEntropy(_) => self.total(targets, mixed),
            _ => targets.len() as f64,
        };
        let mut gradient = Vec::with_capacity(outputs.len());
        let (mut slopes, mut powers) = (vec![0.0; width], vec![0.0; width]);
        let mut sum = Term::default();
        for (i, (row, target)) in outputs.chunks_exact(width.max(1)).zip(targets).enumerate() {
            slopes.fill(0.0);
            let mut add = |target: f32, share: f64| {
                let target = f64::from(target);
                let term = if let Loss::CrossEntropy(loss) = &self.loss {
                    let places = (&mut slopes[..], &mut powers[..]);
                    self.cross_entropy(loss, row, target as usize, share / total, places)
                } else {
                    self.add_slopes(row, target, share / total, &mut slopes);
                    self.term(row, target)
                };
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
            gradient.extend(slopes.iter().map(|slope| *slope as f32));
        }
        (gradient, sum)
    }

    /// [`BoundLoss::add_slopes`] of the usual loss, with its term: of exponentials that are taken once.
    fn cross_entropy(
        &self,
        CrossEntropy { smoothing, .. }: &CrossEntropy,
        row: &[f32],
        class: usize,
        share: f64,
        (slopes, powers): (&mut [f64], &mut [f64]),
    ) -> Term {
        let highest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        for (power, x) in powers.iter_mut().zip(row) {
            *power = libm::exp(f64::from(*x) - highest);
        }
        let powers_sum: f64 = powers.iter().sum();
        let normaliser = libm::log(powers_sum) + highest;
        let weight = self.weight(class);
        let mut sum = (1.0 - smoothing) * weight * (normaliser - output(row, class));
        // The loss is a sum of -c ln p over the classes, whose slope by x is p Σc - c.
        let own = share * (1.0 - smoothing) * weight;
        let even = smoothing / row.len() as f64;
        let mut all = own;
        if even > 0.0 {
            for (other, (slope, x)) in slopes.iter_mut().zip(row).enumerate() {
                let part = even * self.weight(other);
                sum += part * (normaliser - f64::from(*x));
                all += share * part;
                *slope -= share * part;
            }
        }
        for (slope, power) in slopes.iter_mut().zip(powers) {
            *slope += all * *power / powers_sum;
        }
        if let Some(slope) = slopes.get_mut(class) {
            *slope -= own;
        }
        Term { sum, weight }
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
    fn total(&self, targets: &[f32], mixed: Option<(&[f32], &[f32])>) -> f64 {
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

/// 1 / (1 + exp(-x)), accurate on both sides.
fn logistic(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let power = libm::exp(x);
        power / (1.0 + power)
    }
}
