//! Pooling over windows and over whole images or sequences: maxima and means.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

mod global;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use global::GlobalPool;

use crate::columns::{block, block_mut, in_blocks};
use crate::parallel;
use crate::simd::vectorized;

/// Windows over images `[batch, height, width, channels]`, or over sequences `[batch, length, features]`.
///
/// The result is `[batch, height', width', channels]` with `height' = (height + 2 padding - size) / stride + 1`
/// rounded down, and so is the width. Pairs are of height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2d {
    /// Height of what comes in.
    pub height: usize,
    /// Width of what comes in.
    pub width: usize,
    /// Channels, in and out.
    pub channels: usize,
    /// Height and width of a window.
    pub size: [usize; 2],
    /// Distance of two windows.
    pub stride: [usize; 2],
    /// Places on each side: zeros for means, and nothing for maxima. At most half a window.
    pub padding: [usize; 2],
}

/// The places of an image that a window sees, and where in the window the first of them is.
struct Window {
    down: Range<usize>,
    right: Range<usize>,
    first: [usize; 2],
}

impl Pool2d {
    /// Square windows over images.
    pub fn over_images(
        [height, width, channels]: [usize; 3],
        size: usize,
        stride: usize,
        padding: usize,
    ) -> Self {
        let (size, stride, padding) = ([size; 2], [stride; 2], [padding; 2]);
        Self { height, width, channels, size, stride, padding }
    }

    /// Windows of `size` steps over sequences.
    pub fn over_sequences(
        [length, features]: [usize; 2],
        size: usize,
        stride: usize,
        padding: usize,
    ) -> Self {
        let (size, stride, padding) = ([size, 1], [stride, 1], [padding, 0]);
        Self { height: length, width: 1, channels: features, size, stride, padding }
    }

    /// Height and width of the result.
    pub fn output(&self) -> [usize; 2] {
        let [down, right] = [self.height, self.width];
        let places = |length: usize, axis: usize| {
            (length + 2 * self.padding[axis] - self.size[axis]) / self.stride[axis] + 1
        };
        [places(down, 0), places(right, 1)]
    }

    fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn pooled_image(&self) -> usize {
        self.output().iter().product::<usize>() * self.channels
    }

    fn check(&self, batch: usize, x: usize, y: usize) {
        assert_eq!([x, y], [batch * self.image(), batch * self.pooled_image()], "numbers in and out");
        assert!(self.size[0] * self.size[1] <= 1 << 16, "windows of at most 65536 places");
    }

    /// How many rows of the result are a task: as many as read about 32 thousand numbers.
    fn rows_of_task(&self) -> usize {
        let row = self.output()[1] * self.size[0] * self.size[1] * self.channels;
        (32_768 / row.max(1)).max(1)
    }

    #[inline(always)]
    fn window(&self, row: usize, column: usize) -> Window {
        let side = |place: usize, axis: usize, length: usize| {
            let (start, padding) = (place * self.stride[axis], self.padding[axis]);
            let end = (start + self.size[axis]).saturating_sub(padding).min(length);
            (start.saturating_sub(padding)..end, padding.saturating_sub(start))
        };
        let (down, top) = side(row, 0, self.height);
        let (right, left) = side(column, 1, self.width);
        Window { down, right, first: [top, left] }
    }

    /// Calls `work` for each place of the image that a window sees: with its index, channels included, and
    /// its number in the window.
    #[inline(always)]
    fn each(&self, window: &Window, mut work: impl FnMut(usize, u32)) {
        for (down, y) in window.down.clone().enumerate() {
            let start = (window.first[0] + down) * self.size[1] + window.first[1];
            for (right, x) in window.right.clone().enumerate() {
                work((y * self.width + x) * self.channels, (start + right) as u32);
            }
        }
    }

    /// The maximum of each window, and in `winners` its number in the window, row after row: the first of
    /// equal ones. `y` and `winners` have the same length.
    pub fn max_forward(&self, batch: usize, x: &[f32], y: &mut [f32], winners: &mut [u16]) {
        self.check(batch, x.len(), y.len());
        assert_eq!(y.len(), winners.len(), "maxima and their places");
        let ([rows, columns], channels) = (self.output(), self.channels);
        let (row, at_once) = (columns * channels, self.rows_of_task());
        parallel::pairs_of_chunks((y, at_once * row), (winners, at_once * row), |task, y, winners| {
            vectorized(
                #[inline(always)]
                || {
                    let rows_of_y = y.chunks_exact_mut(row).zip(winners.chunks_exact_mut(row));
                    for (number, (y, winners)) in rows_of_y.enumerate() {
                        let number = task * at_once + number;
                        let image = &x[number / rows * self.image()..][..self.image()];
                        let places = y.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
                        for (column, (y, winners)) in places.enumerate() {
                            let window = self.window(number % rows, column);
                            in_blocks!(channels, |at| self.max_of(image, &window, at, y, winners));
                        }
                    }
                },
            );
        });
    }

    #[inline(always)]
    fn max_of<const N: usize>(
        &self,
        image: &[f32],
        window: &Window,
        at: usize,
        y: &mut [f32],
        winners: &mut [u16],
    ) {
        let first = window.first[0] * self.size[1] + window.first[1];
        let (mut best, mut winner) = ([f32::NEG_INFINITY; N], [first as u32; N]);
        self.each(
            window,
            #[inline(always)]
            |place, number| {
                let x: [f32; N] = block(image, place + at);
                for lane in 0..N {
                    // A NaN wins, as in PyTorch.
                    let wins = (x[lane] > best[lane]) | x[lane].is_nan();
                    best[lane] = if wins { x[lane] } else { best[lane] };
                    winner[lane] = if wins { number } else { winner[lane] };
                }
            },
        );
        *block_mut(y, at) = best;
        *block_mut(winners, at) = winner.map(|it| it as u16);
    }

