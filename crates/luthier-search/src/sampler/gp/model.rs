//! A Gaussian process over configurations, and the fit of its hyperparameters.
//!
//! Symbols: `D_c` is how two rows differ on column c (see [`features`](super::features)), after the warp of the
//! column; `l_c` its length scale; `r² = sum_c D_c / l_c²`; k the covariance `s (1 + √5 r + 5 r²/3) exp(-√5 r)` (Matérn
//! with smoothness 5/2 and one length scale for each parameter); K its matrix with the noise t on the diagonal, as a
//! share of s; m the mean, which is that of the largest likelihood; y the losses, standardised. The hyperparameters
//! theta (logarithms of l, a, b, s, t) are those of the largest posterior density (Rasmussen and Williams 2006, chapter
//! 5). Priors, all normal on the logarithm: l has a scale that grows with the number of parameters (Hvarfner, Hellsten
//! and Nardi 2024, "Vanilla Bayesian optimization performs great in high dimensions"), a and b lie around 1, the noise
//! is small.
//!
//! Complexity: O(n³ + c n²) for each evaluation of the density with n rows and c columns.

use std::f64::consts::PI;

use super::features::{Column, Features, Kind};
use super::lbfgs::minimize;
use super::linear::{Cholesky, dot};
use super::warp::kumaraswamy;

/// Evaluations of the posterior density in a fit.
const EVALUATIONS: usize = 25;

/// A step of the fit that gains less than this is the last.
const TOLERANCE: f64 = 5e-3;

/// log of the noise at first, its prior's mean, and the prior's deviation.
const NOISE: (f64, f64) = (-5.0, 1.5);

/// The prior's deviation of log a and log b.
const WARP: f64 = 0.5;

/// The prior's deviation of log s.
const SCALE: f64 = 1.0;

const SQRT_5: f64 = 2.236_067_977_499_79;

/// log l, then log a and log b by turns, then log s and log t.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hyperparameters {
    pub(super) theta: Vec<f64>,
    lengths: usize,
}

impl Hyperparameters {
    pub(super) fn prior(features: &Features<'_>) -> Self {
        let mut theta = vec![Self::length_prior(features.lengths).0; features.lengths];
        theta.extend(vec![0.0; 2 * features.warps]);
        theta.extend([0.0, NOISE.0]);
        Self { theta, lengths: features.lengths }
    }

    /// Mean and deviation of log l.
    fn length_prior(lengths: usize) -> (f64, f64) {
        (0.0 + 0.5 * libm::log(lengths.max(1) as f64), 1.0)
    }

    fn bounds(&self) -> Vec<(f64, f64)> {
        let warps = self.theta.len() - self.lengths - 2;
        let mut bounds = vec![(-4.0, 6.0); self.lengths];
        bounds.extend(vec![(-1.5, 1.5); warps]);
        bounds.extend([(-3.0, 5.0), (-12.0, 1.0)]);
        bounds
    }

    /// 1 / l² of each column.
    pub(super) fn shares(&self, columns: &[Column]) -> Vec<f64> {
        columns.iter().map(|column| libm::exp(-2.0 * self.theta[column.length])).collect()
    }

    /// a and b of each warp.
    pub(super) fn warps(&self) -> Vec<(f64, f64)> {
        let of = &self.theta[self.lengths..self.theta.len() - 2];
        of.chunks_exact(2).map(|pair| (libm::exp(pair[0]), libm::exp(pair[1]))).collect()
    }

    pub(super) fn scale(&self) -> f64 {
        libm::exp(self.theta[self.theta.len() - 2])
    }

    pub(super) fn noise(&self) -> f64 {
        libm::exp(self.theta[self.theta.len() - 1])
    }

    /// The log of the prior density, but for a constant; its gradient is added to `gradient`.
    fn log_prior(&self, gradient: &mut [f64]) -> f64 {
        let n = self.theta.len();
        let mut total = 0.0;
        for (i, theta) in self.theta.iter().enumerate() {
            let (mean, deviation) = match i {
                i if i < self.lengths => Self::length_prior(self.lengths),
                i if i == n - 1 => NOISE,
                i if i == n - 2 => (0.0, SCALE),
                _ => (0.0, WARP),
            };
            let z = (theta - mean) / deviation;
            total -= 0.5 * z * z;
            gradient[i] -= z / deviation;
        }
        total
    }
}

/// The correlation at `r²`, and its derivative by `r²`.
pub(super) fn matern(square: f64) -> (f64, f64) {
    let r = square.max(0.0).sqrt();
    let decay = libm::exp(-SQRT_5 * r);
    ((1.0 + SQRT_5 * r + 5.0 / 3.0 * square) * decay, -5.0 / 6.0 * (1.0 + SQRT_5 * r) * decay)
}

/// The value of a column as the kernel sees it.
pub(super) fn image(column: &Column, warps: &[(f64, f64)], x: f64) -> f64 {
    match column.kind {
        Kind::Scale { warp } => kumaraswamy(x, warps[warp].0, warps[warp].1).w,
        Kind::Options => x,
        Kind::Exists => 0.5 * x,
    }
}

/// Adds `share` times the difference of `x` and each of `column` to `squares`.
pub(super) fn add_differences(kind: Kind, share: f64, x: f64, column: &[f64], squares: &mut [f64]) {
    if kind == Kind::Options {
        for (square, other) in squares.iter_mut().zip(column) {
            *square += if x == *other { 0.0 } else { share };
        }
    } else {
        for (square, other) in squares.iter_mut().zip(column) {
            *square += share * (x - other) * (x - other);
        }
    }
}

