//! Cross-entropy of the softmax with its gradient: the loss of most trainings, a batch at once in vectors.

use luthier_kernels::math::double::{exp_of_negative, ln};
use luthier_kernels::vectorized;

use super::each::{Term, output};
use super::gradient::single;
use super::{BoundLoss, CrossEntropy};

/// The softmax of each row of a batch, `powers / sum`.
struct Softmax {
    /// `exp(x - highest)` for each output.
    powers: Vec<f64>,
    /// The sum of a row's powers.
    sums: Vec<f64>,
    /// `ln Σ exp(x)` of a row.
    normalisers: Vec<f64>,
}

impl Softmax {
    #[allow(clippy::inline_always, reason = "vector instructions end at calls")]
    fn of(outputs: &[f32], width: usize) -> Self {
        let mut powers = Vec::with_capacity(outputs.len());
        let mut normalisers = Vec::with_capacity(outputs.len() / width);
        for row in outputs.chunks_exact(width) {
            let highest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            powers.extend(row.iter().map(|x| f64::from(*x) - highest));
            normalisers.push(highest);
        }
        vectorized(
            #[inline(always)]
            || powers.iter_mut().for_each(|x| *x = exp_of_negative(*x)),
        );
        let sums: Vec<f64> = powers.chunks_exact(width).map(|row| row.iter().sum()).collect();
        vectorized(
            #[inline(always)]
            || normalisers.iter_mut().zip(&sums).for_each(|(normaliser, sum)| *normaliser += ln(*sum)),
        );
        Self { powers, sums, normalisers }
    }
}

impl BoundLoss {
    /// [`BoundLoss::gradient`] of cross-entropy.
    ///
    /// The loss of an example is a sum of `-c ln p` over the classes, whose slope by x is `p Σc - c`.
    pub(super) fn cross_entropy(
        &self,
        CrossEntropy { smoothing, .. }: &CrossEntropy,
        outputs: &[f32],
        targets: &[f32],
        mixed: Option<(&[f32], &[f32])>,
    ) -> (Vec<f32>, Term) {
        let width = (outputs.len() / targets.len().max(1)).max(1);
        let scale = 1.0 / self.total(targets, mixed);
        let (sure, even) = (1.0 - smoothing, smoothing / width as f64);
        let Softmax { mut powers, sums, normalisers } = Softmax::of(outputs, width);
        // Each example has one class, or two with a share of each.
        let share = |i: usize| mixed.map_or(1.0, |(_, shares)| f64::from(shares[i]));
        let rest = |i: usize| 1.0 - share(i);
        let second = mixed.map_or(&[][..], |(seconds, _)| seconds);
        let weight = |target: f32, share: f64| share * self.weight(target as usize);

        let mut sum = Term::default();
        let mut masses = vec![0.0; targets.len()];
        let mut add = |i: usize, target: f32, weight: f64| {
            let row = &outputs[i * width..][..width];
            sum.sum += sure * weight * (normalisers[i] - output(row, target as usize));
            sum.weight += weight;
            masses[i] += sure * weight;
        };
        targets.iter().enumerate().for_each(|(i, target)| add(i, *target, weight(*target, share(i))));
        second.iter().enumerate().for_each(|(i, target)| add(i, *target, weight(*target, rest(i))));
        if even > 0.0 {
            for ((row, normaliser), mass) in outputs.chunks_exact(width).zip(&normalisers).zip(&mut masses) {
                for (class, x) in row.iter().enumerate() {
                    let part = even * self.weight(class);
                    sum.sum += part * (normaliser - f64::from(*x));
                    *mass += part;
                }
            }
        }

        for ((slopes, mass), sum) in powers.chunks_exact_mut(width).zip(&masses).zip(&sums) {
            let factor = scale * mass / sum;
            for slope in slopes {
                *slope *= factor;
            }
        }
        let mut take = |i: usize, target: f32, weight: f64| {
            if let Some(slope) = powers[i * width..][..width].get_mut(target as usize) {
                *slope -= scale * sure * weight;
            }
        };
        targets.iter().enumerate().for_each(|(i, target)| take(i, *target, weight(*target, share(i))));
        second.iter().enumerate().for_each(|(i, target)| take(i, *target, weight(*target, rest(i))));
        if even > 0.0 {
            for slopes in powers.chunks_exact_mut(width) {
                for (class, slope) in slopes.iter_mut().enumerate() {
                    *slope -= scale * even * self.weight(class);
                }
            }
        }
        (powers.iter().map(|slope| single(*slope)).collect(), sum)
    }
}
