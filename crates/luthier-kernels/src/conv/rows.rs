//! What is done with the rows of a matrix.

use crate::matmul::{Matrix, MatrixMut, matmul};
use crate::parallel::chunks;
use crate::scratch;
use crate::simd::vectorized;

/// As many terms of a sum of products are added at once, whatever the sizes of the matrices.
const TERMS: usize = 512;

/// `y = left · right` where both `y` (with rows of `stride` numbers, of which the first `columns` are written) and
/// `left` have `rows` rows; `right` has `terms` rows of `columns` numbers, and
/// comes with its strides. What was said of rows holds for all numbers of columns only if columns are not in one piece
/// (`across > 1`) with more than 128 of them. A row of `y` does not depend on the number of rows.
pub(super) fn product(
    y: &mut [f32],
    (rows, columns, stride): (usize, usize, usize),
    (left, terms, left_stride): (&[f32], usize, usize),
    (right, down, across): (&[f32], usize, usize),
) {
    // The crate `gemm` has ways of its own for vectors, with sums in another order.
    if rows == 1 {
        scratch::with(2 * columns + 2 * terms, |memory| {
            let (two, twice) = memory.split_at_mut(2 * columns);
            twice.chunks_exact_mut(terms).for_each(|it| it.copy_from_slice(&left[..terms]));
            product(two, (2, columns, columns), (twice, terms, terms), (right, down, across));
            y[..columns].copy_from_slice(&two[..columns]);
        });
        return;
    }
    if columns == 1 {
        scratch::with(2 * rows + 2 * terms, |memory| {
            let (two, twice) = memory.split_at_mut(2 * rows);
            twice.chunks_exact_mut(2).zip(right.iter().step_by(down)).for_each(|(it, &value)| it.fill(value));
            product(two, (rows, 2, 2), (left, terms, left_stride), (twice, 2, 1));
            y.iter_mut().step_by(stride).zip(two.chunks_exact(2)).for_each(|(y, it)| *y = it[0]);
        });
        return;
    }
    let size = terms.div_ceil(terms.div_ceil(TERMS));
    for begin in (0..terms).step_by(size) {
        let size = size.min(terms - begin);
        let target = MatrixMut::strided(y, (rows, columns), (stride, 1));
        let left = Matrix::strided(&left[begin..], (rows, size), (left_stride, 1));
        let right = Matrix::strided(&right[begin * down..], (size, columns), (down, across));
        matmul(target, left, right, begin > 0);
    }
}

/// Adds the bias to each row and replaces negative numbers by zero, as far as asked for.
pub(super) fn finish(y: &mut [f32], bias: Option<&[f32]>, relu: bool, filters: usize) {
    vectorized(|| match (bias, relu) {
        (Some(bias), true) => each(y, bias, |y, bias| (y + bias).max(0.0)),
        (Some(bias), false) => each(y, bias, |y, bias| y + bias),
        (None, true) => y.iter_mut().for_each(|y| *y = y.max(0.0)),
        (None, false) => debug_assert_eq!(y.len() % filters, 0),
    });
}

#[inline(always)]
fn each(y: &mut [f32], bias: &[f32], change: impl Fn(f32, f32) -> f32) {
    for row in y.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(y, &bias)| *y = change(*y, bias));
    }
}

/// `to += from`.
#[inline(always)]
pub(super) fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
}

/// Writes the sum over the rows of `values`: over blocks of rows first, then over blocks.
pub(super) fn sums(values: &[f32], sum: &mut [f32]) {
    const ROWS: usize = 128;
    let (columns, rows) = (sum.len(), values.len() / sum.len());
    // Some blocks to a task, so that small matrices are the work of one.
    let tasks = values.len().div_ceil(1 << 18).clamp(1, 16);
    let share = rows.div_ceil(tasks).max(1);
    scratch::with(tasks * columns, |partial| {
        chunks(partial, columns, |task, partial| {
            partial.fill(0.0);
            let begin = (task * share).min(rows);
            let values = &values[begin * columns..(begin + share).min(rows) * columns];
            scratch::with(columns, |block| {
                for values in values.chunks(ROWS * columns) {
                    vectorized(|| {
                        block.fill(0.0);
                        values.chunks_exact(columns).for_each(|row| add(block, row));
                        add(partial, block);
                    });
                }
            });
        });
        sum.fill(0.0);
        partial.chunks_exact(columns).for_each(|it| add(sum, it));
    });
}

/// Writes the matrix of `rows` rows with rows and columns exchanged.
pub(super) fn transpose(from: &[f32], rows: usize, to: &mut [f32]) {
    const SIDE: usize = 16;
    let columns = from.len() / rows;
    for i in (0..rows).step_by(SIDE) {
        for j in (0..columns).step_by(SIDE) {
            let (height, width) = (SIDE.min(rows - i), SIDE.min(columns - j));
            // A square that stays in the nearest cache, so that whole lines are read and written.
            let mut square = [[0.0; SIDE]; SIDE];
            for row in 0..height {
                for (line, &value) in square.iter_mut().zip(&from[(i + row) * columns + j..][..width]) {
                    line[row] = value;
                }
            }
            for (column, line) in square[..width].iter().enumerate() {
                to[(j + column) * rows + i..][..height].copy_from_slice(&line[..height]);
            }
        }
    }
}
