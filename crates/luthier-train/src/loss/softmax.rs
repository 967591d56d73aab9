//! Cross-entropy of the softmax with its gradient: the loss of most trainings, a batch at once in vectors.
//!
//! The loss of an example is a sum of `-c ln p` over the classes, whose slope by x is `p Σc - c`. Loops that are to
//! become vectors are functions with slices of their own, which the compiler then knows to lie apart.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use luthier_kernels::math::double::{exp_of_negative, ln};
use luthier_kernels::vectorized;

use super::each::{Term, output};
use super::gradient::{LossMemory, single};
use super::{BoundLoss, CrossEntropy};

/// A batch with its outputs.
#[derive(Clone, Copy)]
struct Rows<'a> {
    width: usize,
    outputs: &'a [f32],
    targets: &'a [f32],
}

impl BoundLoss {
    /// [`BoundLoss::gradient_into`] of cross-entropy.
    pub(super) fn cross_entropy(
        &self,
        CrossEntropy { smoothing, .. }: &CrossEntropy,
        outputs: &[f32],
        targets: &[f32],
        mixed: Option<(&[f32], &[f32])>,
        memory: &mut LossMemory,
        gradient: &mut [f32],
    ) -> Term {
        let width = (outputs.len() / targets.len().max(1)).max(1);
        let (scale, rows) = (1.0 / self.total(targets, mixed), Rows { width, outputs, targets });
        memory.powers.resize(outputs.len(), 0.0);
        memory.rows.iter_mut().for_each(|numbers| numbers.resize(targets.len(), 0.0));
        let LossMemory { powers, rows: [sums, normalisers, weights, terms] } = memory;
        if mixed.is_some() || *smoothing > 0.0 {
            vectorized(
                #[inline(always)]
                || softmax(rows, powers, sums, normalisers),
            );
            return self.shared(*smoothing, scale, rows, mixed, [powers, sums, normalisers], gradient);
        }
        if self.weights.is_empty() {
            weights.fill(1.0);
        } else {
            let each = weights.iter_mut().zip(targets);
            each.for_each(|(weight, target)| *weight = self.weight(*target as usize));
        }
        let numbers = [&mut **sums, &mut **normalisers, &mut **weights, &mut **terms];
        vectorized(
            #[inline(always)]
            || match width {
                2 => of_two(rows, scale, powers, numbers, gradient),
                3 => of_width::<3>(rows, scale, powers, numbers, gradient),
                _ => of_any_width(rows, scale, powers, numbers, gradient),
            },
        );
        let mut sum = Term::default();
        for (term, weight) in terms.iter().zip(weights) {
            sum.sum += term;
            sum.weight += *weight;
        }
        sum
    }

    /// The gradient where examples have two classes with a share of each, or targets are smoothed.
    fn shared(
        &self,
        smoothing: f64,
        scale: f64,
        Rows { width, outputs, targets }: Rows<'_>,
        mixed: Option<(&[f32], &[f32])>,
        [powers, sums, normalisers]: [&[f64]; 3],
        gradient: &mut [f32],
    ) -> Term {
        let (sure, even) = (1.0 - smoothing, smoothing / width as f64);
        let mut sum = Term::default();
        let rows = outputs.chunks_exact(width).zip(powers.chunks_exact(width));
        for (i, ((row, powers), gradient)) in rows.zip(gradient.chunks_exact_mut(width)).enumerate() {
            let (normaliser, mut mass) = (normalisers[i], 0.0);
            let mut add = |target: f32, share: f64| {
                let class = target as usize;
                let weight = share * self.weight(class);
                sum.sum += sure * weight * (normaliser - output(row, class));
                sum.weight += weight;
                mass += sure * weight;
                (class, scale * sure * weight)
            };
            let share = mixed.map_or(1.0, |(_, shares)| f64::from(shares[i]));
            let first = add(targets[i], share);
            let second = mixed.map(|(seconds, _)| add(seconds[i], 1.0 - share));
            for (class, x) in row.iter().enumerate() {
                let part = even * self.weight(class);
                if part > 0.0 {
                    sum.sum += part * (normaliser - f64::from(*x));
                    mass += part;
                }
            }
            let factor = scale * mass / sums[i];
            for (class, (number, power)) in gradient.iter_mut().zip(powers).enumerate() {
                let of = |(given, part): (usize, f64)| if class == given { part } else { 0.0 };
                let given = of(first) + second.map_or(0.0, of);
                *number = single(power * factor - given - scale * even * self.weight(class));
            }
        }
        sum
    }
}

