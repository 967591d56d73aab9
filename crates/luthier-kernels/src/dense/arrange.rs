//! Parts of matrices in another order, for products that read them one after the other.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use super::product::{LANES, read};
use crate::simd::vectorized;

/// The first `count` numbers of rows that are `stride` apart, as rows of `width` numbers, whose end is of no
/// matter.
pub(super) fn copy(rows: &[f32], stride: usize, count: usize, target: &mut [f32], width: usize) {
    vectorized(
        #[inline(always)]
        || {
            for (number, (target, _)) in target.chunks_exact_mut(width).zip(rows.chunks(stride)).enumerate() {
                let row = &rows[number * stride..];
                let (targets, _) = target.as_chunks_mut::<LANES>();
                for (vector, target) in targets.iter_mut().enumerate() {
                    let start = vector * LANES;
                    *target = read(&row[start..], LANES.min(count - start));
                }
            }
        },
    );
}

/// The transpose of rows of `size` numbers: `target` gets `size` rows of `width` numbers, with 0 where there
/// are more of them than rows.
pub(super) fn transpose(rows: &[f32], size: usize, target: &mut [f32], width: usize) {
    let count = rows.len() / size.max(1);
    vectorized(
        #[inline(always)]
        || {
            // By squares, so that the lines of both stay in the cache.
            for first in (0..width).step_by(LANES) {
                for start in (0..size).step_by(LANES) {
                    let end = (start + LANES).min(size);
                    if first + LANES <= count && end - start == LANES {
                        let square: [[f32; LANES]; LANES] = std::array::from_fn(|row| {
                            *rows[(first + row) * size + start..].first_chunk().expect("a square is inside")
                        });
                        for place in 0..LANES {
                            let column: [f32; LANES] = std::array::from_fn(|row| square[row][place]);
                            target[(start + place) * width + first..][..LANES].copy_from_slice(&column);
                        }
                    } else {
                        for place in start..end {
                            for row in first..(first + LANES).min(width) {
                                let number = if row < count { rows[row * size + place] } else { 0.0 };
                                target[place * width + row] = number;
                            }
                        }
                    }
                }
            }
        },
    );
}

/// `count` rows from the columns of a matrix with a row every `stride`.
#[inline(always)]
pub(super) fn gather(columns: &[f32], stride: usize, rows: &mut [f32], count: usize) {
    let size = rows.len() / count;
    let whole = if count == LANES { size / LANES * LANES } else { 0 };
    for start in (0..whole).step_by(LANES) {
        let square: [[f32; LANES]; LANES] = std::array::from_fn(|place| {
            *columns[(start + place) * stride..].first_chunk().expect("rows of whole vectors")
        });
        for row in 0..LANES {
            let numbers: [f32; LANES] = std::array::from_fn(|place| square[place][row]);
            rows[row * size + start..][..LANES].copy_from_slice(&numbers);
        }
    }
    for place in whole..size {
        for row in 0..count {
            rows[row * size + place] = columns[place * stride + row];
        }
    }
}
