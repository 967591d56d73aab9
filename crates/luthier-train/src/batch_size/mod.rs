//! The batch size: fixed, all rows, drawn, growing, adapted to the noise of the gradient, or measured.

mod auto;
mod noise_scale;

use luthier_core::config::{Bound, Decode, Kind, Node, Problems, bounds, keyed_by};
use luthier_core::{Purpose, Streams};
use serde::{Deserialize, Serialize};

use crate::schedule::{PlateauState, Progress, Readings, ThresholdMode, Wait};

pub use auto::{Auto, AutoChoice, Throughput};
pub use noise_scale::{GradientNorms, NoiseScale, NoiseState};

/// The size where none is written, and before one is measured.
pub const DEFAULT: usize = 32;

/// How many examples there are in a step of the optimizer.
///
/// In a file: a number, `"full"`, `"auto"`, or a table with `random`, `grow`, `noise_scale` or `auto`.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchSizeConfig {
    /// So many.
    Fixed(usize),
    /// All of the training data: gradient descent without noise.
    Full,
    /// What memory and a measured curve of the speed justify.
    Auto(AutoSize),
    /// Drawn anew at each step.
    Random(RandomSize),
    /// Growing, with the learning rate held.
    Grow(GrowingSize),
    /// As large as the noise of the gradient.
    NoiseScale(NoiseScaleSize),
}

luthier_core::settings! {
    /// A size that is measured: `{ auto = { max = 512 } }`, or `"auto"`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AutoSize {
        /// How the size is chosen.
        auto: Auto;
    }
}

luthier_core::settings! {
    /// A size that is drawn at each step.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RandomSize {
        /// The smallest and the largest size: [16, 64].
        random: Sizes;
        /// Whether each doubling is equally likely, rather than each size.
        log: bool = false;
    }
}

/// The smallest and the largest size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The smallest, at least 1.
    pub min: usize,
    /// The largest.
    pub max: usize,
}

impl Decode for Sizes {
    const EXPECTED: &'static str = "the smallest and the largest size, such as [16, 64]";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let numbers = match &node.kind {
            Kind::Array(items) if items.len() == 2 => items.iter().map(|item| match item.kind {
                Kind::Int(size) => usize::try_from(size).ok(),
                _ => None,
            }),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                return None;
            }
        };
        let sizes: Option<Vec<usize>> = numbers.collect();
        if let Some(&[min, max]) = sizes.as_deref()
            && 1 <= min
            && min <= max
        {
            return Some(Self { min, max });
        }
        let found = match &node.kind {
            Kind::Array(items) => items.iter().map(Node::describe).collect::<Vec<_>>().join(" and "),
            _ => node.describe(),
        };
        problems.add(node.line, path, "two whole numbers of 1 or more, the smaller one first", found);
        None
    }
}

const ONE_REASON: Bound<Growth> = Bound {
    expected: "either `every`, a number of epochs, or `on_plateau`",
    holds: |growth| growth.every.is_some() != growth.on_plateau.is_some(),
};

luthier_core::settings! {
    /// A size that grows while the learning rate is held (Smith et al. 2018).
    #[derive(Debug, Clone, PartialEq)]
    pub struct GrowingSize {
        /// How it grows: { factor = 2, every = 5, max = 512 }, or with on_plateau = { patience = 3 } in the
        /// place of `every`.
        grow: Growth, ONE_REASON;
        /// The size at the beginning.
        from: usize = DEFAULT, bounds::AT_LEAST_ONE;
    }
}

const GROWS: Bound<f64> = Bound { expected: "a number above 1", holds: |factor| *factor > 1.0 };

luthier_core::settings! {
    /// How a size grows.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Growth {
        /// What it is multiplied by each time: 2 to 5 as a rule, in place of a learning rate that is divided by
        /// the same.
        factor: f64 = 2.0, GROWS;
        /// Epochs between two growths.
        every: Option<u64> = None, bounds::COUNT;
        /// Grow when a metric no longer gets better.
        on_plateau: Option<Stall> = None;
        /// The largest size; the training data, if left out.
        max: Option<usize> = None, bounds::AT_LEAST_ONE;
    }
}

