//! Augmentation: training examples that are changed a little at each use, so that a network learns what
//! does not matter.
//!
//! All draws come from one stream a step, in the order of the examples and before any pixel is computed,
//! so a batch is the same whichever thread makes it. A strength, which a schedule may change, multiplies
//! every magnitude: 0 leaves the examples as they are, 1 is what the settings say.
//!
//! Images are changed in this order: flip, crop, zoom, rotation and translation in one bilinear step;
//! brightness; contrast; erasing; noise; at last mixup or cutmix of pairs. What comes from outside an image is
//! black. Pixels are worked on as they are encoded: with b and w the encoded values of black and white,
//! x = (pixel - b) / (w - b) is in `[0, 1]`.

mod affine;
mod beta;
mod colour;
mod domain;
mod erase;
mod mix;

pub(crate) use domain::Domain;
pub use erase::{Erase, ErasingFill};

use luthier_core::Rng;
use luthier_core::config::{Bound, bounds};

use crate::Shape;
use crate::batch::Batch;
use affine::{Motion, Warp};

/// From 0 to 180.
const ANGLE: Bound<f64> =
    Bound { expected: "an angle from 0 to 180 degrees", holds: |x| (0.0..=180.0).contains(x) };
/// A width of padding.
const PIXELS: Bound<usize> =
    Bound { expected: "a whole number of pixels from 0 to 1024", holds: |n| *n <= 1024 };

luthier_core::settings! {
    /// The key `augment` of `[data]`: how training examples are changed at each use. A key that is left out,
    /// or 0, changes nothing. Validation and test examples are never changed.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Augmentation {
        /// The probability that an image is mirrored left to right. 0.5 for photos; 0 for letters and digits,
        /// which have a direction.
        flip: f64 = 0.0, bounds::SHARE;
        /// Pixels of black that are put around an image before a piece of its own size is cut out at random:
        /// a shift by up to as many whole pixels each way (He et al. 2016, section 4.2). 4 for images of 32
        /// pixels, 2 for digits of 28.
        crop: usize = 0, PIXELS;
        /// The largest turn about the centre either way, in degrees; the turn is uniform. 5 to 15 for photos
        /// and digits.
        rotate: f64 = 0.0, ANGLE;
        /// The largest shift either way, as a share of width and height; the shift is uniform and not bound
        /// to whole pixels. 0.05 to 0.15.
        translate: f64 = 0.0, bounds::SHARE;
        /// The largest change of size: the factor is uniform from `1 - zoom` to `1 + zoom`. 0.05 to 0.2.
        zoom: f64 = 0.0, bounds::BELOW_ONE;
        /// The largest change of brightness: x becomes f x, cut off at 0 and 1, with f uniform from
        /// `1 - brightness` to `1 + brightness` (`ColorJitter` of torchvision). 0.1 to 0.4.
        brightness: f64 = 0.0, bounds::SHARE;
        /// The largest change of contrast: x becomes m + f (x - m), cut off at 0 and 1, where m is the mean of
        /// the image in grey (0.299 red + 0.587 green + 0.114 blue) and f is uniform from `1 - contrast` to
        /// `1 + contrast` (`ColorJitter` of torchvision). 0.1 to 0.4.
        contrast: f64 = 0.0, bounds::SHARE;
        /// A random rectangle of an image is overwritten (random erasing, Zhong et al. 2020):
        /// `{ probability = 0.5 }`.
        erase: Option<Erase> = None;
        /// The standard deviation of Gaussian noise that is added to every number, after it was
        /// standardised; categories and flags of missing values get none. 0.01 to 0.2.
        noise: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// The parameter a of mixup (Zhang et al. 2018): each example becomes s x + (1 - s) x', where x' is
        /// another of its batch and s is drawn from Beta(a, a); the loss is mixed by the same share. 0.1
        /// to 0.4. Beside `cutmix`, a fair coin chooses for each example.
        mixup: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// The parameter a of cutmix (Yun et al. 2019): a rectangle of each image, of the share 1 - s with s from
        /// Beta(a, a), is taken from another of its batch; the loss is mixed by the share of the pixels. 1.
        cutmix: f64 = 0.0, bounds::NOT_NEGATIVE;
    }
}

impl Default for Augmentation {
    fn default() -> Self {
        luthier_core::config::defaults()
    }
}

/// What is drawn for one image.
struct Draws {
    motion: Motion,
    brightness: f32,
    contrast: f32,
    erase: Option<erase::Place>,
}

