//! The memory that a training needs, estimated from its shapes.

use super::Run;
use crate::trainable::Model;

/// How often a value of a network is held while gradients are computed: itself, its gradient, and what the
/// operations in between keep.
const COPIES: usize = 6;

/// Bytes of a number.
const NUMBER: u64 = 4;

/// Estimated bytes, by what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// The weights, those of the best report, and their moving average where there is one.
    pub weights: u64,
    /// The gradients.
    pub gradients: u64,
    /// What the optimizer remembers.
    pub optimizer: u64,
    /// What lies between the layers for a batch, its gradients included.
    pub batch: u64,
    /// The examples in that batch: the largest that its settings allow.
    pub examples: usize,
}

impl MemoryEstimate {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.batch
    }
}

impl<M: Model> Run<M> {
    /// The memory that it needs. What all trials share, such as the data, is not in it.
    pub fn memory(&self) -> MemoryEstimate {
        let train = &self.setup.config.train;
        let numbers = |trained: bool| {
            let counted = self.work.parameters.iter().filter(|it| !trained || it.is_trained());
            counted.map(|it| it.len() as u64).sum::<u64>()
        };
        let copies = 2 + u64::from(train.ema.is_some());
        let examples = train.batch_size.largest(self.setup.data.split().train.len());
        MemoryEstimate {
            weights: NUMBER * copies * numbers(false),
            gradients: NUMBER * numbers(true),
            optimizer: NUMBER * self.state.optimizer.numbers() as u64,
            batch: self.bytes_per_example() * examples as u64,
            examples,
        }
    }

    /// Why the training needs more memory than it may have, if it does.
    pub(crate) fn too_large(&self) -> Option<String> {
        let limit = self.setup.config.train.memory_limit?.0;
        let needs = self.memory();
        let MemoryEstimate { weights, gradients, optimizer, batch, examples } = needs;
        (needs.total() > limit).then(|| {
            format!(
                "it needs about {} of memory (weights {}, gradients {}, optimizer {}, a batch of {examples} examples \
                 {}), and memory_limit is {}",
                size(needs.total()),
                size(weights),
                size(gradients),
                size(optimizer),
                size(batch),
                size(limit)
            )
        })
    }

    /// What lies between the layers for one example while gradients are computed.
    pub(super) fn bytes_per_example(&self) -> u64 {
        let values = self.state.model.values().unwrap_or(64 * self.setup.data.shape().size());
        NUMBER * (COPIES * values.max(1)) as u64
    }
}

/// A size with three digits.
fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    let (number, unit) = match bytes {
        0.0..1e3 => return format!("{bytes} B"),
        1e3..1e6 => (bytes / 1e3, "kB"),
        1e6..1e9 => (bytes / 1e6, "MB"),
        _ => (bytes / 1e9, "GB"),
    };
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [999, 1_000, 12_345, 999_400, 5_000_000, 123_456_789, 2_000_000_000].map(size);
        assert_eq!(sizes, ["999 B", "1.00 kB", "12.3 kB", "999 kB", "5.00 MB", "123 MB", "2.00 GB"]);
    }
}
