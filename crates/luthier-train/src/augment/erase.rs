//! Random erasing: Zhong, Zheng, Kang, Li and Yang, "Random erasing data augmentation" (2020), algorithm 1.
//!
//! With an image of the area S, a rectangle of the area a S and the aspect r (height by width) is
//! overwritten, a uniform and r log-uniform, at a uniform place. A rectangle that does not fit is drawn
//! again, ten times; then nothing is erased. The paper draws r uniformly and without an end to the trying;
//! here it is as in torchvision's `RandomErasing`.

use luthier_core::Rng;
use luthier_core::config::{Decode, Node, Problems, bounds};

use super::Domain;
use crate::Shape;

luthier_core::settings! {
    /// Random erasing (Zhong et al. 2020).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Erase {
        /// The probability that an image loses a rectangle.
        probability: f64 = 0.5, bounds::SHARE;
        /// The smallest rectangle, as a share of the image.
        smallest: f64 = 0.02, bounds::SHARE;
        /// The largest rectangle, as a share of the image. 0.2 to 0.4.
        largest: f64 = 0.33, bounds::SHARE;
        /// The narrowest rectangle, as its shorter side divided by its longer one.
        aspect: f64 = 0.3, bounds::SHARE;
        /// What takes the place: "mean", the mean of the training images; "black"; or "noise", each pixel
        /// uniform from black to white, which the paper found best.
        fill: ErasingFill = ErasingFill::Mean;
    }
}

/// What takes the place of an erased rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasingFill {
    /// The mean of the training images, channel by channel.
    Mean,
    /// Black.
    Black,
    /// Each pixel of each channel uniform from black to white.
    Noise,
}

impl Decode for ErasingFill {
    const EXPECTED: &'static str = "\"mean\", \"black\" or \"noise\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match node.as_str() {
            Some("mean") => Some(Self::Mean),
            Some("black") => Some(Self::Black),
            Some("noise") => Some(Self::Noise),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

/// A rectangle of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Erase {
    /// Draws what is erased of an image of this size.
    pub(super) fn draw(&self, height: usize, width: usize, strength: f64, rng: &mut Rng) -> Option<Place> {
        if rng.uniform() >= self.probability * strength {
            return None;
        }
        let area = (height * width) as f64;
        let (smallest, largest) = (self.smallest.min(self.largest), self.smallest.max(self.largest));
        let longest = -libm::log(self.aspect.max(1e-3));
        for _ in 0..10 {
            let area = area * (smallest + (largest - smallest) * rng.uniform());
            let aspect = libm::exp(longest * (2.0 * rng.uniform() - 1.0));
            let high = (area * aspect).sqrt().round() as usize;
            let wide = (area / aspect).sqrt().round() as usize;
            if (1..=height).contains(&high) && (1..=width).contains(&wide) {
                let (top, left) = (rng.below(height - high + 1), rng.below(width - wide + 1));
                return Some(Place { top, left, height: high, width: wide });
            }
        }
        None
    }

    /// Erases `place` of `image`.
    pub(super) fn apply(&self, place: &Place, image: &mut [f32], domain: &Domain, rng: &mut Rng) {
        let Shape::Image { width, .. } = domain.shape else { return };
        for (channel, plane) in domain.planes(image) {
            for row in plane.chunks_exact_mut(width).skip(place.top).take(place.height) {
                for pixel in &mut row[place.left..place.left + place.width] {
                    *pixel = match self.fill {
                        ErasingFill::Mean => channel.mean,
                        ErasingFill::Black => channel.black,
                        ErasingFill::Noise => {
                            channel.black + rng.uniform_f32() * (channel.white - channel.black)
                        }
                    };
                }
            }
        }
    }
}
