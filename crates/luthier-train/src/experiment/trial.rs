//! A trial of an experiment: one training, or one for each fold.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use luthier_core::config::{Kind, Node};
use luthier_core::{
    Abilities, Decision, Ending, Evaluation, FailCause, Objective, ObjectiveError, TrialHandle, TrialId,
};

use super::{Experiment, with_threads};
use crate::folds::Folds;
use crate::trainable::Model;
use crate::trained_model::ModelCard;
use crate::training::{Advance, Checkpoint, Hook, MEASURED_TIMES, Position, Report, Run, Setup};

/// A run that has ended, or what its trial came to instead.
enum Trained<M: Model> {
    To(Ending, Box<Run<M>>),
    Not(Evaluation),
}

/// Pauses a run when its trial is interrupted or wants a checkpoint.
struct Pauses<'a> {
    trial: &'a dyn TrialHandle,
    /// Whether there is a checkpoint of this very place. Another one would not be worth a pause, and a
    /// validation that takes longer than the time between two checkpoints would never come to its end.
    saved: bool,
    /// When its time is over.
    deadline: Option<Instant>,
}

impl Pauses<'_> {
    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl Hook for Pauses<'_> {
    fn after_step(&mut self, _at: &Position, _loss: f64) {
        self.saved = false;
    }

    fn pauses(&mut self) -> bool {
        self.trial.interrupted().is_some() || self.is_over() || !self.saved && self.trial.wants_checkpoint()
    }
}

impl<M: Model> Experiment<M> {
    /// Trains one run to its end, to `until` or to an interruption. Its reports go to `trial`, or nowhere
    /// if it is one of several folds.
    fn train(
        &self,
        mut run: Run<M>,
        trial: &mut dyn TrialHandle,
        folds: Option<&Folds>,
    ) -> Result<Trained<M>, ObjectiveError> {
        let mut saved = false;
        let limit = run.setup().config.train.time_limit;
        let spent = Duration::from_secs_f64(run.seconds() + folds.map_or(0.0, Folds::seconds));
        let deadline = limit.map(|limit| Instant::now() + limit.saturating_sub(spent));
        loop {
            let reached =
                folds.is_none() && trial.until().is_some_and(|until| run.position().report >= until);
            if reached && run.ending().is_none() {
                self.save(&run, trial, folds)?;
                return Ok(Trained::Not(Evaluation::Paused));
            }
            let mut hook = Pauses { trial: &*trial, saved, deadline };
            let advance = run.advance(&mut hook).map_err(|error| ObjectiveError {
                message: format!("trial {} cannot read its data", trial.id()),
                source: Some(Box::new(error)),
            })?;
            let is_over = hook.is_over();
            if let Some(notice) = run.take_notice() {
                trial.notice(&notice);
            }
            match advance {
                Advance::Ended(ending) => {
                    // The last report has a checkpoint as well.
                    if trial.wants_checkpoint() {
                        self.save(&run, trial, folds)?;
                    }
                    return Ok(Trained::To(ending, Box::new(run)));
                }
                Advance::Diverged { epoch, step } => {
                    return Ok(Trained::Not(Evaluation::Failed(FailCause::Diverged { epoch, step })));
                }
                Advance::Paused if is_over && trial.interrupted().is_none() => {
                    let seconds = limit.unwrap_or_default().as_secs_f64();
                    return Ok(Trained::Not(Evaluation::Failed(FailCause::TimeLimit { seconds })));
                }
                Advance::Paused => {
                    self.save(&run, trial, folds)?;
                    saved = true;
                    if trial.interrupted().is_some() {
                        return Ok(Trained::Not(Evaluation::Paused));
                    }
                }
                Advance::Report(report) => {
                    saved = false;
                    // The bits of numbers that are not negative have the order of the numbers.
                    let seconds = run.seconds_per_example().to_bits();
                    self.seconds_per_example.fetch_max(seconds, Ordering::Relaxed);
                    if folds.is_some() {
                        continue;
                    }
                    let Report { number, value, metrics } = report;
                    if let Decision::Stop(reason) = trial.report(number, value, metrics)? {
                        return Ok(Trained::Not(Evaluation::Stopped(reason)));
                    }
                }
            }
        }
    }

    #[allow(clippy::unused_self, reason = "a step of the training, beside `train`")]
    fn save(
        &self,
        run: &Run<M>,
        trial: &mut dyn TrialHandle,
        folds: Option<&Folds>,
    ) -> Result<(), ObjectiveError> {
        let checkpoint = run.checkpoint().to_bytes().map_err(|error| ObjectiveError {
            message: format!("cannot write the checkpoint of trial {}", trial.id()),
            source: Some(Box::new(error)),
        })?;
        trial.save_checkpoint(match folds {
            None => checkpoint,
            Some(folds) => folds.to_bytes(&checkpoint),
        })
    }

    /// The model of a run as a file.
    fn model(&self, run: &Run<M>, trial: &dyn TrialHandle) -> Result<Option<Vec<u8>>, ObjectiveError> {
        let Some(model) = run.final_model() else { return Ok(None) };
        let setup = run.setup();
        let mut file = self.file(trial.params(), trial.seed(), trial.lineage())?;
        if let Some(measured) = run.measured_batch_size() {
            file.set("train.batch_size", Node::new(Kind::Int(measured as i64)))?;
        }
        let mut metrics = run.best_metrics().cloned().unwrap_or_default();
        // The same model has the same bytes.
        for name in MEASURED_TIMES {
            metrics.remove(name);
        }
        let preprocessor = setup.data.preprocessor().clone();
        let card = ModelCard::new(file.to_toml(), run.loss().clone(), preprocessor, metrics);
        Ok(Some(card.with_weights_of(&model)?))
    }

