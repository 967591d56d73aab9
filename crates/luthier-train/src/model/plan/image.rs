//! Images with their channels last, and as vectors with their channels first.

use rayon::prelude::*;

use super::node::{Backward, Forward, Kernel};
use crate::shape::Shape;

/// Numbers that are moved at once; more are shared out among threads.
const TASK: usize = 1 << 16;

/// Each of the matrices of `rows` by `columns` in `from`, row by row, transposed.
pub(super) fn swap_last(from: &[f32], (rows, columns): (usize, usize), to: &mut [f32]) {
    if rows == 1 || columns == 1 {
        return to.copy_from_slice(from);
    }
    let size = rows * columns;
    let swap = |from: &[f32], to: &mut [f32]| {
        for (from, to) in from.chunks_exact(size).zip(to.chunks_exact_mut(size)) {
            // Along the shorter side within, so that what is read or written apart stays in the cache.
            if rows < columns {
                for (row, from) in from.chunks_exact(columns).enumerate() {
                    from.iter().zip(to[row..].iter_mut().step_by(rows)).for_each(|(from, to)| *to = *from);
                }
            } else {
                for (column, to) in to.chunks_exact_mut(rows).enumerate() {
                    let from = from[column..].iter().step_by(columns);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    };
    if from.len() <= TASK || rayon::current_num_threads() == 1 {
        return swap(from, to);
    }
    let task = TASK.div_ceil(size) * size;
    to.par_chunks_mut(task).zip(from.par_chunks(task)).for_each(|(to, from)| swap(from, to));
}

/// Channels and places of an image, where both are more than one.
fn sides(shape: Shape) -> Option<(usize, usize)> {
    match shape {
        Shape::Image { channels, height, width } if channels > 1 && height * width > 1 => {
            Some((channels, height * width))
        }
        _ => None,
    }
}

/// `inputs` with channels last: themselves where that makes no difference, else in `buffer`.
pub(super) fn channels_last<'a>(inputs: &'a [f32], shape: Shape, buffer: &'a mut Vec<f32>) -> &'a [f32] {
    let Some((channels, places)) = sides(shape) else { return inputs };
    buffer.resize(inputs.len(), 0.0);
    swap_last(inputs, (channels, places), buffer);
    buffer
}

/// What [`channels_last`] gave for these inputs.
pub(super) fn channels_last_again<'a>(inputs: &'a [f32], shape: Shape, buffer: &'a [f32]) -> &'a [f32] {
    if sides(shape).is_some() { buffer } else { inputs }
}

/// Makes vectors of images, channel by channel as the weights behind expect them.
pub(super) struct Flatten {
    channels: usize,
    places: usize,
}

impl Flatten {
    /// Whether the numbers of an image of this shape change their order.
    pub(super) fn is_needed(shape: Shape) -> bool {
        sides(shape).is_some()
    }

    pub(super) fn new(shape: Shape) -> Self {
        let (channels, places) = sides(shape).unwrap_or((shape.size(), 1));
        Self { channels, places }
    }
}

impl Kernel for Flatten {
    fn name(&self) -> String {
        "flatten".to_owned()
    }

    fn forward(&mut self, _: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        swap_last(x, (self.places, self.channels), y);
    }

    fn backward(&mut self, run: &mut Backward<'_>, _: (&[f32], &[f32]), dy: Vec<f32>, _: bool) -> Vec<f32> {
        let mut dx = run.buffers.take(dy.len());
        swap_last(&dy, (self.channels, self.places), &mut dx);
        run.buffers.give(dy);
        dx
    }
}