/// The log of the posterior density of the hyperparameters, but for a constant, with its gradient by theta. Minus
/// infinity where the matrix cannot be factored.
pub(super) fn log_posterior(
    features: &Features<'_>,
    rows: &[Vec<f64>],
    y: &[f64],
    theta: &Hyperparameters,
) -> (f64, Vec<f64>) {
    let n = rows.len();
    let mut gradient = vec![0.0; theta.theta.len()];
    let prior = theta.log_prior(&mut gradient);
    let (shares, warps) = (theta.shares(&features.columns), theta.warps());
    let mut warped = vec![Vec::new(); features.columns.len()];
    let mut columns = Vec::with_capacity(features.columns.len());
    for (c, column) in features.columns.iter().enumerate() {
        if let Kind::Scale { warp } = column.kind {
            let (a, b) = warps[warp];
            warped[c] = rows.iter().map(|row| kumaraswamy(row[c], a, b)).collect();
            columns.push(warped[c].iter().map(|warped| warped.w).collect());
        } else {
            columns.push(rows.iter().map(|row| image(column, &warps, row[c])).collect::<Vec<f64>>());
        }
    }
    let (scale, noise) = (theta.scale(), theta.noise());
    // The derivatives of the correlation by r², below the diagonal.
    let mut slopes: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut correlations: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut factor = Cholesky::default();
    for i in 0..n {
        let mut row = vec![0.0; i];
        for ((column, values), share) in features.columns.iter().zip(&columns).zip(&shares) {
            add_differences(column.kind, *share, values[i], &values[..i], &mut row);
        }
        let mut slope = Vec::with_capacity(i);
        for square in &mut row {
            let (correlation, by_square) = matern(*square);
            *square = correlation;
            slope.push(by_square);
        }
        row.push(1.0 + noise);
        if factor.push(&row).is_none() {
            return (f64::NEG_INFINITY, gradient);
        }
        slopes.push(slope);
        correlations.push(row);
    }
    // With K = s R: the mean, and the residuals' solution R⁻¹ (y - m).
    let ones = factor.solve(&vec![1.0; n]);
    let mean = dot(&ones, y) / ones.iter().sum::<f64>();
    let residuals: Vec<f64> = y.iter().map(|y| y - mean).collect();
    let solved = factor.solve(&residuals);
    let fit = dot(&residuals, &solved) / scale;
    let value = -0.5 * fit
        - 0.5 * factor.log_determinant()
        - 0.5 * n as f64 * (libm::log(scale) + libm::log(2.0 * PI))
        + prior;

    // dL/dR = (a aᵀ / s - R⁻¹) / 2 with a = R⁻¹ (y - m); of a symmetric change, each pair counts twice.
    let inverse = factor.inverse();
    let last = gradient.len() - 1;
    gradient[last - 1] += 0.5 * fit - 0.5 * n as f64;
    let trace: f64 = (0..n).map(|i| solved[i] * solved[i] / scale - inverse[i][i]).sum();
    gradient[last] += 0.5 * noise * trace;
    // The derivative of L by r² of each pair.
    for i in 0..n {
        for j in 0..i {
            slopes[i][j] *= solved[i] * solved[j] / scale - inverse[i][j];
        }
    }
    let mut pulls = vec![0.0; n];
    for (c, column) in features.columns.iter().enumerate() {
        let (values, share) = (&columns[c], shares[c]);
        // sum over pairs of dL/dr² (w_i - w_j) (v_i - v_j) = sum over i of v_i pull_i.
        let by_length = if column.kind == Kind::Options {
            let mut total = 0.0;
            for i in 0..n {
                let x = values[i];
                total += slopes[i]
                    .iter()
                    .zip(values)
                    .map(|(p, other)| if x == *other { 0.0 } else { *p })
                    .sum::<f64>();
            }
            total
        } else {
            pulls.fill(0.0);
            for i in 0..n {
                let x = values[i];
                let (below, here) = pulls.split_at_mut(i);
                let mut own = 0.0;
                for ((p, other), pull) in slopes[i].iter().zip(values).zip(below) {
                    let term = p * (x - other);
                    own += term;
                    *pull -= term;
                }
                here[0] += own;
            }
            dot(&pulls, values)
        };
        gradient[column.length] -= 2.0 * share * by_length;
        if let Kind::Scale { warp } = column.kind {
            let at = theta.lengths + 2 * warp;
            for (warped, pull) in warped[c].iter().zip(&pulls) {
                gradient[at] += 2.0 * share * pull * warped.by_log_a;
                gradient[at + 1] += 2.0 * share * pull * warped.by_log_b;
            }
        }
    }
    (value, gradient)
}

/// The hyperparameters of the largest posterior density that is found from their prior's mean.
pub(super) fn fit(features: &Features<'_>, rows: &[Vec<f64>], y: &[f64]) -> Hyperparameters {
    let start = Hyperparameters::prior(features);
    let bounds = start.bounds();
    let evaluate = |theta: &[f64]| {
        let at = Hyperparameters { theta: theta.to_vec(), lengths: start.lengths };
        let (value, gradient) = log_posterior(features, rows, y, &at);
        (-value, gradient.into_iter().map(|g| -g).collect())
    };
    let (theta, _) = minimize(evaluate, start.theta.clone(), &bounds, EVALUATIONS, TOLERANCE);
    Hyperparameters { theta, lengths: start.lengths }
}

#[cfg(test)]
pub(super) mod tests;
