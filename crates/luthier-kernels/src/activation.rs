//! Activations, as PyTorch defines them, forward and backward.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use crate::math::{exp, exp_m1, normal, sigmoid, softplus, tanh};
use crate::parallel;
use crate::simd::vectorized;

/// A function that is applied to each number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`, with slope 0 at 0 (Nair and Hinton 2010).
    Relu,
    /// `x` above 0 and this slope, at least 0, times `x` below (Maas et al. 2013).
    LeakyRelu(f32),
    /// `x` above 0, `α (exp(x) - 1)` below, with this `α` above 0 (Clevert et al. 2016).
    Elu(f32),
    /// `x Φ(x)` with the normal distribution function Φ itself (Hendrycks and Gimpel 2016).
    Gelu,
    /// `x σ(x)` (Elfwing et al. 2018).
    Silu,
    /// `σ(x) = 1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `ln(1 + exp(x))` (Dugas et al. 2001).
    Softplus,
    /// `x tanh(ln(1 + exp(x)))` (Misra 2020).
    Mish,
}

/// Numbers of a task where a number costs little more than its memory.
const CHEAP: usize = 1 << 16;
/// Numbers of a task where a number costs an exponential.
const COSTLY: usize = 1 << 14;

/// `1 / √(2π)`
const NORMAL_DENSITY_AT_0: f32 = 0.398_942_3;

/// `y = f(x)`.
fn map(size: usize, x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32 + Copy + Sync) {
    assert_eq!(x.len(), y.len(), "numbers in and out");
    parallel::chunks(y, size, |number, y| {
        let x = &x[number * size..][..y.len()];
        vectorized(
            #[inline(always)]
            || {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = f(x);
                }
            },
        );
    });
}

/// `x = f(x)`.
fn map_in_place(size: usize, x: &mut [f32], f: impl Fn(f32) -> f32 + Copy + Sync) {
    parallel::chunks(x, size, |_, x| {
        vectorized(
            #[inline(always)]
            || {
                for x in x {
                    *x = f(*x);
                }
            },
        );
    });
}

/// `dy = dy slope(saved)`, where the slope is a function of both for the sake of those that only choose.
fn map_back(size: usize, saved: &[f32], dy: &mut [f32], f: impl Fn(f32, f32) -> f32 + Copy + Sync) {
    assert_eq!(saved.len(), dy.len(), "numbers that were saved and gradients");
    parallel::chunks(dy, size, |number, dy| {
        let saved = &saved[number * size..][..dy.len()];
        vectorized(
            #[inline(always)]
            || {
                for (dy, &saved) in dy.iter_mut().zip(saved) {
                    *dy = f(saved, *dy);
                }
            },
        );
    });
}

/// Calls `$run!(size, f)` with the function of the activation.
macro_rules! with_function {
    ($activation:expr, $run:ident) => {
        match $activation {
            Activation::Relu => $run!(CHEAP, relu),
            Activation::LeakyRelu(slope) => $run!(CHEAP, move |x| if x > 0.0 { x } else { slope * x }),
            Activation::Elu(alpha) => $run!(COSTLY, move |x| if x > 0.0 { x } else { alpha * exp_m1(x) }),
            Activation::Gelu => $run!(COSTLY, gelu),
            Activation::Silu => $run!(COSTLY, silu),
            Activation::Sigmoid => $run!(COSTLY, sigmoid),
            Activation::Tanh => $run!(COSTLY, tanh),
            Activation::Softplus => $run!(COSTLY, softplus),
            Activation::Mish => $run!(COSTLY, mish),
        }
    };
}

impl Activation {
    /// Whether the backward pass needs what came in; otherwise it needs what came out.
    pub fn needs_input(self) -> bool {
        matches!(self, Self::Gelu | Self::Silu | Self::Mish)
    }

    /// `y = f(x)`, of any shape.
    pub fn forward(self, x: &[f32], y: &mut [f32]) {
        macro_rules! run {
            ($size:expr, $function:expr) => {
                map($size, x, y, $function)
            };
        }
        with_function!(self, run);
    }

    /// `x = f(x)`, of any shape. Only if the backward pass does not need `x`.
    pub fn forward_in_place(self, x: &mut [f32]) {
        macro_rules! run {
            ($size:expr, $function:expr) => {
                map_in_place($size, x, $function)
            };
        }
        with_function!(self, run);
    }

    /// Makes of the gradient for `y = f(x)` that for `x`. `saved` is `x` where [`Self::needs_input`] says so
    /// and `y` otherwise.
    pub fn backward(self, saved: &[f32], dy: &mut [f32]) {
        match self {
            Self::Relu => map_back(CHEAP, saved, dy, |y, dy| if y <= 0.0 { 0.0 } else { dy }),
            Self::LeakyRelu(slope) => {
                map_back(CHEAP, saved, dy, move |y, dy| if y > 0.0 { dy } else { slope * dy });
            }
            Self::Elu(alpha) => {
                map_back(CHEAP, saved, dy, move |y, dy| if y > 0.0 { dy } else { dy * (y + alpha) });
            }
            Self::Gelu => map_back(COSTLY, saved, dy, |x, dy| dy * slope_of_gelu(x)),
            Self::Silu => map_back(COSTLY, saved, dy, |x, dy| dy * slope_of_silu(x)),
            Self::Sigmoid => map_back(CHEAP, saved, dy, |y, dy| dy * (y * (1.0 - y))),
            Self::Tanh => map_back(CHEAP, saved, dy, |y, dy| dy * (-y).mul_add(y, 1.0)),
            // σ(x) = 1 - exp(-y)
            Self::Softplus => map_back(COSTLY, saved, dy, |y, dy| dy * -exp_m1(-y)),
            Self::Mish => map_back(COSTLY, saved, dy, |x, dy| dy * slope_of_mish(x)),
        }
    }
}

