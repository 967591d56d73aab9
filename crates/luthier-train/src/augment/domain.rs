//! What augmentation has to know of encoded examples.

use std::collections::HashSet;

use crate::Shape;
use crate::data::{ColumnEncoding, InputEncoding, Preprocessor};

/// Encoded examples: their shape, what black and white became, and which features are numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Domain {
    /// The shape of one example.
    pub shape: Shape,
    /// One a channel of images; else empty.
    pub channels: Vec<ChannelRange>,
    /// Whether each feature of a table is a number, not one of the columns of a category and no flag of a
    /// missing value; empty where everything is a number.
    pub numbers: Vec<bool>,
}

/// The encoded values of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChannelRange {
    /// Of the pixel 0.
    pub black: f32,
    /// Of the pixel 255.
    pub white: f32,
    /// Of the mean of the training images.
    pub mean: f32,
}

impl Domain {
    /// The domain of what `preprocessor` encodes.
    pub(crate) fn of(preprocessor: &Preprocessor) -> Self {
        let shape = preprocessor.input_shape();
        let (mut channels, mut numbers) = (Vec::new(), Vec::new());
        match &preprocessor.inputs {
            InputEncoding::Images(images) => {
                for (channel, mean) in images.mean.iter().enumerate() {
                    let encode = |pixel| images.value(channel, pixel);
                    channels.push(ChannelRange {
                        black: encode(0.0),
                        white: encode(1.0),
                        mean: encode(*mean),
                    });
                }
            }
            InputEncoding::Table { columns, .. } => {
                let numeric: HashSet<&str> = columns
                    .iter()
                    .filter(|column| matches!(column, ColumnEncoding::Numeric(_)))
                    .map(ColumnEncoding::name)
                    .collect();
                numbers =
                    preprocessor.features().iter().map(|name| numeric.contains(name.as_str())).collect();
            }
            InputEncoding::Text(_) => {}
        }
        Self { shape, channels, numbers }
    }

    /// Whether feature `i` is a number.
    pub(super) fn is_number(&self, i: usize) -> bool {
        self.numbers.get(i).copied().unwrap_or(true)
    }

    /// The channels of an image of `size` numbers, with the pixels of each.
    pub(super) fn planes<'a>(
        &'a self,
        image: &'a mut [f32],
    ) -> impl Iterator<Item = (&'a ChannelRange, &'a mut [f32])> {
        let plane = image.len() / self.channels.len().max(1);
        self.channels.iter().zip(image.chunks_exact_mut(plane.max(1)))
    }
}
