//! Minimisation of a smooth function in a box, with few evaluations (L-BFGS).
//!
//! Symbols: x is a point, g its gradient, s and y the differences of the last points and gradients. The direction is
//! that of Nocedal 1980, "Updating quasi-Newton matrices with limited storage" (two loops over s and y), over the
//! coordinates that are not held at their bounds (projected gradients: Bertsekas 1982). A step is halved until it is
//! long enough down (Armijo); what would leave the box stops at its side.
//!
//! Complexity: O(m d) beside each evaluation, with m = 8 pairs and d coordinates.

use super::linear::dot;

/// Pairs that are kept.
const MEMORY: usize = 8;

/// The share of the slope that a step has to gain.
const ARMIJO: f64 = 1e-4;

/// The least point found from `x`, with its value. `evaluate` gives value and gradient; a value that is not finite
/// is too large. It is called at most `evaluations` times, and no more once a step gains less than `tolerance`.
pub(super) fn minimize(
    mut evaluate: impl FnMut(&[f64]) -> (f64, Vec<f64>),
    mut x: Vec<f64>,
    bounds: &[(f64, f64)],
    evaluations: usize,
    tolerance: f64,
) -> (Vec<f64>, f64) {
    let (mut value, mut gradient) = evaluate(&x);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let mut left = evaluations.saturating_sub(1);
    while left > 0 && value.is_finite() {
        let free: Vec<bool> = (0..x.len())
            .map(|i| {
                let (low, high) = bounds[i];
                !(x[i] <= low && gradient[i] > 0.0 || x[i] >= high && gradient[i] < 0.0)
            })
            .collect();
        let slope: Vec<f64> =
            gradient.iter().zip(&free).map(|(g, free)| if *free { *g } else { 0.0 }).collect();
        if slope.iter().all(|g| g.abs() < 1e-6) {
            break;
        }
        let mut direction = two_loops(&slope, &pairs);
        for (d, free) in direction.iter_mut().zip(&free) {
            *d = if *free { -*d } else { 0.0 };
        }
        if dot(&direction, &slope) >= 0.0 {
            pairs.clear();
            direction = slope.iter().map(|g| -g).collect();
        }
        // Nothing is known of the scale at first: a quarter of a unit at most.
        let longest = direction.iter().fold(0.0_f64, |longest, d| longest.max(d.abs()));
        let mut step = if pairs.is_empty() { 1.0_f64.min(0.25 / longest) } else { 1.0 };
        let mut moved = false;
        while left > 0 && step > 1e-10 {
            let next: Vec<f64> =
                (0..x.len()).map(|i| (x[i] + step * direction[i]).clamp(bounds[i].0, bounds[i].1)).collect();
            let s: Vec<f64> = next.iter().zip(&x).map(|(next, x)| next - x).collect();
            left -= 1;
            let (found, slope_there) = evaluate(&next);
            if found <= value + ARMIJO * dot(&slope, &s) {
                let y: Vec<f64> =
                    slope_there.iter().zip(&gradient).map(|(there, here)| there - here).collect();
                if dot(&s, &y) > 1e-10 * dot(&y, &y) {
                    pairs.push((s, y));
                    if pairs.len() > MEMORY {
                        pairs.remove(0);
                    }
                }
                moved = value - found > tolerance;
                (x, value, gradient) = (next, found, slope_there);
                break;
            }
            step *= if found.is_finite() { 0.4 } else { 0.1 };
        }
        if !moved {
            break;
        }
    }
    (x, value)
}

/// The gradient times the inverse of the Hessian that the pairs tell.
fn two_loops(gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let add = |q: &mut [f64], share: f64, v: &[f64]| q.iter_mut().zip(v).for_each(|(q, v)| *q += share * v);
    let mut shares = Vec::with_capacity(pairs.len());
    for (s, y) in pairs.iter().rev() {
        let share = dot(s, &q) / dot(s, y);
        add(&mut q, -share, y);
        shares.push(share);
    }
    if let Some((s, y)) = pairs.last() {
        let scale = dot(s, y) / dot(y, y);
        for q in &mut q {
            *q *= scale;
        }
    }
    for ((s, y), share) in pairs.iter().zip(shares.iter().rev()) {
        let back = dot(y, &q) / dot(s, y);
        add(&mut q, share - back, s);
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
    }

    #[test]
    fn it_finds_the_least_point_of_a_valley() {
        let (x, value) = minimize(rosenbrock, vec![-1.2, 1.0], &[(-5.0, 5.0); 2], 200, 1e-12);
        assert!(value < 1e-8 && (x[0] - 1.0).abs() < 1e-3, "{x:?} {value}");
    }

    #[test]
    fn it_stays_in_the_box() {
        // The least point of the box is on its side x = 0.5, at y = 0.25.
        let inside = |x: &[f64]| {
            assert!(x.iter().all(|x| (-0.5..=0.5).contains(x)), "{x:?}");
            rosenbrock(x)
        };
        let (x, value) = minimize(inside, vec![-0.4, 0.4], &[(-0.5, 0.5); 2], 200, 1e-12);
        assert!((value - 0.25).abs() < 1e-6 && (x[1] - 0.25).abs() < 1e-4, "{x:?} {value}");
    }
}
