//! The small matrices of Winograd's minimal filtering, applied to vectors of channels.

#![allow(clippy::needless_range_loop, reason = "loops over constants, to be unrolled")]

use pulp::{Simd, WithSimd};

/// A matrix of `O` rows and `I` columns that is known when the program is compiled: its zeros cost nothing.
pub(super) trait Constant<const I: usize, const O: usize>: Copy + Sync {
    /// `matrix · values`.
    fn times<S: Simd>(self, simd: S, values: [S::f32s; I]) -> [S::f32s; O];

    /// `matrixᵀ · values`.
    fn turned_times<S: Simd>(self, simd: S, values: [S::f32s; O]) -> [S::f32s; I];
}

/// `sum += factor * value`, where no sum is begun before there is a term. Factors are constants, so what remains
/// of this is at most one instruction.
#[inline(always)]
fn add<S: Simd>(simd: S, sum: &mut S::f32s, begun: &mut bool, factor: f32, value: S::f32s) {
    if factor != 0.0 {
        *sum = match (*begun, factor) {
            (false, 1.0) => value,
            (false, _) => simd.mul_f32s(simd.splat_f32s(factor), value),
            (true, 1.0) => simd.add_f32s(*sum, value),
            (true, -1.0) => simd.sub_f32s(*sum, value),
            (true, _) => simd.mul_add_f32s(simd.splat_f32s(factor), value, *sum),
        };
        *begun = true;
    }
}

