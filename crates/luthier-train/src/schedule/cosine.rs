//! Cosine annealing, once or with restarts (Loshchilov and Hutter 2017).

use std::f64::consts::PI;

use luthier_core::config::bounds;

use super::clock::Time;

luthier_core::settings! {
    /// Half a cosine wave, from the value down to a share of it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Cosine {
        /// The share of the value that is left at the end.
        end: f64 = 0.0, bounds::SHARE;
    }
}

impl Cosine {
    pub(super) fn factor(&self, time: &Time<'_>) -> f64 {
        wave(self.end, time.share())
    }
}

luthier_core::settings! {
    /// Half waves one after the other, each from the value down to a share of it.
    #[derive(Debug, Clone, PartialEq)]
    pub struct CosineRestarts {
        /// Epochs of the first wave: T_0.
        period: f64, bounds::POSITIVE;
        /// How many times longer each wave is than the one before: T_mult. 1 or 2 as a rule.
        growth: u64 = 1, bounds::COUNT;
        /// The share of the value that is left at the end of each wave.
        end: f64 = 0.0, bounds::SHARE;
    }
}

impl CosineRestarts {
    pub(super) fn factor(&self, time: &Time<'_>) -> f64 {
        let mut epochs = time.after_warmup() / time.per_epoch;
        let mut period = self.period;
        if self.growth == 1 {
            epochs -= (epochs / period).floor() * period;
        } else {
            while epochs >= period {
                epochs -= period;
                period *= self.growth as f64;
            }
        }
        wave(self.end, (epochs / period).clamp(0.0, 1.0))
    }
}

/// The wave after this share of it.
fn wave(end: f64, share: f64) -> f64 {
    end + (1.0 - end) * 0.5 * (1.0 + libm::cos(PI * share))
}
