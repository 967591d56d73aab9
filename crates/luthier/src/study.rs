//! Studies from Rust: ask and tell, and a loop over a closure.

mod builder;
mod guidance;
mod source;
mod trial;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use luthier_core::config::Problems;
use luthier_core::{
    Direction, Ending, Event, FailCause, History, Outcome, Params, Purpose, Report, Rng, Streams,
    Trial as StoredTrial, TrialId,
};
use luthier_runner::{Ledger, LedgerError};
use thiserror::Error;

pub use builder::StudyBuilder;
use source::Source;
use trial::Start;
pub use trial::{Suggest, Trial};

/// The error of an objective: anything that is one.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a study cannot go on.
#[derive(Debug, Error)]
pub enum StudyError {
    /// There is no such sampler, or a setting of it is wrong.
    #[error("the sampler cannot be read: {0}")]
    Sampler(Problems),
    /// There is no such pruner, or a setting of it is wrong.
    #[error("the pruner cannot be read: {0}")]
    Pruner(Problems),
    /// A population pauses trials and forks them.
    #[error(
        "the sampler {name:?} pauses trials and forks them, which code between `ask` and `tell` cannot; take a study file, \
         or `luthier::runner::Session` with an objective that can"
    )]
    Population {
        /// The sampler.
        name: String,
    },
    /// A grid has to know its ends.
    #[error(
        "the sampler \"grid\" counts the values of all parameters before the first trial, and here trials ask for them one by \
         one; give them to `StudyBuilder::space`, or take \"sobol\", which fills a space evenly"
    )]
    Grid,
    /// All that the sampler has to propose has been tried, or is being tried.
    #[error("everything has been tried: the sampler has no further configuration")]
    Exhausted,
    /// The storage.
    #[error(transparent)]
    Storage(#[from] luthier_core::StorageError),
    /// The study's history.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The search.
    #[error(transparent)]
    Search(#[from] luthier_core::SearchError),
    /// Another process ended the trial: this one was not heard of for too long.
    #[error("trial {trial} was ended by another process, which had not heard of this one for too long")]
    Lost {
        /// The trial.
        trial: TrialId,
    },
    /// There is no objective of that name.
    #[error("there is no objective {name:?}; expected {known}")]
    Objective {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// Nothing can be said of importance.
    #[error(transparent)]
    Importance(#[from] luthier_search::importance::ImportanceError),
    /// A range that cannot be used, or that is not the one of before.
    #[error("parameter `{name}`: {reason}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The stored study goes by a logical clock.
    #[error(
        "the stored study `{name}` was made by a study file and goes on by it; give this one another name"
    )]
    Ordered {
        /// The study.
        name: String,
    },
    /// A constraint that is none.
    #[error("the constraint `{constraint}`: {reason}")]
    Constraint {
        /// As it was written.
        constraint: String,
        /// What is wrong.
        reason: String,
    },
    /// A pruner that lets trials pause.
    #[error(
        "the pruner `{found}` lets trials pause and go on later, which code between `ask` and `tell` cannot; take \"asha_stop\" or \
         \"median\""
    )]
    Pauses {
        /// The pruner.
        found: String,
    },
    /// A pruner that looks at one value, where there are several objectives.
    #[error("several objectives: expected {expected}, found `{found}`")]
    OneObjective {
        /// The pruner.
        found: String,
        /// Which pruners can be had.
        expected: &'static str,
    },
    /// The stored study has other objectives or constraints.
    #[error(
        "the stored study `{name}` has other objectives or constraints than this one; give it another name"
    )]
    Criteria {
        /// The study.
        name: String,
    },
    /// The stored study is another one.
    #[error("the stored study `{name}` is to {stored}, this one to {now}; give it another name")]
    Direction {
        /// The study.
        name: String,
        /// The stored direction.
        stored: Direction,
        /// The direction asked for.
        now: Direction,
    },
}

/// Stores what a trial has said.
fn tell(ledger: &mut Ledger, trial: TrialId, event: &Event) -> Result<(), StudyError> {
    ledger.turn(|ledger| {
        let told = ledger.tell(event.clone())?;
        if told { Ok(()) } else { Err(StudyError::Lost { trial }) }
    })
}

