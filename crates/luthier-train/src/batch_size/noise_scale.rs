//! The gradient noise scale ("An Empirical Model of Large-Batch Training", 2018, arXiv 1812.06162).
//!
//! With G the true gradient and Σ the covariance of the gradients of single examples, the simple noise
//! scale is B = tr(Σ) / |G|²: below it a larger batch saves steps, above it hardly. The expected squared
//! norm of the gradient of a batch of size b is |G|² + tr(Σ) / b, so two batch sizes give estimates without
//! bias (their appendix A.1):
//!
//! ```text
//! |G|² = (b_big |g_big|² - b_small |g_small|²) / (b_big - b_small)
//! tr(Σ) = (|g_small|² - |g_big|²) / (1 / b_small - 1 / b_big)
//! ```
//!
//! Both are smoothed before they are divided, because the ratio of noisy estimates is biased.

use luthier_core::config::{Bound, bounds};
use serde::{Deserialize, Serialize};

luthier_core::settings! {
    /// How a size follows the noise of the gradient.
    #[derive(Debug, Clone, PartialEq)]
    pub struct NoiseScale {
        /// The smallest size.
        min: usize = 16, bounds::AT_LEAST_ONE;
        /// The largest size.
        max: usize = 1024, bounds::AT_LEAST_ONE;
        /// How much of the old estimate is kept at each new one: 0.9 to 0.99 as a rule.
        smoothing: f64 = 0.9, bounds::BELOW_ONE;
        /// Estimates between two changes of the size.
        every: u64 = 10, bounds::COUNT;
    }
}

impl NoiseScale {
    pub(super) const IN_ORDER: Bound<Self> =
        Bound { expected: "a `min` of at most `max`", holds: |config| config.min <= config.max };
}

/// Squared norms of the gradients of a small batch and of a big one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientNorms {
    /// Squared norm for the small batch, or the mean over several small ones.
    pub small: f64,
    /// Squared norm for the big batch.
    pub big: f64,
    /// Examples in a small batch.
    pub small_size: usize,
    /// Examples in the big batch, more than in a small one.
    pub big_size: usize,
}

impl GradientNorms {
    /// The estimates of |G|² and tr(Σ); either may come out below 0. Nothing if the sizes or norms allow
    /// none.
    pub fn estimates(&self) -> Option<(f64, f64)> {
        let (small, big) = (self.small_size as f64, self.big_size as f64);
        if small < 1.0 || big <= small {
            return None;
        }
        let signal = (big * self.big - small * self.small) / (big - small);
        let noise = (self.small - self.big) / (1.0 / small - 1.0 / big);
        (signal.is_finite() && noise.is_finite()).then_some((signal, noise))
    }
}

/// The smoothed estimates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseState {
    /// Means of |G|² and tr(Σ), both too small by the same factor at first, which their ratio does not show.
    #[serde(with = "luthier_core::number")]
    signal: f64,
    #[serde(with = "luthier_core::number")]
    noise: f64,
    count: u64,
    size: Option<usize>,
}

impl NoiseState {
    pub(super) fn observe(&mut self, config: &NoiseScale, norms: &GradientNorms) -> bool {
        let Some((signal, noise)) = norms.estimates() else { return false };
        let keep = config.smoothing;
        self.signal = keep * self.signal + (1.0 - keep) * signal;
        self.noise = keep * self.noise + (1.0 - keep) * noise;
        self.count += 1;
        if !self.count.is_multiple_of(config.every) {
            return false;
        }
        let size = if self.noise <= 0.0 {
            config.min
        } else if self.signal <= 0.0 {
            config.max
        } else {
            // A cast from a number that is too large gives the largest size.
            ((self.noise / self.signal).round() as usize).clamp(config.min, config.max)
        };
        self.size.replace(size) != Some(size)
    }

    pub(super) fn size(&self) -> Option<usize> {
        self.size
    }

    pub(super) fn noise_scale(&self) -> Option<f64> {
        (self.count > 0 && self.signal > 0.0).then(|| self.noise.max(0.0) / self.signal)
    }
}
