//! Convolutions as products of matrices: what each place of the result sees, copied into a row (`im2col`), times
//! the weights; a tile of places after the other, so that the copy stays in the cache.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::rows::{finish, product, transpose};
use super::{Conv2d, Method};
use crate::matmul::{Matrix, MatrixMut, matmul};
use crate::parallel::chunks;
use crate::scratch;
use crate::simd::vectorized;

/// Numbers of an unfolded tile.
const TILE: usize = 1 << 16;
/// Least rows of a tile where weights are too many for the cache and are read for each tile.
const ROWS: usize = 128;
/// Work smaller than this many multiplications is not cut.
const SMALL: usize = 1 << 18;

/// Rows of a tile, if there are `rows` in all: at least four tiles, but for little work.
fn tile(conv: &Conv2d, rows: usize) -> usize {
    let patch = conv.patch();
    let least = if conv.filters * patch > TILE { ROWS } else { 8 };
    let most = (TILE / patch).max(least);
    let small = if many(conv) { ROWS / 2 } else { SMALL.div_ceil(conv.filters * patch) };
    most.min(rows.div_ceil(4).max(small.min(rows))).next_multiple_of(6).max(1)
}

/// Whether weights are so many that to read them takes longer than to multiply few rows by them.
fn many(conv: &Conv2d) -> bool {
    conv.filters * conv.patch() > 1 << 19
}

/// The numbers that a group of filters sees at the places `rows` (counted over the whole batch): a matrix as
/// slice, and the length of its rows.
fn seen<R>(
    conv: &Conv2d,
    x: &[f32],
    group: usize,
    rows: Range<usize>,
    work: impl FnOnce(&[f32], usize) -> R,
) -> R {
    if conv.method() == Method::Product {
        let first = rows.start * conv.channels + group * conv.channels / conv.groups;
        return work(&x[first..], conv.channels);
    }
    let patch = conv.patch();
    scratch::with(rows.len() * patch, |tile| {
        pulp::Arch::new().dispatch(Unfold { conv, x, group, rows, tile });
        work(tile, patch)
    })
}

/// The arguments of [`unfold`]: with closures the compiler may leave the work outside of what is compiled for the
/// widest vectors.
struct Unfold<'a> {
    conv: &'a Conv2d,
    x: &'a [f32],
    group: usize,
    rows: Range<usize>,
    tile: &'a mut [f32],
}

impl WithSimd for Unfold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        unfold(self.conv, self.x, self.group, self.rows, self.tile);
    }
}

/// The arguments of [`fold`].
struct Fold<'a> {
    conv: &'a Conv2d,
    dx: &'a mut [f32],
    group: usize,
    rows: Range<usize>,
    tile: &'a [f32],
}

impl WithSimd for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        fold(self.conv, self.dx, self.group, self.rows, self.tile);
    }
}

/// Copies what is seen at each of the places `rows` into a row of `tile`.
#[inline(always)]
fn unfold(conv: &Conv2d, x: &[f32], group: usize, rows: Range<usize>, tile: &mut [f32]) {
    let (width, places) = (conv.output().1, conv.places());
    let depth = conv.channels / conv.groups;
    let run = conv.kernel * depth;
    let mut to = 0;
    for row in rows {
        let (image, i, j) = (row / places, row % places / width, row % width);
        let image = &x[image * conv.image()..][..conv.image()];
        let ((vertical, top), (horizontal, left)) = (conv.inside(i, conv.height), conv.inside(j, conv.width));
        for p in 0..conv.kernel {
            if !vertical.contains(&p) {
                tile[to..to + run].fill(0.0);
                to += run;
                continue;
            }
            let from = (top + (p - vertical.start) * conv.dilation) * conv.width + left;
            let from = from * conv.channels + group * depth;
            tile[to..to + horizontal.start * depth].fill(0.0);
            let (begin, end) = (to + horizontal.start * depth, to + horizontal.end * depth);
            if conv.dilation == 1 && conv.groups == 1 {
                copy(&image[from..], &mut tile[begin..], end - begin);
            } else {
                for (it, to) in tile[begin..end].chunks_exact_mut(depth).enumerate() {
                    to.copy_from_slice(&image[from + it * conv.dilation * conv.channels..][..depth]);
                }
            }
            tile[end..to + run].fill(0.0);
            to += run;
        }
    }
}