/// The stream that a trial's parameters are drawn from.
fn draws(ledger: &Ledger, trial: TrialId) -> Rng {
    Streams::new(ledger.study().definition.seed).at(Purpose::Sampler, trial.0)
}

/// A study whose objective is Rust code. Its parameters are those that the trials ask for, with the ranges that they name.
///
/// **All parameters are searched together**, as in a study file, although each is asked for by itself. When a trial begins,
/// the sampler proposes a whole configuration, over all parameters that trials have asked for so far; each
/// [`suggest`](Trial::suggest_float) takes its value from there. So the order of the questions and what else is asked for make
/// no difference to what the sampler learns, and a proposal is made once a trial, however many parameters there are. A
/// parameter that is new, or has another range than last time, gets a value of its own, chosen by what is known of the trials
/// before. The proposal is stored with the study: it does not change while the trial runs, and trials that begin meanwhile know
/// of it.
///
/// **A parameter may be asked for by some trials only** (`momentum` where the optimizer is `sgd`). Where the value of another
/// parameter, a choice or a whole number, tells who asks, that is found out, and it is searched as a conditional parameter of a
/// study file is. Ranges may change from trial to trial, but values outside the last range teach nothing of that parameter,
/// and a range that changes every time (`0..=n`, where `n` was chosen before) is searched by itself: a fixed range, of which
/// the objective takes a part, is better.
///
/// Where all parameters are known beforehand, [`StudyBuilder::space`] takes them, with conditions, constraints and roles.
///
/// ```
/// use luthier::Study;
///
/// let study = Study::builder("parabola").seed(1).in_memory()?;
/// study.optimize(30, |trial| {
///     let x = trial.suggest_float("x", -10.0..=10.0).get()?;
///     Ok((x - 2.0).powi(2))
/// })?;
/// let best = study.best().expect("30 trials have a best");
/// assert!(best.value < 1.0);
/// # Ok::<(), luthier::StudyError>(())
/// ```
pub struct Study {
    ledger: Mutex<Ledger>,
    source: Source,
    parallel: usize,
    /// Configurations that trials to come begin with.
    queue: Mutex<VecDeque<Start>>,
}

/// The best trial of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Its number.
    pub trial: TrialId,
    /// Its value.
    pub value: f64,
    /// The values of all objectives, that of the first included.
    pub values: Vec<f64>,
    /// Its parameters.
    pub params: Params,
}

impl Study {
    /// A study of this name: minimising, with the sampler `auto` and median pruning, until told otherwise.
    pub fn builder(name: &str) -> StudyBuilder {
        StudyBuilder::new(name)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Nothing of the user's runs under the lock, so a panic cannot have left it half changed.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a trial.
    ///
    /// # Errors
    ///
    /// If it cannot be stored, or a sampler that comes to an end ([`StudyError::Exhausted`]) has nothing left to try.
    pub fn ask(&self) -> Result<Trial<'_>, StudyError> {
        let start = self.queue().pop_front();
        let (id, proposal) = self.ledger().turn(|ledger| {
            let history = ledger.history();
            let mut rng = draws(ledger, TrialId(history.trials().len() as u64));
            let (params, proposal) = self.source.begin(&history.view(), start.as_ref(), &mut rng)?;
            let id = ledger.start(params, None, None, None)?;
            ledger.take(id)?;
            if !proposal.params().is_empty() {
                // So that those who begin a trial meanwhile know where this one is going.
                ledger.add(Event::ParamsProposed { trial: id, params: proposal.params().clone() })?;
            }
            Ok::<_, StudyError>((id, proposal))
        })?;
        Ok(Trial::new(self, id, proposal, start.filter(|_| self.source.asks()).unwrap_or_default()))
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Start>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a trial with its value. One that was told to stop counts as stopped, whatever its value.
    ///
    /// # Errors
    ///
    /// If it cannot be stored, and, although it is stored, if the trial never asked for a parameter that was enqueued.
    pub fn tell(&self, trial: Trial<'_>, value: f64) -> Result<(), StudyError> {
        let unasked = trial.unasked();
        let (trial, seconds, stopped, metrics) = trial.end();
        let finite = value.is_finite();
        let mut ledger = self.ledger();
        let missing = ledger
            .history()
            .criteria()
            .metrics()
            .into_iter()
            .find(|name| finite && stopped.is_none() && !metrics.get(name).is_some_and(f64::is_finite));
        let outcome = match (stopped, missing) {
            (Some(reason), _) => Outcome::Stopped { reason, value: Some(value).filter(|_| finite) },
            (None, Some(name)) => {
                let message =
                    format!("the trial measured no finite value of `{name}`, which the study needs");
                Outcome::Failed { cause: FailCause::Error { message } }
            }
            (None, None) if finite => Outcome::Complete { value, step: None, ending: Ending::Full },
            (None, None) => Outcome::Failed { cause: FailCause::NotFinite },
        };
        if !metrics.is_empty() {
            let last = ledger.history().trial(trial).and_then(StoredTrial::last_report);
            let step = 1 + last.map_or(0, |last| last.step);
            let report = Report { step, value, metrics };
            tell(&mut ledger, trial, &Event::Reported { trial, report })?;
        }
        tell(&mut ledger, trial, &Event::TrialFinished { trial, outcome, seconds })?;
        unasked.map_or(Ok(()), Err)
    }

    /// Ends a trial that has no value.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn tell_failed(&self, trial: Trial<'_>, message: impl Into<String>) -> Result<(), StudyError> {
        let cause = FailCause::Error { message: message.into() };
        let (trial, seconds, ..) = trial.end();
        self.finish(trial, Outcome::Failed { cause }, seconds)
    }

