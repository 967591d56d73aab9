//! Pooling over windows of images and of sequences: the maximum or the mean.

use burn::tensor::module::{avg_pool1d, avg_pool2d, max_pool1d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use luthier_kernels::Pool2d;

use crate::model::Signal;
use crate::model::builder::{Builder, Outline};
use crate::model::plan::{Planner, PoolKernel};
use crate::model::signal::filled;
use crate::model::stage::Operation;
use crate::shape::Shape;

use super::size::{BORDER, WINDOW, Window};

luthier_core::settings! {
    /// The maximum over windows of an image or a sequence. What fills no window is left out.
    #[derive(Debug, Clone, PartialEq)]
    pub struct MaxPoolLayer {
        /// Height and width of a window, of a sequence its steps.
        max_pool: usize, WINDOW;
        /// Distance of two windows; the window's size where it is left out.
        stride: Option<usize> = None, WINDOW;
        /// Pixels on each side that are never the maximum; at most half a window.
        padding: usize = 0, BORDER;
    }
}

luthier_core::settings! {
    /// The mean over windows of an image or a sequence. What fills no window is left out.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AvgPoolLayer {
        /// Height and width of a window, of a sequence its steps.
        avg_pool: usize, WINDOW;
        /// Distance of two windows; the window's size where it is left out.
        stride: Option<usize> = None, WINDOW;
        /// Zeros on each side, which count in the mean; at most half a window.
        padding: usize = 0, BORDER;
    }
}

/// A number below all that is a maximum, for padding. Infinity times 0 would be no number.
pub(super) const LOWEST: f32 = -1e30;

/// What is taken of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// The maximum.
    Max,
    /// The mean.
    Mean,
}

/// Pooling, of images or sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pool {
    of: Of,
    window: Window,
}

impl MaxPoolLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        Pool::new(Of::Max, self.max_pool, self.stride, self.padding)?.build(builder)
    }
}

impl AvgPoolLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        Pool::new(Of::Mean, self.avg_pool, self.stride, self.padding)?.build(builder)
    }
}

impl Pool {
    /// Windows of `size` pixels.
    pub(crate) fn new(of: Of, size: usize, stride: Option<usize>, padding: usize) -> Result<Self, String> {
        if padding > size / 2 {
            return Err(format!("padding is at most half a window of {size}, found {padding}"));
        }
        let stride = stride.unwrap_or(size);
        Ok(Self { of, window: Window { extent: size, stride, padding: (padding, padding) } })
    }

    pub(crate) fn build(self, builder: &mut Builder<'_>) -> Result<(), String> {
        let Window { extent, stride, padding: (padding, _) } = self.window;
        let outline = if let shape @ Shape::Sequence { .. } = builder.shape() {
            let name = if self.of == Of::Max { "max_pool" } else { "avg_pool" };
            Outline::own(format!("{name} {extent}"), self.window.over_sequence(shape, ("pooling", "window"))?)
        } else {
            let name = if self.of == Of::Max { "Max" } else { "Avg" };
            let border = if padding > 0 { format!(", padding={padding}") } else { String::new() };
            let shape = self.window.over_image(builder.shape(), ("pooling", "window"))?;
            Outline::torch(format!("nn.{name}Pool2d({extent}, stride={stride}{border})"), shape)
        };
        builder.plain(Operation::Pool(self), outline);
        Ok(())
    }

    /// Its kernel for CPUs.
    pub(crate) fn plan(self, planner: &mut Planner<'_>) -> bool {
        let Shape::Image { channels, height, width } = planner.shape() else { return false };
        let Window { extent: size, stride, padding: (padding, _) } = self.window;
        let pool = Pool2d::over_images([height, width, channels], size, stride, padding);
        let [height, width] = pool.output();
        planner.push(PoolKernel::new(pool, self.of == Of::Max), Shape::Image { channels, height, width })
    }

    pub(crate) fn forward(self, signal: Signal) -> Signal {
        let Window { extent, stride, padding: (padding, _) } = self.window;
        match (self.of, signal) {
            (Of::Max, Signal::Image(images)) => {
                let options =
                    MaxPoolOptions::new([extent; 2]).with_stride([stride; 2]).with_padding([padding; 2]);
                Signal::Image(max_pool2d(images, options))
            }
            (Of::Mean, Signal::Image(images)) => {
                let options =
                    AvgPoolOptions::new([extent; 2]).with_stride([stride; 2]).with_padding([padding; 2]);
                Signal::Image(avg_pool2d(images, options))
            }
            (of, signal) => {
                let (values, mask) = self.window.sequence(signal, if of == Of::Max { LOWEST } else { 0.0 });
                let values = values.swap_dims(1, 2);
                let values = match of {
                    Of::Max => max_pool1d(
                        values,
                        MaxPoolOptions::new([extent]).with_stride([stride]).with_padding([padding]),
                    ),
                    Of::Mean => avg_pool1d(
                        values,
                        AvgPoolOptions::new([extent]).with_stride([stride]).with_padding([padding]),
                    ),
                }
                .swap_dims(1, 2);
                let mask = mask.map(|mask| self.window.places_of(&mask, values.dims()[1]));
                Signal::Sequence { values: filled(values, mask.as_ref(), 0.0), mask }
            }
        }
    }
}
