//! Layers that only arrange numbers anew.

use burn::tensor::Tensor;

use crate::model::Signal;
use crate::model::builder::{Builder, Outline};
use crate::model::signal::filled;
use crate::model::stage::Operation;
use crate::shape::Shape;

use super::size::{ON, named};

luthier_core::settings! {
    /// Makes one vector of each image or sequence.
    #[derive(Debug, Clone, PartialEq)]
    pub struct FlattenLayer {
        /// Always true.
        flatten: bool, ON;
    }
}

luthier_core::settings! {
    /// Reads an image `[channels, height, width]` row by row: a sequence of `height` steps with
    /// `channels x width` features each.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RowsLayer {
        /// Always true.
        rows: bool, ON;
    }
}

impl FlattenLayer {
    #[allow(clippy::unused_self, reason = "every layer is built so")]
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let shape = builder.shape();
        if let Shape::Tokens { .. } = shape {
            return Err(format!("flattening needs numbers, and here come {}", named(shape)));
        }
        let outline = Outline::torch("nn.Flatten()".to_owned(), Shape::Flat(shape.size()));
        builder.plain(Operation::Flatten(shape), outline);
        Ok(())
    }
}

impl RowsLayer {
    #[allow(clippy::unused_self, reason = "every layer is built so")]
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let Shape::Image { channels, height, width } = builder.shape() else {
            return Err(format!("rows are of images, and here come {}", named(builder.shape())));
        };
        let shape = Shape::Sequence { length: height, features: channels * width };
        builder.plain(Operation::Rows, Outline::own("rows of the image".to_owned(), shape));
        Ok(())
    }
}

/// One vector of each example of `shape`. Padding of a sequence becomes zeros, up to its full length.
pub(crate) fn flatten(signal: Signal, shape: Shape) -> Signal {
    let (Signal::Sequence { values, mask }, Shape::Sequence { length, features }) = (&signal, shape) else {
        return Signal::Flat(signal.flat());
    };
    let mut values = filled(values.clone(), mask.as_ref(), 0.0);
    let [batch, steps, _] = values.dims();
    if steps < length {
        let more = Tensor::zeros([batch, length - steps, features], &values.device());
        values = Tensor::cat(vec![values, more], 1);
    } else if steps > length {
        values = values.slice([0..batch, 0..length, 0..features]);
    }
    Signal::Flat(values.flatten(1, 2))
}

/// Images as sequences of rows.
pub(crate) fn rows(signal: Signal) -> Signal {
    let Signal::Image(images) = signal else { unreachable!("the builder puts rows behind images only") };
    Signal::Sequence { values: images.swap_dims(1, 2).flatten(2, 3), mask: None }
}