/// `max(x, 0)`; a NaN stays.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// `x` within bounds beyond which functions are at their limits, so that no infinity meets a 0; a NaN stays.
#[inline(always)]
fn within(low: f32, x: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    within(-20.0, x, f32::INFINITY) * normal(x).0
}

#[inline(always)]
fn slope_of_gelu(x: f32) -> f32 {
    let (below, e) = normal(x);
    (within(-20.0, x, 20.0) * NORMAL_DENSITY_AT_0).mul_add(e, below)
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    within(-150.0, x, f32::INFINITY) * sigmoid(x)
}

#[inline(always)]
fn slope_of_silu(x: f32) -> f32 {
    let share = sigmoid(x);
    (within(-150.0, x, 150.0) * (1.0 - share)).mul_add(share, share)
}

// With e = exp(x) and n = e (e + 2): tanh(ln(1 + e)) = n / (n + 2), and the derivative of that with respect
// to x is 4 e (1 + e) / (n + 2)².

#[inline(always)]
fn mish(x: f32) -> f32 {
    let e = exp(within(-150.0, x, 20.0));
    let n = e * (e + 2.0);
    within(-150.0, x, f32::INFINITY) * (n / (n + 2.0))
}

#[inline(always)]
fn slope_of_mish(x: f32) -> f32 {
    let x = within(-150.0, x, 20.0);
    let e = exp(x);
    let n = e * (e + 2.0);
    let inverse = 1.0 / (n + 2.0);
    (x * 4.0 * e * (1.0 + e) * inverse).mul_add(inverse, n * inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 9] = [
        Activation::Relu,
        Activation::LeakyRelu(0.1),
        Activation::Elu(1.5),
        Activation::Gelu,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Mish,
    ];

    /// Value and slope by the definitions.
    fn exact(activation: Activation, x: f64) -> (f64, f64) {
        let positive = f64::from(u8::from(x > 0.0));
        let share = 1.0 / (1.0 + (-x).exp());
        let softplus = x.max(0.0) + (-x.abs()).exp().ln_1p();
        match activation {
            Activation::Relu => (x.max(0.0), positive),
            Activation::LeakyRelu(slope) => {
                let slope = if x > 0.0 { 1.0 } else { f64::from(slope) };
                (x * slope, slope)
            }
            Activation::Elu(_) if x > 0.0 => (x, 1.0),
            Activation::Elu(alpha) => (f64::from(alpha) * x.exp_m1(), f64::from(alpha) * x.exp()),
            Activation::Gelu => {
                let below = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
                (x * below, below + x * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt())
            }
            Activation::Silu => (x * share, share * (1.0 + x * (1.0 - share))),
            Activation::Sigmoid => (share, share * (1.0 - share)),
            Activation::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
            Activation::Softplus => (softplus, share),
            Activation::Mish => {
                let tanh = softplus.tanh();
                (x * tanh, tanh + x * (1.0 - tanh * tanh) * share)
            }
        }
    }

    #[test]
    fn values_and_slopes() {
        let x: Vec<f32> =
            (-4000..=4000).map(|it| it as f32 / 100.0).chain([-3e38, 3e38, -150.0, 95.0, 1e-30]).collect();
        for activation in ALL {
            let mut y = vec![0.0; x.len()];
            activation.forward(&x, &mut y);
            let mut same = x.clone();
            activation.forward_in_place(&mut same);
            assert_eq!(same, y);
            let mut dx = vec![2.0; x.len()];
            activation.backward(if activation.needs_input() { &x } else { &y }, &mut dx);
            for ((&x, &y), &dx) in x.iter().zip(&y).zip(&dx) {
                let (value, slope) = exact(activation, f64::from(x));
                let error = (f64::from(y) - value).abs();
                assert!(error <= 1e-6 * value.abs().max(1e-2), "{activation:?} of {x}: {y} for {value}");
                let error = (f64::from(dx) - 2.0 * slope).abs();
                assert!(error < 2e-6, "slope of {activation:?} at {x}: {dx} for 2 · {slope}");
            }
        }
    }

    #[test]
    fn limits() {
        for activation in ALL {
            let x = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0];
            let mut y = [0.0; 4];
            activation.forward(&x, &mut y);
            assert!(!y[0].is_nan() && !y[1].is_nan() && y[2].is_nan() && !y[3].is_nan(), "{activation:?}");
            let mut dx = [1.0; 4];
            activation.backward(if activation.needs_input() { &x } else { &y }, &mut dx);
            assert!(dx[0].is_finite() && dx[1].is_finite() && dx[3].is_finite(), "{activation:?}: {dx:?}");
        }
        let mut dx = [1.0, 1.0];
        Activation::Relu.backward(&[0.0, -0.0], &mut dx);
        assert_eq!(dx, [0.0, 0.0]);
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let x: Vec<f32> = (0..200_000).map(|it| (it % 997) as f32 / 50.0 - 10.0).collect();
        for activation in ALL {
            let run = |threads| {
                parallel::on_threads(threads, || {
                    let (mut y, mut dx) = (vec![0.0; x.len()], x.clone());
                    activation.forward(&x, &mut y);
                    activation.backward(if activation.needs_input() { &x } else { &y }, &mut dx);
                    (y, dx)
                })
            };
            assert!(run(1) == run(2) && run(1) == run(4));
        }
    }
}
