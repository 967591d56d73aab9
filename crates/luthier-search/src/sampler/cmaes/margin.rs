//! The margin: how whole numbers stay in motion (Hamano et al. 2022, section 4).
//!
//! Symbols: m is the mean of a coordinate, s its deviation before the correction, A the correction, l and u the nearest
//! thresholds between cells below and above, alpha the margin.

use crate::sampler::gp::normal_quantile;

/// The mean and the correction of a coordinate with cells; `thresholds` gives those on either side of a place.
pub(super) fn corrected(
    (mean, deviation, correction): (f64, f64, f64),
    (low, high): (f64, f64),
    alpha: f64,
) -> (f64, f64) {
    let scale = deviation * correction;
    let below = cumulative((low - mean) / scale);
    let above = cumulative((mean - high) / scale);
    if below.max(above) > 0.5 {
        // Beyond the last threshold, or between two that are one.
        if below.min(above) >= alpha {
            return (mean, correction);
        }
        let reach = scale * normal_quantile(1.0 - alpha);
        let sign = if mean > high {
            1.0
        } else if mean < high {
            -1.0
        } else {
            0.0
        };
        return (high + sign * reach, correction);
    }
    let middle = 1.0 - below - above;
    let (p, q) = (below.max(alpha / 2.0), above.max(alpha / 2.0));
    let rest = (1.0 - p - q - middle) / (p + middle + q - 1.5 * alpha);
    let quantile = |share: f64| {
        let share = (share + rest * (share - alpha / 2.0)).clamp(1e-10, 0.5 - 1e-10);
        normal_quantile(1.0 - share)
    };
    let (down, up) = (quantile(p), quantile(q));
    ((low * up + high * down) / (down + up), (high - low) / ((down + up) * deviation))
}

/// The standard normal distribution function.
fn cumulative(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}
