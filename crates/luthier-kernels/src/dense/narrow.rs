//! Products of layers with few units, such as those for two classes or one number.
//!
//! A row of their results is far from a whole vector. So vectors go along the rows (forward) or along the inputs
//! (backward). Each number adds the same terms in the same order as in [`super::product`], so the bits are those
//! of wider layers.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use pulp::{Simd, WithSimd};

use super::product::{DEPTH, LANES};

/// Most units of a layer that is computed here.
pub(super) const FEW: usize = 4;

/// `$work::<N>($argument, …)` with the number of units for N.
macro_rules! of_units {
    ($units:expr, $work:ident ($($argument:expr),* $(,)?)) => {
        match $units {
            1 => $work::<1>($($argument),*),
            2 => $work::<2>($($argument),*),
            3 => $work::<3>($($argument),*),
            4 => $work::<4>($($argument),*),
            _ => unreachable!("a narrow layer has at most 4 units"),
        }
    };
}

/// `y = x W + b` for rows of so many `inputs`.
pub(super) fn forward(
    inputs: usize,
    units: usize,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    of_units!(units, forward_of(inputs, x, weight, bias, y));
}

fn forward_of<const U: usize>(inputs: usize, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let ((weight, _), (y, _)) = (weight.as_chunks::<U>(), y.as_chunks_mut::<U>());
    let first = bias.map_or([0.0; U], |bias| *bias.first_chunk().expect("a bias for each unit"));
    pulp::Arch::new().dispatch(Forward { inputs, x, weight, first, y });
}

/// The forward pass, with a row in each lane of vectors of whatever width.
struct Forward<'a, const U: usize> {
    inputs: usize,
    x: &'a [f32],
    weight: &'a [[f32; U]],
    first: [f32; U],
    y: &'a mut [[f32; U]],
}

impl<const U: usize> WithSimd for Forward<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { inputs, x, weight, first, y } = self;
        for (y, x) in y.chunks_mut(S::F32_LANES).zip(x.chunks(S::F32_LANES * inputs)) {
            let mut totals = first.map(|first| simd.splat_f32s(first));
            for (number, weight) in weight.chunks(DEPTH).enumerate() {
                let sums = sums_of_rows(simd, x, inputs, number * DEPTH, weight);
                for unit in 0..U {
                    totals[unit] = simd.add_f32s(totals[unit], sums[unit]);
                }
            }
            let totals = totals.map(|total| lanes::<S>(total));
            let rows: [[f32; U]; LANES] =
                std::array::from_fn(|row| std::array::from_fn(|unit| totals[unit][row]));
            if y.len() == S::F32_LANES {
                // All at once, as the length is known.
                y.copy_from_slice(&rows[..S::F32_LANES]);
            } else {
                y.copy_from_slice(&rows[..y.len()]);
            }
        }
    }
}

/// The numbers of a vector, and others behind them.
#[inline(always)]
fn lanes<S: Simd>(vector: S::f32s) -> [f32; LANES] {
    let mut numbers = [0.0; LANES];
    S::as_mut_simd_f32s(&mut numbers).0[0] = vector;
    numbers
}

/// The sums of a row for each lane, over as many inputs from `start` on as there are weights.
#[inline(always)]
fn sums_of_rows<S: Simd, const U: usize>(
    simd: S,
    x: &[f32],
    inputs: usize,
    start: usize,
    weight: &[[f32; U]],
) -> [S::f32s; U] {
    let mut sums = [simd.splat_f32s(0.0); U];
    // Lanes without a row do the last one once more; nobody reads their sums.
    let last = x.len() / inputs - 1;
    let (fours, rest) = weight.as_chunks::<4>();
    let (fours, rest) = if S::F32_LANES < 4 { (&[][..], weight) } else { (fours, rest) };
    // The beginnings of the rows, all of one length, so that no place in them has to be checked.
    let rows: [&[[f32; 4]]; LANES] = std::array::from_fn(|row| {
        let row = &x[row.min(last) * inputs + start..][..4 * fours.len()];
        &row.as_chunks().0[..fours.len()]
    });
    for (number, weight) in fours.iter().enumerate() {
        // Four lanes side by side get four inputs of a row, and then an input of four rows.
        let four: [S::f32s; 4] = std::array::from_fn(|place| {
            let blocks: [[f32; 4]; LANES / 4] = std::array::from_fn(|block| rows[4 * block + place][number]);
            S::as_simd_f32s(blocks.as_flattened()).0[0]
        });
        let columns: [S::f32s; 4] = simd.deinterleave_shfl_f32s(four);
        for (column, weight) in columns.into_iter().zip(weight) {
            for unit in 0..U {
                sums[unit] = simd.mul_add_f32s(simd.splat_f32s(weight[unit]), column, sums[unit]);
            }
        }
    }
    for (place, weight) in rest.iter().enumerate() {
        let at = start + 4 * fours.len() + place;
        let mut column = [0.0; LANES];
        for (row, number) in column[..S::F32_LANES].iter_mut().enumerate() {
            *number = x[row.min(last) * inputs + at];
        }
        let column = S::as_simd_f32s(&column).0[0];
        for unit in 0..U {
            sums[unit] = simd.mul_add_f32s(simd.splat_f32s(weight[unit]), column, sums[unit]);
        }
    }
    sums
}

