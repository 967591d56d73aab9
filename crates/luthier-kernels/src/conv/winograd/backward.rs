//! The gradients of the algorithm.

use super::super::rows::add;
use super::transform::{Constant, Square, Then, Transform, Turned};
use super::{M, TASK, Tiles, components, each};
use crate::matmul::{Matrix, MatrixMut, matmul};
use crate::parallel::chunks;
use crate::scratch;
use crate::simd::vectorized;

impl<I, K, O, const R: usize, const S: usize> Tiles<'_, I, K, O, R, S>
where
    I: Constant<S, S>,
    K: Constant<R, S>,
    O: Constant<M, S>,
{
    /// Writes the gradients that are asked for.
    pub(super) fn backward(
        &self,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        dweight: Option<&mut [f32]>,
    ) {
        if dx.is_none() && dweight.is_none() {
            return;
        }
        let (channels, filters) = (self.conv.channels, self.conv.filters);
        let (image, result) = (self.image(), self.result());
        let batch = x.len() / image.size();
        let (shared, block) = self.block(batch, channels + filters);
        // Each task has sums of its own, so there are not many.
        let tasks = if shared { 1 } else { (batch * self.count / TASK).clamp(4, 16).min(batch).max(1) };
        let own = batch.div_ceil(tasks).max(1);
        let tasks = batch.div_ceil(own).max(1);
        let sums = if dweight.is_some() { tasks * self.weights() } else { 0 };
        let turned = if dx.is_some() { self.weights() } else { 0 };
        scratch::with(sums + turned, |memory| {
            let (du, u) = memory.split_at_mut(sums);
            if dx.is_some() {
                self.transform_weights(weight, (R * R * channels, channels), u, shared, filters);
            }
            let u = &*u;
            let mut dx: Vec<_> = dx.map_or_else(Vec::new, |dx| dx.chunks_mut(own * image.size()).collect());
            let mut du_of: Vec<_> = du.chunks_exact_mut(self.weights()).collect();
            let work: Vec<_> = (0..tasks).rev().map(|task| (task, dx.pop(), du_of.pop())).collect();
            each(work, |(task, dx, du)| {
                let images = task * own..batch.min((task + 1) * own);
                let x = &x[images.start * image.size()..images.end * image.size()];
                let dy = &dy[images.start * result.size()..images.end * result.size()];
                self.backward_images(x, u, dy, dx, du, (shared, block));
            });
            if let Some(dweight) = dweight {
                let (sum, others) = du.split_at_mut(self.weights());
                let step = self.weights().div_ceil(8);
                chunks(sum, step, |chunk, sum| {
                    for other in others.chunks_exact(self.weights()) {
                        vectorized(|| add(sum, &other[chunk * step..][..sum.len()]));
                    }
                });
                let (sum, step) = (&*sum, R * R * channels);
                chunks(dweight, filters.div_ceil(8) * step, |chunk, dweight| {
                    for (it, dweight) in dweight.chunks_exact_mut(step).enumerate() {
                        let (at, size) = ((chunk * filters.div_ceil(8) + it) * channels, channels * filters);
                        let from = (sum, Square { at, down: S * size, right: size });
                        let to = (dweight, Square { at: 0, down: R * channels, right: channels });
                        let matrix = Turned(self.kernel);
                        Transform { matrix, from, to, channels, then: Then::Write }.run();
                    }
                });
            }
        });
    }

    /// The gradients of some images: with respect to the images, `[batch, height, width, channels]`, and to the
    /// transformed weights, `[parts, filters, channels]`. The transformed weights are `[filters, parts, channels]`.
    fn backward_images(
        &self,
        x: &[f32],
        u: &[f32],
        dy: &[f32],
        mut dx: Option<&mut [f32]>,
        mut du: Option<&mut [f32]>,
        (shared, block): (bool, usize),
    ) {
        let (channels, filters) = (self.conv.channels, self.conv.filters);
        let size = self.image().size();
        let all = x.len() / size * self.count;
        if let Some(dx) = &mut dx {
            dx.fill(0.0);
        }
        if let Some(du) = &mut du {
            du.fill(0.0);
        }
        for begin in (0..all).step_by(block) {
            let tiles = begin..all.min(begin + block);
            let count = tiles.len();
            scratch::with(Self::PARTS * count * (channels + filters), |memory| {
                let (v, dm) = memory.split_at_mut(Self::PARTS * count * channels);
                self.spread_result(dy, begin, dm, shared);
                let dm = &*dm;
                let dm_of = |part: usize| {
                    Matrix::strided(&dm[part * filters..], (count, filters), (Self::PARTS * filters, 1))
                };
                if let Some(du) = &mut du {
                    self.spread_image(x, begin, v, shared);
                    let (v, size) = (&*v, channels * filters);
                    chunks(du, if shared { size } else { Self::PARTS * size }, |part, du| {
                        for (it, du) in du.chunks_exact_mut(size).enumerate() {
                            let part = part + it;
                            let v = &v[part * channels..];
                            let v = Matrix::strided(v, (count, channels), (Self::PARTS * channels, 1));
                            matmul(MatrixMut::rows(du, filters, channels), dm_of(part).transposed(), v, true);
                        }
                    });
                }
                if let Some(dx) = &mut dx {
                    let u_of = if shared {
                        (channels, Self::PARTS * channels)
                    } else {
                        (channels * filters, channels)
                    };
                    let of = components(v, (Self::PARTS, count, channels), shared, |part, dv, stride| {
                        let u = Matrix::strided(&u[part * u_of.0..], (filters, channels), (u_of.1, 1));
                        let dv = MatrixMut::strided(dv, (count, channels), (stride, 1));
                        matmul(dv, dm_of(part), u, false);
                    });
                    let v = &*v;
                    self.by_image(dx, size, tiles.clone(), shared, |tile, dx| {
                        let (_, place, _) = self.place(tile);
                        let parts = (v, (tile - begin) * of.0, of.1);
                        self.image().write(dx, place, Turned(self.input), parts, Then::Add);
                    });
                }
            });
        }
    }
}
