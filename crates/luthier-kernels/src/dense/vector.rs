//! Products of layers whose rows are a vector: more units than [`super::narrow`] takes, and at most [`LANES`].
//!
//! They have less to do than others, so that what is done beside the sums would be most of it. Sums stay in
//! registers over a tile of rows (forward) or inputs (backward). Each number adds the same terms in the same order
//! as in [`super::product`], so the bits are those of wider layers.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use pulp::{Simd, WithSimd};

use super::product::{DEPTH, LANES, read};

/// Most units of a layer that is computed here.
pub(super) const UNITS: usize = LANES;

/// Rows of `units` numbers that are written vector by vector.
struct Written<'a> {
    rows: &'a mut [f32],
    units: usize,
}

impl Written<'_> {
    fn count(&self) -> usize {
        self.rows.len() / self.units
    }

    /// Writes a block of as many neighbouring units as a vector has lanes to `vectors.len()` rows from `row` on.
    #[inline(always)]
    fn store<S: Simd, const R: usize>(&mut self, simd: S, row: usize, block: usize, vectors: [S::f32s; R]) {
        let rows = &mut self.rows[row * self.units..][..R * self.units];
        if self.units == LANES {
            let (whole, _) = S::as_mut_simd_f32s(rows);
            for (row, vector) in whole.chunks_exact_mut(LANES / S::F32_LANES).zip(vectors) {
                row[block] = vector;
            }
            return;
        }
        for (row, vector) in rows.chunks_exact_mut(self.units).zip(vectors) {
            let numbers = &mut row[block * S::F32_LANES..];
            match S::as_mut_simd_f32s(numbers).0 {
                [whole, ..] => *whole = vector,
                [] => simd.partial_store_f32s(numbers, vector),
            }
        }
    }
}

/// `y = x W + b` for rows of so many `inputs`. The rows of `weight` have [`LANES`] numbers, of which the first are
/// those of the `units`.
pub(super) fn forward(
    inputs: usize,
    units: usize,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let bias = bias.map_or([0.0; LANES], |bias| read(bias, units));
    pulp::Arch::new().dispatch(Forward { inputs, x, weight, bias, y: Written { rows: y, units } });
}

/// The forward pass, with a unit in each lane.
struct Forward<'a> {
    inputs: usize,
    x: &'a [f32],
    weight: &'a [f32],
    bias: [f32; LANES],
    y: Written<'a>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.y.count();
        for block in 0..self.y.units.div_ceil(S::F32_LANES) {
            let mut row = 0;
            while row < rows {
                row += match rows - row {
                    1 => self.tile::<S, 1>(simd, block, row),
                    2 | 3 => self.tile::<S, 2>(simd, block, row),
                    4..8 => self.tile::<S, 4>(simd, block, row),
                    _ => self.tile::<S, 8>(simd, block, row),
                };
            }
        }
    }
}

impl Forward<'_> {
    /// Does a block of units of `R` rows, and returns how many these are.
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, block: usize, row: usize) -> usize {
        let (inputs, blocks) = (self.inputs, LANES / S::F32_LANES);
        let (weight, _) = S::as_simd_f32s(self.weight);
        let mut totals = [S::as_simd_f32s(&self.bias).0[block]; R];
        for (number, weight) in weight.chunks(DEPTH * blocks).enumerate() {
            let count = weight.len() / blocks;
            let rows: [&[f32]; R] =
                std::array::from_fn(|it| &self.x[(row + it) * inputs + number * DEPTH..][..count]);
            let mut sums = [simd.splat_f32s(0.0); R];
            for (place, weights) in weight.chunks_exact(blocks).enumerate() {
                for it in 0..R {
                    sums[it] = simd.mul_add_f32s(simd.splat_f32s(rows[it][place]), weights[block], sums[it]);
                }
            }
            for it in 0..R {
                totals[it] = simd.add_f32s(totals[it], sums[it]);
            }
        }
        self.y.store(simd, row, block, totals);
        R
    }
}

/// `dW = xᵀ dy` for the inputs from `first` on, of which `dweight` has the weights of `units`. The rows of `dy` have
/// [`LANES`] numbers, of which the first are those of the units.
pub(super) fn backward_of_weight(
    inputs: usize,
    units: usize,
    first: usize,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
) {
    let dweight = Written { rows: dweight, units };
    pulp::Arch::new().dispatch(BackwardOfWeight { inputs, first, x, dy, dweight });
}

/// The gradient by the weights, with a unit in each lane.
struct BackwardOfWeight<'a> {
    inputs: usize,
    first: usize,
    x: &'a [f32],
    dy: &'a [f32],
    dweight: Written<'a>,
}

impl WithSimd for BackwardOfWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let inputs = self.dweight.count();
        for block in 0..self.dweight.units.div_ceil(S::F32_LANES) {
            let mut input = 0;
            while input < inputs {
                input += match inputs - input {
                    1 => self.tile::<S, 1>(simd, block, input),
                    2 | 3 => self.tile::<S, 2>(simd, block, input),
                    4 | 5 => self.tile::<S, 4>(simd, block, input),
                    6 | 7 => self.tile::<S, 6>(simd, block, input),
                    8 | 9 => self.tile::<S, 8>(simd, block, input),
                    10 | 11 => self.tile::<S, 10>(simd, block, input),
                    _ => self.tile::<S, 12>(simd, block, input),
                };
            }
        }
    }
}

impl BackwardOfWeight<'_> {
    /// Does a block of units of `R` inputs, and returns how many these are.
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, block: usize, input: usize) -> usize {
        let (zero, blocks) = (simd.splat_f32s(0.0), LANES / S::F32_LANES);
        let (dy, _) = S::as_simd_f32s(self.dy);
        let mut totals = [zero; R];
        for (x, dy) in self.x.chunks(DEPTH * self.inputs).zip(dy.chunks(DEPTH * blocks)) {
            let mut sums = [zero; R];
            for (x, dy) in x.chunks_exact(self.inputs).zip(dy.chunks_exact(blocks)) {
                let x: &[f32; R] =
                    x[self.first + input..].first_chunk().expect("a tile is within the inputs");
                for it in 0..R {
                    sums[it] = simd.mul_add_f32s(simd.splat_f32s(x[it]), dy[block], sums[it]);
                }
            }
            for it in 0..R {
                totals[it] = simd.add_f32s(totals[it], sums[it]);
            }
        }
        self.dweight.store(simd, input, block, totals);
        R
    }
}
