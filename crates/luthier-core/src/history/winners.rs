//! Who wins: the best trial, or of several objectives the Pareto front, among those that keep the constraints.

use super::{History, Trial};
use crate::{FailCause, Outcome, Report, TrialId, dominates};

impl Trial {
    /// Its last report up to `step`, whether it counts yet or not; without a step the last one of all.
    pub fn report_at(&self, step: Option<u64>) -> Option<&Report> {
        let mut reports = self.ahead.reports.iter().rev().chain(self.reports.iter().rev());
        reports.find(|report| step.is_none_or(|step| report.step <= step))
    }

    /// The report by which the further objectives and the constraints go: the one of the step that counts.
    pub fn counting_report(&self) -> Option<&Report> {
        match &self.outcome {
            Some(Outcome::Complete { step, .. }) => self.report_at(*step),
            _ => self.best_report(),
        }
    }

    /// Whether all constraints on its result hold, as far as it has come to one.
    pub fn is_feasible(&self) -> bool {
        self.violations.iter().all(|violation| *violation <= 0.0)
    }

    /// The losses of all objectives, of a complete trial with a finite value of each.
    pub fn loss_vector(&self) -> Option<Vec<f64>> {
        let first = self.direction.loss(self.outcome.as_ref()?.value()?);
        let all: Vec<f64> = std::iter::once(first).chain(self.further.iter().copied()).collect();
        all.iter().all(|loss| loss.is_finite()).then_some(all)
    }
}

impl History {
    /// The complete trial with the best value of the first objective that keeps the constraints; of equal ones the first.
    pub fn best(&self) -> Option<&Trial> {
        let winners = self.winners.iter().filter_map(|id| self.trial(*id));
        let value = |trial: &Trial| trial.outcome.as_ref().and_then(Outcome::value).unwrap_or(f64::NAN);
        winners.reduce(
            |best, trial| {
                if self.direction.better(value(trial), value(best)) { trial } else { best }
            },
        )
    }

    /// The best trial, if there is one; with several objectives the Pareto front, by number: the complete trials that
    /// keep the constraints and that no other one is better than in all objectives.
    pub fn winners(&self) -> &[TrialId] {
        &self.winners
    }

    /// The values of all objectives of a complete trial, in their own directions.
    pub fn values(&self, trial: &Trial) -> Option<Vec<f64>> {
        let first = trial.outcome.as_ref()?.value()?;
        let goals = self.criteria.objectives.iter().zip(&trial.further);
        Some(std::iter::once(first).chain(goals.map(|(goal, loss)| goal.direction.loss(*loss))).collect())
    }

    /// Lets the end of a trial count.
    pub(super) fn conclude(&mut self, id: TrialId) {
        self.open.remove(&id);
        self.ended.push(id);
        if let Some(trial) = self.trials.get_mut(id.0 as usize) {
            // There will be no more.
            trial.reports.shrink_to_fit();
            trial.losses.shrink_to_fit();
            trial.expected = None;
        }
        if !self.criteria.is_empty()
            && let Some(trial) = self.trials.get_mut(id.0 as usize)
        {
            let metrics = trial.counting_report().map(|report| report.metrics.clone()).unwrap_or_default();
            trial.further = self.criteria.losses(&metrics);
            trial.violations = self.criteria.violations(&metrics);
        }
        let Some(trial) = self.trial(id) else { return };
        let Some(outcome) = &trial.outcome else { return };
        let failed = matches!(
            outcome,
            Outcome::Failed { cause: FailCause::Error { .. } | FailCause::Panicked { .. } }
        );
        let value = outcome.value().filter(|_| trial.is_feasible());
        self.failures = if failed { self.failures + 1 } else { 0 };
        let Some(value) = value else { return };
        if self.criteria.objectives.is_empty() {
            let best = self.best().and_then(|best| Some((best.id, best.outcome.as_ref()?.value()?)));
            let wins = best.is_none_or(|(best, than)| {
                self.direction.better(value, than) || !self.direction.better(than, value) && id < best
            });
            if wins {
                self.winners = vec![id];
            }
        } else if let Some(losses) = self.trial(id).and_then(Trial::loss_vector) {
            let of = |other: &TrialId| self.trial(*other).and_then(Trial::loss_vector).unwrap_or_default();
            if self.winners.iter().any(|other| dominates(&of(other), &losses)) {
                return;
            }
            let mut winners = self.winners.clone();
            winners.retain(|other| !dominates(&losses, &of(other)));
            winners.push(id);
            winners.sort_unstable();
            self.winners = winners;
        }
    }
}