    /// `dx`, of which only the winners get anything.
    pub fn max_backward(&self, batch: usize, winners: &[u16], dy: &[f32], dx: &mut [f32]) {
        assert_eq!(dy.len(), winners.len(), "maxima and their places");
        let (columns, channels) = (self.output()[1], self.channels);
        self.backward(
            batch,
            dx,
            dy.len(),
            #[inline(always)]
            |number, row, dx| {
                let dy = &dy[number * columns * channels..][..columns * channels];
                let winners = &winners[number * columns * channels..][..columns * channels];
                let places = dy.chunks_exact(channels).zip(winners.chunks_exact(channels));
                for (column, (dy, winners)) in places.enumerate() {
                    let window = self.window(row, column);
                    in_blocks!(channels, |at| self.max_back(dx, &window, at, dy, winners));
                }
            },
        );
    }

    #[inline(always)]
    fn max_back<const N: usize>(
        &self,
        dx: &mut [f32],
        window: &Window,
        at: usize,
        dy: &[f32],
        winners: &[u16],
    ) {
        let dy: [f32; N] = block(dy, at);
        let winners = block::<N, u16>(winners, at).map(u32::from);
        self.each(
            window,
            #[inline(always)]
            |place, number| {
                let mut sum: [f32; N] = block(dx, place + at);
                for lane in 0..N {
                    sum[lane] += if winners[lane] == number { dy[lane] } else { 0.0 };
                }
                *block_mut(dx, place + at) = sum;
            },
        );
    }

    /// The mean of each window; zeros of the padding count.
    pub fn mean_forward(&self, batch: usize, x: &[f32], y: &mut [f32]) {
        self.check(batch, x.len(), y.len());
        let ([rows, columns], channels) = (self.output(), self.channels);
        let (row, at_once) = (columns * channels, self.rows_of_task());
        parallel::chunks(y, at_once * row, |task, y| {
            vectorized(
                #[inline(always)]
                || {
                    for (number, y) in y.chunks_exact_mut(row).enumerate() {
                        let number = task * at_once + number;
                        let image = &x[number / rows * self.image()..][..self.image()];
                        for (column, y) in y.chunks_exact_mut(channels).enumerate() {
                            let window = self.window(number % rows, column);
                            in_blocks!(channels, |at| self.mean_of(image, &window, at, y));
                        }
                    }
                },
            );
        });
    }

    fn share(&self) -> f32 {
        1.0 / (self.size[0] * self.size[1]) as f32
    }

    #[inline(always)]
    fn mean_of<const N: usize>(&self, image: &[f32], window: &Window, at: usize, y: &mut [f32]) {
        let mut sum = [0.0; N];
        self.each(
            window,
            #[inline(always)]
            |place, _| {
                let x: [f32; N] = block(image, place + at);
                for lane in 0..N {
                    sum[lane] += x[lane];
                }
            },
        );
        *block_mut(y, at) = sum.map(|it| it * self.share());
    }

    /// `dx`: each place gets its share of the gradients of the windows that see it.
    pub fn mean_backward(&self, batch: usize, dy: &[f32], dx: &mut [f32]) {
        let (columns, channels) = (self.output()[1], self.channels);
        self.backward(
            batch,
            dx,
            dy.len(),
            #[inline(always)]
            |number, row, dx| {
                let dy = &dy[number * columns * channels..][..columns * channels];
                for (column, dy) in dy.chunks_exact(channels).enumerate() {
                    let window = self.window(row, column);
                    in_blocks!(channels, |at| self.mean_back(dx, &window, at, dy));
                }
            },
        );
    }

    #[inline(always)]
    fn mean_back<const N: usize>(&self, dx: &mut [f32], window: &Window, at: usize, dy: &[f32]) {
        let dy = block::<N, f32>(dy, at).map(|it| it * self.share());
        self.each(
            window,
            #[inline(always)]
            |place, _| {
                let mut sum: [f32; N] = block(dx, place + at);
                for lane in 0..N {
                    sum[lane] += dy[lane];
                }
                *block_mut(dx, place + at) = sum;
            },
        );
    }

    /// Calls `add` for each row of the result: with its number, its number in its image, and the image of
    /// `dx`, of which it adds to the places that the row's windows see. They are 0 before the first.
    #[inline(always)]
    fn backward(
        &self,
        batch: usize,
        dx: &mut [f32],
        y: usize,
        add: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) {
        self.check(batch, dx.len(), y);
        let (rows, line) = (self.output()[0], self.width * self.channels);
        // Images of a task: as many as have about 32 thousand numbers.
        let at_once = (32_768 / self.image().max(1)).max(1);
        parallel::chunks(dx, at_once * self.image(), |task, dx| {
            vectorized(
                #[inline(always)]
                || {
                    for (image, dx) in dx.chunks_exact_mut(self.image()).enumerate() {
                        let first = (task * at_once + image) * rows;
                        let mut zeroed = 0;
                        for row in 0..rows {
                            // Only now, so that they are still in the cache when they are added to.
                            let end = self.window(row, 0).down.end.max(zeroed);
                            dx[zeroed * line..end * line].fill(0.0);
                            zeroed = end;
                            add(first + row, row, dx);
                        }
                        dx[zeroed * line..].fill(0.0);
                    }
                },
            );
        });
    }
}
