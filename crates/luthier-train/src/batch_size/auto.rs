//! A batch size that is measured: as small as is fast.
//!
//! Beyond some size a step takes as much longer as it has more examples, and nothing is won; a smaller
//! batch then makes more steps in the same time.

use luthier_core::config::{Bound, bounds};

use super::DEFAULT;

const SHARE: Bound<f64> =
    Bound { expected: "a number above 0, at most 1", holds: |share| *share > 0.0 && *share <= 1.0 };

luthier_core::settings! {
    /// How a size is chosen by its speed.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Auto {
        /// The largest size; what memory and the training data allow, if left out.
        max: Option<usize> = None, bounds::AT_LEAST_ONE;
        /// The smallest size is taken that reaches this share of the best speed, in examples a second.
        reach: f64 = 0.9, SHARE;
    }
}

/// A speed that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throughput {
    /// Examples in a step.
    pub size: usize,
    /// Examples a second.
    pub examples_per_second: f64,
}

/// The size that was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoChoice {
    /// Examples in a step.
    pub size: usize,
    /// The reason, in words.
    pub reason: String,
}

impl Auto {
    /// The sizes to measure: powers of two from 8, up to the largest that is allowed, and that one.
    /// `fits` is how many examples memory holds at once.
    pub fn candidates(&self, fits: usize, examples: usize) -> Vec<usize> {
        let largest = self.largest(fits, examples);
        let powers = (3..usize::BITS).map(|power| 1_usize << power);
        powers.take_while(|size| *size < largest).chain([largest]).collect()
    }

    fn largest(&self, fits: usize, examples: usize) -> usize {
        fits.min(examples).min(self.max.unwrap_or(usize::MAX)).max(1)
    }

    /// Chooses the smallest size whose speed comes up to the best, among those that are allowed.
    ///
    /// ```
    /// use luthier_train::batch_size::{Auto, Throughput};
    /// let curve = [(8, 900.0), (32, 2_000.0), (64, 2_700.0), (128, 2_800.0)]
    ///     .map(|(size, examples_per_second)| Throughput { size, examples_per_second });
    /// let choice = Auto { max: None, reach: 0.9 }.choose(&curve, 10_000, 50_000);
    /// assert_eq!(choice.size, 64);
    /// ```
    pub fn choose(&self, curve: &[Throughput], fits: usize, examples: usize) -> AutoChoice {
        let largest = self.largest(fits, examples);
        let bound = if self.max == Some(largest) {
            "its `max`"
        } else if largest == examples {
            "the training data"
        } else {
            "memory"
        };
        let usable = |point: &&Throughput| {
            (1..=largest).contains(&point.size)
                && point.examples_per_second.is_finite()
                && point.examples_per_second > 0.0
        };
        let best = curve
            .iter()
            .filter(usable)
            .max_by(|a, b| a.examples_per_second.total_cmp(&b.examples_per_second));
        let Some(best) = best else {
            let size = DEFAULT.min(largest);
            let reason =
                format!("batch size {size}: no speed was measured for sizes up to {largest} ({bound})");
            return AutoChoice { size, reason };
        };
        let enough = best.examples_per_second * self.reach;
        let fast = curve.iter().filter(usable).filter(|point| point.examples_per_second >= enough);
        let chosen = fast.min_by_key(|point| point.size).unwrap_or(best);
        let share = 100.0 * chosen.examples_per_second / best.examples_per_second;
        let reason = format!(
            "batch size {}: {:.0} examples/s, {share:.0}% of the best speed that was measured, {:.0} at {}; at \
             most {largest} are allowed ({bound})",
            chosen.size, chosen.examples_per_second, best.examples_per_second, best.size,
        );
        AutoChoice { size: chosen.size, reason }
    }
}
