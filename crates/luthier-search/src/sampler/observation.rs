//! What a history says to a sampler that learns from losses.
//!
//! | trial | counts as |
//! | --- | --- |
//! | complete, finite loss | its loss |
//! | stopped by the search, or paused, with a finite report | the loss that is expected of it, had it run as far as others have: [`curves`](crate::curves) |
//! | failed, infeasible, without any finite loss | without a loss: the region is avoided |
//! | running | without a loss, and marked as running |

use luthier_core::{Outcome, Params, View};

use crate::curves::Curves;

/// What is known of a configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation<'a> {
    pub(super) params: &'a Params,
    /// A finite loss, where there is one.
    pub(super) loss: Option<f64>,
    /// The trial has not ended, and has no loss yet that counts.
    pub(super) running: bool,
}

/// The observations of a history: finished trials by number, then unfinished ones by number.
pub(super) fn observations<'a>(view: &View<'a>) -> impl Iterator<Item = Observation<'a>> + use<'a> {
    let curves = Curves::new(view);
    let after = curves.clone();
    let finished = view.finished().map(move |trial| {
        let loss = match trial.outcome() {
            Outcome::Complete { .. } => trial.loss().filter(|loss| loss.is_finite()),
            Outcome::Stopped { .. } => expected(&curves, trial.losses()),
            Outcome::Failed { .. } | Outcome::Infeasible { .. } => None,
        };
        Observation { params: trial.params(), loss, running: false }
    });
    let unfinished = view.unfinished().map(move |trial| {
        let loss = trial.is_paused().then(|| expected(&after, trial.losses())).flatten();
        Observation { params: trial.params(), loss, running: loss.is_none() }
    });
    finished.chain(unfinished)
}

/// Whether there are so many observations that something can be learnt: of trials that have ended or are paused.
pub(super) fn enough(view: &View<'_>, trials: usize) -> bool {
    observations(view).filter(|observation| !observation.running).take(trials).count() >= trials
}

fn expected(curves: &Curves, losses: &[(u64, f64)]) -> Option<f64> {
    curves.forecast(losses).map(|forecast| forecast.loss).filter(|loss| loss.is_finite())
}
