//! Rust code as an objective.

use luthier_core::{
    Abilities, Decision, Ending, Evaluation, FailCause, Metrics, Objective, ObjectiveError, Params,
    StopReason, TrialHandle, TrialId,
};

/// The error of a closure: anything that is one.
pub type ClosureError = Box<dyn std::error::Error + Send + Sync>;

/// An objective that is a closure: it gets the parameters, may report, and returns the value.
///
/// It cannot pause. Where the search sets a step at which trials pause, the closure runs ahead of it, and what it has
/// reported counts when the search lets the trial go on; one that was set aside by Ctrl-C or the time begins anew.
///
/// ```
/// use luthier_core::Objective;
/// use luthier_runner::Closure;
///
/// let objective = Closure::new(|run| {
///     let x = run.params()["x"].as_f64().unwrap_or(0.0);
///     for step in 1..=10 {
///         run.report(step, x + 1.0 / step as f64)?;
///     }
///     Ok(x)
/// });
/// assert!(!objective.abilities().pauses);
/// ```
pub struct Closure<F>(F);

impl<F: Fn(&mut Run<'_>) -> Result<f64, ClosureError> + Send + Sync> Closure<F> {
    /// The objective that calls `closure` once for each trial.
    pub fn new(closure: F) -> Self {
        Self(closure)
    }
}

/// A trial, as the closure sees it.
pub struct Run<'t> {
    trial: &'t mut dyn TrialHandle,
    last: Option<u64>,
    end: Option<End>,
}

/// Why it is to end before its time.
enum End {
    Stopped(StopReason),
    SetAside,
    Broken(ObjectiveError),
}

/// What [`Run::report`] returns when the trial is to end; the closure passes it on.
#[derive(Debug, thiserror::Error)]
#[error("the trial is to end here")]
pub struct EndHere;

impl Run<'_> {
    /// The number of the trial.
    pub fn id(&self) -> TrialId {
        self.trial.id()
    }

    /// Its parameters.
    pub fn params(&self) -> &Params {
        self.trial.params()
    }

    /// The seed of its random streams.
    pub fn seed(&self) -> u64 {
        self.trial.seed()
    }

    /// Tells how the trial stands after `step` (from 1, rising).
    ///
    /// # Errors
    ///
    /// If the trial is to end here. The closure passes the error on.
    pub fn report(&mut self, step: u64, value: f64) -> Result<(), EndHere> {
        self.last = Some(step);
        self.end = match self.trial.report(step, value, Metrics::default()) {
            Ok(Decision::Stop(reason)) => Some(End::Stopped(reason)),
            Ok(Decision::Continue) => self.trial.interrupted().map(|_| End::SetAside),
            Err(error) => Some(End::Broken(error)),
        };
        if self.end.is_some() { Err(EndHere) } else { Ok(()) }
    }
}

impl<F: Fn(&mut Run<'_>) -> Result<f64, ClosureError> + Send + Sync> Objective for Closure<F> {
    fn abilities(&self) -> Abilities {
        Abilities { reports: true, pauses: false, forks: false }
    }

    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        let mut run = Run { trial, last: None, end: None };
        let result = (self.0)(&mut run);
        Ok(match (run.end, result) {
            (Some(End::Broken(error)), _) => return Err(error),
            (Some(End::Stopped(reason)), _) => Evaluation::Stopped(reason),
            (Some(End::SetAside), _) => Evaluation::Paused,
            (None, Ok(value)) => {
                Evaluation::Complete { value, step: run.last, ending: Ending::Full, model: None }
            }
            (None, Err(error)) => Evaluation::Failed(FailCause::Error { message: error.to_string() }),
        })
    }
}
