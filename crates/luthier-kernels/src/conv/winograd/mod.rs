//! Convolutions with fewer multiplications, by Winograd's minimal filtering (Lavin and Gray 2016, "Fast Algorithms
//! for Convolutional Neural Networks"), with the points that Barabasz and others found to be precise ("Error
//! Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020).
//!
//! A tile of `4 x 4` results sees `S x S` numbers `d` of a channel, where `S` is 6 for kernels `g` of `3 x 3` weights
//! and 8 for those of `5 x 5`. With constant matrices `A`, `B` and `G` its results are `Aᵀ [Σ U ⊙ V] A`, where
//! `U = G g Gᵀ`, `V = Bᵀ d B` and the sum goes over channels: for each of the `S²` components a product of matrices,
//! `[tiles, channels] · [channels, filters]`. That takes 36 multiplications in place of 144, or 64 in place of 400.
//! Gradients are those of this algorithm: with `dM = A dY Aᵀ`, that of `V` is `dM · Uᵀ` and that of `U` is `Vᵀ · dM`.
//!
//! **Precision.** Results are off by some 1e-6 of their size (3 x 3) or 3e-6 (5 x 5), where a direct sum in the same
//! numbers is off by 0.5e-6.

mod backward;
mod plane;
mod transform;

use std::ops::Range;

use rayon::prelude::*;

use super::Conv2d;
use super::rows::{product, transpose};
use crate::parallel::chunks;
use crate::scratch;
use plane::Plane;
use transform::{Constant, Input6, Input8, Kernel3, Kernel5, Output4Of6, Output4Of8};
use transform::{Square, Then, Transform, Turned};

/// Height and width of the results of a tile.
const M: usize = 4;
/// Numbers of a transformed block of tiles that stays in the cache of a core.
const BLOCK: usize = 200_000;
/// As many transformed weights stay in the cache of a core.
const FEW: usize = 200_000;
/// Numbers of a transformed block of tiles, if the weights are too many for that cache.
const LARGE_BLOCK: usize = 3 << 20;
/// Tiles of a task with sums of its own.
const TASK: usize = 512;

pub(super) fn forward(
    conv: &Conv2d,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) {
    if conv.kernel == 3 {
        Tiles::new(conv, Input6, Kernel3, Output4Of6).forward(x, weight, bias, relu, y);
    } else {
        Tiles::new(conv, Input8, Kernel5, Output4Of8).forward(x, weight, bias, relu, y);
    }
}

pub(super) fn backward(
    conv: &Conv2d,
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
    dx: Option<&mut [f32]>,
    dweight: Option<&mut [f32]>,
) {
    if conv.kernel == 3 {
        Tiles::new(conv, Input6, Kernel3, Output4Of6).backward(x, weight, dy, dx, dweight);
    } else {
        Tiles::new(conv, Input8, Kernel5, Output4Of8).backward(x, weight, dy, dx, dweight);
    }
}

/// Tiles of `M x M` results of a kernel of `R x R` weights, which see `S x S` numbers.
#[derive(Debug, Clone, Copy)]
struct Tiles<'a, I, K, O, const R: usize, const S: usize> {
    conv: &'a Conv2d,
    input: I,
    kernel: K,
    output: O,
    /// Tiles of a row.
    across: usize,
    /// Tiles of an image.
    count: usize,
}

