//! No pruning.

use luthier_core::{Decision, Pruner, Rng, Unfinished, View};

/// Lets every trial run to its end.
///
/// ```
/// use luthier_core::Pruner;
/// assert!(!luthier_search::pruner::NoPruner.decides());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoPruner;

impl Pruner for NoPruner {
    fn decide(&self, _: &View<'_>, _: &Unfinished<'_>, _: &mut Rng) -> Decision {
        Decision::Continue
    }

    fn decides(&self) -> bool {
        false
    }
}
