//! Cholesky's factor of a symmetric positive definite matrix, grown row by row.
//!
//! Symbols: A = L Lᵀ with L lower triangular. A row can be appended at any time, so a matrix that is bordered is not
//! factored anew.
//!
//! Linear algebra of crates is fast because it takes the widest instructions that a processor has, and with them other
//! orders of sums and fused products: their last bits differ from machine to machine. Proposals must not, hence these
//! loops. They add in four lanes, an order that is written down and that compilers turn into vectors of any width.
//!
//! Complexity: O(n²) for a row and for a solution, O(n³) for the inverse.

/// The sum of products, in four lanes.
#[inline]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (a_chunks, b_chunks) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..4 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}

/// The factor L.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cholesky {
    /// Row after row, each as long as its number.
    rows: Vec<Vec<f64>>,
}

impl Cholesky {
    /// Appends the row `a` of A up to its diagonal. `None`, and nothing appended, where A is not positive definite.
    pub(crate) fn push(&mut self, a: &[f64]) -> Option<()> {
        let n = self.rows.len();
        let mut row = Vec::with_capacity(n + 1);
        for (j, other) in self.rows.iter().enumerate() {
            let x = (a[j] - dot(&row, &other[..j])) / other[j];
            row.push(x);
        }
        let pivot = a[n] - dot(&row, &row);
        // A pivot that rounding alone has left is none.
        if pivot.is_nan() || pivot <= 1e-12 * a[n] {
            return None;
        }
        row.push(pivot.sqrt());
        self.rows.push(row);
        Some(())
    }

    /// log |A|.
    pub(crate) fn log_determinant(&self) -> f64 {
        2.0 * self.rows.iter().enumerate().map(|(i, row)| libm::log(row[i])).sum::<f64>()
    }

    /// L⁻¹ b.
    pub(crate) fn forward(&self, b: &[f64]) -> Vec<f64> {
        let mut x = Vec::with_capacity(b.len());
        for (i, row) in self.rows.iter().enumerate() {
            let next = (b[i] - dot(&x, &row[..i])) / row[i];
            x.push(next);
        }
        x
    }

    /// L⁻ᵀ b.
    pub(crate) fn backward(&self, mut b: Vec<f64>) -> Vec<f64> {
        for (i, row) in self.rows.iter().enumerate().rev() {
            let x = b[i] / row[i];
            b[i] = x;
            for (left, l) in b[..i].iter_mut().zip(row) {
                *left -= x * l;
            }
        }
        b
    }

    /// A⁻¹ b.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        self.backward(self.forward(b))
    }

    /// The lower triangle of A⁻¹, row after row.
    pub(crate) fn inverse(&self) -> Vec<Vec<f64>> {
        let n = self.rows.len();
        // The rows of L⁻ᵀ from their diagonals: columns of L⁻¹.
        let columns: Vec<Vec<f64>> = (0..n)
            .map(|j| {
                let mut column: Vec<f64> = Vec::with_capacity(n - j);
                column.push(1.0 / self.rows[j][j]);
                for row in &self.rows[j + 1..] {
                    let k = column.len();
                    let next = -dot(&column, &row[j..j + k]) / row[j + k];
                    column.push(next);
                }
                column
            })
            .collect();
        (0..n).map(|i| (0..=i).map(|j| dot(&columns[i], &columns[j][i - j..])).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use super::*;

    /// A[i][j] = 1 / (1 + |i - j|) with 1 more on the diagonal.
    fn matrix(n: usize) -> Vec<Vec<f64>> {
        let entry = |i: usize, j: usize| 1.0 / (1.0 + i.abs_diff(j) as f64) + f64::from(u8::from(i == j));
        (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
    }

    #[test]
    fn what_is_factored_is_solved_and_inverted() {
        let n = 23;
        let a = matrix(n);
        let mut factor = Cholesky::default();
        for (i, row) in a.iter().enumerate() {
            factor.push(&row[..=i]).unwrap();
        }
        let x: Vec<f64> = (0..n).map(|i| i as f64 - 7.0).collect();
        let b: Vec<f64> = a.iter().map(|row| dot(row, &x)).collect();
        for (found, x) in factor.solve(&b).iter().zip(&x) {
            assert!((found - x).abs() < 1e-10, "{found} instead of {x}");
        }
        let inverse = factor.inverse();
        for (i, row) in a.iter().enumerate() {
            for j in 0..n {
                let column: Vec<f64> = (0..n).map(|k| inverse[k.max(j)][k.min(j)]).collect();
                let product = dot(row, &column);
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-10, "{i} {j}: {product}");
            }
        }
        assert!(
            (factor.log_determinant()
                - 2.0 * factor.rows.iter().enumerate().map(|(i, r)| r[i].ln()).sum::<f64>())
            .abs()
                < 1e-10
        );
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let mut factor = Cholesky::default();
        factor.push(&[1.0]).unwrap();
        assert!(factor.push(&[1.0, 1.0]).is_none());
        assert!(factor.push(&[0.0, f64::NAN]).is_none());
        assert!(factor.push(&[0.5, 1.0]).is_some());
    }
}
