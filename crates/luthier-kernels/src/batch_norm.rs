//! Batch normalisation (Ioffe and Szegedy 2015), with a rectifier behind it where one is wanted.
//!
//! ```text
//! y = γ (x - μ) / √(σ² + ε) + β
//! ```
//!
//! for each channel of `[rows, channels]`, where the rows are all places of a batch. Mean and variance are
//! of the rows, or given: those that training has kept.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

mod measure;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::columns::{self, GROUP, block, block_mut, in_wide_blocks, rows_of_task};
use crate::simd::vectorized;
use crate::{parallel, scratch};
use measure::measured;

/// Batch normalisation of `[rows, channels]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm {
    /// How many channels there are.
    pub channels: usize,
    /// `ε`, added to the variance.
    pub epsilon: f32,
    /// Whether `max(y, 0)` is the result.
    pub relu: bool,
}

/// What a channel is normalised by: `[channels]` each.
#[derive(Debug, Clone, Copy)]
pub struct Statistics<'a> {
    /// `μ`.
    pub mean: &'a [f32],
    /// `σ²`.
    pub variance: &'a [f32],
    /// `γ`.
    pub scale: &'a [f32],
    /// `β`.
    pub shift: &'a [f32],
}

/// For each channel: the mean, `γ / √(σ² + ε)` and `β`.
#[derive(Clone, Copy)]
struct Line<'a> {
    mean: &'a [f32],
    slope: &'a [f32],
    shift: &'a [f32],
}

/// Does `$work` with a copy of the layer of which the compiler knows whether it has a rectifier.
macro_rules! with_known_relu {
    ($self:ident, |$layer:ident| $work:block) => {
        if $self.relu {
            let $layer = BatchNorm { relu: true, ..*$self };
            $work
        } else {
            let $layer = BatchNorm { relu: false, ..*$self };
            $work
        }
    };
}

impl BatchNorm {
    /// The mean of each channel and its variance with divisor `rows`: of each part of the rows with its own
    /// mean, put together by the formulas of Chan et al. (1983).
    pub fn measure(&self, rows: usize, x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
        let channels = self.channels;
        assert_eq!(x.len(), rows * channels, "numbers of so many rows");
        columns::over_rows(
            [rows, channels],
            |part, range, mean, squares| {
                let x = &x[part.start * channels..part.end * channels];
                vectorized(
                    #[inline(always)]
                    || {
                        let at = range.start;
                        in_wide_blocks!(mean.len(), |to| measured(x, channels, at + to, to, mean, squares));
                    },
                );
            },
            |[mean, squares], [part_mean, part_squares], [before, count]| {
                let share = count as f64 / (before + count) as f64;
                let weight = before as f64 * share;
                for ((mean, squares), (&part, &part_squares)) in
                    mean.iter_mut().zip(squares).zip(part_mean.iter().zip(part_squares))
                {
                    let difference = f64::from(part) - *mean;
                    *mean += difference * share;
                    *squares += f64::from(part_squares) + difference * difference * weight;
                }
            },
            |range, [means, squares]| {
                columns::store(means, &mut mean[range.clone()]);
                for (variance, &squares) in variance[range].iter_mut().zip(squares) {
                    *variance = (squares / rows as f64) as f32;
                }
            },
        );
    }

    /// `y`, by statistics that were measured or kept.
    pub fn forward(&self, rows: usize, x: &[f32], by: Statistics<'_>, y: &mut [f32]) {
        let channels = self.channels;
        assert_eq!([x.len(), y.len()], [rows * channels; 2], "numbers of so many rows");
        self.with_line(by, |line| {
            let at_once = rows_of_task(channels) * channels;
            parallel::chunks(y, at_once, |task, y| {
                let x = &x[task * at_once..][..y.len()];
                vectorized(
                    #[inline(always)]
                    || {
                        with_known_relu!(self, |layer| {
                            in_wide_blocks!(channels, |at| layer.normalise(x, line, at, y));
                        });
                    },
                );
            });
        });
    }

