//! What the rules of optimizers compute with: numbers on the host, or tensors of them on a device.

#![allow(
    clippy::inline_always,
    reason = "a loop over rules becomes vector instructions only if they are inlined"
)]

use std::ops::{Add, Div, Mul, Sub};

use burn::tensor::Tensor;

/// A number of a tensor, or all of them at once. A rule that is written for it is one loop over memory on
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

impl Number for f32 {
    #[inline(always)]
    fn times(self, factor: f64) -> Self {
        self * factor as Self
    }

    #[inline(always)]
    fn plus(self, number: f64) -> Self {
        self + number as Self
    }

    #[inline(always)]
    fn square(self) -> Self {
        self * self
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn size(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn sign(self) -> Self {
        f32::from(u8::from(self > 0.0)) - f32::from(u8::from(self < 0.0))
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    #[inline(always)]
    fn not_negative(self) -> Self {
        if self < 0.0 { 0.0 } else { self }
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
