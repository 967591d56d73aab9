//! Where a run stands, and what it is to do next.

use serde::{Deserialize, Serialize};

use crate::settings::Every;

/// Where a run stands: all counts are of what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Passes over the training examples.
    pub epoch: u64,
    /// Examples of the epoch that is under way.
    pub example: u64,
    /// Steps of the optimizer.
    pub step: u64,
    /// Steps of the optimizer in the epoch that is under way.
    pub step_in_epoch: u64,
    /// Forward and backward passes; more than steps where gradients are accumulated.
    pub pass: u64,
    /// Measurements on the validation examples.
    pub report: u64,
    /// Steps that were done at the last measurement.
    pub measured_step: u64,
    /// Examples that were done at the last measurement, over all epochs.
    pub measured_example: u64,
}

impl Position {
    /// Whether the next measurement is due, in a training on `examples` rows that measures `every` so often.
    pub(super) fn is_due(&self, every: Every, examples: u64) -> bool {
        match every {
            Every::Steps(steps) => self.step / steps > self.measured_step / steps,
            Every::Epochs(epochs) => {
                // The first step that reaches the share; a sixteenth of an example is for rounding.
                let passed = |done: u64| ((done as f64 + 0.0625) / (epochs * examples as f64)).floor();
                passed(self.examples(examples)) > passed(self.measured_example)
            }
        }
    }

    /// Whether it is right after the report of this number.
    pub fn is_report(&self, number: u64) -> bool {
        self.report == number && self.step == self.measured_step
    }

    /// Examples that are done, over all epochs, of a training on `examples` rows.
    fn examples(&self, examples: u64) -> u64 {
        self.epoch * examples + self.example
    }

    /// Counts a measurement.
    pub(super) fn measured(&mut self, examples: u64) {
        self.report += 1;
        self.measured_step = self.step;
        self.measured_example = self.examples(examples);
    }

    /// Counts `rows` examples of a step, in epochs of `examples`.
    pub(super) fn advance(&mut self, rows: u64, examples: u64) {
        self.step += 1;
        self.step_in_epoch += 1;
        self.example += rows;
        if self.example >= examples {
            self.epoch += 1;
            self.example = 0;
            self.step_in_epoch = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps after which a training of two epochs is measured.
    fn measured(every: Every, examples: u64, batch: u64) -> Vec<u64> {
        let mut at = Position::default();
        let mut steps = Vec::new();
        while at.epoch < 2 {
            at.advance(batch.min(examples - at.example), examples);
            if at.is_due(every, examples) {
                at.measured(examples);
                steps.push(at.step);
            }
        }
        steps
    }

    #[test]
    fn measurements_come_at_the_end_of_epochs_within_them_and_by_steps() {
        assert_eq!(measured(Every::Epochs(1.0), 100, 30), [4, 8]);
        assert_eq!(measured(Every::Epochs(2.0), 100, 30), [8]);
        assert_eq!(measured(Every::Epochs(0.5), 100, 30), [2, 4, 6, 8]);
        // A third of ten epochs' examples is not a whole number of them.
        assert_eq!(measured(Every::Epochs(1.0 / 3.0), 90, 30), [1, 2, 3, 4, 5, 6]);
        assert_eq!(measured(Every::Steps(3), 100, 30), [3, 6]);
        // Steps that are longer than the time between two measurements.
        assert_eq!(measured(Every::Epochs(0.1), 100, 50), [1, 2, 3, 4]);
    }
}
