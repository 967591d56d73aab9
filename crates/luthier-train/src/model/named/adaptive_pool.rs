//! Adaptive average pooling: any image to one of a given size, as PyTorch's `nn.AdaptiveAvgPool2d`.
//!
//! Row `i` of `out` rows is the mean of the rows from `⌊i in / out⌋` to below `⌈(i + 1) in / out⌉`, and so
//! with columns. Where the image is smaller, rows repeat; else neighbouring means may share a row.

use burn::tensor::module::adaptive_avg_pool2d;

use crate::model::Signal;
use crate::model::builder::{Builder, Outline};
use crate::model::plan::{AdaptivePoolKernel, Planner};
use crate::model::stage::Operation;
use crate::shape::Shape;

/// Means over an image, so that one of this height and width comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AdaptivePool {
    pub(super) height: usize,
    pub(super) width: usize,
}

impl AdaptivePool {
    pub(super) fn build(self, builder: &mut Builder<'_>) -> Result<(), String> {
        let Shape::Image { channels, .. } = builder.shape() else {
            return Err("adaptive pooling needs images".to_owned());
        };
        let Self { height, width } = self;
        let torch = format!("nn.AdaptiveAvgPool2d(({height}, {width}))");
        let outline = Outline::torch(torch, Shape::Image { channels, height, width });
        builder.plain(Operation::AdaptivePool(self), outline);
        Ok(())
    }

    /// Its kernel for CPUs.
    pub(crate) fn plan(self, planner: &mut Planner<'_>) -> bool {
        let Shape::Image { channels, height, width } = planner.shape() else { return false };
        if (height, width) == (self.height, self.width) {
            return true;
        }
        let kernel = AdaptivePoolKernel::new((height, width), channels, (self.height, self.width));
        planner.push(kernel, Shape::Image { channels, height: self.height, width: self.width })
    }

    pub(crate) fn forward(self, signal: Signal) -> Signal {
        match signal {
            Signal::Image(images) if images.dims()[2..] == [self.height, self.width] => Signal::Image(images),
            Signal::Image(images) => Signal::Image(adaptive_avg_pool2d(images, [self.height, self.width])),
            _ => unreachable!("the builder puts adaptive pooling behind images only"),
        }
    }
}