    /// The backward pass where the statistics are of these rows: makes of the gradient for `y` that for `x`,
    /// and writes those for scale and shift.
    pub fn backward(
        &self,
        rows: usize,
        x: &[f32],
        by: Statistics<'_>,
        dy: &mut [f32],
        [dscale, dshift]: [&mut [f32]; 2],
    ) {
        self.gradients_of_parameters(rows, x, by, dy, [dscale, dshift]);
        // dx = slope (dy - dβ / n - x̂ dγ / n), where x̂ is (x - μ) / √(σ² + ε)
        let (channels, count) = (self.channels, rows as f32);
        scratch::with(2 * channels, |terms| {
            let (factor, constant) = terms.split_at_mut(channels);
            for it in 0..channels {
                let inverse = 1.0 / (by.variance[it] + self.epsilon).sqrt();
                factor[it] = -by.scale[it] * inverse * inverse * dscale[it] / count;
                constant[it] = -by.scale[it] * inverse * dshift[it] / count;
            }
            self.backward_by(x, by, [factor, constant], dy);
        });
    }

    /// `dx = γ / √(σ² + ε) dy + factor (x - μ) + constant`, in place.
    pub(crate) fn backward_by(
        &self,
        x: &[f32],
        by: Statistics<'_>,
        [factor, constant]: [&[f32]; 2],
        dy: &mut [f32],
    ) {
        let channels = self.channels;
        self.with_line(by, |line| {
            let at_once = rows_of_task(channels) * channels;
            parallel::chunks(dy, at_once, |task, dy| {
                let x = &x[task * at_once..][..dy.len()];
                vectorized(
                    #[inline(always)]
                    || {
                        with_known_relu!(self, |layer| {
                            in_wide_blocks!(channels, |at| layer.back(x, line, [factor, constant], at, dy));
                        });
                    },
                );
            });
        });
    }

    /// The backward pass where the statistics are constants, as in a layer that is frozen: makes of the
    /// gradient for `y` that for `x`. `x` is needed only for a rectifier and may be empty without one.
    pub fn backward_frozen(&self, x: &[f32], by: Statistics<'_>, dy: &mut [f32]) {
        let channels = self.channels;
        self.with_line(by, |line| {
            let at_once = rows_of_task(channels) * channels;
            parallel::chunks(dy, at_once, |task, dy| {
                let x = if self.relu { &x[task * at_once..][..dy.len()] } else { &[] };
                vectorized(
                    #[inline(always)]
                    || {
                        with_known_relu!(self, |layer| {
                            in_wide_blocks!(channels, |at| layer.back_frozen(x, line, at, dy));
                        });
                    },
                );
            });
        });
    }

    /// The gradients for scale and shift alone.
    pub fn gradients_of_parameters(
        &self,
        rows: usize,
        x: &[f32],
        by: Statistics<'_>,
        dy: &[f32],
        [dscale, dshift]: [&mut [f32]; 2],
    ) {
        let channels = self.channels;
        assert_eq!([x.len(), dy.len()], [rows * channels; 2], "numbers of so many rows");
        self.with_line(by, |line| {
            columns::over_rows(
                [rows, channels],
                |part: Range<usize>, range, dscale, dshift| {
                    let part = part.start * channels..part.end * channels;
                    let (x, dy) = (&x[part.clone()], &dy[part]);
                    vectorized(
                        #[inline(always)]
                        || {
                            let at = range.start;
                            with_known_relu!(self, |layer| {
                                let count = dscale.len();
                                in_wide_blocks!(count, |to| layer.sums(
                                    x,
                                    dy,
                                    line,
                                    [at + to, to],
                                    [dscale, dshift]
                                ));
                            });
                        },
                    );
                },
                columns::add,
                |range, [scales, shifts]| {
                    columns::store(shifts, &mut dshift[range.clone()]);
                    for (channel, &sum) in range.zip(scales) {
                        let deviation = f64::from(by.variance[channel] + self.epsilon).sqrt();
                        dscale[channel] = (sum / deviation) as f32;
                    }
                },
            );
        });
    }

