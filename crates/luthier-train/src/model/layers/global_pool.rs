//! Pooling over a whole image or sequence: one vector of each.

use crate::model::Signal;
use crate::model::builder::{Builder, Outline};
use crate::model::plan::{OverSteps, Planner, PoolKernel};
use crate::model::signal::filled;
use crate::model::stage::Operation;
use crate::shape::Shape;

use super::pool::LOWEST;
use super::size::named;

luthier_core::settings! {
    /// The mean or maximum of each channel over the whole image (Lin et al. 2014), or of each feature
    /// over the real steps of a sequence: one vector behind it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct GlobalPoolLayer {
        /// What is taken: "avg" or "max".
        global_pool: GlobalPool;
    }
}

luthier_core::kinds! {
    /// What is taken of each channel.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum GlobalPool ("\"avg\" or \"max\"") {
        /// The mean.
        "avg" => Avg,
        /// The maximum.
        "max" => Max,
    }
}

impl GlobalPoolLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        match builder.shape() {
            Shape::Image { channels, .. } => {
                let name = if self.global_pool == GlobalPool::Avg { "Avg" } else { "Max" };
                let shape = Shape::Image { channels, height: 1, width: 1 };
                let outline = Outline::torch(format!("nn.Adaptive{name}Pool2d(1)"), shape);
                builder.plain(Operation::GlobalPool(self.global_pool), outline);
                let outline = Outline::torch("nn.Flatten()".to_owned(), Shape::Flat(channels));
                builder.plain(Operation::Flatten(shape), outline);
            }
            Shape::Sequence { features, .. } => {
                let label = format!("global_pool {}", self.global_pool.kind());
                let outline = Outline::own(label, Shape::Flat(features));
                builder.plain(Operation::GlobalPool(self.global_pool), outline);
            }
            other => {
                return Err(format!(
                    "global pooling needs images or sequences, and here come {}",
                    named(other)
                ));
            }
        }
        Ok(())
    }
}

impl GlobalPool {
    /// Its kernel for CPUs.
    pub(crate) fn plan(self, planner: &mut Planner<'_>) -> bool {
        let max = self == Self::Max;
        match planner.shape() {
            Shape::Image { channels, height, width } => {
                let pool = luthier_kernels::GlobalPool { places: height * width, channels };
                planner.push(PoolKernel::new(pool, max), Shape::Image { channels, height: 1, width: 1 })
            }
            Shape::Sequence { features, .. } => {
                planner.push(OverSteps::new(features, max), Shape::Flat(features))
            }
            Shape::Flat(_) | Shape::Tokens { .. } => false,
        }
    }

    pub(crate) fn forward(self, signal: Signal) -> Signal {
        match (self, signal) {
            (Self::Avg, Signal::Image(images)) => Signal::Image(images.mean_dim(3).mean_dim(2)),
            (Self::Max, Signal::Image(images)) => Signal::Image(images.max_dim(3).max_dim(2)),
            (Self::Avg, Signal::Sequence { values, mask: None }) => {
                Signal::Flat(values.mean_dim(1).squeeze_dim(1))
            }
            (Self::Avg, Signal::Sequence { values, mask: Some(mask) }) => {
                let sums = filled(values, Some(&mask), 0.0).sum_dim(1).squeeze_dim::<2>(1);
                Signal::Flat(sums / mask.sum_dim(1).clamp_min(1.0))
            }
            (Self::Max, Signal::Sequence { values, mask }) => {
                let largest = filled(values, mask.as_ref(), LOWEST).max_dim(1).squeeze_dim::<2>(1);
                // A text without a word has no maximum; it gets 0.
                Signal::Flat(match mask {
                    Some(mask) => largest * mask.max_dim(1),
                    None => largest,
                })
            }
            (_, signal) => signal,
        }
    }
}