    #[allow(clippy::unused_self, reason = "a step of the training, beside `train`")]
    fn taken_up(
        &self,
        setup: Setup<M>,
        checkpoint: Option<&[u8]>,
        id: TrialId,
    ) -> Result<Result<Run<M>, String>, ObjectiveError> {
        let Some(bytes) = checkpoint else {
            let run = Run::new(setup);
            return Ok(run.and_then(|run| run.too_large().map_or(Ok(run), Err)));
        };
        let run = Checkpoint::from_bytes(bytes).and_then(|checkpoint| Run::resume(setup, &checkpoint));
        run.map(Ok).map_err(|error| ObjectiveError {
            message: format!(
                "trial {id} cannot go on from its checkpoint; remove the checkpoint and it starts again"
            ),
            source: Some(Box::new(error)),
        })
    }

    fn run(&self, trial: &mut dyn TrialHandle, device: &Device) -> Result<Evaluation, ObjectiveError> {
        let from = trial.lineage().cloned();
        let setup = match self.setup_of(trial.params(), trial.seed(), from.as_ref(), 0) {
            Ok(setup) => Setup { device: device.clone(), ..setup },
            Err(reason) => return Ok(Evaluation::Infeasible(reason)),
        };
        let run = match (trial.checkpoint()?, from) {
            (None, Some(from)) => self.begin_with(setup, &from, &trial.inherited()?),
            (checkpoint, _) => self.taken_up(setup, checkpoint.as_deref(), trial.id())?,
        };
        let run = match run {
            Ok(run) => run,
            Err(reason) => return Ok(Evaluation::Infeasible(reason)),
        };
        let (ending, run) = match self.train(run, trial, None)? {
            Trained::To(ending, run) => (ending, run),
            Trained::Not(evaluation) => return Ok(evaluation),
        };
        let Some((step, value)) = run.best() else {
            return Ok(Evaluation::Failed(FailCause::NotFinite));
        };
        if trial.wants_end(value) {
            self.save(&run, trial, None)?;
        }
        Ok(Evaluation::Complete { value, step: Some(step), ending, model: self.model(&run, trial)? })
    }

    /// Trains on each fold in turn. Each fold is a report: the mean of the values so far.
    fn cross_validate(
        &self,
        trial: &mut dyn TrialHandle,
        device: &Device,
    ) -> Result<Evaluation, ObjectiveError> {
        let (mut folds, mut checkpoint) = match trial.checkpoint()? {
            None => (Folds::default(), None),
            Some(bytes) => {
                let (folds, run) = Folds::from_bytes(&bytes)?;
                (folds, (!run.is_empty()).then_some(run))
            }
        };
        while folds.done() < self.folds() {
            if trial.until().is_some_and(|until| folds.done() as u64 >= until) {
                trial.save_checkpoint(folds.to_bytes(&[]))?;
                return Ok(Evaluation::Paused);
            }
            let setup = match self.setup_of(trial.params(), trial.seed(), None, folds.done()) {
                Ok(setup) => Setup { device: device.clone(), ..setup },
                Err(reason) => return Ok(Evaluation::Infeasible(reason)),
            };
            let run = match self.taken_up(setup, checkpoint.take().as_deref(), trial.id())? {
                Ok(run) => run,
                Err(reason) => return Ok(Evaluation::Infeasible(reason)),
            };
            let run = match self.train(run, trial, Some(&folds))? {
                Trained::To(_, run) => run,
                Trained::Not(evaluation) => return Ok(evaluation),
            };
            let (Some((_, value)), Some(model)) = (run.best(), self.model(&run, trial)?) else {
                return Ok(Evaluation::Failed(FailCause::NotFinite));
            };
            folds.add(value, run.best_metrics().cloned().unwrap_or_default(), model, run.seconds());
            let (mean, metrics) = folds.mean();
            if let Decision::Stop(reason) = trial.report(folds.done() as u64, mean, metrics)? {
                return Ok(Evaluation::Stopped(reason));
            }
        }
        let (value, _) = folds.mean();
        let (step, model) = (Some(folds.done() as u64), Some(folds.into_typical()));
        Ok(Evaluation::Complete { value, step, ending: Ending::Full, model })
    }
}

impl<M: Model> Objective for Experiment<M> {
    fn abilities(&self) -> Abilities {
        Abilities { reports: true, pauses: true, forks: self.folds() == 1 }
    }

    fn wrap_up(&self) -> Duration {
        // Half as much again as the slowest validation so far makes us expect, and a moment to write.
        let seconds = f64::from_bits(self.seconds_per_example.load(Ordering::Relaxed));
        Duration::from_secs_f64(1.5 * seconds * self.splits[0].test.len() as f64 + 0.5)
    }

    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        let device = self.devices.take();
        with_threads(self.threads, || {
            if self.folds() > 1 { self.cross_validate(trial, &device) } else { self.run(trial, &device) }
        })?
    }
}
