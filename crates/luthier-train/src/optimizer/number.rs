//! What the rules of optimizers compute with: vectors of numbers on the host, or tensors on a device.

#![allow(
    clippy::inline_always,
    reason = "a loop over rules becomes vector instructions only if they are inlined"
)]

use std::ops::{Add, Div, Mul, Sub};

use burn::tensor::Tensor;
use pulp::Simd;

/// Some numbers of a tensor, or all of them at once. A rule that is written for it is one loop over memory on
/// the host, and operations on whole tensors elsewhere.
pub(super) trait Number:
    Clone + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// `self · factor`
    fn times(self, factor: f64) -> Self;
    /// `self + number`
    fn plus(self, number: f64) -> Self;
    /// `self²`
    fn square(self) -> Self;
    /// `√self`
    fn root(self) -> Self;
    /// `|self|`
    fn size(self) -> Self;
    /// -1, 0 or 1
    fn sign(self) -> Self;
    /// The larger of both.
    fn larger(self, other: Self) -> Self;
    /// `self`, or 0 where it is below.
    fn not_negative(self) -> Self;
}

/// As many numbers as the vectors of a processor hold.
#[derive(Clone, Copy)]
pub(super) struct Wide<S: Simd> {
    simd: S,
    numbers: S::f32s,
}

impl<S: Simd> Wide<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, numbers: S::f32s) -> Self {
        Self { simd, numbers }
    }

    #[inline(always)]
    pub(super) fn numbers(self) -> S::f32s {
        self.numbers
    }

    /// The numbers of `from`, less than a vector holds, and zeros behind them.
    #[inline(always)]
    pub(super) fn load(simd: S, from: &[f32]) -> Self {
        Self { simd, numbers: simd.partial_load_f32s(from) }
    }

    /// Writes the numbers to `to`, as far as it reaches, which is less far than the vector.
    #[inline(always)]
    pub(super) fn store(self, to: &mut [f32]) {
        self.simd.partial_store_f32s(to, self.numbers);
    }

    /// The numbers, with 0 in the place of those that are smaller than 2^-100.
    ///
    /// What shrinks by a factor in each step, as the moments of a weight without gradients do, else ends at
    /// numbers so small that processors take far longer for them, and stays there.
    #[inline(always)]
    pub(super) fn flushed(self) -> Self {
        const LEAST: f32 = 1.0 / (1_u128 << 100) as f32;
        let (simd, zero) = (self.simd, self.all(0.0));
        let is_tiny = simd.less_than_f32s(simd.abs_f32s(self.numbers), self.all(LEAST));
        self.with(simd.select_f32s(is_tiny, zero, self.numbers))
    }

    #[inline(always)]
    fn all(self, number: f32) -> S::f32s {
        self.simd.splat_f32s(number)
    }

    #[inline(always)]
    fn with(self, numbers: S::f32s) -> Self {
        Self { numbers, ..self }
    }
}

macro_rules! operator {
    ($trait:ident, $function:ident, $simd:ident) => {
        impl<S: Simd> $trait for Wide<S> {
            type Output = Self;

            #[inline(always)]
            fn $function(self, other: Self) -> Self {
                self.with(self.simd.$simd(self.numbers, other.numbers))
            }
        }
    };
}

operator!(Add, add, add_f32s);
operator!(Sub, sub, sub_f32s);
operator!(Mul, mul, mul_f32s);
operator!(Div, div, div_f32s);

impl<S: Simd> Number for Wide<S> {
    #[inline(always)]
    fn times(self, factor: f64) -> Self {
        self.with(self.simd.mul_f32s(self.numbers, self.all(factor as f32)))
    }

    #[inline(always)]
    fn plus(self, number: f64) -> Self {
        self.with(self.simd.add_f32s(self.numbers, self.all(number as f32)))
    }

    #[inline(always)]
    fn square(self) -> Self {
        self * self
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.with(self.simd.sqrt_f32s(self.numbers))
    }

    #[inline(always)]
    fn size(self) -> Self {
        self.with(self.simd.abs_f32s(self.numbers))
    }

    #[inline(always)]
    fn sign(self) -> Self {
        let (simd, zero, one) = (self.simd, self.all(0.0), self.all(1.0));
        let above = simd.select_f32s(simd.greater_than_f32s(self.numbers, zero), one, zero);
        let below = simd.select_f32s(simd.less_than_f32s(self.numbers, zero), one, zero);
        self.with(simd.sub_f32s(above, below))
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        let simd = self.simd;
        let is_larger = simd.greater_than_f32s(self.numbers, other.numbers);
        self.with(simd.select_f32s(is_larger, self.numbers, other.numbers))
    }

    #[inline(always)]
    fn not_negative(self) -> Self {
        let (simd, zero) = (self.simd, self.all(0.0));
        self.with(simd.select_f32s(simd.less_than_f32s(self.numbers, zero), zero, self.numbers))
    }
}

impl Number for Tensor<1> {
    fn times(self, factor: f64) -> Self {
        self.mul_scalar(factor)
    }

    fn plus(self, number: f64) -> Self {
        self.add_scalar(number)
    }

    fn square(self) -> Self {
        self.clone() * self
    }

    fn root(self) -> Self {
        self.sqrt()
    }

    fn size(self) -> Self {
        self.abs()
    }

    fn sign(self) -> Self {
        Tensor::<1>::sign(self)
    }

    fn larger(self, other: Self) -> Self {
        self.max_pair(other)
    }

    fn not_negative(self) -> Self {
        self.clamp_min(0.0)
    }
}

/// Moves `slot` towards `target` by `share`, as an exponential moving average does, and gives it:
/// `x ← x + share (target - x)`.
#[inline(always)]
pub(super) fn follow<N: Number>(slot: &mut N, target: N, share: f64) -> N {
    // In this form the two weights add up to 1 in single precision as well, which β x + (1 - β) y
    // misses by as much as a part in 30,000 of (1 - β).
    let new = (target - slot.clone()).times(share) + slot.clone();
    *slot = new.clone();
    new
}
