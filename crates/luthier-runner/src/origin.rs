//! Checkpoints that forks begin with.
//!
//! Where the search forks trials, whatever pauses leaves its checkpoint under a name of its own ([`origin_name`]), so that
//! it is still there when the trial itself has gone on. It stays as long as the search says that it may be needed, and
//! as long as a trial that began with it has not ended. A trial that begins with a checkpoint waits until whoever
//! has the other trial in hand has laid it down. If that one has ended without writing it (a crash between its last report
//! and its checkpoint), or if it is gone, it is made again: the other trial is run once more up to that step, which
//! gives the same bits, and nothing of that is stored but the checkpoint.

use luthier_core::{
    Decision, Evaluation, History, Lineage, Metrics, Objective, ObjectiveError, Origin, Params, Stop,
    TrialHandle, TrialId,
};

/// The name under which the checkpoint of a trial at a step is kept.
pub fn origin_name(origin: Origin) -> String {
    format!("trial-{}-at-{}.checkpoint", origin.trial, origin.step)
}

/// The checkpoint that is kept under this name.
pub(crate) fn origin_of_name(name: &str) -> Option<Origin> {
    let (trial, step) = name.strip_prefix("trial-")?.strip_suffix(".checkpoint")?.split_once("-at-")?;
    Some(Origin { trial: TrialId(trial.parse().ok()?), step: step.parse().ok()? })
}

/// What came of making a checkpoint again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remade {
    /// Its bytes.
    Checkpoint(Vec<u8>),
    /// The work is to stop.
    SetAside,
    /// The trial comes to something else, in words.
    Not(String),
}

/// The checkpoint of a trial at a step: the one that is `kept`, or else made again by running the trial up to there.
///
/// # Errors
///
/// Those of the objective and of `kept`, and where there is no such trial.
pub fn checkpoint_at(
    objective: &dyn Objective,
    history: &History,
    origin: Origin,
    kept: &dyn Fn(Origin) -> Result<Option<Vec<u8>>, ObjectiveError>,
    stop: &(dyn Fn() -> Option<Stop> + Sync),
) -> Result<Remade, ObjectiveError> {
    if let Some(bytes) = kept(origin)? {
        return Ok(Remade::Checkpoint(bytes));
    }
    let trial = history
        .trial(origin.trial)
        .ok_or_else(|| ObjectiveError::from(format!("there is no trial {}", origin.trial)))?;
    if trial.imported.is_some() {
        return Ok(Remade::Not(format!("trial {} was imported, and cannot be run again", trial.id)));
    }
    let inherited = match &trial.from {
        None => None,
        Some(from) => match checkpoint_at(objective, history, from.origin, kept, stop)? {
            Remade::Checkpoint(bytes) => Some(bytes),
            other => return Ok(other),
        },
    };
    let mut again = Again {
        id: trial.id,
        params: &trial.params,
        seed: trial.seed,
        until: origin.step,
        lineage: trial.from.as_ref(),
        inherited,
        stop,
        step: 0,
        checkpoint: None,
    };
    let evaluation = objective.evaluate(&mut again)?;
    let Again { step, checkpoint, .. } = again;
    if let Some(bytes) = checkpoint.filter(|_| step == origin.step) {
        return Ok(Remade::Checkpoint(bytes));
    }
    Ok(match evaluation {
        Evaluation::Paused if stop().is_some() => Remade::SetAside,
        Evaluation::Failed(cause) => Remade::Not(format!("trial {}, run again, fails: {cause}", trial.id)),
        Evaluation::Infeasible(reason) => {
            Remade::Not(format!("trial {}, run again, fails: {reason}", trial.id))
        }
        Evaluation::Paused | Evaluation::Complete { .. } | Evaluation::Stopped(_) => {
            Remade::Not(format!("trial {}, run again, left no checkpoint at step {}", trial.id, origin.step))
        }
    })
}

/// A trial that is run again for its checkpoint. Nothing that it says counts.
struct Again<'a> {
    id: TrialId,
    params: &'a Params,
    seed: u64,
    until: u64,
    lineage: Option<&'a Lineage>,
    inherited: Option<Vec<u8>>,
    stop: &'a (dyn Fn() -> Option<Stop> + Sync),
    /// The last step that it reported.
    step: u64,
    checkpoint: Option<Vec<u8>>,
}

impl TrialHandle for Again<'_> {
    fn id(&self) -> TrialId {
        self.id
    }

    fn params(&self) -> &Params {
        self.params
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn until(&self) -> Option<u64> {
        Some(self.until)
    }

    fn report(&mut self, step: u64, _: f64, _: Metrics) -> Result<Decision, ObjectiveError> {
        self.step = step;
        Ok(Decision::Continue)
    }

    fn interrupted(&self) -> Option<Stop> {
        (self.stop)()
    }

    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError> {
        Ok(None)
    }

    fn lineage(&self) -> Option<&Lineage> {
        self.lineage
    }

    fn inherited(&mut self) -> Result<Vec<u8>, ObjectiveError> {
        self.inherited.clone().ok_or_else(|| format!("trial {} goes on from no other trial", self.id).into())
    }

    fn wants_checkpoint(&self) -> bool {
        // Also where that is the end of the trial.
        self.step >= self.until
    }

    fn save_checkpoint(&mut self, checkpoint: Vec<u8>) -> Result<(), ObjectiveError> {
        self.checkpoint = Some(checkpoint);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_name() {
        let origin = Origin { trial: TrialId(12), step: 340 };
        assert_eq!(origin_of_name(&origin_name(origin)), Some(origin));
        for other in
            ["trial-3.checkpoint", "trial-3.safetensors", "trial-x-at-3.checkpoint", "trial-3-at-.checkpoint"]
        {
            assert_eq!(origin_of_name(other), None, "{other}");
        }
    }
}
