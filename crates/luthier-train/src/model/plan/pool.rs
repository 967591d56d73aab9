//! Pooling of images: over windows, over everything, and to a given size.

use luthier_kernels::{GlobalPool, Pool2d};

use super::node::{Backward, Forward, Kernel};

/// The maximum or the mean over windows.
pub(in crate::model) struct PoolKernel {
    pool: Pool2d,
    max: bool,
    winners: Vec<u16>,
}

impl PoolKernel {
    pub(in crate::model) fn new(pool: Pool2d, max: bool) -> Self {
        Self { pool, max, winners: Vec::new() }
    }
}

impl Kernel for PoolKernel {
    fn name(&self) -> String {
        let [height, width] = self.pool.size;
        format!("{} pool {height}x{width}", if self.max { "max" } else { "mean" })
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        if self.max {
            self.winners.resize(y.len(), 0);
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
        let mut dx = run.buffers.take(x.len());
        if self.max {
            self.pool.max_backward(run.batch, &self.winners, &dy, &mut dx);
        } else {
            self.pool.mean_backward(run.batch, &dy, &mut dx);
        }
        run.buffers.give(dy);
        dx
    }
}

/// The maximum or the mean of each channel.
pub(in crate::model) struct GlobalPoolKernel {
    pool: GlobalPool,
    max: bool,
    winners: Vec<u32>,
}

impl GlobalPoolKernel {
    pub(in crate::model) fn new(places: usize, channels: usize, max: bool) -> Self {
        Self { pool: GlobalPool { places, channels }, max, winners: Vec::new() }
    }
}

impl Kernel for GlobalPoolKernel {
    fn name(&self) -> String {
        format!("global {} pool", if self.max { "max" } else { "mean" })
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        if self.max {
            self.winners.resize(y.len(), 0);
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
        let mut dx = run.buffers.take(x.len());
        if self.max {
            self.pool.max_backward(run.batch, &self.winners, &dy, &mut dx);
        } else {
            self.pool.mean_backward(run.batch, &dy, &mut dx);
        }
        run.buffers.give(dy);
        dx
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
        let mut dx = run.buffers.take(x.len());
        self.add(&dy, &mut dx, true);
        run.buffers.give(dy);
        dx
    }
}
