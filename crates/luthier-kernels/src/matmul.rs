//! Products of matrices, by the crate `gemm`.
//!
//! ```
//! use luthier_kernels::{Matrix, MatrixMut, matmul};
//!
//! let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0]);
//! let mut y = [0.0; 2];
//! matmul(MatrixMut::rows(&mut y, 2, 1), Matrix::rows(&a, 2, 2), Matrix::rows(&b, 2, 1), false);
//! assert_eq!(y, [17.0, 39.0]);
//! ```

use gemm::Parallelism;

/// A matrix of numbers that are somewhere in a slice.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    dims: (usize, usize),
    strides: (usize, usize),
}

/// A matrix to be written.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    data: &'a mut [f32],
    dims: (usize, usize),
    strides: (usize, usize),
}

/// How many numbers a slice needs to hold such a matrix.
fn extent((rows, columns): (usize, usize), (down, right): (usize, usize)) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * down + (columns - 1) * right + 1 }
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub fn rows(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, (rows, columns), (columns, 1))
    }

    /// With the number at row `i` and column `j` at `i * strides.0 + j * strides.1`.
    ///
    /// # Panics
    ///
    /// If the slice is too short.
    pub fn strided(data: &'a [f32], dims: (usize, usize), strides: (usize, usize)) -> Self {
        assert!(extent(dims, strides) <= data.len(), "a matrix of {dims:?} in {} numbers", data.len());
        Self { data, dims, strides }
    }

    /// With rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { dims: (self.dims.1, self.dims.0), strides: (self.strides.1, self.strides.0), ..self }
    }
}

impl<'a> MatrixMut<'a> {
    /// Row after row.
    pub fn rows(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, (rows, columns), (columns, 1))
    }

    /// With the number at row `i` and column `j` at `i * strides.0 + j * strides.1`.
    ///
    /// # Panics
    ///
    /// If the slice is too short.
    pub fn strided(data: &'a mut [f32], dims: (usize, usize), strides: (usize, usize)) -> Self {
        assert!(extent(dims, strides) <= data.len(), "a matrix of {dims:?} in {} numbers", data.len());
        Self { data, dims, strides }
    }
}

/// `target = left · right`, or `target += left · right` where `add` says so, on this thread.
///
/// # Panics
///
/// If the sizes do not fit each other.
#[allow(unsafe_code, reason = "the interface of the crate gemm")]
#[allow(clippy::needless_pass_by_value, reason = "a matrix to be written is lent for the call")]
pub fn matmul(target: MatrixMut<'_>, left: Matrix<'_>, right: Matrix<'_>, add: bool) {
    let ((m, k), (inner, n)) = (left.dims, right.dims);
    assert!(inner == k && target.dims == (m, n), "{:?} = {:?} · {:?}", target.dims, left.dims, right.dims);
    // SAFETY: the three slices hold all numbers of their matrices, which was checked when those were made;
    // the target is borrowed alone, so it does not overlap the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.data.as_mut_ptr(),
            target.strides.1 as isize,
            target.strides.0 as isize,
            add,
            left.data.as_ptr(),
            left.strides.1 as isize,
            left.strides.0 as isize,
            right.data.as_ptr(),
            right.strides.1 as isize,
            right.strides.0 as isize,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_and_sums() {
        let a: Vec<f32> = (0..6).map(|it| it as f32).collect();
        // [[0, 1, 2], [3, 4, 5]] transposed, times itself.
        let left = Matrix::rows(&a, 2, 3).transposed();
        let mut y = vec![1.0; 9];
        matmul(MatrixMut::rows(&mut y, 3, 3), left, Matrix::rows(&a, 2, 3), true);
        assert_eq!(y, [10.0, 13.0, 16.0, 13.0, 18.0, 23.0, 16.0, 23.0, 30.0]);
    }

    #[test]
    #[should_panic(expected = "a matrix of (2, 3) in 5 numbers")]
    fn a_slice_that_is_too_short() {
        let _ = Matrix::rows(&[0.0; 5], 2, 3);
    }
}
