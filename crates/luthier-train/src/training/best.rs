//! The best measurement of a run, with its weights.

use luthier_core::{Direction, Metrics};
use serde::{Deserialize, Serialize};

/// The best measurement so far.
#[derive(Debug, Clone)]
pub(super) struct Best<M> {
    pub(super) at: BestAt,
    /// The model as it was measured.
    pub(super) model: M,
}

/// Which measurement it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BestAt {
    /// The number of the report.
    pub(super) report: u64,
    /// The value of the objective.
    pub(super) value: f64,
    /// Everything that was measured with it.
    pub(super) metrics: Metrics,
}

impl<M> Best<M> {
    /// Whether `value` takes its place.
    pub(super) fn is_beaten_by(best: Option<&Self>, value: f64, direction: Direction) -> bool {
        best.is_none_or(|best| direction.better(value, best.at.value))
    }
}
