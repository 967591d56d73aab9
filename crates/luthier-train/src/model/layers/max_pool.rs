//! Two-dimensional maximum pooling.

use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use luthier_core::config::bounds;

use crate::model::Signal;
use crate::model::builder::{Builder, Outline};
use crate::model::stage::Operation;
use crate::shape::Shape;

luthier_core::settings! {
    /// The maximum over windows of an image. Pixels that fill no window are left out.
    #[derive(Debug, Clone, PartialEq)]
    pub struct MaxPoolLayer {
        /// Height and width of a window.
        max_pool: usize, bounds::AT_LEAST_ONE;
        /// Distance of two windows; the window's size where it is left out.
        stride: Option<usize> = None, bounds::AT_LEAST_ONE;
    }
}

impl MaxPoolLayer {
    fn stride(&self) -> usize {
        self.stride.unwrap_or(self.max_pool)
    }

    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let Shape::Image { channels, height, width } = builder.shape() else {
            return Err(format!(
                "pooling needs images [channels, height, width], and here come vectors of {}",
                builder.shape().size()
            ));
        };
        let size = |pixels: usize| Some(pixels.checked_sub(self.max_pool)? / self.stride() + 1);
        let (Some(rows), Some(columns)) = (size(height), size(width)) else {
            return Err(format!(
                "a window of {0}x{0} does not fit an image of {height}x{width}",
                self.max_pool
            ));
        };
        let torch = format!("nn.MaxPool2d({}, stride={})", self.max_pool, self.stride());
        let outline = Outline::torch(torch, Shape::Image { channels, height: rows, width: columns });
        builder.plain(Operation::MaxPool(self.clone()), outline);
        Ok(())
    }

    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        let Signal::Image(images) = signal else {
            unreachable!("the builder puts pooling behind images only")
        };
        let options = MaxPoolOptions::new([self.max_pool; 2]).with_stride([self.stride(); 2]);
        Signal::Image(max_pool2d(images, options))
    }
}