    fn finish(&self, trial: TrialId, outcome: Outcome, seconds: f64) -> Result<(), StudyError> {
        tell(&mut self.ledger(), trial, &Event::TrialFinished { trial, outcome, seconds })
    }

    /// Runs `trials` more trials of `objective`, or as many as the sampler has configurations. An error of the objective fails
    /// its trial, not the study.
    ///
    /// # Errors
    ///
    /// If the study cannot go on.
    pub fn optimize(
        &self,
        trials: usize,
        objective: impl Fn(&mut Trial<'_>) -> Result<f64, BoxError> + Sync,
    ) -> Result<(), StudyError> {
        let left = Mutex::new(trials);
        let work = || -> Result<(), StudyError> {
            loop {
                {
                    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                    if *left == 0 {
                        return Ok(());
                    }
                    *left -= 1;
                }
                let mut trial = match self.ask() {
                    Err(StudyError::Exhausted) => return Ok(()),
                    asked => asked?,
                };
                match objective(&mut trial) {
                    Ok(value) => self.tell(trial, value)?,
                    Err(error) => self.tell_failed(trial, error.to_string())?,
                }
            }
        };
        if self.parallel == 1 {
            return work();
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.parallel).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// The best trial so far, that is of several objectives the best by the first one.
    pub fn best(&self) -> Option<Best> {
        let ledger = self.ledger();
        let best = ledger.history().best()?;
        winner(ledger.history(), best)
    }

    /// The best trials so far, by number: with several objectives the Pareto front, those that no other one is better
    /// than; else the best one alone.
    ///
    /// ```
    /// use luthier::{Direction, Study};
    ///
    /// let study = Study::builder("two").also("cost", Direction::Minimize).constraint("cost <= 3").in_memory()?;
    /// study.optimize(40, |trial| {
    ///     let x = trial.suggest_float("x", 0.0..=4.0).get()?;
    ///     trial.measure("cost", x);
    ///     Ok((x - 2.0).powi(2))
    /// })?;
    /// let front = study.front();
    /// assert!(front.len() > 2 && front.iter().all(|best| best.values[1] <= 3.0));
    /// # Ok::<(), luthier::StudyError>(())
    /// ```
    pub fn front(&self) -> Vec<Best> {
        let ledger = self.ledger();
        let history = ledger.history();
        history.winners().iter().filter_map(|id| winner(history, history.trial(*id)?)).collect()
    }

    /// All that has happened.
    pub fn history(&self) -> History {
        self.ledger().history().clone()
    }
}

fn winner(history: &History, trial: &StoredTrial) -> Option<Best> {
    let values = history.values(trial)?;
    Some(Best { trial: trial.id, value: values[0], values, params: trial.params.clone() })
}
