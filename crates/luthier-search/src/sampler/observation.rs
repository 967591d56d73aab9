//! What a history says to a sampler that learns from losses.
//!
//! | trial | counts as |
//! | --- | --- |
//! | complete, finite loss | its loss |
//! | stopped by the search, or paused, with a finite report | the loss that is expected of it, had it run as far as others have: [`curves`](crate::curves) |
//! | stopped because it was worse than the best on most folds or instances | the mean over those that it had |
//! | failed, infeasible, without any finite loss | without a loss: the region is avoided |
//! | running | without a loss, and marked as running |
//! | one that misses a constraint on results | a loss behind all that keep them, the farther the more it misses (Deb 2000, "An efficient constraint handling method for genetic algorithms") |
//!
//! Of several objectives a sampler sees either all ([`Several`](super::several::Several)) or one loss that stands for
//! them ([`single`]).

use luthier_core::{Outcome, Params, Rng, StopReason, View};

use super::several::Several;

use crate::curves::Curves;
use crate::pareto;

/// What is known of a configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation<'a> {
    pub(super) params: &'a Params,
    /// A finite loss, where there is one.
    pub(super) loss: Option<f64>,
    /// The trial has not ended, and has no loss yet that counts.
    pub(super) running: bool,
}

/// The observations of a history: finished trials by number, then unfinished ones by number. Their losses are those of
/// the first objective, without regard to constraints.
pub(super) fn observations<'a>(view: &View<'a>) -> impl Iterator<Item = Observation<'a>> + use<'a> {
    let curves = Curves::new(view);
    let after = curves.clone();
    let finished = view.finished().map(move |trial| {
        let loss = match trial.outcome() {
            Outcome::Complete { .. } => trial.loss().filter(|loss| loss.is_finite()),
            // Its reports are means over instances, not a curve.
            Outcome::Stopped { reason: StopReason::WorseThanBest { .. }, .. } => {
                trial.losses().iter().rev().map(|report| report.1).find(|loss| loss.is_finite())
            }
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

/// The same with one loss each that stands for all objectives, by weights that `rng` draws, and for the constraints.
/// With one objective nothing is drawn.
pub(super) fn single<'a>(view: &View<'a>, rng: &mut Rng) -> Vec<Observation<'a>> {
    if view.objectives() > 1 { Several::new(view).scalarised(rng) } else { by_first(view) }
}

/// The same with the loss of the first objective, those that miss a constraint behind all others.
fn by_first<'a>(view: &View<'a>) -> Vec<Observation<'a>> {
    let mut seen: Vec<Observation<'a>> = observations(view).collect();
    if view.constraints() > 0 {
        let losses: Vec<Option<f64>> = seen.iter().map(|seen| seen.loss).collect();
        for (seen, loss) in seen.iter_mut().zip(behind(&losses, &violations(view))) {
            seen.loss = loss;
        }
    }
    seen
}

/// The parameters of the best trial, by what it has come to or is expected to come to: of those that keep the constraints, if
/// any does, and with several objectives the knee of the first front. Of equal ones the first.
pub(super) fn leader<'a>(view: &View<'a>) -> Option<&'a Params> {
    if view.objectives() > 1 {
        let several = Several::new(view);
        let front = several.fronts().into_iter().next()?;
        let knee = pareto::knee(&several.losses(&front))?;
        return Some(several.seen[front[knee]].params);
    }
    let losses = by_first(view).into_iter().filter_map(|seen| Some((seen.loss?, seen.params)));
    losses.reduce(|best, next| if next.0 < best.0 { next } else { best }).map(|(_, params)| params)
}

/// By how much trials miss the constraints together ([`shares`]), in the order of [`observations`]. 0 for trials that keep them or are not known to miss them.
pub(super) fn violations(view: &View<'_>) -> Vec<f64> {
    let finished = view.finished().map(|trial| trial.violations().to_vec());
    let unfinished = view
        .unfinished()
        .map(|trial| if trial.is_paused() { trial.violations() } else { vec![0.0; view.constraints()] });
    let all: Vec<Vec<f64>> = finished.chain(unfinished).collect();
    shares(&all, view.constraints())
}

/// By how much each of several misses all constraints together, each constraint as a share of the most that it is missed
/// by.
pub(crate) fn shares(all: &[Vec<f64>], constraints: usize) -> Vec<f64> {
    let mut most = vec![0.0_f64; constraints];
    for (k, most) in most.iter_mut().enumerate() {
        let finite = all.iter().map(|violations| violations[k]).filter(|violation| violation.is_finite());
        *most = finite.fold(0.0, f64::max);
    }
    let share = |(violation, most): (&f64, &f64)| match (*violation, *most) {
        (violation, _) if violation <= 0.0 => 0.0,
        (violation, most) if violation.is_finite() && most > 0.0 => violation / most,
        // Not measured: worse than whatever is.
        _ => 2.0,
    };
    all.iter().map(|violations| violations.iter().zip(&most).map(share).sum()).collect()
}

/// Losses with those that miss a constraint behind all others.
pub(super) fn behind(losses: &[Option<f64>], violations: &[f64]) -> Vec<Option<f64>> {
    let kept = losses
        .iter()
        .zip(violations)
        .filter(|(_, violation)| **violation <= 0.0)
        .filter_map(|(loss, _)| *loss);
    let ends = kept.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    let (worst, range) = if ends.0 <= ends.1 { (ends.1, ends.1 - ends.0) } else { (0.0, 1.0) };
    let range = if range > 0.0 && range.is_finite() { range } else { 1.0 };
    losses
        .iter()
        .zip(violations)
        .map(|(loss, violation)| {
            let loss = (*loss)?;
            let found = if *violation > 0.0 { worst + range * violation } else { loss };
            found.is_finite().then_some(found)
        })
        .collect()
}

/// Whether there are so many observations that something can be learnt: of trials that have ended or are paused.
pub(super) fn enough(view: &View<'_>, trials: usize) -> bool {
    // Counted without the forecasts, which take a look at every curve.
    let paused = view
        .unfinished()
        .filter(|trial| trial.is_paused() && trial.losses().iter().any(|report| report.1.is_finite()));
    let ended = view.finished().take(trials).count();
    ended + paused.take(trials - ended).count() >= trials
}

fn expected(curves: &Curves, losses: &[(u64, f64)]) -> Option<f64> {
    curves.forecast(losses).map(|forecast| forecast.loss).filter(|loss| loss.is_finite())
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn what_misses_a_constraint_comes_behind_all_that_keep_them() {
        let losses = [Some(1.0), Some(3.0), Some(-5.0), None, Some(0.0)];
        let found = behind(&losses, &[0.0, 0.0, 0.5, 0.0, 1.0]);
        assert_eq!(found, [Some(1.0), Some(3.0), Some(4.0), None, Some(5.0)]);
        // Where none keeps them, the least violation is the best.
        assert_eq!(behind(&[Some(7.0), Some(2.0)], &[0.1, 1.0]), [Some(0.1), Some(1.0)]);
    }
}
