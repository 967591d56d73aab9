//! What layers have in common: bounds of their sizes, and how windows move over what comes in.

use luthier_core::config::{Bound, Decode, Kind, Node, Problems};

use crate::shape::Shape;

/// Units of a dense or recurrent layer, or numbers in a vector of a token.
pub(crate) const UNITS: Bound<usize> =
    Bound { expected: "a whole number from 1 to 16777216", holds: |n| (1..=1 << 24).contains(n) };
/// Filters, groups of them, or heads.
pub(crate) const FILTERS: Bound<usize> =
    Bound { expected: "a whole number from 1 to 65536", holds: |n| (1..=1 << 16).contains(n) };
/// The size of a window, or the distance of two.
pub(crate) const WINDOW: Bound<usize> =
    Bound { expected: "a whole number from 1 to 1024", holds: |n| (1..=1024).contains(n) };
/// Zeros on a side.
pub(crate) const BORDER: Bound<usize> =
    Bound { expected: "a whole number from 0 to 1024", holds: |n| *n <= 1024 };
/// Layers of a stack.
pub(crate) const DEPTH: Bound<usize> =
    Bound { expected: "a whole number from 1 to 100", holds: |n| (1..=100).contains(n) };
/// A layer without a size is switched on.
pub(crate) const ON: Bound<bool> =
    Bound { expected: "true; leave the layer out to do without it", holds: |on| *on };

/// Zeros around an image, or before and behind a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// So many on each side.
    Pixels(usize),
    /// As many as keep height and width; only with a stride of 1.
    Same,
}

impl Decode for Padding {
    const EXPECTED: &'static str = "a whole number of pixels from 0 to 1024, or \"same\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Int(pixels @ 0..=1024) => Some(Self::Pixels(*pixels as usize)),
            Kind::Text(word) if word == "same" => Some(Self::Same),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

impl Padding {
    /// As PyTorch writes it.
    pub(crate) fn torch(self) -> String {
        match self {
            Self::Pixels(pixels) => pixels.to_string(),
            Self::Same => "\"same\"".to_owned(),
        }
    }

    /// Zeros before and behind, for windows that reach over `extent` pixels.
    pub(crate) fn pair(self, extent: usize) -> (usize, usize) {
        match self {
            Self::Pixels(pixels) => (pixels, pixels),
            Self::Same => ((extent - 1) / 2, extent / 2),
        }
    }
}

/// A window that moves along one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// How many pixels it reaches over.
    pub extent: usize,
    /// The distance of two places.
    pub stride: usize,
    /// Pixels before and behind what comes in.
    pub padding: (usize, usize),
}

impl Window {
    /// How many places it has on so many pixels; `None` if it does not fit.
    pub(crate) fn places(&self, pixels: usize) -> Option<usize> {
        let room = (pixels + self.padding.0 + self.padding.1).checked_sub(self.extent)?;
        Some(room / self.stride + 1)
    }

    /// The shape behind it where it moves over an image. A message calls the layer and the window so.
    pub(crate) fn over_image(&self, shape: Shape, (what, part): (&str, &str)) -> Result<Shape, String> {
        let Shape::Image { channels, height, width } = shape else {
            return Err(format!(
                "{what} needs images [channels, height, width], and here come {}",
                named(shape)
            ));
        };
        match (self.places(height), self.places(width)) {
            (Some(height), Some(width)) => Ok(Shape::Image { channels, height, width }),
            _ => Err(format!("a {part} of {0}x{0} does not fit an image of {height}x{width}", self.extent)),
        }
    }

    /// The shape behind it where it moves over a sequence; see [`Window::over_image`].
    pub(crate) fn over_sequence(&self, shape: Shape, (what, part): (&str, &str)) -> Result<Shape, String> {
        let Shape::Sequence { length, features } = shape else {
            return Err(format!("{what} needs sequences [length, features], and here come {}", named(shape)));
        };
        match self.places(length) {
            Some(length) => Ok(Shape::Sequence { length, features }),
            None => Err(format!("a {part} of {} does not fit a sequence of {length}", self.extent)),
        }
    }
}

/// A shape, for a message: what comes into a layer.
pub(crate) fn named(shape: Shape) -> String {
    match shape {
        Shape::Flat(features) => format!("vectors of {features}"),
        Shape::Image { .. } => format!("images {shape}"),
        Shape::Sequence { .. } => format!("sequences {shape}"),
        Shape::Tokens { .. } => {
            format!("texts {shape}; an embedding makes sequences of them, such as `{{ embedding = 64 }}`")
        }
    }
}
