//! Draws from the beta distribution.

use luthier_core::Rng;

/// A number from Beta(a, a), a > 0: X / (X + Y) with X and Y from Gamma(a).
pub(super) fn symmetric_beta(a: f64, rng: &mut Rng) -> f64 {
    let (x, y) = (log_gamma_draw(a, rng), log_gamma_draw(a, rng));
    // By logarithms: of a small a, both draws may be too small for a number.
    1.0 / (1.0 + libm::exp(y - x))
}

/// The logarithm of a number from Gamma(a, 1): Marsaglia and Tsang, "A simple method for generating gamma
/// variables" (2000). For a < 1 it is a number from Gamma(a + 1) times U^(1/a).
fn log_gamma_draw(a: f64, rng: &mut Rng) -> f64 {
    if a < 1.0 {
        let boost = libm::log(1.0 - rng.uniform()) / a;
        return log_gamma_draw(a + 1.0, rng) + boost;
    }
    let d = a - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x = rng.normal();
        let v = 1.0 + c * x;
        if v <= 0.0 {
            continue;
        }
        let v = v * v * v;
        let u = 1.0 - rng.uniform();
        if libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return libm::log(d) + libm::log(v);
        }
    }
}

#[cfg(test)]
mod tests {
    use luthier_core::{Purpose, Streams};

    use super::*;

    #[test]
    fn draws_have_the_moments_of_the_distribution() {
        // Mean 1/2, variance 1 / (4 (2a + 1)).
        for (position, a) in [0.05, 0.2, 1.0, 4.0].into_iter().enumerate() {
            let mut rng = Streams::new(3).at(Purpose::Augment, position as u64);
            let draws: Vec<f64> = (0..40_000).map(|_| symmetric_beta(a, &mut rng)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = draws.iter().sum::<f64>() / 40_000.0;
            let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 40_000.0;
            let expected = 1.0 / (4.0 * (2.0 * a + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "a = {a}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.03, "a = {a}: variance {variance}, not {expected}");
        }
    }

    #[test]
    fn the_smallest_parameter_gives_numbers() {
        let mut rng = Streams::new(3).at(Purpose::Augment, 9);
        assert!((0..1_000).all(|_| (0.0..=1.0).contains(&symmetric_beta(1e-6, &mut rng))));
    }
}
