//! Changes of scale: of coordinates, that the function may vary evenly over them, and of losses, that their tails
//! do not rule the fit.
//!
//! Symbols: u is a coordinate in `[0, 1]`, w its image `1 - (1 - u^a)^b` (Kumaraswamy's distribution function, for
//! Bayesian optimisation by Snoek et al. 2014, "Input warping"; a = b = 1 changes nothing). Losses go through the power
//! transform of Yeo and Johnson 2000, "A new family of power transformations to improve normality or symmetry", with
//! the parameter lambda of the largest likelihood, as in HEBO (Cowen-Rivers et al. 2022).

use super::quantile::normal_quantile;

/// Coordinates keep this far from 0 and 1, where slopes may be infinite.
const EDGE: f64 = 1e-4;

/// An image under the warp with its derivatives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Warped {
    pub(super) w: f64,
    /// By u.
    pub(super) by_u: f64,
    /// By log a.
    pub(super) by_log_a: f64,
    /// By log b.
    pub(super) by_log_b: f64,
}

/// Kumaraswamy's distribution function at `u` with its derivatives, for positive `a` and `b`.
pub(super) fn kumaraswamy(u: f64, a: f64, b: f64) -> Warped {
    let v = EDGE + (1.0 - 2.0 * EDGE) * u;
    let log_v = libm::log(v);
    let power = libm::exp(a * log_v);
    let log_rest = libm::log1p(-power);
    let rest = libm::exp(b * log_rest);
    let slope = b * rest / (1.0 - power) * power;
    Warped {
        w: 1.0 - rest,
        by_u: (1.0 - 2.0 * EDGE) * a * slope / v,
        by_log_a: a * slope * log_v,
        by_log_b: -b * rest * log_rest,
    }
}

/// The transform of Yeo and Johnson.
fn yeo_johnson(y: f64, lambda: f64) -> f64 {
    if y >= 0.0 {
        if lambda.abs() < 1e-9 { libm::log1p(y) } else { libm::expm1(lambda * libm::log1p(y)) / lambda }
    } else if (lambda - 2.0).abs() < 1e-9 {
        -libm::log1p(-y)
    } else {
        -libm::expm1((2.0 - lambda) * libm::log1p(-y)) / (2.0 - lambda)
    }
}

/// The logarithm of the likelihood of lambda, but for a constant: how normal the transformed losses are.
fn log_likelihood(y: &[f64], lambda: f64) -> f64 {
    let n = y.len() as f64;
    let z: Vec<f64> = y.iter().map(|y| yeo_johnson(*y, lambda)).collect();
    let mean = z.iter().sum::<f64>() / n;
    let variance = z.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / n;
    let stretch: f64 = y.iter().map(|y| if *y < 0.0 { -libm::log1p(-y) } else { libm::log1p(*y) }).sum();
    -0.5 * n * libm::log(variance) + (lambda - 1.0) * stretch
}

/// The lambda in `[-2, 4]` of the largest likelihood, to 1e-4.
fn best_lambda(y: &[f64]) -> f64 {
    // Golden section; the likelihood has one peak.
    let share = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-2.0, 4.0);
    let (mut a, mut b) = (high - share * (high - low), low + share * (high - low));
    let (mut at_a, mut at_b) = (log_likelihood(y, a), log_likelihood(y, b));
    while high - low > 1e-4 {
        if at_a > at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - share * (high - low);
            at_a = log_likelihood(y, a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + share * (high - low);
            at_b = log_likelihood(y, b);
        }
    }
    f64::midpoint(low, high)
}

/// Losses on a scale on which they are about normal, with mean 0 and variance 1. The order stays the same.
///
/// Those behind the median are first drawn in: they keep their ranks and take the distances that normal numbers would
/// have beside the better half, as in Google Vizier (Song et al. 2024, arXiv:2408.11527, "half-rank"). Among bad
/// configurations it matters little how bad they are, and one that has diverged would hide all differences of the good.
pub(super) fn standard_losses(losses: &[f64]) -> Vec<f64> {
    let drawn = half_ranked(losses);
    let standard = standardized(&drawn);
    let lambda = best_lambda(&standard);
    standardized(&standard.iter().map(|y| yeo_johnson(*y, lambda)).collect::<Vec<_>>())
}

/// Losses with those behind the median drawn in, in units of the better half's spread.
fn half_ranked(losses: &[f64]) -> Vec<f64> {
    let n = losses.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| losses[*a].total_cmp(&losses[*b]));
    let Some(middle) = order.get(n.saturating_sub(1) / 2).map(|i| losses[*i]) else { return Vec::new() };
    // Halved, because the difference of two doubles may be infinite.
    let below = |loss: f64| 0.5 * loss - 0.5 * middle;
    let better: Vec<f64> = losses.iter().filter(|loss| **loss <= middle).map(|loss| below(*loss)).collect();
    let largest = better.iter().fold(0.0_f64, |largest, b| largest.max(b.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let spread = {
        let squares: f64 = better.iter().map(|b| (b / scale) * (b / scale)).sum();
        (squares / better.len() as f64).sqrt()
    };
    let spread = if spread > 0.0 { spread } else { 1.0 };
    let mut drawn = vec![0.0; n];
    for (rank, i) in order.iter().enumerate() {
        drawn[*i] = if losses[*i] <= middle {
            below(losses[*i]) / scale / spread
        } else {
            // The mean rank of equal ones.
            let first = order.partition_point(|j| losses[*j] < losses[*i]);
            let last = order.partition_point(|j| losses[*j] <= losses[*i]) - 1;
            debug_assert!((first..=last).contains(&rank));
            normal_quantile((0.5 * (first + last) as f64 + 0.5) / n as f64).max(0.0)
        };
    }
    drawn
}

/// Numbers less their mean, by their deviation; zeros where all are the same.
fn standardized(y: &[f64]) -> Vec<f64> {
    let n = y.len() as f64;
    let mean = y.iter().sum::<f64>() / n;
    let variance = y.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / n;
    if variance.is_nan() || variance <= 1e-24 {
        return vec![0.0; y.len()];
    }
    y.iter().map(|y| (y - mean) / variance.sqrt()).collect()
}

#[cfg(test)]
mod tests;
