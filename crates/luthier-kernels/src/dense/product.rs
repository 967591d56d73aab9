//! Products whose sums have one order: each number of a result adds as many terms as are taken together,
//! one after the other, and then these sums.
//!
//! So its bits depend neither on how many other rows or columns there are nor on how the work is cut.

#![allow(clippy::needless_pass_by_value, reason = "a slice and its stride go together")]

use crate::simd::vectorized;

/// Numbers of a vector.
pub(super) const LANES: usize = 16;

type Lanes = [f32; LANES];

/// So many terms are taken together: their part of the right matrix stays in the nearest cache.
pub(super) const DEPTH: usize = 128;

/// How many vectors a panel of columns is wide, at most: so that the sums stay in registers.
pub(super) fn widest_panel() -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") {
        return 4;
    }
    1
}

/// Numbers with a row every `stride`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<T> {
    pub(super) data: T,
    pub(super) stride: usize,
}

/// Rows and columns of the result of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// `target = left · right`, or `target += left · right` where `add` says so, for at most [`widest_panel`] vectors of columns; the rows of `right` are one behind
/// the other and whole vectors, of which those of the target may be the first part. `TRANSPOSED` says that the rows of `left` are
/// those of its transpose.
pub(super) fn add_panel<const TRANSPOSED: bool>(
    target: Rows<&mut [f32]>,
    left: Rows<&[f32]>,
    right: &[f32],
    size: Size,
    add: bool,
) {
    match size.columns.div_ceil(LANES) {
        0 => {}
        1 => panel::<1, TRANSPOSED>(target, left, right, size, add),
        2 => panel::<2, TRANSPOSED>(target, left, right, size, add),
        3 => panel::<3, TRANSPOSED>(target, left, right, size, add),
        4 => panel::<4, TRANSPOSED>(target, left, right, size, add),
        _ => unreachable!("a panel has at most 4 vectors"),
    }
}

fn panel<const V: usize, const TRANSPOSED: bool>(
    target: Rows<&mut [f32]>,
    left: Rows<&[f32]>,
    right: &[f32],
    size: Size,
    add: bool,
) {
    vectorized(
        #[inline(always)]
        || {
            let (right, _) = right.as_chunks::<LANES>();
            let (right, _) = right.as_chunks::<V>();
            for (number, right) in right.chunks(DEPTH).enumerate() {
                let (start, add) = (number * DEPTH, add || number > 0);
                let mut row = 0;
                while row < size.rows {
                    let target = Rows { data: &mut target.data[row * target.stride..], ..target };
                    let place =
                        if TRANSPOSED { start * left.stride + row } else { row * left.stride + start };
                    let left = Rows { data: &left.data[place..], ..left };
                    row += match size.rows - row {
                        1 => tile::<V, 1, TRANSPOSED>(target, left, right, size, add),
                        2 | 3 => tile::<V, 2, TRANSPOSED>(target, left, right, size, add),
                        4 | 5 | 8 => tile::<V, 4, TRANSPOSED>(target, left, right, size, add),
                        _ => tile::<V, 6, TRANSPOSED>(target, left, right, size, add),
                    };
                }
            }
        },
    );
}

/// `sums + value · weights`. In a function of its own, as one array from others, so that the arrays become
/// registers.
#[inline(always)]
fn plus(sums: Lanes, value: f32, weights: &Lanes) -> Lanes {
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = value.mul_add(weights[lane], sums[lane]);
    }
    result
}

/// Does `R` rows, and returns how many these are.
#[inline(always)]
fn tile<const V: usize, const R: usize, const TRANSPOSED: bool>(
    target: Rows<&mut [f32]>,
    left: Rows<&[f32]>,
    right: &[[Lanes; V]],
    size: Size,
    add: bool,
) -> usize {
    // Behind this, the sums are in memory, so that they are registers before: what addresses some of them
    // by a variable would else have them in memory all the time.
    let sums = std::hint::black_box(sums::<V, R, TRANSPOSED>(left, right));
    for (row, sums) in sums.iter().enumerate() {
        let target = &mut target.data[row * target.stride..][..size.columns];
        let (vectors, rest) = target.as_chunks_mut::<LANES>();
        for (target, sums) in vectors.iter_mut().zip(sums) {
            *target = if add { plus(*target, 1.0, sums) } else { *sums };
        }
        if !rest.is_empty() {
            for (target, &sum) in rest.iter_mut().zip(&sums[vectors.len()]) {
                *target = if add { *target + sum } else { sum };
            }
        }
    }
    R
}

/// The sums of a tile. There are as many terms as `right` has rows.
#[inline(always)]
fn sums<const V: usize, const R: usize, const TRANSPOSED: bool>(
    left: Rows<&[f32]>,
    right: &[[Lanes; V]],
) -> [[Lanes; V]; R] {
    let mut sums = [[[0.0; LANES]; V]; R];
    if TRANSPOSED {
        for (weights, column) in right.iter().zip(left.data.chunks(left.stride)) {
            let (weights, column) = (*weights, &column[..R]);
            for row in 0..R {
                for vector in 0..V {
                    sums[row][vector] = plus(sums[row][vector], column[row], &weights[vector]);
                }
            }
        }
    } else {
        let rows: [&[f32]; R] = std::array::from_fn(
            #[inline(always)]
            |row| &left.data[row * left.stride..][..right.len()],
        );
        for (place, weights) in right.iter().enumerate() {
            let weights = *weights;
            for row in 0..R {
                for vector in 0..V {
                    sums[row][vector] = plus(sums[row][vector], rows[row][place], &weights[vector]);
                }
            }
        }
    }
    sums
}
