//! Checkpoints that go on: taken up as they were, lengthened, or branched under other values.

use luthier_core::config::Node;

use super::{Checkpoint, CheckpointError};
use crate::batch_size::BatchSizer;
use crate::metric::Predicted;
use crate::optimizer::gradients::read_weights;
use crate::optimizer::{Ema, OptimizerState, Scalars};
use crate::schedule::Reactions;
use crate::settings::TrainingConfig;
use crate::stopping::Stopper;
use crate::trainable::Model;
use crate::training::best::{Best, BestAt};
use crate::training::measure::Segment;
use crate::training::{Run, Setup};

impl<M: Model> Run<M> {
    /// Takes a run up from its checkpoint: it goes on as if it had never stopped.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Other`] with what differs if the checkpoint is not of a run with this setup.
    pub fn resume(setup: Setup<M>, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let other = |reason: String| Err(CheckpointError::Other(reason));
        let header = &checkpoint.header;
        if header.seed != setup.seed {
            return other(format!("its seed is {}, not {}", header.seed, setup.seed));
        }
        let optimizer = setup.config.train.optimizer.kind();
        if header.optimizer != optimizer {
            return other(format!("its optimizer is {}, not {optimizer}", header.optimizer));
        }
        if let Some(difference) = checkpoint.differs_from(&setup.file) {
            return other(difference);
        }
        Self::continue_from(setup, checkpoint, false)
    }

    /// Continues a run, finished or not, to more epochs: those of `setup`. Schedules stay stretched over
    /// the epochs that the run was begun with, unless `train.horizon` of `setup` or their own `horizon` says otherwise,
    /// and past that keep the value that they end with. For a plain cosine that is 0; its key `end`, or a
    /// [fork](Run::fork), leaves something
    /// to learn with.
    ///
    /// # Errors
    ///
    /// As [`Run::resume`], and if there are fewer epochs than the run has had.
    pub fn extend(setup: Setup<M>, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let (epochs, done) = (setup.config.train.epochs, checkpoint.header.at.epoch);
        if epochs < done || epochs == done && checkpoint.has_ended() {
            let reason = format!("it has had {done} epochs, so {epochs} do not lengthen it; ask for more");
            return Err(CheckpointError::Other(reason));
        }
        if let Some(difference) = difference(&checkpoint.header.file, &setup.file, &["epochs", "horizon"]) {
            return Err(CheckpointError::Other(difference));
        }
        let mut extended = checkpoint.clone();
        extended.header.file.clone_from(&setup.file);
        let mut run = Self::resume(setup, &extended)?;
        run.state.ending = None;
        Ok(run)
    }

    /// Continues a checkpoint under other hyperparameters: those of `setup`. The weights have to fit; the
    /// optimizer keeps its state if it is of the same kind and remembers the same. Its draws from here on
    /// are those of the seed of `setup`; [`Checkpoint::fork_seed`] gives a good one. Schedules are stretched over the
    /// epochs of `setup`. The best weights so far stay the best to beat, if they were measured by the same metric on the
    /// same examples.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Other`] if the weights do not fit, or there is no epoch left.
    pub fn fork(setup: Setup<M>, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let best = checkpoint.header.best.clone().filter(|best| checkpoint.measured_like(best, &setup));
        Self::forked(setup, checkpoint, best)
    }

    /// The same as a run of its own: what was measured before is none of its results.
    ///
    /// # Errors
    ///
    /// As [`Run::fork`].
    pub fn branch(setup: Setup<M>, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        Self::forked(setup, checkpoint, None)
    }

    fn forked(
        setup: Setup<M>,
        checkpoint: &Checkpoint,
        best: Option<BestAt>,
    ) -> Result<Self, CheckpointError> {
        let (epochs, done) = (setup.config.train.epochs, checkpoint.header.at.epoch);
        if epochs <= done {
            let reason =
                format!("it has had {done} epochs of {epochs}, so nothing is left to train; ask for more");
            return Err(CheckpointError::Other(reason));
        }
        let mut forked = checkpoint.clone();
        let header = &mut forked.header;
        if header.optimizer != setup.config.train.optimizer.kind() {
            header.scalars = Scalars::default();
        }
        // What was measured under the old values says nothing of the new ones.
        header.reactions = Reactions::default();
        header.stopper = Stopper::default();
        header.sizer = BatchSizer::default();
        header.ending = None;
        header.best = best;
        header.horizon = epochs;
        Self::continue_from(setup, &forked, true)
    }