macro_rules! constant {
    ($(#[$doc:meta])* $name:ident, $columns:literal, $rows:literal, $([$($factor:expr),*]),*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name;

        impl Constant<$columns, $rows> for $name {
            #[inline(always)]
            fn times<S: Simd>(self, simd: S, values: [S::f32s; $columns]) -> [S::f32s; $rows] {
                [$({
                    let (mut sum, mut begun, mut at) = (simd.splat_f32s(0.0), false, 0);
                    $(
                        add(simd, &mut sum, &mut begun, $factor, values[at]);
                        at += 1;
                    )*
                    debug_assert_eq!(at, $columns);
                    sum
                }),*]
            }

            #[inline(always)]
            fn turned_times<S: Simd>(self, simd: S, values: [S::f32s; $rows]) -> [S::f32s; $columns] {
                let (mut sums, mut begun, mut row) = ([simd.splat_f32s(0.0); $columns], [false; $columns], 0);
                $({
                    let mut at = 0;
                    $(
                        add(simd, &mut sums[at], &mut begun[at], $factor, values[row]);
                        at += 1;
                    )*
                    debug_assert_eq!(at, $columns);
                    row += 1;
                })*
                debug_assert_eq!(row, $rows);
                sums
            }
        }
    };
}

constant! {
    /// `Bᵀ` for the points 0, 1, -1, 1/2, -2 and infinity.
    Input6, 6, 6,
    [1.0, -1.5, -2.0, 1.5, 1.0, 0.0],
    [0.0, -1.0, 0.5, 2.5, 1.0, 0.0],
    [0.0, 1.0, -2.5, 0.5, 1.0, 0.0],
    [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    [0.0, 0.5, -1.0, -0.5, 1.0, 0.0],
    [0.0, 1.0, -1.5, -2.0, 1.5, 1.0]
}
constant! {
    /// `G` for three weights and six points.
    Kernel3, 3, 6,
    [1.0, 0.0, 0.0],
    [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
    [-1.0 / 3.0, 1.0 / 3.0, -1.0 / 3.0],
    [-16.0 / 15.0, -8.0 / 15.0, -4.0 / 15.0],
    [1.0 / 15.0, -2.0 / 15.0, 4.0 / 15.0],
    [0.0, 0.0, 1.0]
}
constant! {
    /// `A` for four results of six points.
    Output4Of6, 4, 6,
    [1.0, 0.0, 0.0, 0.0],
    [1.0, 1.0, 1.0, 1.0],
    [1.0, -1.0, 1.0, -1.0],
    [1.0, 0.5, 0.25, 0.125],
    [1.0, -2.0, 4.0, -8.0],
    [0.0, 0.0, 0.0, 1.0]
}
constant! {
    /// `Bᵀ` for the points 0, 1, -1, 1/2, -1/2, 2, -2 and infinity.
    Input8, 8, 8,
    [-1.0, 0.0, 5.25, 0.0, -5.25, 0.0, 1.0, 0.0],
    [0.0, 1.0, 1.0, -4.25, -4.25, 1.0, 1.0, 0.0],
    [0.0, -1.0, 1.0, 4.25, -4.25, -1.0, 1.0, 0.0],
    [0.0, 2.0, 4.0, -2.5, -5.0, 0.5, 1.0, 0.0],
    [0.0, -2.0, 4.0, 2.5, -5.0, -0.5, 1.0, 0.0],
    [0.0, 0.5, 0.25, -2.5, -1.25, 2.0, 1.0, 0.0],
    [0.0, -0.5, 0.25, 2.5, -1.25, -2.0, 1.0, 0.0],
    [0.0, -1.0, 0.0, 5.25, 0.0, -5.25, 0.0, 1.0]
}
constant! {
    /// `G` for five weights and eight points.
    Kernel5, 5, 8,
    [-1.0, 0.0, 0.0, 0.0, 0.0],
    [-2.0 / 9.0, -2.0 / 9.0, -2.0 / 9.0, -2.0 / 9.0, -2.0 / 9.0],
    [-2.0 / 9.0, 2.0 / 9.0, -2.0 / 9.0, 2.0 / 9.0, -2.0 / 9.0],
    [32.0 / 45.0, 16.0 / 45.0, 8.0 / 45.0, 4.0 / 45.0, 2.0 / 45.0],
    [32.0 / 45.0, -16.0 / 45.0, 8.0 / 45.0, -4.0 / 45.0, 2.0 / 45.0],
    [1.0 / 90.0, 1.0 / 45.0, 2.0 / 45.0, 4.0 / 45.0, 8.0 / 45.0],
    [1.0 / 90.0, -1.0 / 45.0, 2.0 / 45.0, -4.0 / 45.0, 8.0 / 45.0],
    [0.0, 0.0, 0.0, 0.0, 1.0]
}
constant! {
    /// `A` for four results of eight points.
    Output4Of8, 4, 8,
    [1.0, 0.0, 0.0, 0.0],
    [1.0, 1.0, 1.0, 1.0],
    [1.0, -1.0, 1.0, -1.0],
    [1.0, 0.5, 0.25, 0.125],
    [1.0, -0.5, 0.25, -0.125],
    [1.0, 2.0, 4.0, 8.0],
    [1.0, -2.0, 4.0, -8.0],
    [0.0, 0.0, 0.0, 1.0]
}

/// Where the numbers of a square of vectors are in a slice: that at row `i` and column `j` begins at
/// `at + i * down + j * right`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Square {
    pub(super) at: usize,
    pub(super) down: usize,
    pub(super) right: usize,
}

/// What becomes of a transformed number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then<'a> {
    /// It is written.
    Write,
    /// It is added to what is there.
    Add,
    /// It is written with the channel's bias, and as zero if it is negative and the second is true.
    Finish(Option<&'a [f32]>, bool),
}

/// `target = matrix · source · matrixᵀ` in each of `channels` channels (a multiple of 16).
pub(super) struct Transform<'a, C> {
    pub(super) matrix: C,
    pub(super) from: (&'a [f32], Square),
    pub(super) to: (&'a mut [f32], Square),
    pub(super) channels: usize,
    pub(super) then: Then<'a>,
}

/// The other direction: with the transposed matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turned<C>(pub(super) C);

impl<C: Constant<I, O>, const I: usize, const O: usize> Constant<O, I> for Turned<C> {
    #[inline(always)]
    fn times<S: Simd>(self, simd: S, values: [S::f32s; O]) -> [S::f32s; I] {
        self.0.turned_times(simd, values)
    }

    #[inline(always)]
    fn turned_times<S: Simd>(self, simd: S, values: [S::f32s; I]) -> [S::f32s; O] {
        self.0.times(simd, values)
    }
}

impl<C> Transform<'_, C> {
    /// Does it, by the widest vectors of this processor.
    pub(super) fn run<const I: usize, const O: usize>(self)
    where
        C: Constant<I, O>,
    {
        pulp::Arch::new().dispatch(Work::<C, I, O>(self));
    }
}

struct Work<'a, C, const I: usize, const O: usize>(Transform<'a, C>);

impl<C: Constant<I, O>, const I: usize, const O: usize> WithSimd for Work<'_, C, I, O> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Transform { matrix, from: (from, source), to: (to, target), channels, then } = self.0;
        for channel in (0..channels).step_by(S::F32_LANES) {
            let mut half = [[simd.splat_f32s(0.0); I]; O];
            for column in 0..I {
                let first = source.at + column * source.right + channel;
                let mut values = [simd.splat_f32s(0.0); I];
                for row in 0..I {
                    values[row] = load(simd, from, first + row * source.down);
                }
                let values = matrix.times(simd, values);
                for row in 0..O {
                    half[row][column] = values[row];
                }
            }
            for (row, half) in half.into_iter().enumerate() {
                let values = matrix.times(simd, half);
                for column in 0..O {
                    let to = &mut to[target.at + row * target.down + column * target.right + channel..];
                    let (to, _) = S::as_mut_simd_f32s(&mut to[..S::F32_LANES]);
                    to[0] = match then {
                        Then::Write => values[column],
                        Then::Add => simd.add_f32s(to[0], values[column]),
                        Then::Finish(bias, relu) => {
                            let zero = simd.splat_f32s(0.0);
                            let bias = bias.map_or(zero, |bias| load(simd, bias, channel));
                            let sum = simd.add_f32s(values[column], bias);
                            if relu { simd.max_f32s(sum, zero) } else { sum }
                        }
                    };
                }
            }
        }
    }
}

/// The vector that begins at a place.
#[inline(always)]
fn load<S: Simd>(_: S, from: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&from[at..at + S::F32_LANES]).0[0]
}
