//! The truncated normal against `SciPy`, and against itself.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::{Purpose, Streams};
use proptest::prelude::*;

use super::*;

#[test]
fn densities_and_masses_are_those_of_scipy() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/truncated_normal.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let get = |key: &str| case[key].as_f64().unwrap();
        let (low, high) = (get("low"), get("high"));
        let normal = TruncatedNormal::new(get("mu"), get("sigma"));
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-9 * expected.abs().max(1.0);
        let density = normal.log_density(f64::midpoint(low, high));
        assert!(close(density, get("log_density")), "{case}: density {density}");
        let mass = normal.log_cell(low, high) + libm::log(high - low);
        assert!(close(mass, get("log_mass")), "{case}: mass {mass}");
    }
}

proptest! {
    #[test]
    fn cells_sum_to_one(mu in 0.0..=1.0_f64, sigma in 0.01..2.0_f64, n in 1..50_u32) {
        let normal = TruncatedNormal::new(mu, sigma);
        let edge = |i: u32| f64::from(i) / f64::from(n);
        let total: f64 =
            (0..n).map(|i| libm::exp(normal.log_cell(edge(i), edge(i + 1))) / f64::from(n)).sum();
        prop_assert!((total - 1.0).abs() < 1e-9, "{total}");
    }

    #[test]
    fn narrow_cells_agree_with_the_density(mu in 0.0..=1.0_f64, sigma in 0.05..1.0_f64, x in 0.0..0.99_f64) {
        let normal = TruncatedNormal::new(mu, sigma);
        for share in [0.5e-5, 2e-5] {
            let found = normal.log_cell(x, x + share * sigma);
            let expected = normal.log_density(x + share / 2.0 * sigma);
            prop_assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found} {expected}");
        }
    }

    #[test]
    fn draws_lie_inside(mu in 0.0..=1.0_f64, sigma in 0.01..2.0_f64, seed in 0..1_000_u64) {
        let mut rng = Streams::new(seed).at(Purpose::Sampler, 0);
        let x = TruncatedNormal::new(mu, sigma).sample(&mut rng);
        prop_assert!((0.0..=1.0).contains(&x));
    }
}
