//! Mixing pairs of examples: mixup (Zhang, Cisse, Dauphin and Lopez-Paz 2018) and cutmix (Yun, Han, Oh,
//! Chun, Choe and Yoo 2019).
//!
//! The partners are a random order of the batch; every example draws a share s of its own from Beta(a, a).
//!
//! ```text
//! mixup:   x ← s x + (1 - s) x'
//! cutmix:  a rectangle with sides of sqrt(1 - s) of the image's, its centre uniform, cut off at the edges, is
//!          taken from x'; s becomes the share of the pixels that are left
//! loss:    s loss(y) + (1 - s) loss(y')
//! ```

use luthier_core::Rng;

use super::beta::symmetric_beta;
use super::erase::Place;
use crate::Shape;
use crate::batch::{Batch, Mixed};

/// What is drawn for one example.
enum Draw {
    Blend { share: f64 },
    Paste { place: Place, share: f64 },
}

/// Mixes the examples of `batch` with the parameters `mixup` and `cutmix`; 0 is never.
pub(super) fn apply(mixup: f64, cutmix: f64, batch: &mut Batch, shape: Shape, rng: &mut Rng) {
    let mut partners: Vec<usize> = (0..batch.len()).collect();
    rng.shuffle(&mut partners);
    let draws: Vec<Draw> = partners.iter().map(|_| draw(mixup, cutmix, shape, rng)).collect();
    let before = batch.inputs.clone();
    let size = shape.size();
    let mut shares = Vec::with_capacity(draws.len());
    for ((example, partner), draw) in batch.inputs.chunks_exact_mut(size).zip(&partners).zip(&draws) {
        let other = &before[partner * size..(partner + 1) * size];
        match draw {
            Draw::Blend { share } => {
                let share = *share as f32;
                for (x, other) in example.iter_mut().zip(other) {
                    *x = share * *x + (1.0 - share) * other;
                }
                shares.push(share);
            }
            Draw::Paste { place, share } => {
                paste(place, example, other, shape);
                shares.push(*share as f32);
            }
        }
    }
    let targets = partners.iter().map(|partner| batch.targets[*partner]).collect();
    batch.mixed = Some(Mixed { targets, share: shares });
}

fn draw(mixup: f64, cutmix: f64, shape: Shape, rng: &mut Rng) -> Draw {
    let cuts = match (mixup > 0.0, cutmix > 0.0) {
        (true, true) => rng.uniform() < 0.5,
        (_, cuts) => cuts,
    };
    match shape {
        Shape::Image { height, width, .. } if cuts => {
            let share = symmetric_beta(cutmix, rng);
            let place = rectangle(share, height, width, rng);
            let pixels = (height * width) as f64;
            Draw::Paste { place, share: 1.0 - (place.height * place.width) as f64 / pixels }
        }
        _ => Draw::Blend { share: symmetric_beta(mixup, rng) },
    }
}

/// A rectangle of the share `1 - share` before it is cut off at the edges.
fn rectangle(share: f64, height: usize, width: usize, rng: &mut Rng) -> Place {
    let side = (1.0 - share).max(0.0).sqrt();
    let mut extent = |size: usize| {
        let half = (side * size as f64 / 2.0).round() as usize;
        let centre = rng.below(size);
        let start = centre.saturating_sub(half);
        (start, (centre + half).min(size) - start)
    };
    let ((top, height), (left, width)) = (extent(height), extent(width));
    Place { top, left, height, width }
}

fn paste(place: &Place, image: &mut [f32], other: &[f32], shape: Shape) {
    let Shape::Image { height, width, .. } = shape else { return };
    for (plane, other) in image.chunks_exact_mut(height * width).zip(other.chunks_exact(height * width)) {
        for y in place.top..place.top + place.height {
            let row = y * width + place.left..y * width + place.left + place.width;
            plane[row.clone()].copy_from_slice(&other[row]);
        }
    }
}