    fn with_line(&self, by: Statistics<'_>, work: impl FnOnce(Line<'_>)) {
        let Statistics { mean, variance, scale, shift } = by;
        let lens = [mean.len(), variance.len(), scale.len(), shift.len()];
        assert_eq!(lens, [self.channels; 4], "statistics of the channels");
        scratch::with(self.channels, |slope| {
            for (slope, (&scale, &variance)) in slope.iter_mut().zip(scale.iter().zip(variance)) {
                *slope = scale / (variance + self.epsilon).sqrt();
            }
            work(Line { mean, slope, shift });
        });
    }

    #[inline(always)]
    fn normalise<const N: usize>(self, x: &[f32], line: Line<'_>, at: usize, y: &mut [f32]) {
        let line = LineOf::<N>::new(line, at);
        for (x, y) in x.chunks_exact(self.channels).zip(y.chunks_exact_mut(self.channels)) {
            let x: [f32; N] = block(x, at);
            let mut value = [0.0; N];
            for lane in 0..N {
                value[lane] = line.value(x[lane], lane);
                value[lane] = if self.relu && value[lane] <= 0.0 { 0.0 } else { value[lane] };
            }
            *block_mut(y, at) = value;
        }
    }

    /// The gradient behind the rectifier, if there is one.
    #[inline(always)]
    fn passed<const N: usize>(self, line: &LineOf<N>, x: f32, dy: f32, lane: usize) -> f32 {
        if self.relu && line.value(x, lane) <= 0.0 { 0.0 } else { dy }
    }

    /// `dγ √(σ² + ε)` and `dβ` of these rows, written from index `to` on.
    #[inline(always)]
    fn sums<const N: usize>(
        self,
        x: &[f32],
        dy: &[f32],
        line: Line<'_>,
        [at, to]: [usize; 2],
        [dscale, dshift]: [&mut [f32]; 2],
    ) {
        let line = LineOf::<N>::new(line, at);
        let (mut products, mut sums) = ([0.0; N], [0.0; N]);
        let size = GROUP * self.channels;
        for (x, dy) in x.chunks(size).zip(dy.chunks(size)) {
            let (mut product, mut sum) = ([0.0_f32; N], [0.0_f32; N]);
            for (x, dy) in x.chunks_exact(self.channels).zip(dy.chunks_exact(self.channels)) {
                let (x, dy): ([f32; N], [f32; N]) = (block(x, at), block(dy, at));
                for lane in 0..N {
                    let dy = self.passed(&line, x[lane], dy[lane], lane);
                    sum[lane] += dy;
                    product[lane] = dy.mul_add(x[lane] - line.mean[lane], product[lane]);
                }
            }
            for lane in 0..N {
                products[lane] += product[lane];
                sums[lane] += sum[lane];
            }
        }
        *block_mut(dscale, to) = products;
        *block_mut(dshift, to) = sums;
    }

    #[inline(always)]
    fn back<const N: usize>(
        self,
        x: &[f32],
        line: Line<'_>,
        [factor, constant]: [&[f32]; 2],
        at: usize,
        dy: &mut [f32],
    ) {
        let line = LineOf::<N>::new(line, at);
        let (factor, constant): ([f32; N], [f32; N]) = (block(factor, at), block(constant, at));
        for (x, dy) in x.chunks_exact(self.channels).zip(dy.chunks_exact_mut(self.channels)) {
            let (x, mut result): ([f32; N], [f32; N]) = (block(x, at), block(dy, at));
            for lane in 0..N {
                let passed = self.passed(&line, x[lane], result[lane], lane);
                let rest = factor[lane].mul_add(x[lane] - line.mean[lane], constant[lane]);
                result[lane] = line.slope[lane].mul_add(passed, rest);
            }
            *block_mut(dy, at) = result;
        }
    }

    #[inline(always)]
    fn back_frozen<const N: usize>(self, x: &[f32], line: Line<'_>, at: usize, dy: &mut [f32]) {
        let line = LineOf::<N>::new(line, at);
        for (row, dy) in dy.chunks_exact_mut(self.channels).enumerate() {
            let x = if self.relu { block(x, row * self.channels + at) } else { [0.0; N] };
            let mut result: [f32; N] = block(dy, at);
            for lane in 0..N {
                result[lane] = line.slope[lane] * self.passed(&line, x[lane], result[lane], lane);
            }
            *block_mut(dy, at) = result;
        }
    }
}

/// [`Line`] of some channels.
struct LineOf<const N: usize> {
    mean: [f32; N],
    slope: [f32; N],
    shift: [f32; N],
}

impl<const N: usize> LineOf<N> {
    #[inline(always)]
    fn new(line: Line<'_>, at: usize) -> Self {
        Self { mean: block(line.mean, at), slope: block(line.slope, at), shift: block(line.shift, at) }
    }

    #[inline(always)]
    fn value(&self, x: f32, lane: usize) -> f32 {
        (x - self.mean[lane]).mul_add(self.slope[lane], self.shift[lane])
    }
}
