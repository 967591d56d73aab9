//! Mean and variance of some rows.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use crate::columns::{GROUP, block, block_mut, sum_of_block};

/// The mean and the sum of squares about it of channels from `at` on, written from `to` on.
#[inline(always)]
pub(super) fn measured<const N: usize>(
    x: &[f32],
    channels: usize,
    at: usize,
    to: usize,
    mean: &mut [f32],
    squares: &mut [f32],
) {
    let count = (x.len() / channels) as f32;
    let rough = sum_of_block::<N>(x, channels, at).map(|it| it / count);
    let (mut total, mut total_of_squares) = ([0.0; N], [0.0; N]);
    for group in x.chunks(GROUP * channels) {
        let (mut sum, mut squares) = ([0.0_f32; N], [0.0_f32; N]);
        for row in group.chunks_exact(channels) {
            let x: [f32; N] = block(row, at);
            for lane in 0..N {
                let difference = x[lane] - rough[lane];
                sum[lane] += difference;
                squares[lane] = difference.mul_add(difference, squares[lane]);
            }
        }
        for lane in 0..N {
            total[lane] += sum[lane];
            total_of_squares[lane] += squares[lane];
        }
    }
    // What the first mean is off by.
    let (mean, squares) = (block_mut::<N, f32>(mean, to), block_mut::<N, f32>(squares, to));
    for lane in 0..N {
        let off = total[lane] / count;
        mean[lane] = rough[lane] + off;
        squares[lane] = (-off).mul_add(total[lane], total_of_squares[lane]);
    }
}
