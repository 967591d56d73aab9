//! Squares of images: what tiles see and what they write.

use super::super::rows::add;
use super::transform::{Constant, Square, Then, Transform};
use crate::scratch;
use crate::simd::vectorized;

/// An image or a result, as far as tiles are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl Plane {
    /// Numbers of an image.
    pub(super) fn size(self) -> usize {
        self.height * self.width * self.channels
    }

    /// The square of `side` numbers that begins at a row and a column, if it is inside.
    fn square(self, (top, left): (isize, isize), side: usize) -> Option<Square> {
        let fits = |begin: isize, size: usize| begin >= 0 && begin as usize + side <= size;
        (fits(top, self.height) && fits(left, self.width)).then(|| {
            let down = self.width * self.channels;
            Square { at: top as usize * down + left as usize * self.channels, down, right: self.channels }
        })
    }

    /// Calls `work` for the rows of a square with the part of the image and the part of the square that lie on
    /// each other: where they begin in either and their length.
    fn rows(self, (top, left): (isize, isize), side: usize, mut work: impl FnMut(usize, usize, usize)) {
        let first = left.max(0);
        let last = (left + side as isize).min(self.width as isize);
        for row in 0..side as isize {
            if (0..self.height as isize).contains(&(top + row)) && first < last {
                let at = ((top + row) * self.width as isize + first) as usize;
                let inside = row as usize * side + (first - left) as usize;
                work(at * self.channels, inside * self.channels, (last - first) as usize * self.channels);
            }
        }
    }

    /// Writes what a square sees to `to`, transformed by a matrix.
    pub(super) fn read<C: Constant<I, S>, const I: usize, const S: usize>(
        self,
        image: &[f32],
        place: (isize, isize),
        matrix: C,
        to: &mut [f32],
    ) {
        let channels = self.channels;
        let to = (to, Square { at: 0, down: S * channels, right: channels });
        if let Some(square) = self.square(place, I) {
            Transform { matrix, from: (image, square), to, channels, then: Then::Write }.run();
            return;
        }
        scratch::with(I * I * channels, |edge| {
            edge.fill(0.0);
            self.rows(place, I, |at, inside, len| {
                edge[inside..inside + len].copy_from_slice(&image[at..at + len]);
            });
            let square = Square { at: 0, down: I * channels, right: channels };
            Transform { matrix, from: (edge, square), to, channels, then: Then::Write }.run();
        });
    }

    /// Writes what comes of transforming components, which lie `pitch` numbers apart, to a square.
    pub(super) fn write<C: Constant<S, O>, const O: usize, const S: usize>(
        self,
        image: &mut [f32],
        place: (isize, isize),
        matrix: C,
        (parts, at, pitch): (&[f32], usize, usize),
        then: Then<'_>,
    ) {
        let channels = self.channels;
        let from = (parts, Square { at, down: S * pitch, right: pitch });
        if let Some(square) = self.square(place, O) {
            Transform { matrix, from, to: (image, square), channels, then }.run();
            return;
        }
        scratch::with(O * O * channels, |edge| {
            let square = Square { at: 0, down: O * channels, right: channels };
            let sum = matches!(then, Then::Add);
            let first = if sum { Then::Write } else { then };
            Transform { matrix, from, to: (&mut *edge, square), channels, then: first }.run();
            self.rows(place, O, |at, inside, len| {
                let (to, from) = (&mut image[at..at + len], &edge[inside..inside + len]);
                if sum { vectorized(|| add(to, from)) } else { to.copy_from_slice(from) }
            });
        });
    }
}