luthier_core::settings! {
    /// When a metric no longer gets better.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Stall {
        /// Reports without an improvement that are put up with; one more, and the size grows.
        patience: u64 = 3;
        /// The smallest change that is an improvement.
        threshold: f64 = 1e-4, bounds::NOT_NEGATIVE;
        /// Whether the threshold is a share of the best value, "rel", or in the metric's unit, "abs".
        threshold_mode: ThresholdMode = ThresholdMode::Rel;
        /// Reports after a growth for which nothing is counted.
        cooldown: u64 = 0;
        /// The metric.
        monitor: String = "val_loss".to_owned();
    }
}

luthier_core::settings! {
    /// A size that follows the gradient noise scale (McCandlish et al. 2018).
    #[derive(Debug, Clone, PartialEq)]
    pub struct NoiseScaleSize {
        /// How it follows: { min = 16, max = 1024, smoothing = 0.9, every = 10 }.
        noise_scale: NoiseScale, NoiseScale::IN_ORDER;
        /// The size at the beginning.
        from: usize = DEFAULT, bounds::AT_LEAST_ONE;
    }
}

impl Decode for BatchSizeConfig {
    const EXPECTED: &'static str = "a whole number of 1 or more, \"full\", \"auto\", or a table with one of random, grow, noise_scale, auto";

    fn schema() -> luthier_core::config::Schema {
        luthier_core::config::Schema::words(
            Self::EXPECTED,
            vec![RandomSize::schema(), GrowingSize::schema(), NoiseScaleSize::schema(), AutoSize::schema()],
        )
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Int(size @ 1..) => Some(Self::Fixed(usize::try_from(*size).unwrap_or(usize::MAX))),
            Kind::Text(word) if word == "full" => Some(Self::Full),
            Kind::Text(word) if word == "auto" => {
                Some(Self::Auto(AutoSize { auto: luthier_core::config::defaults() }))
            }
            Kind::Table(_) => {
                let keys = ["random", "grow", "noise_scale", "auto"];
                let (index, rest) = keyed_by(node, path, "a batch size", &keys, problems)?;
                match index {
                    0 => RandomSize::decode(&rest, path, problems).map(Self::Random),
                    1 => GrowingSize::decode(&rest, path, problems).map(Self::Grow),
                    2 => NoiseScaleSize::decode(&rest, path, problems).map(Self::NoiseScale),
                    _ => AutoSize::decode(&rest, path, problems).map(Self::Auto),
                }
            }
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

impl BatchSizeConfig {
    /// The metric that it depends on, if any.
    pub fn monitor(&self) -> Option<&str> {
        match self {
            Self::Grow(growing) => growing.grow.on_plateau.as_ref().map(|stall| stall.monitor.as_str()),
            _ => None,
        }
    }

    /// The usual size where `now` is the next step's: the middle of sizes that are drawn.
    pub(crate) fn nominal(&self, now: usize) -> usize {
        match self {
            Self::Random(RandomSize { random: Sizes { min, max }, .. }) => min.midpoint(*max).max(1),
            _ => now.max(1),
        }
    }

    /// The largest size that it may come to, with so many examples to train on. What is measured counts as the smallest
    /// that it may be.
    pub(crate) fn largest(&self, examples: usize) -> usize {
        let size = match self {
            Self::Fixed(size) => *size,
            Self::Full => examples,
            Self::Auto(_) => DEFAULT,
            Self::Random(RandomSize { random: Sizes { max, .. }, .. }) => *max,
            Self::Grow(GrowingSize { grow, from }) => grow.max.unwrap_or(examples).max(*from),
            Self::NoiseScale(NoiseScaleSize { noise_scale, from }) => noise_scale.max.max(*from),
        };
        size.clamp(1, examples.max(1))
    }

    /// What is to be measured for it before the first step, if anything is.
    pub fn auto(&self) -> Option<&Auto> {
        match self {
            Self::Auto(size) => Some(&size.auto),
            _ => None,
        }
    }

    /// Whether it needs the norms of gradients of two batch sizes.
    pub fn wants_gradients(&self) -> bool {
        matches!(self, Self::NoiseScale(_))
    }
}

/// What the batch size depends on beside its settings. It belongs into a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchSizer {
    plateau: PlateauState,
    noise: NoiseState,
    /// The size that was measured.
    measured: Option<usize>,
    /// The factor to which early stopping has led.
    grown: f64,
}

impl Default for BatchSizer {
    fn default() -> Self {
        let (plateau, noise) = (PlateauState::default(), NoiseState::default());
        Self { plateau, noise, measured: None, grown: 1.0 }
    }
}

impl BatchSizer {
    /// Examples in the step that comes after `progress`: from 1 to `examples`, the number of the training
    /// data.
    pub fn size(
        &self,
        config: &BatchSizeConfig,
        progress: &Progress<'_>,
        examples: usize,
        streams: Streams,
    ) -> usize {
        let size = match config {
            BatchSizeConfig::Fixed(size) => *size as f64,
            BatchSizeConfig::Full => examples as f64,
            BatchSizeConfig::Auto(_) => self.measured.unwrap_or(DEFAULT) as f64,
            BatchSizeConfig::Random(random) => random.draw(streams, progress.step) as f64,
            BatchSizeConfig::Grow(GrowingSize { grow, from }) => {
                let times = match grow.every {
                    Some(every) => progress.epoch / every.max(1),
                    None => self.plateau.reactions,
                };
                // A `max` below the first size keeps it from growing and does not make it smaller.
                let max = grow.max.unwrap_or(examples).max(*from) as f64;
                (*from as f64 * libm::pow(grow.factor, times as f64)).min(max)
            }
            BatchSizeConfig::NoiseScale(NoiseScaleSize { from, .. }) => {
                self.noise.size().unwrap_or(*from) as f64
            }
        };
        ((size * self.grown).round() as usize).clamp(1, examples.max(1))
    }