impl<'a, I, K, O, const R: usize, const S: usize> Tiles<'a, I, K, O, R, S>
where
    I: Constant<S, S>,
    K: Constant<R, S>,
    O: Constant<M, S>,
{
    /// Components of a transformed tile.
    const PARTS: usize = S * S;

    fn new(conv: &'a Conv2d, input: I, kernel: K, output: O) -> Self {
        let (rows, columns) = conv.output();
        let across = columns.div_ceil(M);
        Self { conv, input, kernel, output, across, count: across * rows.div_ceil(M) }
    }

    fn image(&self) -> Plane {
        Plane { height: self.conv.height, width: self.conv.width, channels: self.conv.channels }
    }

    fn result(&self) -> Plane {
        let (height, width) = self.conv.output();
        Plane { height, width, channels: self.conv.filters }
    }

    /// The image of a tile, where it stands on the image and where on the result.
    fn place(&self, tile: usize) -> (usize, (isize, isize), (isize, isize)) {
        let (image, tile) = (tile / self.count, tile % self.count);
        let (row, column) = ((tile / self.across * M) as isize, (tile % self.across * M) as isize);
        let padding = self.conv.padding.0 as isize;
        (image, (row - padding, column - padding), (row, column))
    }

    /// Numbers of the transformed weights.
    fn weights(&self) -> usize {
        Self::PARTS * self.conv.channels * self.conv.filters
    }

    /// Whether all cores share a block of tiles, because the weights are too many for the cache of one; and the
    /// tiles of a block, if each has so many numbers.
    fn block(&self, batch: usize, numbers: usize) -> (bool, usize) {
        let numbers = Self::PARTS * numbers;
        if self.weights() > FEW {
            let images = (LARGE_BLOCK / (numbers * self.count)).clamp(1, batch.max(1));
            // As many images to each block.
            let images = batch.div_ceil(batch.div_ceil(images).max(1)).max(1);
            return (true, images * self.count);
        }
        let tiles = (BLOCK / numbers).max(1);
        if self.count <= tiles {
            return (false, tiles / self.count * self.count);
        }
        // As many tiles to each block of an image, and whole steps of `matmul`.
        (false, self.count.div_ceil(self.count.div_ceil(tiles)).next_multiple_of(6))
    }

    /// Writes the transformed weights, of which `[kernel, kernel]` are `right` numbers apart and rows `down`: if cores
    /// share the work `[rows, parts, numbers]`, otherwise `[parts, rows, numbers]`.
    fn transform_weights(
        &self,
        from: &[f32],
        (down, right): (usize, usize),
        u: &mut [f32],
        shared: bool,
        rows: usize,
    ) {
        let (matrix, numbers) = (self.kernel, u.len() / Self::PARTS / rows);
        let work = |row: usize, u: &mut [f32], at: usize, apart: usize| {
            let from = (from, Square { at: row * down, down: R * right, right });
            let to = (u, Square { at, down: S * apart, right: apart });
            Transform { matrix, from, to, channels: numbers, then: Then::Write }.run();
        };
        if shared {
            let (share, step) = (rows.div_ceil(8), Self::PARTS * numbers);
            chunks(u, share * step, |chunk, u| {
                for (it, u) in u.chunks_exact_mut(step).enumerate() {
                    work(chunk * share + it, u, 0, numbers);
                }
            });
        } else {
            (0..rows).for_each(|row| work(row, u, row * numbers, rows * numbers));
        }
    }

    fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>, relu: bool, y: &mut [f32]) {
        let (channels, filters) = (self.conv.channels, self.conv.filters);
        let (image, result) = (self.image(), self.result());
        let batch = x.len() / image.size();
        let (shared, block) = self.block(batch, channels + filters);
        let own = if shared { batch } else { (block / self.count).min(batch.div_ceil(4)) }.max(1);
        scratch::with(self.weights(), |u| {
            let packed = shared && super::in_place(self.conv);
            if packed {
                self.transform_weights(weight, (R * R * channels, channels), u, shared, filters);
            } else {
                scratch::with(weight.len(), |turned| {
                    transpose(weight, filters, turned);
                    self.transform_weights(turned, (filters, channels * filters), u, shared, channels);
                });
            }
            let u = |part: usize| match (packed, shared) {
                (true, _) => (&u[part * channels..], 1, Self::PARTS * channels),
                (_, true) => (&u[part * filters..], Self::PARTS * filters, 1),
                (_, false) => (&u[part * channels * filters..], filters, 1),
            };
            chunks(y, own * result.size(), |task, y| {
                let x = &x[task * own * image.size()..][..y.len() / result.size() * image.size()];
                let tiles = y.len() / result.size() * self.count;
                for begin in (0..tiles).step_by(block) {
                    let tiles = begin..tiles.min(begin + block);
                    scratch::with(Self::PARTS * tiles.len() * (channels + filters), |memory| {
                        let (v, m) = memory.split_at_mut(Self::PARTS * tiles.len() * channels);
                        self.spread_image(x, tiles.start, v, shared);
                        let v = &*v;
                        let of =
                            components(m, (Self::PARTS, tiles.len(), filters), shared, |part, m, stride| {
                                let left = (&v[part * channels..], channels, Self::PARTS * channels);
                                product(m, (tiles.len(), filters, stride), left, u(part));
                            });
                        let write = |tile: usize, y: &mut [f32]| {
                            let (_, _, place) = self.place(tile);
                            let parts = (&*m, (tile - tiles.start) * of.0, of.1);
                            result.write(y, place, Turned(self.output), parts, Then::Finish(bias, relu));
                        };
                        self.by_image(y, result.size(), tiles.clone(), shared, write);
                    });
                }
            });
        });
    }

    /// Calls `work` with each tile and its image. If the block is shared, it is of whole images.
    fn by_image(
        &self,
        images: &mut [f32],
        size: usize,
        tiles: Range<usize>,
        shared: bool,
        work: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        if shared {
            let (first, last) = (tiles.start / self.count, tiles.end / self.count);
            chunks(&mut images[first * size..last * size], size, |image, numbers| {
                let first = (first + image) * self.count;
                (first..first + self.count).for_each(|tile| work(tile, numbers));
            });
        } else {
            tiles.for_each(|tile| work(tile, &mut images[tile / self.count * size..][..size]));
        }
    }

    /// Writes the transformed tiles of the images that follow `first`: `[tiles, parts, channels]`.
    fn spread_image(&self, x: &[f32], first: usize, v: &mut [f32], shared: bool) {
        let image = self.image();
        let size = Self::PARTS * image.channels;
        let step = if shared { 8 * size } else { v.len() };
        chunks(v, step, |chunk, v| {
            for (it, v) in v.chunks_exact_mut(size).enumerate() {
                let (number, place, _) = self.place(first + chunk * step / size + it);
                image.read(&x[number * image.size()..][..image.size()], place, self.input, v);
            }
        });
    }

    /// Writes the gradients of the components of the tiles that follow `first`: `[tiles, parts, filters]`.
    fn spread_result(&self, dy: &[f32], first: usize, dm: &mut [f32], shared: bool) {
        let result = self.result();
        let size = Self::PARTS * result.channels;
        let step = if shared { 8 * size } else { dm.len() };
        chunks(dm, step, |chunk, dm| {
            for (it, dm) in dm.chunks_exact_mut(size).enumerate() {
                let (number, _, place) = self.place(first + chunk * step / size + it);
                result.read(&dy[number * result.size()..][..result.size()], place, self.output, dm);
            }
        });
    }
}

