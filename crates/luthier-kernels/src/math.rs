//! Elementary functions of 32-bit numbers, for loops of vector instructions.
//!
//! Each is straight arithmetic without a branch or a call, so that a loop over it becomes vector
//! instructions inside `simd::vectorized`; there `mul_add` is one instruction. Arguments are reduced as in
//! Cody and Waite (1980), and the polynomials for exponential and logarithm are those of the Cephes library
//! (Moshier). Results are within about 2 units in the last place (of Φ within 8), infinities go to the
//! limits, and a NaN stays one.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

pub mod double;

/// Adding it rounds a number below 2²² to a whole one, which then is in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;

/// ln 2 in two parts, the first of few bits.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `2^n` for whole `n` from -126 to 127, given as `ROUNDING + n`.
#[inline(always)]
fn power_of_two(shifted: f32) -> f32 {
    f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// The polynomial of the coefficients, the highest first.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    for &coefficient in &coefficients[1..] {
        sum = sum.mul_add(x, coefficient);
    }
    sum
}

/// `x` or the bound; a NaN stays.
#[inline(always)]
fn at_least(bound: f32, x: f32) -> f32 {
    if x < bound { bound } else { x }
}

/// `x` or the bound; a NaN stays.
#[inline(always)]
fn at_most(bound: f32, x: f32) -> f32 {
    if x > bound { bound } else { x }
}

/// `(exp(r) - 1, n)` with `x = r + n ln 2`; `n` is whole, and `r` no more than half of ln 2.
#[inline(always)]
fn reduced(x: f32) -> (f32, f32) {
    let n = x.mul_add(std::f32::consts::LOG2_E, ROUNDING) - ROUNDING;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    let tail =
        polynomial(r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5]);
    (tail.mul_add(r * r, r), n)
}

/// `exp(x)`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (below_one, n) = reduced(at_least(-104.0, at_most(89.0, x)));
    // In two steps, as 2^128 and 2^-150 are no numbers.
    let half = (n * 0.5 + ROUNDING) - ROUNDING;
    (below_one + 1.0) * power_of_two(half + ROUNDING) * power_of_two((n - half) + ROUNDING)
}

/// `exp(x) - 1`, exact near 0 too.
#[inline(always)]
pub fn exp_m1(x: f32) -> f32 {
    let (below_one, n) = reduced(at_least(-20.0, at_most(89.0, x)));
    // Half of it, as 2^128 is no number.
    let half = power_of_two((n - 1.0) + ROUNDING);
    below_one.mul_add(half, half - 0.5) * 2.0
}

/// `exp(x)` for `x` at most 0 (or a little above), 0 below -87.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    let (below_one, n) = reduced(at_least(-87.0, x));
    let power = power_of_two(n + ROUNDING);
    let value = below_one.mul_add(power, power);
    if x < -87.0 { 0.0 } else { value }
}

/// `ln(x + correction)` for a correction far smaller than `x`: `-∞` at 0 and a NaN below.
#[inline(always)]
fn ln_corrected(x: f32, correction: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let normal = if tiny { x * 33_554_432.0 } else { x };
    // x = m 2^k with m from √½ to √2
    let bits = normal.to_bits().wrapping_sub(0x3f35_04f3);
    let k = ((bits as i32) >> 23) as f32 - if tiny { 25.0 } else { 0.0 };
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let tail = polynomial(
        m,
        [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_7e-1,
            2.000_071_4e-1,
            -2.499_999_4e-1,
            3.333_333_4e-1,
        ],
    );
    let square = m * m;
    let low = k.mul_add(LN_2_LOW, (tail * square).mul_add(m, correction / x));
    let value = k.mul_add(LN_2_HIGH, (-0.5_f32).mul_add(square, low) + m);
    let value = if x == f32::INFINITY { x } else { value };
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    if x >= 0.0 { value } else { f32::NAN }
}

/// `ln(x)`: `-∞` at 0 and a NaN below.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    ln_corrected(x, 0.0)
}

/// `ln(1 + x)`, exact near 0 too.
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let sum = 1.0 + x;
    let rounded_off = if x < 1.0 { x - (sum - 1.0) } else { 1.0 - (sum - x) };
    ln_corrected(sum, rounded_off)
}

/// `σ(x) = 1 / (1 + exp(-x))`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp_of_negative(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let (below_one, n) = reduced(at_most(20.0, 2.0 * x.abs()));
    let power = power_of_two(n + ROUNDING);
    let e = below_one.mul_add(power, power - 1.0);
    (e / (e + 2.0)).copysign(x)
}

/// `ln(1 + exp(x))`.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let e = exp_of_negative(-x.abs());
    // ln(1 + e) = 2 artanh(s), where s is from 0 to 1/3. Fitted as in `normal`, off by 4e-9 of the value.
    let s = e / (2.0 + e);
    let tail = polynomial(s * s, [0.281_781_3, 0.279_606_46, 0.400_249_07, 0.666_663_15]);
    at_least(0.0, x) + (tail * (s * s)).mul_add(s, 2.0 * s)
}

