//! Flip, shift, rotation and zoom of an image in one step.
//!
//! With c the centre of the image, t the shift, θ the angle, z the zoom and M the mirror image if it is
//! flipped, the pixel at p of the new image is read from the old one at
//!
//! ```text
//! c + M R(-θ) (p - c - t) / z,    R(θ) = (cos θ, -sin θ; sin θ, cos θ)
//! ```
//!
//! between pixels bilinearly, and beyond the edge from black: `grid_sample` of PyTorch with
//! `padding_mode="zeros"` and `align_corners=False`, where black is 0.

use super::Domain;
use crate::Shape;

/// How one image moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Motion {
    pub(super) flip: bool,
    /// Counted from the axis to the right towards the one that points down.
    pub(super) degrees: f64,
    pub(super) zoom: f64,
    /// Pixels to the right.
    pub(super) right: f64,
    /// Pixels down.
    pub(super) down: f64,
}

impl Default for Motion {
    fn default() -> Self {
        Self { flip: false, degrees: 0.0, zoom: 1.0, right: 0.0, down: 0.0 }
    }
}

/// Moves images of one shape; holds what they share.
pub(super) struct Warp {
    height: usize,
    width: usize,
    black: Vec<f32>,
    /// A plane with a frame of black: one row and column before it, two behind.
    framed: Vec<f32>,
}

impl Warp {
    pub(super) fn new(domain: &Domain) -> Self {
        let (height, width) = match domain.shape {
            Shape::Image { height, width, .. } => (height, width),
            _ => (0, 0),
        };
        let black = domain.channels.iter().map(|channel| channel.black).collect();
        Self { height, width, black, framed: vec![0.0; (height + 3) * (width + 3)] }
    }

    pub(super) fn apply(&mut self, motion: &Motion, image: &mut [f32]) {
        if *motion == Motion::default() {
            return;
        }
        let (height, width) = (self.height, self.width);
        let stride = width + 3;
        let coefficients = self.coefficients(motion);
        let is_straight = motion.degrees == 0.0
            && motion.zoom == 1.0
            && motion.right.fract() == 0.0
            && motion.down.fract() == 0.0;
        for (channel, plane) in image.chunks_exact_mut(height * width).enumerate() {
            self.framed.fill(self.black[channel]);
            for (framed, row) in self.framed.chunks_exact_mut(stride).skip(1).zip(plane.chunks_exact(width)) {
                framed[1..=width].copy_from_slice(row);
            }
            if is_straight {
                self.shift(motion, plane);
            } else {
                self.sample(coefficients, plane);
            }
        }
    }

    /// The matrix and the offset from new to old positions, in pixels of the frame.
    fn coefficients(&self, motion: &Motion) -> [f32; 6] {
        let angle = motion.degrees.to_radians();
        let (sin, cos) = (libm::sin(angle), libm::cos(angle));
        let mirror = if motion.flip { -1.0 } else { 1.0 };
        let [xx, xy] = [mirror * cos / motion.zoom, mirror * sin / motion.zoom];
        let [yx, yy] = [-sin / motion.zoom, cos / motion.zoom];
        let (cx, cy) = ((self.width as f64 - 1.0) / 2.0, (self.height as f64 - 1.0) / 2.0);
        let (px, py) = (cx + motion.right, cy + motion.down);
        // 1 for the column and the row of the frame.
        let offset = [cx - xx * px - xy * py + 1.0, cy - yx * px - yy * py + 1.0];
        [xx, xy, offset[0], yx, yy, offset[1]].map(|x| x as f32)
    }

    /// Pixels move by whole steps.
    fn shift(&self, motion: &Motion, plane: &mut [f32]) {
        let (width, stride) = (self.width, self.width + 3);
        let (right, down) = (motion.right as isize, motion.down as isize);
        let at = |x: isize, shift: isize, size: usize| {
            // Everything beyond the edge is in the frame.
            (x - shift + 1).clamp(0, size as isize + 1) as usize
        };
        for (y, row) in plane.chunks_exact_mut(width).enumerate() {
            let from = &self.framed[at(y as isize, down, self.height) * stride..][..stride];
            for (x, pixel) in row.iter_mut().enumerate() {
                // The image is mirrored before it is shifted.
                let x = at(x as isize, right, width);
                *pixel = from[if motion.flip { width + 1 - x } else { x }];
            }
        }
    }

    fn sample(&self, [xx, xy, x0, yx, yy, y0]: [f32; 6], plane: &mut [f32]) {
        let (width, stride) = (self.width, self.width + 3);
        // In the frame, the last black pixel with a neighbour behind it.
        let (right, bottom) = ((width + 1) as f32, (self.height + 1) as f32);
        for (y, row) in plane.chunks_exact_mut(width).enumerate() {
            let (row_x, row_y) = (xy * y as f32 + x0, yy * y as f32 + y0);
            for (x, pixel) in row.iter_mut().enumerate() {
                let from_x = (xx * x as f32 + row_x).clamp(0.0, right);
                let from_y = (yx * x as f32 + row_y).clamp(0.0, bottom);
                let (column, line) = (from_x as usize, from_y as usize);
                let (share_x, share_y) = (from_x - column as f32, from_y - line as f32);
                let at = line * stride + column;
                let upper = &self.framed[at..at + 2];
                let lower = &self.framed[at + stride..at + stride + 2];
                let above = upper[0] + share_x * (upper[1] - upper[0]);
                let below = lower[0] + share_x * (lower[1] - lower[0]);
                *pixel = above + share_y * (below - above);
            }
        }
    }
}
