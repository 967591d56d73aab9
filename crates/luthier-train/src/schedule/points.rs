//! Values at some epochs.

use luthier_core::config::{Bound, Decode, Node, Problems};

use super::clock::Time;

luthier_core::kinds! {
    /// What a value is between two points.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Interpolation ("\"step\" or \"linear\"") {
        /// That of the point before.
        "step" => Step,
        /// On the straight line between them.
        "linear" => Linear,
    }
}

/// An epoch and the value there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Epochs that are done.
    pub epoch: f64,
    /// The value from then on.
    pub value: f64,
}

impl Decode for Point {
    const EXPECTED: &'static str = "a point [epoch, value], such as [5, 0.01]";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let before = problems.iter().count();
        let numbers: Option<Vec<f64>> = Vec::decode(node, path, problems);
        match numbers.as_deref() {
            Some(&[epoch, value]) => return Some(Self { epoch, value }),
            _ if problems.iter().count() > before => {}
            _ => problems.add(node.line, path, Self::EXPECTED, node.describe()),
        }
        None
    }
}

const RISING: Bound<Vec<Point>> = Bound {
    expected: "at least one point [epoch, value], with epochs that rise from 0 or more",
    holds: |points| {
        points.first().is_some_and(|first| first.epoch >= 0.0)
            && points.windows(2).all(|pair| pair[0].epoch < pair[1].epoch)
    },
};

luthier_core::settings! {
    /// Values at some epochs.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Points {
        /// The points, each an epoch and the value there: [[0, 0.1], [5, 0.01]]. The epochs rise and may
        /// be broken numbers. Before the first point its value holds, after the last one its.
        points: Vec<Point>, RISING;
        /// Between two points: "step" keeps the value of the one before, "linear" goes straight to the
        /// next.
        interpolation: Interpolation = Interpolation::Step;
    }
}

impl Points {
    pub(super) fn value(&self, time: &Time<'_>) -> f64 {
        let epochs = time.epochs();
        let passed = self.points.partition_point(|point| point.epoch <= epochs);
        // There is at least one point.
        let before = self.points[passed.saturating_sub(1)];
        match (self.interpolation, self.points.get(passed)) {
            (Interpolation::Linear, Some(next)) if passed > 0 => {
                let share = (epochs - before.epoch) / (next.epoch - before.epoch);
                before.value + (next.value - before.value) * share
            }
            _ => before.value,
        }
    }
}