/// `dx = dy Wᵀ`.
pub(super) fn backward_of_input(inputs: usize, units: usize, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    of_units!(units, backward_of_input_of(inputs, weight, dy, dx));
}

fn backward_of_input_of<const U: usize>(inputs: usize, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    let ((weight, _), (dy, _)) = (weight.as_chunks::<U>(), dy.as_chunks::<U>());
    pulp::Arch::new().dispatch(BackwardOfInput { inputs, weight, dy, dx });
}

/// The gradient by the inputs, with one of them in each lane.
struct BackwardOfInput<'a, const U: usize> {
    inputs: usize,
    weight: &'a [[f32; U]],
    dy: &'a [[f32; U]],
    dx: &'a mut [f32],
}

impl<const U: usize> WithSimd for BackwardOfInput<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { inputs, weight, dy, dx } = self;
        for (number, weight) in weight.chunks(S::F32_LANES).enumerate() {
            let columns: [S::f32s; U] = std::array::from_fn(|unit| {
                let mut column = [0.0; LANES];
                column.iter_mut().zip(weight).for_each(|(number, weight)| *number = weight[unit]);
                S::as_simd_f32s(&column).0[0]
            });
            let (start, count) = (number * S::F32_LANES, weight.len());
            for (dx, dy) in dx.chunks_exact_mut(inputs).zip(dy) {
                let mut sums = simd.splat_f32s(0.0);
                for unit in 0..U {
                    sums = simd.mul_add_f32s(simd.splat_f32s(dy[unit]), columns[unit], sums);
                }
                let dx = &mut dx[start..start + count];
                if let [whole, ..] = S::as_mut_simd_f32s(dx).0 {
                    *whole = sums;
                } else {
                    simd.partial_store_f32s(dx, sums);
                }
            }
        }
    }
}

/// `dW = xᵀ dy` for the inputs from `first` on, of which `dweight` has the weights.
pub(super) fn backward_of_weight(
    inputs: usize,
    units: usize,
    first: usize,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
) {
    of_units!(units, backward_of_weight_of(inputs, first, x, dy, dweight));
}

fn backward_of_weight_of<const U: usize>(
    inputs: usize,
    first: usize,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
) {
    let ((dy, _), (dweight, _)) = (dy.as_chunks::<U>(), dweight.as_chunks_mut::<U>());
    pulp::Arch::new().dispatch(BackwardOfWeight { inputs, first, x, dy, dweight });
}

/// The gradient by the weights, with an input in each lane.
struct BackwardOfWeight<'a, const U: usize> {
    inputs: usize,
    first: usize,
    x: &'a [f32],
    dy: &'a [[f32; U]],
    dweight: &'a mut [[f32; U]],
}

impl<const U: usize> WithSimd for BackwardOfWeight<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { inputs, first, x, dy, dweight } = self;
        for (number, dweight) in dweight.chunks_mut(S::F32_LANES).enumerate() {
            let (start, count) = (first + number * S::F32_LANES, dweight.len());
            let mut totals = [simd.splat_f32s(0.0); U];
            for (x, dy) in x.chunks(DEPTH * inputs).zip(dy.chunks(DEPTH)) {
                let mut sums = [simd.splat_f32s(0.0); U];
                for (x, dy) in x.chunks_exact(inputs).zip(dy) {
                    let x = &x[start..start + count];
                    let x = match S::as_simd_f32s(x).0 {
                        [whole, ..] => *whole,
                        [] => simd.partial_load_f32s(x),
                    };
                    for unit in 0..U {
                        sums[unit] = simd.mul_add_f32s(simd.splat_f32s(dy[unit]), x, sums[unit]);
                    }
                }
                for unit in 0..U {
                    totals[unit] = simd.add_f32s(totals[unit], sums[unit]);
                }
            }
            let totals = totals.map(|total| lanes::<S>(total));
            for (place, dweight) in dweight.iter_mut().enumerate() {
                for unit in 0..U {
                    dweight[unit] = totals[unit][place];
                }
            }
        }
    }
}
