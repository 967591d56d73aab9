//! Who is ahead of whom at a step.
//!
//! With one objective, trials stand in the order of their best finite losses up to the step. With several, or where
//! results have to keep constraints, a trial is what it would be if it ended at that step: the losses and the violations of
//! the report with its least loss of the first objective. Trials stand front by front, within a front the lonelier one
//! first (Schmucker, Donini, Zafar, Salinas and Archambeau 2021, "Multi-objective asynchronous successive halving",
//! arXiv:2106.12639, with the crowding distance of NSGA-II). Behind all that keep the constraints come those that miss one,
//! in fronts of their violations. Equal ones stand in the order of their numbers.
//!
//! Complexity: O(n log n) for n trials and one objective, else O(m n²) for m objectives.

use luthier_core::{Constraint, Metrics, Report, Tried, View};

use super::best_until;
use crate::pareto::{self, Losses};

/// Whether a single loss says which of two trials is ahead.
pub(super) fn by_one_loss(view: &View<'_>) -> bool {
    view.objectives() == 1 && view.constraints() == 0
}

/// The trials by what they had come to at `step`, best first.
pub(super) fn best_first<'a>(view: &View<'a>, trials: Vec<Tried<'a>>, step: u64) -> Vec<Tried<'a>> {
    if by_one_loss(view) {
        let mut losses: Vec<(f64, Tried<'a>)> =
            trials.into_iter().map(|trial| (best_until(trial.losses(), step), trial)).collect();
        losses.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.id().cmp(&b.1.id())));
        return losses.into_iter().map(|(_, trial)| trial).collect();
    }
    let (fronts, points) = fronts(view, &trials, step);
    let mut lonely = vec![0.0; trials.len()];
    for front in 0..=fronts.iter().copied().max().unwrap_or(0) {
        let here: Vec<usize> = (0..trials.len()).filter(|i| fronts[*i] == front).collect();
        let front: Vec<Losses> = here.iter().map(|i| points[*i].clone()).collect();
        // On a line, those of one front are equal.
        if front.first().is_some_and(|point| point.len() > 1) {
            for (distance, i) in pareto::crowding(&front).into_iter().zip(here) {
                lonely[i] = distance;
            }
        }
    }
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|a, b| {
        fronts[*a]
            .cmp(&fronts[*b])
            .then(lonely[*b].total_cmp(&lonely[*a]))
            .then(trials[*a].id().cmp(&trials[*b].id()))
    });
    order.into_iter().map(|i| trials[i]).collect()
}

/// By how much a trial misses each constraint at `step`, with what it had come to by then: infinite where it has come to
/// nothing, and 0 where a metric is not measured yet, which cannot speak against it.
fn violations(view: &View<'_>, report: Option<&Report>) -> Losses {
    let violation = |constraint: &Constraint| {
        let Some(report) = report else { return f64::INFINITY };
        let is_known = constraint.names().iter().all(|name| report.metrics.get(name).is_some());
        if is_known { constraint.violation(|name| report.metrics.get(name)) } else { 0.0 }
    };
    view.criteria().constraints.iter().map(violation).collect()
}

/// Whether a trial keeps the constraints on results, as far as can be seen.
pub(super) fn may_keep(view: &View<'_>, trial: Tried<'_>) -> bool {
    violations(view, trial.best_report(u64::MAX)).iter().all(|violation| *violation <= 0.0)
}

/// Whether a trial that waits has to come to its end, since no other one may begin or is on its way, so that the study has a
/// winner: none has come to its end with a loss, or none of those keeps the constraints, and this one may.
pub(super) fn is_needed(view: &View<'_>, trial: Tried<'_>) -> bool {
    if !view.is_closed() || view.unfinished().any(|trial| !trial.is_paused()) {
        return false;
    }
    let mut ended = view.finished().filter(|trial| trial.loss().is_some());
    if may_keep(view, trial) { !ended.any(|trial| trial.keeps_constraints()) } else { ended.next().is_none() }
}