/// The softmax of each row, `powers / sums`, and `ln Σ exp(x)`.
#[inline(always)]
fn softmax(
    Rows { width, outputs, .. }: Rows<'_>,
    powers: &mut [f64],
    sums: &mut [f64],
    normalisers: &mut [f64],
) {
    let rows = outputs.chunks_exact(width).zip(powers.chunks_exact_mut(width));
    for ((row, powers), highest) in rows.zip(normalisers.iter_mut()) {
        *highest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        for (power, x) in powers.iter_mut().zip(row) {
            *power = f64::from(*x) - *highest;
        }
    }
    for power in powers.iter_mut() {
        *power = exp_of_negative(*power);
    }
    for (sum, row) in sums.iter_mut().zip(powers.chunks_exact(width)) {
        *sum = row.iter().sum();
    }
    for (normaliser, sum) in normalisers.iter_mut().zip(sums.iter()) {
        *normaliser += ln(*sum);
    }
}

/// [`of_width`] of two classes, to the same bits: the power of the higher output is 1.
#[inline(always)]
fn of_two(
    Rows { outputs, targets, .. }: Rows<'_>,
    scale: f64,
    powers: &mut [f64],
    [sums, normalisers, weights, terms]: [&mut [f64]; 4],
    gradient: &mut [f32],
) {
    let ((pairs, _), (gradient, _)) = (outputs.as_chunks::<2>(), gradient.as_chunks_mut::<2>());
    let powers = &mut powers[..pairs.len()];
    for (power, [first, second]) in powers.iter_mut().zip(pairs) {
        *power = -(f64::from(*first) - f64::from(*second)).abs();
    }
    for ((power, sum), normaliser) in powers.iter_mut().zip(sums.iter_mut()).zip(normalisers.iter_mut()) {
        *power = exp_of_negative(*power);
        *sum = 1.0 + *power;
        *normaliser = ln(*sum);
    }
    let known = pairs.iter().zip(targets).zip(weights.iter()).zip(normalisers.iter());
    for (((([first, second], target), weight), normaliser), term) in known.zip(terms) {
        let highest = f64::from(first.max(*second));
        let second = if *target == 1.0 { *second } else { f32::NAN };
        let chosen = if *target == 0.0 { *first } else { second };
        *term = *weight * (normaliser + highest - f64::from(chosen));
    }
    let known = pairs.iter().zip(targets).zip(weights.iter()).zip(powers.iter().zip(sums.iter()));
    for ((((pair, target), weight), (power, sum)), gradient) in known.zip(gradient) {
        let part = scale * *weight;
        let factor = part / sum;
        let (low, high) = (power * factor, factor);
        let (first, second) = if pair[0] >= pair[1] { (high, low) } else { (low, high) };
        gradient[0] = single(first - if *target == 0.0 { part } else { 0.0 });
        gradient[1] = single(second - if *target == 1.0 { part } else { 0.0 });
    }
}

/// The gradient where each example has one class, of a width that the compiler knows: it needs no loops over a row.
#[inline(always)]
fn of_width<const W: usize>(
    rows: Rows<'_>,
    scale: f64,
    powers: &mut [f64],
    [sums, normalisers, weights, terms]: [&mut [f64]; 4],
    gradient: &mut [f32],
) {
    let rows = Rows { width: W, ..rows };
    softmax(rows, powers, sums, normalisers);
    let (each, _) = rows.outputs.as_chunks::<W>();
    let known = each.iter().zip(rows.targets).zip(weights.iter()).zip(normalisers.iter());
    for ((((row, target), weight), normaliser), term) in known.zip(terms) {
        // All of the row at once, and then by selection, as nobody can foresee a branch.
        let row = *row;
        let mut chosen = f32::NAN;
        for (class, x) in row.into_iter().enumerate() {
            chosen = if *target == class as f32 { x } else { chosen };
        }
        *term = *weight * (normaliser - f64::from(chosen));
    }
    slopes_of(rows, scale, weights, [powers, sums], gradient);
}

/// [`of_width`] of any width.
#[inline(always)]
fn of_any_width(
    rows: Rows<'_>,
    scale: f64,
    powers: &mut [f64],
    [sums, normalisers, weights, terms]: [&mut [f64]; 4],
    gradient: &mut [f32],
) {
    softmax(rows, powers, sums, normalisers);
    let each = rows.outputs.chunks_exact(rows.width).zip(rows.targets);
    let known = each.zip(weights.iter()).zip(normalisers.iter());
    for ((((row, target), weight), normaliser), term) in known.zip(terms) {
        *term = *weight * (normaliser - output(row, *target as usize));
    }
    slopes_of(rows, scale, weights, [powers, sums], gradient);
}

/// The slopes by the outputs.
#[inline(always)]
fn slopes_of(
    Rows { width, targets, .. }: Rows<'_>,
    scale: f64,
    weights: &[f64],
    [powers, sums]: [&[f64]; 2],
    gradient: &mut [f32],
) {
    let rows = powers.chunks_exact(width).zip(sums).zip(targets).zip(weights);
    for ((((powers, sum), target), weight), gradient) in rows.zip(gradient.chunks_exact_mut(width)) {
        let part = scale * weight;
        let factor = part / sum;
        for (class, (number, power)) in gradient.iter_mut().zip(powers).enumerate() {
            *number = single(power * factor - if *target == class as f32 { part } else { 0.0 });
        }
    }
}
