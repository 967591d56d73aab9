//! Convolutions of each channel with a filter of its own.

use super::Conv2d;
use super::rows::{add, finish, transpose};
use crate::parallel::chunks;
use crate::scratch;
use crate::simd::vectorized;

/// Calls `work` for each number `[i, j]` of a result and each place of the kernel that stands on the image there:
/// with the place of the result, the place of the image and the place of the kernel.
#[inline(always)]
fn each(conv: &Conv2d, mut work: impl FnMut(usize, usize, usize)) {
    let (rows, columns) = conv.output();
    for i in 0..rows {
        let (vertical, top) = conv.inside(i, conv.height);
        for j in 0..columns {
            let (horizontal, left) = conv.inside(j, conv.width);
            for p in vertical.clone() {
                let row = (top + (p - vertical.start) * conv.dilation) * conv.width;
                for q in horizontal.clone() {
                    let seen = row + left + (q - horizontal.start) * conv.dilation;
                    work(i * columns + j, seen, p * conv.kernel + q);
                }
            }
        }
    }
}

/// `to += left * right`, number by number.
#[inline(always)]
fn add_products(to: &mut [f32], left: &[f32], right: &[f32]) {
    to.iter_mut().zip(left).zip(right).for_each(|((to, &left), &right)| *to = left.mul_add(right, *to));
}

pub(super) fn forward(
    conv: &Conv2d,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) {
    let depth = conv.channels;
    scratch::with(weight.len(), |turned| {
        transpose(weight, depth, turned);
        let turned = &*turned;
        chunks(y, conv.places() * depth, |image, y| {
            let x = &x[image * conv.image()..][..conv.image()];
            y.fill(0.0);
            vectorized(|| {
                each(conv, |place, seen, weight| {
                    let (y, x) = (&mut y[place * depth..][..depth], &x[seen * depth..][..depth]);
                    add_products(y, x, &turned[weight * depth..][..depth]);
                });
            });
            finish(y, bias, relu, depth);
        });
    });
}

pub(super) fn backward_input(conv: &Conv2d, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    let depth = conv.channels;
    scratch::with(weight.len(), |turned| {
        transpose(weight, depth, turned);
        let turned = &*turned;
        chunks(dx, conv.image(), |image, dx| {
            let dy = &dy[image * conv.places() * depth..][..conv.places() * depth];
            dx.fill(0.0);
            vectorized(|| {
                each(conv, |place, seen, weight| {
                    let (dx, dy) = (&mut dx[seen * depth..][..depth], &dy[place * depth..][..depth]);
                    add_products(dx, dy, &turned[weight * depth..][..depth]);
                });
            });
        });
    });
}

pub(super) fn backward_weight(conv: &Conv2d, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (depth, size) = (conv.channels, dweight.len());
    let batch = x.len() / conv.image();
    let tasks = batch.clamp(1, 8);
    let share = batch.div_ceil(tasks);
    scratch::with((tasks + 1) * size, |memory| {
        let (sum, partial) = memory.split_at_mut(size);
        chunks(partial, size, |task, partial| {
            partial.fill(0.0);
            for image in task * share..batch.min((task + 1) * share) {
                let x = &x[image * conv.image()..][..conv.image()];
                let dy = &dy[image * conv.places() * depth..][..conv.places() * depth];
                vectorized(|| {
                    each(conv, |place, seen, weight| {
                        let (x, dy) = (&x[seen * depth..][..depth], &dy[place * depth..][..depth]);
                        add_products(&mut partial[weight * depth..][..depth], x, dy);
                    });
                });
            }
        });
        sum.fill(0.0);
        partial.chunks_exact(size).for_each(|it| add(sum, it));
        transpose(sum, conv.kernel * conv.kernel, dweight);
    });
}