    /// Takes note of a report; whether the size grows for it.
    pub fn observe_report(&mut self, config: &BatchSizeConfig, readings: Readings<'_>) -> bool {
        let BatchSizeConfig::Grow(GrowingSize { grow: Growth { on_plateau: Some(stall), .. }, .. }) = config
        else {
            return false;
        };
        let wait = Wait {
            patience: stall.patience,
            threshold: stall.threshold,
            mode: stall.threshold_mode,
            cooldown: stall.cooldown,
        };
        readings(&stall.monitor).is_some_and(|reading| self.plateau.observe(&wait, reading))
    }

    /// Takes note of the norms of gradients; whether the size changes for them.
    pub fn observe_gradient(&mut self, config: &BatchSizeConfig, norms: &GradientNorms) -> bool {
        match config {
            BatchSizeConfig::NoiseScale(NoiseScaleSize { noise_scale, .. }) => {
                self.noise.observe(noise_scale, norms)
            }
            _ => false,
        }
    }

    /// Takes note of the size that was measured.
    pub fn set_measured(&mut self, choice: &AutoChoice) {
        self.measured = Some(choice.size);
    }

    /// The size that was measured, if one was.
    pub fn measured(&self) -> Option<usize> {
        self.measured
    }

    /// Multiplies every size from now on, so that `now` becomes `now` times `factor` or `max`: what early
    /// stopping tries first.
    pub fn grow(&mut self, factor: f64, now: usize, max: usize) {
        let now = now.max(1) as f64;
        self.grown *= ((now * factor).min(max as f64) / now).max(1.0);
    }

    /// The gradient noise scale as it is estimated now, in examples.
    pub fn noise_scale(&self) -> Option<f64> {
        self.noise.noise_scale()
    }
}

impl RandomSize {
    fn draw(&self, streams: Streams, step: u64) -> usize {
        let Sizes { min, max } = self.random;
        let mut rng = streams.at(Purpose::Batch, step);
        if !self.log {
            return min + rng.below(max - min + 1);
        }
        let (low, high) = (libm::log(min as f64), libm::log(max as f64 + 1.0));
        (libm::exp(low + (high - low) * rng.uniform()) as usize).clamp(min, max)
    }
}

#[cfg(test)]
mod tests;