/// Copies `len` numbers, short runs by vectors that may copy some more: what follows is written later.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32], len: usize) {
    const SIDE: usize = 16;
    if len <= SIDE && from.len() >= SIDE && to.len() >= SIDE {
        to[..SIDE].copy_from_slice(&from[..SIDE]);
    } else {
        to[..len].copy_from_slice(&from[..len]);
    }
}

/// The opposite of [`unfold`]: adds each row of `tile` to where it was seen. The places count from the image
/// that is first in `dx`.
#[inline(always)]
fn fold(conv: &Conv2d, dx: &mut [f32], group: usize, rows: Range<usize>, tile: &[f32]) {
    let (width, places) = (conv.output().1, conv.places());
    let depth = conv.channels / conv.groups;
    for (row, seen) in rows.zip(tile.chunks_exact(conv.patch())) {
        let (image, i, j) = (row / places, row % places / width, row % width);
        let image = &mut dx[image * conv.image()..][..conv.image()];
        let ((vertical, top), (horizontal, left)) = (conv.inside(i, conv.height), conv.inside(j, conv.width));
        for p in vertical.clone() {
            let to = (top + (p - vertical.start) * conv.dilation) * conv.width + left;
            let to = to * conv.channels + group * depth;
            let seen = &seen
                [(p * conv.kernel + horizontal.start) * depth..(p * conv.kernel + horizontal.end) * depth];
            if conv.dilation == 1 && conv.groups == 1 {
                super::rows::add(&mut image[to..to + seen.len()], seen);
            } else {
                for (it, seen) in seen.chunks_exact(depth).enumerate() {
                    super::rows::add(&mut image[to + it * conv.dilation * conv.channels..][..depth], seen);
                }
            }
        }
    }
}

pub(super) fn forward(
    conv: &Conv2d,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) {
    let (filters, patch, own) = (conv.filters, conv.patch(), conv.filters / conv.groups);
    let step = tile(conv, y.len() / filters);
    if super::in_place(conv) && many(conv) {
        // The product packs the weights, which is faster than to exchange rows and columns here.
        chunks(y, step * filters, |number, y| {
            let rows = y.len() / filters;
            seen(conv, x, 0, number * step..number * step + rows, |left, stride| {
                product(y, (rows, own, filters), (left, patch, stride), (weight, 1, patch));
            });
            finish(y, bias, relu, filters);
        });
        return;
    }
    scratch::with(weight.len(), |turned| {
        for (from, to) in weight.chunks_exact(own * patch).zip(turned.chunks_exact_mut(own * patch)) {
            transpose(from, own, to);
        }
        let turned = &*turned;
        chunks(y, step * filters, |number, y| {
            let rows = y.len() / filters;
            for (group, turned) in turned.chunks_exact(own * patch).enumerate() {
                seen(conv, x, group, number * step..number * step + rows, |left, stride| {
                    product(
                        &mut y[group * own..],
                        (rows, own, filters),
                        (left, patch, stride),
                        (turned, own, 1),
                    );
                });
            }
            finish(y, bias, relu, filters);
        });
    });
}

