//! What a history says to a sampler that learns from several objectives.
//!
//! Trials come in an order of preference: those that keep the constraints by the rank of their front, then those that
//! miss them by how much (Deb et al. 2002, section VI: "constrained domination"), then those without losses.
//!
//! A trial that was stopped or is paused has the losses that are expected of it, each by the curves of its objective.
//!
//! One loss that stands for all is the augmented Chebyshev norm of the losses, scaled to the range of the front, with
//! weights drawn evenly from the simplex: `max_k w_k f_k + 0.05 sum_k w_k f_k` (Knowles 2006, "`ParEGO`: a hybrid
//! algorithm with on-line landscape approximation for expensive multiobjective optimization problems", section III).
//! Its smallest value for some weights is any point of the front, convex or not.

use luthier_core::{Params, Rng, Tried, View};

use super::observation::{Observation, behind, observations, violations};
use crate::curves::{Curves, by_end};
use crate::pareto::{self, Losses};

/// A trial with all its losses.
#[derive(Debug, Clone)]
pub(crate) struct Seen<'a> {
    pub(crate) params: &'a Params,
    /// Finite losses of all objectives, where there are any.
    pub(crate) losses: Option<Losses>,
    /// By how much it misses the constraints together; 0 if it keeps them.
    pub(crate) violation: f64,
    pub(crate) running: bool,
}

/// All trials: finished ones by number, then unfinished ones.
pub(crate) struct Several<'a> {
    pub(crate) seen: Vec<Seen<'a>>,
}

/// The share of the plain sum beside the largest loss.
const AUGMENTED: f64 = 0.05;

impl<'a> Several<'a> {
    /// With what is expected of trials that were cut short.
    pub(crate) fn new(view: &View<'a>) -> Self {
        let curves: Vec<Curves> = (0..view.objectives()).map(|k| Curves::of(view, k)).collect();
        let forecast = |trial: &Tried<'_>| -> Option<Losses> {
            let each = curves.iter().enumerate().map(|(k, curves)| {
                let forecast = curves.forecast(&trial.losses_of(k, view.criteria()))?;
                Some(forecast.loss).filter(|loss| loss.is_finite())
            });
            each.collect()
        };
        let losses = by_end(view).map(|trial| match trial.loss_vector() {
            None if trial.is_stopped() || trial.is_paused() => forecast(&trial),
            complete => complete,
        });
        Self::with(view, losses)
    }

    /// With losses of complete trials only.
    pub(crate) fn complete(view: &View<'a>) -> Self {
        Self::with(view, by_end(view).map(|trial| trial.loss_vector()))
    }

    fn with(view: &View<'a>, losses: impl Iterator<Item = Option<Losses>>) -> Self {
        let violations = if view.constraints() > 0 { violations(view) } else { Vec::new() };
        let violations = violations.into_iter().chain(std::iter::repeat(0.0));
        let seen = observations(view).zip(losses).zip(violations).map(|((one, losses), violation)| Seen {
            params: one.params,
            losses,
            violation,
            running: one.running,
        });
        Self { seen: seen.collect() }
    }

    /// The places of trials with losses in groups that go before each other: the fronts of those that keep the
    /// constraints, then those that miss them one by one.
    pub(crate) fn fronts(&self) -> Vec<Vec<usize>> {
        let with = |keeps: bool| {
            let all = self.seen.iter().enumerate();
            all.filter(move |(_, seen)| seen.losses.is_some() && (seen.violation <= 0.0) == keeps)
                .map(|(i, _)| i)
        };
        let kept: Vec<usize> = with(true).collect();
        let mut fronts: Vec<Vec<usize>> = Vec::new();
        for (rank, i) in pareto::ranks(&self.losses(&kept)).into_iter().zip(kept) {
            fronts.resize(fronts.len().max(rank + 1), Vec::new());
            fronts[rank].push(i);
        }
        let mut missed: Vec<usize> = with(false).collect();
        missed.sort_by(|a, b| self.seen[*a].violation.total_cmp(&self.seen[*b].violation).then(a.cmp(b)));
        fronts.extend(missed.into_iter().map(|i| vec![i]));
        fronts
    }

    /// The losses of trials that have some.
    pub(super) fn losses(&self, places: &[usize]) -> Vec<Losses> {
        places.iter().filter_map(|i| self.seen[*i].losses.clone()).collect()
    }

    /// One loss for each, by weights that are drawn.
    pub(super) fn scalarised(&self, rng: &mut Rng) -> Vec<Observation<'a>> {
        let fronts = self.fronts();
        let all: Vec<usize> = (0..self.seen.len()).filter(|i| self.seen[*i].losses.is_some()).collect();
        let scale = Scale::new(
            &fronts.first().map(|front| self.losses(front)).unwrap_or_default(),
            &self.losses(&all),
        );
        let objectives = all.first().map_or(1, |i| self.seen[*i].losses.as_ref().map_or(1, Vec::len));
        let weights = simplex(objectives, rng);
        let one = |losses: &Losses| {
            let weighted: Vec<f64> = scale.of(losses).iter().zip(&weights).map(|(f, w)| f * w).collect();
            let largest = weighted.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Some(largest + AUGMENTED * weighted.iter().sum::<f64>()).filter(|loss| loss.is_finite())
        };
        let losses: Vec<Option<f64>> =
            self.seen.iter().map(|seen| seen.losses.as_ref().and_then(one)).collect();
        let violations: Vec<f64> = self.seen.iter().map(|seen| seen.violation).collect();
        let losses = behind(&losses, &violations);
        let seen = self.seen.iter().zip(losses);
        seen.map(|(seen, loss)| Observation { params: seen.params, loss, running: seen.running }).collect()
    }
}

/// Losses as shares of the range of a front.
pub(super) struct Scale {
    low: Losses,
    width: Losses,
}

impl Scale {
    /// The scale of `front`; where it has no width in an objective, or next to none, that of `all`.
    pub(super) fn new(front: &[Losses], all: &[Losses]) -> Self {
        let Some((low, high)) = pareto::bounds(front).or_else(|| pareto::bounds(all)) else {
            return Self { low: Vec::new(), width: Vec::new() };
        };
        let whole =
            pareto::bounds(all).map_or_else(|| vec![0.0; low.len()], |(low, high)| widths(&low, &high));
        let width = widths(&low, &high).into_iter().zip(whole).map(|(front, whole)| {
            let width = if front > 1e-3 * whole { front } else { whole };
            if width > 0.0 && width.is_finite() { width } else { 1.0 }
        });
        Self { width: width.collect(), low }
    }

    /// From 0, the best of the front, to 1, its worst.
    pub(super) fn of(&self, losses: &[f64]) -> Losses {
        let ends = self.low.iter().zip(&self.width);
        losses.iter().zip(ends).map(|(x, (low, width))| (x - low) / width).collect()
    }
}

fn widths(low: &[f64], high: &[f64]) -> Losses {
    low.iter().zip(high).map(|(low, high)| high - low).collect()
}

/// A point of the simplex, each equally likely.
fn simplex(n: usize, rng: &mut Rng) -> Vec<f64> {
    let parts: Vec<f64> = (0..n).map(|_| -libm::log(1.0 - rng.uniform())).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|part| if sum > 0.0 { part / sum } else { 1.0 / n as f64 }).collect()
}