    /// `forked` lets what is remembered begin anew where it does not fit.
    fn continue_from(
        setup: Setup<M>,
        checkpoint: &Checkpoint,
        forked: bool,
    ) -> Result<Self, CheckpointError> {
        let Checkpoint { header, .. } = checkpoint;
        let mut run = Self::begin(setup, false).map_err(CheckpointError::Other)?;
        let model = run.state.model.clone();
        if let Some(best) = &header.best {
            let weights = checkpoint.under("best.");
            let model = model.valid().with_weights(&weights).map_err(CheckpointError::Other)?;
            run.state.best = Some(Best { at: best.clone(), model });
        }
        let weights = checkpoint.under("now.");
        run.state.model = model.with_weights(&weights).map_err(CheckpointError::Other)?;
        let state = &mut run.state;
        if header.scalars != Scalars::default() {
            let memories = checkpoint.under("optimizer.");
            let tensors = memories.into_iter().map(|it| (it.name, it.values)).collect();
            let memory = OptimizerState { tensors, scalars: header.scalars.clone() };
            match state.optimizer.restore(memory) {
                Err(reason) if !forked => return Err(CheckpointError::Other(reason)),
                // It is as it was before its first step.
                _ => {}
            }
        }
        if let Some(ema) = &mut state.ema {
            match header.averages {
                Some(updates) => {
                    let averages = checkpoint.under("average.").into_iter();
                    let averages = averages.map(|it| (it.name, it.values)).collect();
                    ema.restore(&run.work.parameters, (updates, averages)).map_err(CheckpointError::Other)?;
                }
                // Averages that a fork begins are of the weights that it has.
                None => {
                    if let Some(config) = &run.setup.config.train.ema {
                        *ema = Ema::new(config, read_weights(&state.model.valid()));
                    }
                }
            }
        }
        state.horizon = run.setup.config.train.horizon.unwrap_or(header.horizon);
        state.at = header.at;
        match state.penalties.restore(&header.penalties) {
            Err(reason) if !forked => return Err(CheckpointError::Other(reason)),
            _ => {}
        }
        state.reactions = header.reactions.clone();
        state.sizer = header.sizer.clone();
        state.stopper = header.stopper.clone();
        state.last = header.last.clone();
        let [outputs, targets, seconds, shares] =
            ["outputs", "targets", "mixed.targets", "mixed.shares"].map(|name| checkpoint.values(name));
        let mixed = (!seconds.is_empty()).then_some((seconds, shares));
        let predicted = Predicted { outputs, targets, mixed, ..Predicted::default() };
        state.segment = Segment { predicted, at: header.segment };
        state.ending.clone_from(&header.ending);
        state.seconds = header.seconds;
        Ok(run)
    }
}

impl Checkpoint {
    /// Whether its best measurement can be compared with those of a run with this setup.
    fn measured_like<M: Model>(&self, best: &BestAt, setup: &Setup<M>) -> bool {
        let metric = best.metrics.get(&setup.objective.name());
        let same_metric = metric.is_some_and(|value| value.to_bits() == best.value.to_bits());
        if self.header.file.is_empty() || setup.file.is_empty() {
            return same_metric;
        }
        let then = Node::parse(&self.header.file, "the checkpoint's file").ok();
        let then = then.and_then(|file| TrainingConfig::read(&file, "the checkpoint's file").ok());
        let now = &setup.config.data;
        same_metric && then.is_some_and(|then| then.data.source == now.source && then.data.split == now.split)
    }

    /// A seed for a run that is forked from this checkpoint: it follows from the checkpoint's own seed and
    /// from where it stands.
    pub fn fork_seed(&self) -> u64 {
        luthier_core::trial_seed(self.header.seed ^ 0x666f_726b, self.header.at.step)
    }
}

/// The first line that is not in both files, but for those of these keys.
pub(super) fn difference(then: &str, now: &str, but: &[&str]) -> Option<String> {
    if then.is_empty() || now.is_empty() {
        return None;
    }
    let lines = |text: &str| -> Vec<String> {
        let counts = |line: &&str| {
            let key = line.trim_start().split(' ').next();
            !but.iter().any(|but| key == Some(*but))
        };
        text.lines().filter(counts).map(str::to_owned).collect()
    };
    let (then, now) = (lines(then), lines(now));
    let gone = then.iter().find(|line| !now.contains(line));
    let new = now.iter().find(|line| !then.contains(line));
    match (gone, new) {
        (None, None) => None,
        (Some(gone), Some(new)) => Some(format!("it says `{gone}`, and the file says `{new}`")),
        (Some(gone), None) => Some(format!("it says `{gone}`, and the file does not")),
        (None, Some(new)) => Some(format!("the file says `{new}`, and it does not")),
    }
}
