//! The logarithm of the expected improvement.
//!
//! Symbols: f is the least loss so far, mu and sigma mean and deviation of a prediction, z = (f - mu) / sigma,
//! phi and Phi density and distribution function of the standard normal, h(z) = phi(z) + z Phi(z). The expected
//! improvement is sigma h(z); where it vanishes in double precision its logarithm still has a slope to follow (Ament et
//! al. 2023, "Unexpected improvements to expected improvement for Bayesian optimization", arXiv:2310.20708).

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::posterior::Prediction;

/// log h(z), and its derivative Phi(z) / h(z).
fn log_h(z: f64) -> (f64, f64) {
    let log_density = -0.5 * z * z - 0.5 * libm::log(2.0 * PI);
    if z > -1.0 {
        let (density, below) = (libm::exp(log_density), 0.5 * libm::erfc(-z * FRAC_1_SQRT_2));
        let h = density + z * below;
        return (libm::log(h), below / h);
    }
    // In shares of the density: the Mills ratio m = Phi(z) / phi(z), and h / phi = 1 + z m.
    let (ratio, rest) = if z > -25.0 {
        let ratio = libm::sqrt(0.5 * PI) * libm::erfc(-z * FRAC_1_SQRT_2) * libm::exp(0.5 * z * z);
        (ratio, 1.0 + z * ratio)
    } else {
        let q = 1.0 / (z * z);
        (
            -(1.0 - q * (1.0 - q * (3.0 - 15.0 * q))) / z,
            q * (1.0 - q * (3.0 - q * (15.0 - q * (105.0 - 945.0 * q)))),
        )
    };
    (log_density + libm::log(rest), ratio / rest)
}

/// The logarithm of the expected improvement below `best`.
pub(super) fn log_improvement(best: f64, at: Prediction) -> f64 {
    libm::log(at.deviation) + log_h((best - at.mean) / at.deviation).0
}

/// The same with its derivatives by mean and deviation.
pub(super) fn log_improvement_with_slopes(best: f64, at: Prediction) -> (f64, f64, f64) {
    let z = (best - at.mean) / at.deviation;
    let (value, slope) = log_h(z);
    (libm::log(at.deviation) + value, -slope / at.deviation, (1.0 - z * slope) / at.deviation)
}

#[cfg(test)]
mod tests;
