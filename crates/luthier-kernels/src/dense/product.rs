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

/// What the sums of a product are added to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// What the target holds.
    Target,
    /// A number for each column.
    Row(&'a [f32]),
}

/// `target = start + left · right` for at most [`widest_panel`] vectors of columns. The rows of `right` are one behind
/// the other and whole vectors, of which those of the target may be the first part. `TRANSPOSED` says that the
/// rows of `left` are those of its transpose.
pub(super) fn add_panel<const TRANSPOSED: bool>(
    target: Rows<&mut [f32]>,
    left: Rows<&[f32]>,
    right: &[f32],
    size: Size,
    start: Start<'_>,
) {
    match size.columns.div_ceil(LANES) {
        0 => {}
        1 => panel::<1, TRANSPOSED>(target, left, right, size, start),
        2 => panel::<2, TRANSPOSED>(target, left, right, size, start),
        3 => panel::<3, TRANSPOSED>(target, left, right, size, start),
        4 => panel::<4, TRANSPOSED>(target, left, right, size, start),
        _ => unreachable!("a panel has at most 4 vectors"),
    }
}

fn panel<const V: usize, const TRANSPOSED: bool>(
    target: Rows<&mut [f32]>,
    left: Rows<&[f32]>,
    right: &[f32],
    size: Size,
    start: Start<'_>,
) {
    vectorized(
        #[inline(always)]
        || {
            let (right, _) = right.as_chunks::<LANES>();
            let (right, _) = right.as_chunks::<V>();
            let mut vectors = [[0.0; LANES]; V];
            if let Start::Row(row) = start {
                for (number, vector) in vectors.iter_mut().enumerate() {
                    *vector = read(&row[number * LANES..], LANES.min(row.len() - number * LANES));
                }
            }
            let mut first = match start {
                Start::Target => First::Target,
                Start::Zero | Start::Row(_) => First::Vectors(vectors),
            };
            for (number, right) in right.chunks(DEPTH).enumerate() {
                let depth = number * DEPTH;
                let mut row = 0;
                while row < size.rows {
                    let target = Rows { data: &mut target.data[row * target.stride..], ..target };
                    let place =
                        if TRANSPOSED { depth * left.stride + row } else { row * left.stride + depth };
                    let left = Rows { data: &left.data[place..], ..left };
                    row += match size.rows - row {
                        1 => tile::<V, 1, TRANSPOSED>(target, left, right, size, &first),
                        2 | 3 => tile::<V, 2, TRANSPOSED>(target, left, right, size, &first),
                        4 | 5 | 8 => tile::<V, 4, TRANSPOSED>(target, left, right, size, &first),
                        12.. if V == 1 && !TRANSPOSED => {
                            tile::<V, 12, TRANSPOSED>(target, left, right, size, &first)
                        }
                        _ => tile::<V, 6, TRANSPOSED>(target, left, right, size, &first),
                    };
                }
                first = First::Target;
            }
        },
    );
}

/// [`Start`] as vectors.
enum First<const V: usize> {
    Vectors([Lanes; V]),
    Target,
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
    first: &First<V>,
) -> usize {
    // Behind this, the sums are in memory, so that they are registers before: what addresses some of them
    // by a variable would else have them in memory all the time.
    let sums = std::hint::black_box(sums::<V, R, TRANSPOSED>(left, right));
    for (row, sums) in sums.iter().enumerate() {
        let target = &mut target.data[row * target.stride..][..size.columns];
        let (vectors, rest) = target.as_chunks_mut::<LANES>();
        for (number, (target, sums)) in vectors.iter_mut().zip(sums).enumerate() {
            *target = match first {
                First::Vectors(first) => plus(first[number], 1.0, sums),
                First::Target => plus(*target, 1.0, sums),
            };
        }
        if !rest.is_empty() {
            let whole = vectors.len();
            let first = match first {
                First::Vectors(first) => first[whole],
                First::Target => read(rest, rest.len()),
            };
            write_few(rest, &plus(first, 1.0, &sums[whole]));
        }
    }
    R
}

/// A vector whose first `count` numbers are those of `from`; what is behind them is of no matter.
#[inline(always)]
pub(super) fn read(from: &[f32], count: usize) -> Lanes {
    // All at once where that is no further than the memory goes: parts that are put together have to be
    // written before they can be read as a vector.
    if let Some(whole) = from.first_chunk() {
        return *whole;
    }
    let from = &from[..count];
    let mut lanes = [0.0; LANES];
    let mut place = 0;
    // By parts of constant length, as copies of others are calls.
    if from.len() & 8 != 0 {
        lanes[..8].copy_from_slice(&from[..8]);
        place = 8;
    }
    if from.len() & 4 != 0 {
        lanes[place..place + 4].copy_from_slice(&from[place..place + 4]);
        place += 4;
    }
    if from.len() & 2 != 0 {
        lanes[place..place + 2].copy_from_slice(&from[place..place + 2]);
        place += 2;
    }
    if from.len() & 1 != 0 {
        lanes[place] = from[place];
    }
    lanes
}

/// The first numbers of a vector, less than all.
#[inline(always)]
fn write_few(to: &mut [f32], lanes: &Lanes) {
    let mut place = 0;
    if to.len() & 8 != 0 {
        to[..8].copy_from_slice(&lanes[..8]);
        place = 8;
    }
    if to.len() & 4 != 0 {
        to[place..place + 4].copy_from_slice(&lanes[place..place + 4]);
        place += 4;
    }
    if to.len() & 2 != 0 {
        to[place..place + 2].copy_from_slice(&lanes[place..place + 2]);
        place += 2;
    }
    if to.len() & 1 != 0 {
        to[place] = lanes[place];
    }
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
        let count = right.len();
        let mut rows = [&left.data[..count]; R];
        for (number, row) in rows.iter_mut().enumerate() {
            *row = &left.data[number * left.stride..][..count];
        }
        for place in 0..count {
            let weights = right[place];
            for row in 0..R {
                for vector in 0..V {
                    sums[row][vector] = plus(sums[row][vector], rows[row][place], &weights[vector]);
                }
            }
        }
    }
    sums
}
