//! Elementary functions of 64-bit numbers, for loops of vector instructions, as those of 32 bits.
//!
//! The exponential is its Taylor polynomial behind the reduction of Cody and Waite, the logarithm the series of
//! `2 artanh(m / (2 + m))` with the coefficients of fdlibm. Results are within about one unit in the last place.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

/// Adding it rounds a number below 2⁵¹ to a whole one, which then is in the lowest bits.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// ln 2 in two parts, the first of few bits.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// The bits of √½.
const ROOT_OF_HALF: u64 = 0x3fe6_a09e_667f_3bcd;

/// The polynomial of the coefficients, the highest first.
#[inline(always)]
fn polynomial<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[0];
    for &coefficient in &coefficients[1..] {
        sum = sum.mul_add(x, coefficient);
    }
    sum
}

/// `exp(x)` for `x` at most 0; 0 below -708. A NaN stays one.
#[inline(always)]
pub fn exp_of_negative(x: f64) -> f64 {
    let held = if x < -708.0 { -708.0 } else { x };
    let n = held.mul_add(std::f64::consts::LOG2_E, ROUNDING) - ROUNDING;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, held));
    // 1/13! to 1/2!
    let tail = polynomial(
        r,
        [
            1.605_904_383_682_161_3e-10,
            2.087_675_698_786_81e-9,
            2.505_210_838_544_172e-8,
            2.755_731_922_398_589e-7,
            2.755_731_922_398_589_3e-6,
            2.480_158_730_158_73e-5,
            1.984_126_984_126_984e-4,
            1.388_888_888_888_889e-3,
            8.333_333_333_333_333e-3,
            4.166_666_666_666_666_4e-2,
            1.666_666_666_666_666_6e-1,
            0.5,
        ],
    );
    let below_one = (tail * r).mul_add(r, r);
    let power = f64::from_bits(((n + ROUNDING).to_bits() << 52).wrapping_add(0x3ff0_0000_0000_0000));
    let value = below_one.mul_add(power, power);
    if x < -708.0 { 0.0 } else { value }
}

/// `ln(x)` for `x` above 0 that is not so small as to have fewer digits. Infinity and a NaN stay.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    // x = (1 + m) 2^k with 1 + m from √½ to √2
    let bits = x.to_bits().wrapping_sub(ROOT_OF_HALF).wrapping_add(0x3ff0_0000_0000_0000);
    let k = f64::from_bits((bits >> 52).wrapping_add(ROUNDING.to_bits())) - (ROUNDING + 1023.0);
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_OF_HALF)) - 1.0;
    let s = m / (2.0 + m);
    let z = s * s;
    let series = z * polynomial(
        z,
        [
            1.479_819_860_511_658_6e-1,
            1.531_383_769_920_937_3e-1,
            1.818_357_216_161_805e-1,
            2.222_219_843_214_978_4e-1,
            2.857_142_874_366_239e-1,
            3.999_999_999_940_942e-1,
            6.666_666_666_666_735e-1,
        ],
    );
    let half_of_square = 0.5 * m * m;
    let low = s.mul_add(half_of_square + series, k * LN_2_LOW);
    let value = k.mul_add(LN_2_HIGH, m - (half_of_square - low));
    if x < f64::INFINITY { value } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error in units in the last place, over a sweep of `from..to`.
    fn worst(from: f64, to: f64, f: impl Fn(f64) -> f64, exact: impl Fn(f64) -> f64) -> f64 {
        let mut worst = 0.0_f64;
        for it in 0..100_001 {
            let x = from + (to - from) * f64::from(it) / 100_000.0;
            let (found, exact) = (f(x), exact(x));
            let unit = f64::from_bits(exact.abs().max(f64::MIN_POSITIVE).to_bits() + 1)
                - exact.abs().max(f64::MIN_POSITIVE);
            worst = worst.max((found - exact).abs() / unit);
        }
        worst
    }

    #[test]
    fn errors_are_small() {
        for (from, to) in [(-707.9, 0.0), (-2.0, 0.0), (-1e-6, 0.0)] {
            assert!(worst(from, to, exp_of_negative, libm::exp) <= 2.0, "{from}");
        }
        for (from, to) in [(1.0, 4.0), (0.3, 1.1), (1.0, 1e5), (1e-300, 1e-290), (1e290, 1e300)] {
            assert!(worst(from, to, ln, libm::log) <= 2.0, "{from}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!([exp_of_negative(0.0), exp_of_negative(f64::NEG_INFINITY), ln(1.0)], [1.0, 0.0, 0.0]);
        assert_eq!([exp_of_negative(-709.0), ln(f64::INFINITY)], [0.0, f64::INFINITY]);
        assert!(exp_of_negative(f64::NAN).is_nan() && ln(f64::NAN).is_nan());
    }
}