impl Augmentation {
    /// Whether no example is ever changed.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether pairs of examples are mixed, so that batches have second targets.
    pub fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }

    /// Whether images are moved or recoloured.
    fn changes_images(&self) -> bool {
        self.moves() || self.brightness > 0.0 || self.contrast > 0.0 || self.erase.is_some()
    }

    fn moves(&self) -> bool {
        self.flip > 0.0 || self.crop > 0 || self.turns()
    }

    /// Whether pixels move by other than whole steps.
    fn turns(&self) -> bool {
        self.rotate > 0.0 || self.translate > 0.0 || self.zoom > 0.0
    }

    /// Checks that examples of this shape can be augmented so.
    ///
    /// # Errors
    /// A sentence that names the settings which do not fit.
    pub fn check(&self, shape: Shape) -> Result<(), String> {
        let set = [
            ("flip", self.flip > 0.0),
            ("crop", self.crop > 0),
            ("rotate", self.rotate > 0.0),
            ("translate", self.translate > 0.0),
            ("zoom", self.zoom > 0.0),
            ("brightness", self.brightness > 0.0),
            ("contrast", self.contrast > 0.0),
            ("erase", self.erase.is_some()),
            ("cutmix", self.cutmix > 0.0),
            ("noise", self.noise > 0.0),
            ("mixup", self.mixup > 0.0),
        ];
        let (what, fitting): (_, &[&str]) = match shape {
            Shape::Image { .. } => return Ok(()),
            Shape::Flat(_) => ("rows of numbers", &["noise", "mixup"]),
            Shape::Sequence { .. } => ("sequences of numbers", &["noise", "mixup"]),
            Shape::Tokens { .. } => ("texts", &[]),
        };
        let wrong: Vec<String> = set
            .iter()
            .filter(|(key, is_set)| *is_set && !fitting.contains(key))
            .map(|(key, _)| format!("`{key}`"))
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let wrong = wrong.join(", ");
        Err(format!("`data.augment`: {wrong} cannot be applied to {what}; remove it"))
    }

    /// Changes the examples of `batch`, which `domain` describes, by draws from `rng`.
    ///
    /// `rng` is the stream [`Purpose::Augment`](luthier_core::Purpose::Augment) of the step. `strength` is 0
    /// or more and multiplies probabilities and magnitudes, within what makes sense.
    pub(crate) fn apply(&self, batch: &mut Batch, domain: &Domain, strength: f64, rng: &mut Rng) {
        if self.is_none() || strength <= 0.0 || batch.len() == 0 {
            return;
        }
        let size = domain.shape.size();
        if let Shape::Image { height, width, .. } = domain.shape
            && self.changes_images()
        {
            let draws: Vec<Draws> =
                (0..batch.len()).map(|_| self.draw(height, width, strength, rng)).collect();
            let mut warp = Warp::new(domain);
            for (image, draws) in batch.inputs.chunks_exact_mut(size).zip(&draws) {
                warp.apply(&draws.motion, image);
                colour::brighten(image, domain, draws.brightness);
                colour::contrast(image, domain, draws.contrast);
            }
            if let Some(settings) = &self.erase {
                for (image, draws) in batch.inputs.chunks_exact_mut(size).zip(&draws) {
                    if let Some(place) = &draws.erase {
                        settings.apply(place, image, domain, rng);
                    }
                }
            }
        }
        if self.noise > 0.0 {
            let deviation = self.noise * strength;
            for example in batch.inputs.chunks_exact_mut(size) {
                for (i, value) in example.iter_mut().enumerate() {
                    if domain.is_number(i) {
                        *value += (deviation * rng.normal()) as f32;
                    }
                }
            }
        }
        if self.mixes() {
            mix::apply(self.mixup * strength, self.cutmix * strength, batch, domain.shape, rng);
        }
    }

    fn draw(&self, height: usize, width: usize, strength: f64, rng: &mut Rng) -> Draws {
        let mut motion = Motion::default();
        if self.flip > 0.0 {
            motion.flip = rng.uniform() < self.flip * strength;
        }
        if self.crop > 0 {
            let most = (self.crop as f64 * strength).round() as usize;
            let mut shift = || rng.below(2 * most + 1) as f64 - most as f64;
            (motion.right, motion.down) = (shift(), shift());
        }
        let mut within = |most: f64, limit: f64| {
            if most > 0.0 { (2.0 * rng.uniform() - 1.0) * (most * strength).min(limit) } else { 0.0 }
        };
        motion.degrees = within(self.rotate, 180.0);
        motion.right += within(self.translate, 1.0) * width as f64;
        motion.down += within(self.translate, 1.0) * height as f64;
        motion.zoom = 1.0 + within(self.zoom, 0.95);
        let brightness = (1.0 + within(self.brightness, 1.0)) as f32;
        let contrast = (1.0 + within(self.contrast, 1.0)) as f32;
        let erase = self.erase.as_ref().and_then(|erase| erase.draw(height, width, strength, rng));
        Draws { motion, brightness, contrast, erase }
    }
}

#[cfg(test)]
mod tests;
