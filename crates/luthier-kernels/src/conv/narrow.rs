//! Convolutions of few channels, such as those of a first layer: directly, without a matrix to be multiplied. A block
//! of results, or of sums for weights, stays in registers.

#![allow(clippy::needless_range_loop, reason = "loops over constants, to be unrolled")]

use pulp::{Simd, WithSimd};

use super::Conv2d;
use super::rows::{add, transpose};
use crate::parallel::chunks;
use crate::scratch;
use crate::simd::vectorized;

/// Places of a row whose results are computed at once.
const PLACES: usize = 12;
/// Tasks with sums of their own.
const TASKS: usize = 8;

/// Whether this is how to compute the convolution.
pub(super) fn pays(conv: &Conv2d) -> bool {
    let step = conv.stride * conv.channels;
    let simple = conv.dilation == 1 && conv.groups == 1 && conv.filters.is_multiple_of(32);
    simple && matches!(step, 1..=4 | 6) && conv.channels < 4 && conv.output().1 >= PLACES && conv.kernel > 1
}

/// Calls `work` with an image that has its padding and the length of its rows.
fn padded<R>(conv: &Conv2d, image: &[f32], work: impl FnOnce(&[f32], usize) -> R) -> R {
    let (before, after) = conv.padding;
    let row = conv.width * conv.channels;
    if before + after == 0 {
        return work(image, row);
    }
    let width = row + (before + after) * conv.channels;
    scratch::with((conv.height + before + after) * width, |all| {
        all[..before * width].fill(0.0);
        let end = (before + conv.height) * width;
        for (to, from) in all[before * width..end].chunks_exact_mut(width).zip(image.chunks_exact(row)) {
            to[..before * conv.channels].fill(0.0);
            to[before * conv.channels..][..row].copy_from_slice(from);
            to[before * conv.channels + row..].fill(0.0);
        }
        all[end..].fill(0.0);
        work(all, width)
    })
}

pub(super) fn forward(
    conv: &Conv2d,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) {
    let filters = conv.filters;
    scratch::with(weight.len() + filters, |memory| {
        let (turned, all) = memory.split_at_mut(weight.len());
        transpose(weight, filters, turned);
        match bias {
            Some(bias) => all.copy_from_slice(bias),
            None => all.fill(0.0),
        }
        let (weight, bias) = (&*turned, &*all);
        chunks(y, conv.places() * filters, |image, y| {
            padded(conv, &x[image * conv.image()..][..conv.image()], |x, width| {
                match conv.stride * conv.channels {
                    1 => Forward::<1> { conv, x, width, weight, bias, relu, y }.run(),
                    2 => Forward::<2> { conv, x, width, weight, bias, relu, y }.run(),
                    3 => Forward::<3> { conv, x, width, weight, bias, relu, y }.run(),
                    4 => Forward::<4> { conv, x, width, weight, bias, relu, y }.run(),
                    _ => Forward::<6> { conv, x, width, weight, bias, relu, y }.run(),
                }
            });
        });
    });
}

/// The result of an image with its padding, whose places are `STEP` numbers apart; with the weights
/// `[kernel, kernel, channels, filters]`.
struct Forward<'a, const STEP: usize> {
    conv: &'a Conv2d,
    x: &'a [f32],
    width: usize,
    weight: &'a [f32],
    bias: &'a [f32],
    relu: bool,
    y: &'a mut [f32],
}

impl<const STEP: usize> Forward<'_, STEP> {
    fn run(self) {
        pulp::Arch::new().dispatch(self);
    }
}

/// The two vectors that begin at a place.
#[inline(always)]
fn pair<S: Simd>(_: S, from: &[f32], at: usize) -> [S::f32s; 2] {
    let (both, _) = S::as_simd_f32s(&from[at..at + 2 * S::F32_LANES]);
    [both[0], both[1]]
}

impl<const STEP: usize> WithSimd for Forward<'_, STEP> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, x, width, weight, bias, relu, y } = self;
        let (filters, run) = (conv.filters, conv.kernel * conv.channels);
        let (rows, columns) = conv.output();
        let zero = simd.splat_f32s(0.0);
        for row in 0..rows {
            for filter in (0..filters).step_by(2 * S::F32_LANES) {
                let bias = pair(simd, bias, filter);
                for column in (0..columns).step_by(PLACES) {
                    // The last block does again what the one before it has done.
                    let column = column.min(columns - PLACES);
                    let mut sums = [bias; PLACES];
                    for p in 0..conv.kernel {
                        let x = &x[(row * conv.stride + p) * width + column * STEP..]
                            [..run + (PLACES - 1) * STEP];
                        let weight = &weight[p * run * filters..][..run * filters];
                        for q in 0..run {
                            let x = &x[q..=q + (PLACES - 1) * STEP];
                            let weight = pair(simd, weight, q * filters + filter);
                            for place in 0..PLACES {
                                let x = simd.splat_f32s(x[place * STEP]);
                                sums[place][0] = simd.mul_add_f32s(x, weight[0], sums[place][0]);
                                sums[place][1] = simd.mul_add_f32s(x, weight[1], sums[place][1]);
                            }
                        }
                    }
                    let y = &mut y[(row * columns + column) * filters..][..PLACES * filters];
                    for (y, mut sums) in y.chunks_exact_mut(filters).zip(sums) {
                        if relu {
                            sums = [simd.max_f32s(sums[0], zero), simd.max_f32s(sums[1], zero)];
                        }
                        let (y, _) = S::as_mut_simd_f32s(&mut y[filter..filter + 2 * S::F32_LANES]);
                        y[0] = sums[0];
                        y[1] = sums[1];
                    }
                }
            }
        }
    }
}