pub(super) fn backward_input(conv: &Conv2d, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    let (filters, patch, own) = (conv.filters, conv.patch(), conv.filters / conv.groups);
    let step = tile(conv, dy.len() / filters);
    let left = |rows: &Range<usize>, group: usize| {
        let first = rows.start * filters + group * own;
        Matrix::strided(&dy[first..], (rows.len(), own), (filters, 1))
    };
    if conv.method() == Method::Product {
        chunks(dx, step * conv.channels, |number, dx| {
            let rows = number * step..number * step + dx.len() / conv.channels;
            for (group, weight) in weight.chunks_exact(own * patch).enumerate() {
                let dx =
                    MatrixMut::strided(&mut dx[group * patch..], (rows.len(), patch), (conv.channels, 1));
                matmul(dx, left(&rows, group), Matrix::rows(weight, own, patch), false);
            }
        });
        return;
    }
    // Tasks of whole images, in which tiles overlap.
    let (places, batch) = (conv.places(), dx.len() / conv.image());
    let tasks = if many(conv) { 2 } else { 4 };
    let images = ROWS.div_ceil(places).min(batch.div_ceil(tasks)).max(1);
    chunks(dx, images * conv.image(), |number, dx| {
        dx.fill(0.0);
        let (first, all) = (number * images * places, dx.len() / conv.image() * places);
        scratch::with(step.min(all) * patch, |tile| {
            for begin in (0..all).step_by(step) {
                let rows = begin..all.min(begin + step);
                let tile = &mut tile[..rows.len() * patch];
                for (group, weight) in weight.chunks_exact(own * patch).enumerate() {
                    let left = left(&(first + rows.start..first + rows.end), group);
                    let right = Matrix::rows(weight, own, patch);
                    matmul(MatrixMut::rows(tile, rows.len(), patch), left, right, false);
                    pulp::Arch::new().dispatch(Fold { conv, dx, group, rows: rows.clone(), tile });
                }
            }
        });
    });
}

pub(super) fn backward_weight(conv: &Conv2d, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (filters, patch, own) = (conv.filters, conv.patch(), conv.filters / conv.groups);
    let all = dy.len() / filters;
    if many(conv) && conv.groups == 1 && patch.is_multiple_of(16) && all * patch <= 1 << 20 {
        // Few rows: all are unfolded once, and each task has some of the filters.
        let share = filters.div_ceil(8).next_multiple_of(6);
        seen(conv, x, 0, 0..all, |seen, stride| {
            let seen = Matrix::strided(seen, (all, patch), (stride, 1));
            chunks(dweight, share * patch, |number, dweight| {
                let own = dweight.len() / patch;
                let dy = Matrix::strided(&dy[number * share..], (all, own), (filters, 1));
                matmul(MatrixMut::rows(dweight, own, patch), dy.transposed(), seen, false);
            });
        });
        return;
    }
    // Vectors run along the dimension that fills them.
    let turned = patch % 16 != 0;
    let tasks = if all * filters * own < SMALL { 1 } else { 4 };
    let share = all.div_ceil(tasks).max(1);
    // Sums that are too many for the cache are read and written for each tile, which makes tiles longer.
    let step = if dweight.len() > 1 << 17 { 2 * ROWS } else { 8 }.max(TILE / patch);
    let size = dweight.len();
    scratch::with(tasks * size, |partial| {
        chunks(partial, size, |task, partial| {
            partial.fill(0.0);
            for begin in (task * share..all.min((task + 1) * share)).step_by(step) {
                let rows = begin..all.min((task + 1) * share).min(begin + step);
                for (group, partial) in partial.chunks_exact_mut(own * patch).enumerate() {
                    seen(conv, x, group, rows.clone(), |seen, stride| {
                        let dy = &dy[rows.start * filters + group * own..];
                        let dy = Matrix::strided(dy, (rows.len(), own), (filters, 1));
                        let seen = Matrix::strided(seen, (rows.len(), patch), (stride, 1));
                        if turned {
                            matmul(MatrixMut::rows(partial, patch, own), seen.transposed(), dy, true);
                        } else {
                            matmul(MatrixMut::rows(partial, own, patch), dy.transposed(), seen, true);
                        }
                    });
                }
            }
        });
        let (sum, others) = partial.split_at_mut(size);
        chunks(sum, size.div_ceil(4).max(1 << 14), |number, sum| {
            for other in others.chunks_exact(size) {
                let other = &other[number * size.div_ceil(4).max(1 << 14)..][..sum.len()];
                vectorized(|| super::rows::add(sum, other));
            }
        });
        for (sum, dweight) in sum.chunks_exact(own * patch).zip(dweight.chunks_exact_mut(own * patch)) {
            if turned { transpose(sum, patch, dweight) } else { dweight.copy_from_slice(sum) }
        }
    });
}
