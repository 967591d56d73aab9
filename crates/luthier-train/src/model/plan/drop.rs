//! Dropout of units and of channels.

use luthier_kernels::elementwise::multiply;

use super::image::swap_last;
use super::node::{Backward, Forward, Kernel};
use crate::model::layers::dropout::draw;
use crate::shape::Shape;

/// Dropout. What is kept is drawn in the order of the shape, channels first, as everywhere.
pub(super) struct Drop {
    rate: f64,
    channels: usize,
    places: usize,
    /// Whether whole channels are dropped.
    whole: bool,
    /// What each number is multiplied with; empty in a pass that drops nothing.
    mask: Vec<f32>,
}

impl Drop {
    /// Of each unit by itself.
    pub(super) fn units(rate: f64, shape: Shape) -> Self {
        Self::new(rate, shape, false)
    }

    /// Of whole channels of images.
    pub(super) fn channels(rate: f64, shape: Shape) -> Self {
        Self::new(rate, shape, true)
    }

    fn new(rate: f64, shape: Shape, whole: bool) -> Self {
        let (channels, places) = match shape {
            Shape::Image { channels, height, width } => (channels, height * width),
            Shape::Sequence { features, .. } => (features, 1),
            shape => (shape.size(), 1),
        };
        Self { rate, channels, places, whole, mask: Vec::new() }
    }

    /// Draws the mask of this pass.
    fn draw(&mut self, run: &mut Forward<'_, '_, '_>, count: usize) {
        self.mask.clear();
        let Some((rate, rng)) = run.pass.dropping(self.rate) else { return };
        if self.whole {
            let kept = draw(run.batch * self.channels, rate, rng);
            for channels in kept.chunks_exact(self.channels) {
                for _ in 0..self.places {
                    self.mask.extend_from_slice(channels);
                }
            }
            return;
        }
        self.mask = draw(count, rate, rng);
        if self.channels > 1 && self.places > 1 {
            let drawn = self.mask.clone();
            swap_last(&drawn, (self.channels, self.places), &mut self.mask);
        }
    }
}

impl Kernel for Drop {
    fn name(&self) -> String {
        let whole = if self.whole { "spatial " } else { "" };
        format!("{whole}dropout {}", self.rate)
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
        self.forward_in_place(run, y);
    }

    fn forward_in_place(&mut self, run: &mut Forward<'_, '_, '_>, y: &mut [f32]) {
        self.draw(run, y.len());
        if !self.mask.is_empty() {
            multiply(y, &self.mask);
        }
    }

    fn backward(&mut self, _: &mut Backward<'_>, _: (&[f32], &[f32]), mut dy: Vec<f32>, _: bool) -> Vec<f32> {
        if !self.mask.is_empty() {
            multiply(&mut dy, &self.mask);
        }
        dy
    }

    fn in_place(&self) -> bool {
        true
    }
}
