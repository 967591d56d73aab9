//! The normal distribution, truncated to `[0, 1]`.
//!
//! Symbols: mu and sigma are mean and deviation before the truncation, Φ the distribution function of the
//! standard normal, Z = Φ((1 - mu) / sigma) - Φ(-mu / sigma) the mass that the truncation leaves.
//! Everything goes through `libm`, so the bits do not depend on the system's C library.

use luthier_core::Rng;

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// A normal distribution truncated to `[0, 1]`.
#[derive(Debug, Clone, Copy)]
pub(in crate::sampler) struct TruncatedNormal {
    mu: f64,
    sigma: f64,
    /// log Z.
    log_mass: f64,
    /// log(sigma sqrt(2 pi) Z).
    log_scale: f64,
}

impl TruncatedNormal {
    /// `mu` in `[0, 1]`, `sigma` above 0.
    pub(in crate::sampler) fn new(mu: f64, sigma: f64) -> Self {
        let log_mass = log_mass(-mu / sigma, (1.0 - mu) / sigma);
        let log_scale = libm::log(sigma) + 0.5 * libm::log(2.0 * PI) + log_mass;
        Self { mu, sigma, log_mass, log_scale }
    }

    /// The logarithm of the density at `x` in `[0, 1]`.
    pub(in crate::sampler) fn log_density(&self, x: f64) -> f64 {
        let z = (x - self.mu) / self.sigma;
        -0.5 * z * z - self.log_scale
    }

    /// The logarithm of the mean density over the cell from `low` to `high`, `0 <= low < high <= 1`.
    pub(in crate::sampler) fn log_cell(&self, low: f64, high: f64) -> f64 {
        // Where a cell is this narrow, the difference of two Φ has fewer digits than the midpoint rule.
        if high - low < 1e-5 * self.sigma {
            return self.log_density(f64::midpoint(low, high));
        }
        let mass = log_mass((low - self.mu) / self.sigma, (high - self.mu) / self.sigma);
        mass - self.log_mass - libm::log(high - low)
    }

    /// A draw: normal numbers until one falls inside.
    pub(in crate::sampler) fn sample(&self, rng: &mut Rng) -> f64 {
        // With mu inside the interval at least a third of the draws is accepted where sigma is at most 1,
        // so the bound is there for form's sake.
        for _ in 0..64 {
            let x = self.mu + self.sigma * rng.normal();
            if (0.0..=1.0).contains(&x) {
                return x;
            }
        }
        rng.uniform()
    }
}

/// log(Φ(b) - Φ(a)) for a < b; minus infinity below the smallest double.
pub(crate) fn log_mass(a: f64, b: f64) -> f64 {
    let (a, b) = (a * FRAC_1_SQRT_2, b * FRAC_1_SQRT_2);
    // Each tail has its own form, because differences of numbers near 1 lose the digits.
    let mass = if a > 0.0 {
        libm::erfc(a) - libm::erfc(b)
    } else if b < 0.0 {
        libm::erfc(-b) - libm::erfc(-a)
    } else {
        libm::erf(b) - libm::erf(a)
    };
    libm::log(0.5 * mass)
}

#[cfg(test)]
mod tests;
