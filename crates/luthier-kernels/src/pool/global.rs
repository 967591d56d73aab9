//! Pooling over all places: one vector of each image or sequence.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use crate::columns::{block, block_mut, in_wide_blocks};
use crate::parallel;
use crate::simd::vectorized;

/// The mean or maximum of each channel over all places (Lin et al. 2014): `[batch, places, channels]` become
/// `[batch, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalPool {
    /// Pixels of an image or steps of a sequence, at least 1.
    pub places: usize,
    /// Channels or features.
    pub channels: usize,
}

impl GlobalPool {
    fn image(&self) -> usize {
        self.places * self.channels
    }

    /// Images of a task: as many as have about 32 thousand numbers.
    fn at_once(&self) -> usize {
        (32_768 / self.image().max(1)).max(1)
    }

    fn check(&self, batch: usize, x: usize, y: usize) {
        assert_eq!([x, y], [batch * self.image(), batch * self.channels], "numbers in and out");
    }

    /// `y`: the means.
    pub fn mean_forward(&self, batch: usize, x: &[f32], y: &mut [f32]) {
        self.check(batch, x.len(), y.len());
        let at_once = self.at_once();
        parallel::chunks(y, at_once * self.channels, |task, y| {
            vectorized(
                #[inline(always)]
                || {
                    for (number, y) in y.chunks_exact_mut(self.channels).enumerate() {
                        let image = &x[(task * at_once + number) * self.image()..][..self.image()];
                        in_wide_blocks!(self.channels, |at| self.mean_of(image, at, y));
                    }
                },
            );
        });
    }

    #[inline(always)]
    fn mean_of<const N: usize>(&self, image: &[f32], at: usize, y: &mut [f32]) {
        let mut total = [0.0; N];
        // Sums of sums lose less to rounding.
        for rows in image.chunks(64 * self.channels) {
            let mut sum = [0.0; N];
            for row in rows.chunks_exact(self.channels) {
                let x: [f32; N] = block(row, at);
                for lane in 0..N {
                    sum[lane] += x[lane];
                }
            }
            for lane in 0..N {
                total[lane] += sum[lane];
            }
        }
        *block_mut(y, at) = total.map(|it| it / self.places as f32);
    }

    /// `dx`: the same share for each place.
    pub fn mean_backward(&self, batch: usize, dy: &[f32], dx: &mut [f32]) {
        self.check(batch, dx.len(), dy.len());
        let (at_once, share) = (self.at_once(), 1.0 / self.places as f32);
        parallel::chunks(dx, at_once * self.image(), |task, dx| {
            vectorized(
                #[inline(always)]
                || {
                    for (number, dx) in dx.chunks_exact_mut(self.image()).enumerate() {
                        let dy = &dy[(task * at_once + number) * self.channels..][..self.channels];
                        for dx in dx.chunks_exact_mut(self.channels) {
                            for (dx, &dy) in dx.iter_mut().zip(dy) {
                                *dx = dy * share;
                            }
                        }
                    }
                },
            );
        });
    }

    /// `y`: the maxima; `winners`: the places where they were, the first of equal ones.
    pub fn max_forward(&self, batch: usize, x: &[f32], y: &mut [f32], winners: &mut [u32]) {
        self.check(batch, x.len(), y.len());
        assert_eq!(y.len(), winners.len(), "maxima and their places");
        let (channels, at_once) = (self.channels, self.at_once());
        let size = at_once * channels;
        parallel::pairs_of_chunks((y, size), (winners, size), |task, y, winners| {
            vectorized(
                #[inline(always)]
                || {
                    let images = y.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
                    for (number, (y, winners)) in images.enumerate() {
                        let image = &x[(task * at_once + number) * self.image()..][..self.image()];
                        in_wide_blocks!(channels, |at| self.max_of(image, at, y, winners));
                    }
                },
            );
        });
    }

    #[inline(always)]
    fn max_of<const N: usize>(&self, image: &[f32], at: usize, y: &mut [f32], winners: &mut [u32]) {
        let (mut best, mut winner) = ([f32::NEG_INFINITY; N], [0; N]);
        for (place, row) in image.chunks_exact(self.channels).enumerate() {
            let x: [f32; N] = block(row, at);
            for lane in 0..N {
                let wins = (x[lane] > best[lane]) | x[lane].is_nan();
                best[lane] = if wins { x[lane] } else { best[lane] };
                winner[lane] = if wins { place as u32 } else { winner[lane] };
            }
        }
        *block_mut(y, at) = best;
        *block_mut(winners, at) = winner;
    }

    /// `dx`, of which only the winners get anything.
    pub fn max_backward(&self, batch: usize, winners: &[u32], dy: &[f32], dx: &mut [f32]) {
        self.check(batch, dx.len(), dy.len());
        let at_once = self.at_once();
        parallel::chunks(dx, at_once * self.image(), |task, dx| {
            dx.fill(0.0);
            for (number, dx) in dx.chunks_exact_mut(self.image()).enumerate() {
                let start = (task * at_once + number) * self.channels;
                for channel in 0..self.channels {
                    let place = winners[start + channel] as usize;
                    dx[place * self.channels + channel] = dy[start + channel];
                }
            }
        });
    }
}