/// Whether all objectives of a trial are known at `step`.
pub(super) fn is_measured(view: &View<'_>, trial: Tried<'_>, step: u64) -> bool {
    let known = |metrics: &Metrics| view.criteria().losses(metrics).iter().all(|loss| !loss.is_nan());
    trial.best_report(step).is_none_or(|report| known(&report.metrics))
}

/// The front of each trial at `step`, 0 for the best, and what it is on that front: losses, or violations.
pub(super) fn fronts(view: &View<'_>, trials: &[Tried<'_>], step: u64) -> (Vec<usize>, Vec<Losses>) {
    let criteria = view.criteria();
    let mut points = Vec::with_capacity(trials.len());
    let (mut kept, mut missed) = (Vec::new(), Vec::new());
    for (i, trial) in trials.iter().enumerate() {
        let report = trial.best_report(step);
        let violations = violations(view, report);
        match report {
            Some(report) if violations.iter().all(|violation| *violation <= 0.0) => {
                let mut losses = vec![best_until(trial.losses(), step)];
                losses.extend(criteria.losses(&report.metrics));
                // What is not known is as bad as can be.
                points.push(losses.into_iter().map(|x| if x.is_nan() { f64::INFINITY } else { x }).collect());
                kept.push(i);
            }
            _ => {
                points.push(if violations.is_empty() { vec![f64::INFINITY] } else { violations });
                missed.push(i);
            }
        }
    }
    let mut fronts = vec![0; trials.len()];
    let mut first = 0;
    for group in [kept, missed] {
        let own: Vec<Losses> = group.iter().map(|i: &usize| points[*i].clone()).collect();
        for (rank, i) in pareto::ranks(&own).into_iter().zip(&group) {
            fronts[*i] = first + rank;
        }
        first = group.iter().map(|i| fronts[*i] + 1).max().unwrap_or(0);
    }
    (fronts, points)
}

#[cfg(test)]
mod tests {
    use luthier_core::testing::Played;
    use luthier_core::{Criteria, Direction, Goal, History, TrialId};

    use super::*;

    fn order(played: &Played, step: u64) -> Vec<u64> {
        let view = played.0.view();
        let trials = view.tried().collect();
        best_first(&view, trials, step).iter().map(|trial| trial.id().0).collect()
    }

    fn two(constraints: &[&str]) -> Played {
        let objectives = vec![Goal { name: "speed".to_owned(), direction: Direction::Maximize }];
        let constraints = constraints.iter().map(|text| Constraint::parse(text).expect("a constraint"));
        let criteria = Criteria { objectives, constraints: constraints.collect() };
        Played(History::new(Direction::Minimize).with_criteria(criteria))
    }

    #[test]
    fn fronts_come_one_after_the_other_and_the_lonely_first() {
        let mut played = two(&[]);
        // (loss, speed): 1 is behind 0, all others are on the front: 0 and 4 at its ends, 2 with its neighbours close by.
        for (loss, speed) in [(1.0, 1.0), (2.5, 0.5), (2.0, 2.0), (2.1, 2.1), (9.0, 9.0)] {
            let trial = played.start(None);
            played.report_with(trial, 1, loss, &[("speed", speed)]);
        }
        assert_eq!(order(&played, 1), [0, 4, 3, 2, 1]);
        // Another report with less loss takes 1 to the front; at step 1 nothing has changed.
        played.report_with(TrialId(1), 2, 0.5, &[("speed", 0.1)]);
        assert_eq!(order(&played, 1), [0, 4, 3, 2, 1]);
        assert_eq!(order(&played, 2)[..2], [1, 4]);
    }

    #[test]
    fn who_misses_a_constraint_is_behind_all_that_keep_it() {
        let mut played = two(&["size <= 10"]);
        for (loss, size) in [(0.1, 30.0), (5.0, 10.0), (0.2, 20.0), (f64::NAN, 5.0)] {
            let trial = played.start(None);
            played.report_with(trial, 1, loss, &[("speed", 1.0), ("size", size)]);
        }
        // Without a finite loss nothing is known of the size.
        assert_eq!(order(&played, 1), [1, 2, 0, 3]);
    }
}