pub(super) fn backward_weight(conv: &Conv2d, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (size, batch) = (dweight.len(), x.len() / conv.image());
    let share = batch.div_ceil(TASKS).max(1);
    let tasks = batch.div_ceil(share).max(1);
    scratch::with((tasks + 1) * size, |memory| {
        let (sum, partial) = memory.split_at_mut(size);
        chunks(partial, size, |task, sums| {
            sums.fill(0.0);
            for image in task * share..batch.min((task + 1) * share) {
                let dy = &dy[image * conv.places() * conv.filters..][..conv.places() * conv.filters];
                padded(conv, &x[image * conv.image()..][..conv.image()], |x, width| {
                    let run = conv.kernel * conv.channels;
                    let mut p = 0;
                    while p < conv.kernel {
                        let left = conv.kernel - p;
                        let of = Backward { conv, x, width, dy, first: p };
                        p += match run {
                            _ if run.is_multiple_of(9) => of.run::<1, 9>(sums),
                            _ if run.is_multiple_of(7) && left > 1 => of.run::<2, 7>(sums),
                            _ if run.is_multiple_of(7) => of.run::<1, 7>(sums),
                            _ if run.is_multiple_of(5) && left > 1 => of.run::<2, 5>(sums),
                            _ if run.is_multiple_of(5) => of.run::<1, 5>(sums),
                            _ if run.is_multiple_of(3) && left > 2 => of.run::<3, 3>(sums),
                            _ if run.is_multiple_of(3) => of.run::<1, 3>(sums),
                            _ if run.is_multiple_of(2) => of.run::<1, 2>(sums),
                            _ => of.run::<1, 1>(sums),
                        };
                    }
                });
            }
        });
        sum.fill(0.0);
        partial.chunks_exact(size).for_each(|it| vectorized(|| add(sum, it)));
        transpose(sum, conv.patch(), dweight);
    });
}

/// The gradients of the weights of some rows of the kernel, from `first` on, by an image with its padding.
#[derive(Clone, Copy)]
struct Backward<'a> {
    conv: &'a Conv2d,
    x: &'a [f32],
    width: usize,
    dy: &'a [f32],
    first: usize,
}

impl Backward<'_> {
    /// Adds the gradients of `P` rows of the kernel, in blocks of `Q` numbers, to `sums`, which is `[kernel, kernel,
    /// channels, filters]`. Returns `P`.
    fn run<const P: usize, const Q: usize>(self, sums: &mut [f32]) -> usize {
        pulp::Arch::new().dispatch(BackwardRows::<P, Q> { of: self, sums });
        P
    }
}

struct BackwardRows<'a, const P: usize, const Q: usize> {
    of: Backward<'a>,
    sums: &'a mut [f32],
}

impl<const P: usize, const Q: usize> WithSimd for BackwardRows<'_, P, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Backward { conv, x, width, dy, first } = self.of;
        let (filters, run, step) = (conv.filters, conv.kernel * conv.channels, conv.stride * conv.channels);
        let (rows, columns) = conv.output();
        for row in 0..rows {
            let dy = &dy[row * columns * filters..][..columns * filters];
            for filter in (0..filters).step_by(2 * S::F32_LANES) {
                for begin in (0..run).step_by(Q) {
                    let mut sums = [[[simd.splat_f32s(0.0); 2]; Q]; P];
                    let mut x_of = [x; P];
                    for p in 0..P {
                        x_of[p] = &x[(row * conv.stride + first + p) * width + begin..];
                    }
                    for (column, dy) in dy.chunks_exact(filters).enumerate() {
                        let dy = pair(simd, dy, filter);
                        for p in 0..P {
                            let x = &x_of[p][column * step..column * step + Q];
                            for q in 0..Q {
                                let x = simd.splat_f32s(x[q]);
                                sums[p][q][0] = simd.mul_add_f32s(x, dy[0], sums[p][q][0]);
                                sums[p][q][1] = simd.mul_add_f32s(x, dy[1], sums[p][q][1]);
                            }
                        }
                    }
                    for p in 0..P {
                        for q in 0..Q {
                            let to = ((first + p) * run + begin + q) * filters + filter;
                            let to = &mut self.sums[to..to + 2 * S::F32_LANES];
                            let (to, _) = S::as_mut_simd_f32s(to);
                            to[0] = simd.add_f32s(to[0], sums[p][q][0]);
                            to[1] = simd.add_f32s(to[1], sums[p][q][1]);
                        }
                    }
                }
            }
        }
    }
}