/// The normal distribution: `(Φ(x), exp(-x² / 2))`; Φ is the share below `x`.
#[inline(always)]
pub fn normal(x: f32) -> (f32, f32) {
    let size = at_most(15.0, x.abs());
    let square = size * size;
    let rounded_off = size.mul_add(size, -square);
    let e = exp_of_negative(-0.5 * square);
    let e = (-0.5 * rounded_off).mul_add(e, e);
    // Φ(-a) exp(a² / 2) as a polynomial of 1 / (1 + 0.3 a): a weighted least-squares fit from 0 to 15 by
    // Lawson's method, off by less than 4e-9 of the value.
    let t = 1.0 / 0.3_f32.mul_add(size, 1.0);
    let ratio = t * polynomial(
        t,
        [
            -0.020_633_484,
            0.112_489_85,
            -0.228_340_95,
            0.191_954_43,
            -0.079_565_13,
            0.096_233_21,
            0.078_363_06,
            0.110_241_175,
            0.119_571_11,
            0.119_686_73,
        ],
    );
    let below = ratio * e;
    (if x > 0.0 { 1.0 - below } else { below }, e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::vectorized;

    /// Largest error in units in the last place of the exact result, over a sweep of `from..to`.
    fn worst(from: f64, to: f64, f: impl Fn(f32) -> f32 + Copy, exact: impl Fn(f64) -> f64) -> f64 {
        let x: Vec<f32> =
            (0..200_001).map(|it| (from + (to - from) * f64::from(it) / 200_000.0) as f32).collect();
        let mut y = vec![0.0; x.len()];
        vectorized(
            #[inline(always)]
            || x.iter().zip(&mut y).for_each(|(&x, y)| *y = f(x)),
        );
        let mut worst = 0.0_f64;
        for (&x, &y) in x.iter().zip(&y) {
            let exact = exact(f64::from(x));
            let size = (exact.abs() as f32).max(f32::MIN_POSITIVE);
            let unit = f64::from(f32::from_bits(size.to_bits() + 1)) - f64::from(size);
            let error = (f64::from(y) - exact).abs() / unit;
            assert!(error < 8.0, "at {x}: {y} for {exact}, {error} units");
            worst = worst.max(error);
        }
        worst
    }

    #[test]
    fn errors_are_small() {
        let softplus_exact = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let sigmoid_exact = |x: f64| 1.0 / (1.0 + (-x).exp());
        let normal_exact = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        for (from, to) in [(-80.0, 80.0), (-1.5, 1.5), (-1e-3, 1e-3)] {
            assert!(worst(from, to, exp, f64::exp) < 1.5);
            assert!(worst(from, to, exp_m1, f64::exp_m1) < 2.0);
            assert!(worst(from, to, tanh, f64::tanh) < 2.5);
            assert!(worst(from, to, sigmoid, sigmoid_exact) < 2.5);
            assert!(worst(from, to, softplus, softplus_exact) < 3.0);
        }
        for (from, to) in [(-12.0, 12.0), (-0.1, 0.1)] {
            assert!(worst(from, to, |x| normal(x).0, normal_exact) < 8.0);
            assert!(worst(from, to, |x| normal(x).1, |x| (-0.5 * x * x).exp()) < 2.5);
        }
        for (from, to) in [(0.01, 4.0), (0.9, 1.1), (1.0, 1e6), (1e-44, 1e-36)] {
            assert!(worst(from, to, ln, f64::ln) < 1.5);
        }
        for (from, to) in [(-0.99, 4.0), (-1e-3, 1e-3), (0.0, 1e9), (-1e-8, 1e-8)] {
            assert!(worst(from, to, ln_1p, f64::ln_1p) < 2.0);
        }
        assert!(worst(-104.0, -80.0, exp, f64::exp) < 1.0);
        assert!(worst(80.0, 88.72, exp, f64::exp) < 1.5);
        assert!(worst(80.0, 88.72, exp_m1, f64::exp_m1) < 1.5);
    }

    #[test]
    fn limits() {
        const INFINITY: f32 = f32::INFINITY;
        for x in [INFINITY, f32::MAX, 200.0] {
            assert_eq!([exp(x), exp_m1(x), tanh(x), sigmoid(x)], [INFINITY, INFINITY, 1.0, 1.0]);
            assert_eq!([exp(-x), exp_m1(-x), tanh(-x), sigmoid(-x)], [0.0, -1.0, -1.0, 0.0]);
            assert_eq!([softplus(x), softplus(-x)], [x, 0.0]);
            assert_eq!([normal(x), normal(-x)], [(1.0, 0.0), (0.0, 0.0)]);
        }
        assert_eq!([ln(INFINITY), ln_1p(INFINITY)], [INFINITY; 2]);
        assert_eq!([ln(0.0), ln_1p(-1.0)], [f32::NEG_INFINITY; 2]);
        assert_eq!([exp(0.0), exp_m1(0.0), tanh(0.0), sigmoid(0.0), ln(1.0)], [1.0, 0.0, 0.0, 0.5, 0.0]);
        for f in [exp, exp_m1, tanh, sigmoid, softplus, ln, ln_1p, |x| normal(x).0] {
            assert!(f(f32::NAN).is_nan());
        }
        assert!(ln(-1.0).is_nan() && ln_1p(-1.5).is_nan());
    }
}
