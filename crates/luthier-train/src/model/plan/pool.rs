//! Pooling of images: over windows, over everything, and to a given size.

use luthier_kernels::{GlobalPool, Pool2d};

use super::node::{Backward, Forward, Kernel};

/// Maxima and means of something.
pub(in crate::model) trait Pooling: Send {
    /// Where a maximum was found.
    type Winner: Default + Clone + Send;

    fn name(&self, what: &str) -> String;
    fn max_forward(&self, batch: usize, x: &[f32], y: &mut [f32], winners: &mut [Self::Winner]);
    fn max_backward(&self, batch: usize, winners: &[Self::Winner], dy: &[f32], dx: &mut [f32]);
    fn mean_forward(&self, batch: usize, x: &[f32], y: &mut [f32]);
    fn mean_backward(&self, batch: usize, dy: &[f32], dx: &mut [f32]);
}

macro_rules! pooling {
    ($pool:ty, $winner:ty, |$self:ident, $what:ident| $name:expr) => {
        impl Pooling for $pool {
            type Winner = $winner;

            fn name(&$self, $what: &str) -> String {
                $name
            }

            fn max_forward(&self, batch: usize, x: &[f32], y: &mut [f32], winners: &mut [$winner]) {
                self.max_forward(batch, x, y, winners);
            }

            fn max_backward(&self, batch: usize, winners: &[$winner], dy: &[f32], dx: &mut [f32]) {
                self.max_backward(batch, winners, dy, dx);
            }

            fn mean_forward(&self, batch: usize, x: &[f32], y: &mut [f32]) {
                self.mean_forward(batch, x, y);
            }

            fn mean_backward(&self, batch: usize, dy: &[f32], dx: &mut [f32]) {
                self.mean_backward(batch, dy, dx);
            }
        }
    };
}

pooling!(Pool2d, u16, |self, what| format!("{what} pool {}x{}", self.size[0], self.size[1]));
pooling!(GlobalPool, u32, |self, what| format!("global {what} pool"));

/// The maximum or the mean over windows, or over everything.
pub(in crate::model) struct PoolKernel<P: Pooling> {
    pool: P,
    max: bool,
    winners: Vec<P::Winner>,
}

impl<P: Pooling> PoolKernel<P> {
    pub(in crate::model) fn new(pool: P, max: bool) -> Self {
        Self { pool, max, winners: Vec::new() }
    }
}

impl<P: Pooling> Kernel for PoolKernel<P> {
    fn name(&self) -> String {
        self.pool.name(if self.max { "max" } else { "mean" })
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        if self.max {
            self.winners.resize(y.len(), P::Winner::default());
            self.pool.max_forward(run.batch, x, y, &mut self.winners);
        } else {
            self.pool.mean_forward(run.batch, x, y);
        }
    }

    fn backward(
        &mut self,
        run: &mut Backward<'_>,
        (x, _): (&[f32], &[f32]),
        dy: Vec<f32>,
        _: bool,
    ) -> Vec<f32> {
        let batch = run.batch;
        run.buffers.turn(dy, x.len(), |dy, dx| {
            if self.max {
                self.pool.max_backward(batch, &self.winners, dy, dx);
            } else {
                self.pool.mean_backward(batch, dy, dx);
            }
        })
    }
}

/// Means over windows that cover an image so that one of a given size comes out, as PyTorch's
/// `AdaptiveAvgPool2d`: a place of `n` out of `m` covers those from `⌊i m / n⌋` up to `⌈(i + 1) m / n⌉`.
pub(in crate::model) struct AdaptivePoolKernel {
    from: (usize, usize),
    channels: usize,
    to: (usize, usize),
}

impl AdaptivePoolKernel {
    pub(in crate::model) fn new(from: (usize, usize), channels: usize, to: (usize, usize)) -> Self {
        Self { from, channels, to }
    }

    /// Calls `work` with each place of what comes out, each that it covers, and its share in the mean.
    fn pairs(&self, mut work: impl FnMut(usize, usize, f32)) {
        let window =
            |place: usize, from: usize, to: usize| place * from / to..((place + 1) * from).div_ceil(to);
        for row in 0..self.to.0 {
            let rows = window(row, self.from.0, self.to.0);
            for column in 0..self.to.1 {
                let columns = window(column, self.from.1, self.to.1);
                let share = 1.0 / (rows.len() * columns.len()) as f32;
                for from_row in rows.clone() {
                    for from_column in columns.clone() {
                        let from = from_row * self.from.1 + from_column;
                        work(row * self.to.1 + column, from, share);
                    }
                }
            }
        }
    }

    /// Adds the shares of the images in `from` to those in `to`, `backward` from what comes out.
    fn add(&self, from: &[f32], to: &mut [f32], backward: bool) {
        let channels = self.channels;
        let (inside, outside) = (self.from.0 * self.from.1 * channels, self.to.0 * self.to.1 * channels);
        let (size, other) = if backward { (outside, inside) } else { (inside, outside) };
        to.fill(0.0);
        for (from, to) in from.chunks_exact(size).zip(to.chunks_exact_mut(other)) {
            self.pairs(|out, place, share| {
                let (read, write) = if backward { (out, place) } else { (place, out) };
                let read = &from[read * channels..][..channels];
                let write = &mut to[write * channels..][..channels];
                write.iter_mut().zip(read).for_each(|(write, read)| *write += share * read);
            });
        }
    }
}

impl Kernel for AdaptivePoolKernel {
    fn name(&self) -> String {
        format!("adaptive mean pool {}x{}", self.to.0, self.to.1)
    }

    fn forward(&mut self, _: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        self.add(x, y, false);
    }

    fn backward(
        &mut self,
        run: &mut Backward<'_>,
        (x, _): (&[f32], &[f32]),
        dy: Vec<f32>,
        _: bool,
    ) -> Vec<f32> {
        run.buffers.turn(dy, x.len(), |dy, dx| self.add(dy, dx, true))
    }
}