/// Calls `work` for each component with its matrix and the length of the rows. If cores share the work it is `[36,
/// tiles, numbers]`, so that each component is in one piece, and otherwise `[tiles, parts, numbers]`, so that each tile
/// is. Returns how far tiles and components are apart.
fn components(
    all: &mut [f32],
    (parts, tiles, numbers): (usize, usize, usize),
    shared: bool,
    work: impl Fn(usize, &mut [f32], usize) + Sync,
) -> (usize, usize) {
    if shared {
        chunks(all, tiles * numbers, |part, all| work(part, all, numbers));
        (numbers, tiles * numbers)
    } else {
        (0..parts).for_each(|part| work(part, &mut all[part * numbers..], parts * numbers));
        (parts * numbers, numbers)
    }
}

/// Calls `work` for each task.
fn each<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Sync + Send) {
    if tasks.len() == 1 || rayon::current_num_threads() == 1 {
        tasks.into_iter().for_each(work);
    } else {
        tasks.into_par_iter().for_each(work);
    }
}

/// Whether this is how to compute the convolution.
pub(super) fn pays(conv: &Conv2d) -> bool {
    let (rows, columns) = conv.output();
    let plain = conv.stride == 1 && conv.dilation == 1 && conv.groups == 1;
    let whole = conv.channels.is_multiple_of(16) && conv.filters.is_multiple_of(16);
    // To transform many weights takes longer than to multiply few tiles by them.
    let tiles = rows.div_ceil(M) * columns.div_ceil(M);
    let enough = conv.channels * conv.filters <= tiles << 16;
    plain && whole && enough && matches!(conv.kernel, 3 | 5) && rows.min(columns) > 2
}
