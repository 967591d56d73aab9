//! The shape of one example.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The shape of one example, as it flows through a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A vector `[features]`.
    Flat(usize),
    /// An image `[channels, height, width]`.
    Image {
        /// 1 for grey, 3 for red, green, blue; behind a convolution its filters.
        channels: usize,
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
    },
    /// A sequence of vectors `[length, features]`.
    Sequence {
        /// The longest that there is.
        length: usize,
        /// The size of each vector.
        features: usize,
    },
    /// A sequence of token numbers `[length]`; 0 is padding, behind the last token.
    Tokens {
        /// The longest that there is.
        length: usize,
        /// Token numbers are below this.
        vocabulary: usize,
    },
}

impl Shape {
    /// How many numbers it holds.
    pub fn size(self) -> usize {
        match self {
            Self::Flat(features) => features,
            Self::Image { channels, height, width } => channels * height * width,
            Self::Sequence { length, features } => length * features,
            Self::Tokens { length, .. } => length,
        }
    }

    /// Its dimensions, as of a tensor without its batch.
    pub fn dims(self) -> Vec<usize> {
        match self {
            Self::Flat(features) => vec![features],
            Self::Image { channels, height, width } => vec![channels, height, width],
            Self::Sequence { length, features } => vec![length, features],
            Self::Tokens { length, .. } => vec![length],
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens { length, vocabulary } => write!(f, "[{length}] of {vocabulary} tokens"),
            _ => write!(f, "{:?}", self.dims()),
        }
    }
}
