//! Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations in a fixed order (Golub and Van Loan 2013,
//! section 8.5), so that the bits are the same anywhere. O(d³) a sweep, about eight sweeps.

/// Sweeps at most; ten are enough for any matrix that is not broken.
const SWEEPS: usize = 30;

/// The eigenvalues, and the eigenvectors as columns.
pub(super) fn eigen(matrix: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let d = matrix.len();
    let mut a: Vec<Vec<f64>> = matrix.to_vec();
    let mut vectors: Vec<Vec<f64>> =
        (0..d).map(|i| (0..d).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..d).flat_map(|i| (i + 1..d).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        let diagonal: f64 = (0..d).map(|i| a[i][i] * a[i][i]).sum();
        if off <= 1e-30 * diagonal {
            break;
        }
        for p in 0..d {
            for q in p + 1..d {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    ((0..d).map(|i| a[i][i]).collect(), vectors)
}

/// Turns the plane of coordinates `p` and `q` so that they have nothing in common.
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + libm::sqrt(theta * theta + 1.0));
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / libm::sqrt(t * t + 1.0);
    let s = t * c;
    for row in a.iter_mut().chain(vectors) {
        let (x, y) = (row[p], row[q]);
        row[p] = c * x - s * y;
        row[q] = s * x + c * y;
    }
    let turned = a[p].iter().zip(&a[q]).map(|(x, y)| (c * x - s * y, s * x + c * y));
    (a[p], a[q]) = turned.unzip();
}
