//! Products of a few rows with a matrix that was put in order for them.

#![expect(clippy::needless_pass_by_value, reason = "borrowed slices")]

use crate::simd::vectorized;

/// Numbers that are computed at once.
pub(super) const LANES: usize = 16;

/// As many numbers.
pub(super) type Lanes = [f32; LANES];

/// Most vectors in which a panel is wide.
pub(super) const VECTORS: usize = 4;

/// So many rows of a panel are taken together: they stay in the nearest cache.
const DEPTH: usize = 128;

/// So many numbers of those from `place` on; seldom fewer than `LANES`, and 0 behind them.
#[inline(always)]
pub(super) fn load(data: &[f32], place: usize, len: usize) -> Lanes {
    let mut lanes = [0.0; LANES];
    if len == LANES {
        lanes.copy_from_slice(&data[place..][..LANES]);
    } else {
        lanes[..len].copy_from_slice(&data[place..][..len]);
    }
    lanes
}

/// Writes so many numbers to those from `place` on.
#[inline(always)]
pub(super) fn store(data: &mut [f32], place: usize, lanes: Lanes, len: usize) {
    if len == LANES {
        data[place..][..LANES].copy_from_slice(&lanes);
    } else {
        data[place..][..len].copy_from_slice(&lanes[..len]);
    }
}

/// Some rows of a matrix: the first number of each is so far behind that of the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<T> {
    pub(super) data: T,
    pub(super) stride: usize,
}

/// So many rows are taken at once that the sums stay in registers.
fn rows_at_once() -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") {
        return 6;
    }
    1
}

/// As much of the numbers as begins where vectors are read fastest. Ask for `LANES` numbers more.
pub(super) fn aligned(data: &mut [f32]) -> &mut [f32] {
    let skipped = data.as_ptr().align_offset(LANES * size_of::<f32>()).min(LANES);
    &mut data[skipped..]
}

/// Adds the product of `count` rows with a panel `[depth, vectors, LANES]` to those of `sums`.
pub(super) fn add(sums: Rows<&mut [f32]>, count: usize, values: Rows<&[f32]>, panel: &[f32], vectors: usize) {
    let (panel, _) = panel.as_chunks::<LANES>();
    match vectors {
        1 => add_panel::<1>(sums, count, values, panel),
        2 => add_panel::<2>(sums, count, values, panel),
        3 => add_panel::<3>(sums, count, values, panel),
        4 => add_panel::<4>(sums, count, values, panel),
        _ => unreachable!("a panel has from 1 to {VECTORS} vectors"),
    }
}

fn add_panel<const V: usize>(sums: Rows<&mut [f32]>, count: usize, values: Rows<&[f32]>, panel: &[Lanes]) {
    let (panel, _) = panel.as_chunks::<V>();
    let at_once = rows_at_once();
    for (number, panel) in panel.chunks(DEPTH).enumerate() {
        let mut row = 0;
        while row < count {
            let left = count - row;
            // As even as can be.
            let rows = left.div_ceil(left.div_ceil(at_once));
            let sums = Rows { data: &mut sums.data[row * sums.stride..], ..sums };
            let values = Rows { data: &values.data[row * values.stride + number * DEPTH..], ..values };
            match rows {
                1 => add_rows::<V, 1>(sums, values, panel),
                2 => add_rows::<V, 2>(sums, values, panel),
                3 => add_rows::<V, 3>(sums, values, panel),
                4 => add_rows::<V, 4>(sums, values, panel),
                5 => add_rows::<V, 5>(sums, values, panel),
                _ => add_rows::<V, 6>(sums, values, panel),
            }
            row += rows;
        }
    }
}

/// `sums + value * weights`. In a function of its own, as one array from others, so that the arrays become
/// registers.
#[inline(always)]
fn plus(sums: Lanes, value: f32, weights: &Lanes) -> Lanes {
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = value.mul_add(weights[lane], sums[lane]);
    }
    result
}

#[expect(clippy::needless_range_loop, reason = "so the arrays become registers")]
fn add_rows<const V: usize, const R: usize>(
    sums: Rows<&mut [f32]>,
    values: Rows<&[f32]>,
    panel: &[[Lanes; V]],
) {
    vectorized(
        #[inline(always)]
        || {
            let rows: [&[f32]; R] =
                std::array::from_fn(|row| &values.data[row * values.stride..][..panel.len()]);
            let mut totals = [[[0.0; LANES]; V]; R];
            for (place, weights) in panel.iter().enumerate() {
                let weights = *weights;
                for row in 0..R {
                    let value = rows[row][place];
                    for vector in 0..V {
                        totals[row][vector] = plus(totals[row][vector], value, &weights[vector]);
                    }
                }
            }
            for row in 0..R {
                for vector in 0..V {
                    let target = &mut sums.data[row * sums.stride + vector * LANES..][..LANES];
                    let total = totals[row][vector];
                    for lane in 0..LANES {
                        target[lane] += total[lane];
                    }
                }
            }
        },
    );
}
