//! Layer and group normalisation: by the mean and variance of numbers of one example.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

mod group;
#[cfg(test)]
mod tests;

pub use group::GroupNorm;

use crate::columns::{self, block, block_mut, in_wide_blocks, rows_of_task};
use crate::parallel;
use crate::simd::vectorized;

/// Layer normalisation (Ba et al. 2016) of each row of `[rows, size]`:
///
/// ```text
/// y = γ (x - μ) / √(σ² + ε) + β
/// ```
///
/// with the row's mean and variance, and with scale and shift of `[size]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    /// Numbers of a row.
    pub size: usize,
    /// `ε`, added to the variance.
    pub epsilon: f32,
}

/// Partial sums that are taken beside each other.
const LANES: usize = 64;

/// The sum of what `term` makes of the numbers of a row, and of those of two others at the same places.
#[inline(always)]
fn sum([a, b, c]: [&[f32]; 3], term: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest), (c, c_rest)) =
        (a.as_chunks::<LANES>(), b.as_chunks::<LANES>(), c.as_chunks::<LANES>());
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        let mut next = sums;
        for lane in 0..LANES {
            next[lane] += term(a[lane], b[lane], c[lane]);
        }
        sums = next;
    }
    for (sum, ((&a, &b), &c)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest).zip(c_rest)) {
        *sum += term(a, b, c);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

impl LayerNorm {
    fn check(&self, rows: usize, numbers: [usize; 2], parameters: [usize; 2]) {
        assert_eq!(numbers, [rows * self.size; 2], "numbers of so many rows");
        assert_eq!(parameters, [self.size; 2], "scale and shift of a row");
    }

    /// `y`, and in `saved` the mean and `1 / √(σ² + ε)` of each row: `[rows, 2]`.
    pub fn forward(&self, x: &[f32], [scale, shift]: [&[f32]; 2], y: &mut [f32], saved: &mut [f32]) {
        let (size, rows) = (self.size, saved.len() / 2);
        self.check(rows, [x.len(), y.len()], [scale.len(), shift.len()]);
        let at_once = rows_of_task(size);
        parallel::pairs_of_chunks((y, at_once * size), (saved, 2 * at_once), |task, y, saved| {
            let x = &x[task * at_once * size..][..y.len()];
            vectorized(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(size).zip(y.chunks_exact_mut(size));
                    for ((x, y), saved) in rows.zip(saved.chunks_exact_mut(2)) {
                        self.row(x, scale, shift, y, saved);
                    }
                },
            );
        });
    }

    #[inline(always)]
    fn row(&self, x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32], saved: &mut [f32]) {
        let (x, y) = (&x[..self.size], &mut y[..self.size]);
        let (scale, shift) = (&scale[..self.size], &shift[..self.size]);
        let count = self.size as f32;
        let mean = sum(
            [x; 3],
            #[inline(always)]
            |x, _, _| x,
        ) / count;
        let variance = sum(
            [x; 3],
            #[inline(always)]
            |x, _, _| (x - mean) * (x - mean),
        ) / count;
        let inverse = 1.0 / (variance + self.epsilon).sqrt();
        for it in 0..self.size {
            y[it] = ((x[it] - mean) * inverse).mul_add(scale[it], shift[it]);
        }
        saved.copy_from_slice(&[mean, inverse]);
    }

    /// Makes of the gradient for `y` that for `x`, and writes those for scale and shift.
    pub fn backward(
        &self,
        x: &[f32],
        saved: &[f32],
        scale: &[f32],
        dy: &mut [f32],
        [dscale, dshift]: [&mut [f32]; 2],
    ) {
        let (size, rows) = (self.size, saved.len() / 2);
        self.check(rows, [x.len(), dy.len()], [dscale.len(), dshift.len()]);
        assert_eq!(scale.len(), size, "scale of a row");
        columns::over_rows(
            [rows, size],
            |part, range, dscale, dshift| {
                let (saved, numbers) =
                    (&saved[2 * part.start..2 * part.end], part.start * size..part.end * size);
                let (x, dy) = (&x[numbers.clone()], &dy[numbers]);
                vectorized(
                    #[inline(always)]
                    || {
                        let (at, count) = (range.start, dscale.len());
                        in_wide_blocks!(count, |to| sums(
                            size,
                            x,
                            saved,
                            dy,
                            [at + to, to],
                            [dscale, dshift]
                        ));
                    },
                );
            },
            columns::add,
            |range, [scales, shifts]| {
                columns::store(scales, &mut dscale[range.clone()]);
                columns::store(shifts, &mut dshift[range]);
            },
        );
        let at_once = rows_of_task(size);
        parallel::chunks(dy, at_once * size, |task, dy| {
            let x = &x[task * at_once * size..][..dy.len()];
            let saved = &saved[2 * task * at_once..][..2 * (dy.len() / size)];
            vectorized(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(size).zip(dy.chunks_exact_mut(size));
                    for ((x, dy), saved) in rows.zip(saved.chunks_exact(2)) {
                        self.row_back(x, [saved[0], saved[1]], scale, dy);
                    }
                },
            );
        });
    }

    #[inline(always)]
    fn row_back(&self, x: &[f32], [mean, inverse]: [f32; 2], scale: &[f32], dy: &mut [f32]) {
        let (x, scale, dy) = (&x[..self.size], &scale[..self.size], &mut dy[..self.size]);
        // dx = (g - mean of g - x̂ mean of (g x̂)) / √(σ² + ε), where g is γ dy
        let count = self.size as f32;
        let mean_of_g = sum(
            [dy, scale, scale],
            #[inline(always)]
            |dy, scale, _| dy * scale,
        ) / count;
        let mean_of_products = sum(
            [dy, scale, x],
            #[inline(always)]
            |dy, scale, x| dy * scale * (x - mean),
        ) * inverse
            / count;
        let factor = -inverse * inverse * mean_of_products;
        for it in 0..self.size {
            let g = dy[it].mul_add(scale[it], -mean_of_g);
            dy[it] = g.mul_add(inverse, factor * (x[it] - mean));
        }
    }
}

/// `dγ` and `dβ` of these rows, written from index `to` on.
#[inline(always)]
fn sums<const N: usize>(
    size: usize,
    x: &[f32],
    saved: &[f32],
    dy: &[f32],
    [at, to]: [usize; 2],
    [dscale, dshift]: [&mut [f32]; 2],
) {
    let (mut products, mut sums) = ([0.0_f32; N], [0.0_f32; N]);
    let rows = x.chunks_exact(size).zip(dy.chunks_exact(size));
    for ((x, dy), saved) in rows.zip(saved.chunks_exact(2)) {
        let (x, dy): ([f32; N], [f32; N]) = (block(x, at), block(dy, at));
        for lane in 0..N {
            sums[lane] += dy[lane];
            products[lane] = dy[lane].mul_add((x[lane] - saved[0]) * saved[1], products[lane]);
        }
    }
    *block_mut(dscale, to) = products;
    *block_mut(dshift, to) = sums;
}
