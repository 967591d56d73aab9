//! The scales are those of SciPy, and keep the order of losses.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use super::super::tests::{fixture, numbers};
use super::*;

#[test]
fn coordinates_are_warped_as_by_numpy() {
    for case in fixture()["kumaraswamy"].as_array().unwrap() {
        let [u, a, b, w] = numbers(case)[..] else { panic!("four numbers") };
        let warped = kumaraswamy(u, a, b);
        assert!((warped.w - w).abs() < 1e-12, "{case}: {warped:?}");
    }
}

#[test]
fn slopes_of_the_warp_are_those_of_differences() {
    let (u, a, b, h) = (0.37, 1.6, 0.8, 1e-6);
    let warped = kumaraswamy(u, a, b);
    let difference = |high: Warped, low: Warped| (high.w - low.w) / (2.0 * h);
    let grow = |x: f64, by: f64| x * libm::exp(by);
    let by_u = difference(kumaraswamy(u + h, a, b), kumaraswamy(u - h, a, b));
    let by_a = difference(kumaraswamy(u, grow(a, h), b), kumaraswamy(u, grow(a, -h), b));
    let by_b = difference(kumaraswamy(u, a, grow(b, h)), kumaraswamy(u, a, grow(b, -h)));
    assert!((warped.by_u - by_u).abs() < 1e-8, "{warped:?} {by_u}");
    assert!((warped.by_log_a - by_a).abs() < 1e-8, "{warped:?} {by_a}");
    assert!((warped.by_log_b - by_b).abs() < 1e-8, "{warped:?} {by_b}");
}

#[test]
fn losses_are_transformed_as_by_scipy() {
    for case in fixture()["yeo_johnson"].as_array().unwrap() {
        let y = numbers(&case["y"]);
        let lambda = case["lambda"].as_f64().unwrap();
        for (y, image) in y.iter().zip(numbers(&case["images"])) {
            assert!((yeo_johnson(*y, lambda) - image).abs() < 1e-10, "{y}");
        }
        assert!((best_lambda(&y) - lambda).abs() < 2e-3, "{} and SciPy's {lambda}", best_lambda(&y));
    }
}

#[test]
fn losses_keep_their_order_and_the_worst_are_drawn_in() {
    let losses = [0.3, 1e300, 0.1, 0.2, 5.0, f64::MAX, 0.25];
    let y = standard_losses(&losses);
    let mut order: Vec<usize> = (0..losses.len()).collect();
    order.sort_by(|a, b| losses[*a].total_cmp(&losses[*b]));
    assert!(order.windows(2).all(|pair| y[pair[0]] < y[pair[1]]), "{y:?}");
    assert!(y.iter().all(|y| y.abs() < 4.0), "{y:?}");
}

#[test]
fn losses_that_are_all_the_same_or_huge_have_a_scale() {
    assert_eq!(standard_losses(&[7.0; 4]), [0.0; 4]);
    for extreme in [[f64::MAX, f64::MIN, 0.0, 1.0], [f64::MIN, f64::MIN, f64::MAX, f64::MAX]] {
        let y = standard_losses(&extreme);
        assert!(y.iter().all(|y| y.is_finite()), "{y:?}");
    }
}

#[test]
fn quantiles_are_those_of_scipy() {
    for case in fixture()["normal_quantile"].as_array().unwrap() {
        let [p, x] = numbers(case)[..] else { panic!("two numbers") };
        assert!((normal_quantile(p) - x).abs() < 1e-9, "{case}: {}", normal_quantile(p));
    }
}
