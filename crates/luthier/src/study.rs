//! Studies from Rust: ask and tell, and a loop over a closure.

mod trial;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use luthier_core::{
    Direction, Ending, Event, FailCause, History, MemoryStorage, Outcome, Params, SamplerAndPruner, Search,
    SessionRecord, Storage, StudyDefinition, Trial as StoredTrial, TrialId,
};
use luthier_runner::{Ledger, LedgerError, Trials};
use thiserror::Error;

pub use trial::{Suggest, Trial};

/// The error of an objective: anything that is one.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a study cannot go on.
#[derive(Debug, Error)]
pub enum StudyError {
    /// There is no sampler or pruner of that name.
    #[error("there is no {what} {name:?}; there is {known}")]
    Unknown {
        /// `sampler` or `pruner`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
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

/// How a study is to be. See [`Study::builder`].
#[derive(Debug, Clone)]
pub struct StudyBuilder {
    name: String,
    direction: Direction,
    sampler: String,
    pruner: String,
    seed: u64,
    parallel: usize,
}

impl StudyBuilder {
    /// Makes large values good. Small ones are unless this is called.
    #[must_use]
    pub fn maximize(mut self) -> Self {
        self.direction = Direction::Maximize;
        self
    }

    /// What chooses parameters: `tpe` (unless set) or `random`.
    #[must_use]
    pub fn sampler(mut self, name: &str) -> Self {
        name.clone_into(&mut self.sampler);
        self
    }

    /// What stops trials that cannot win: `median` (unless set) or `none`.
    #[must_use]
    pub fn pruner(mut self, name: &str) -> Self {
        name.clone_into(&mut self.pruner);
        self
    }

    /// The seed of every draw; 0 unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Trials that [`Study::optimize`] runs at once; 1 unless set. With more, the order in which trials
    /// end decides what the sampler sees.
    #[must_use]
    pub fn parallel(mut self, trials: usize) -> Self {
        self.parallel = trials.max(1);
        self
    }

    /// The study, kept in memory.
    ///
    /// # Errors
    ///
    /// If sampler or pruner are unknown.
    pub fn in_memory(self) -> Result<Study, StudyError> {
        self.open(Arc::new(MemoryStorage::new()))
    }

    /// The study, kept in the SQLite file at `path`. If there is one of this name, it goes on: other processes may
    /// work on it at the same time, and trials of those that have ended in the midst of one have failed.
    ///
    /// # Errors
    ///
    /// If sampler or pruner are unknown, or the file cannot be used.
    pub fn stored_in(self, path: impl AsRef<Path>) -> Result<Study, StudyError> {
        let storage = luthier_storage::SqliteStorage::open(path.as_ref())?;
        self.open(Arc::new(storage))
    }

    fn open(self, storage: Arc<dyn Storage>) -> Result<Study, StudyError> {
        let unknown = |what, name: &str, known: Vec<&str>| StudyError::Unknown {
            what,
            name: name.to_owned(),
            known: known.join(", "),
        };
        let sampler = luthier_search::sampler(&self.sampler).ok_or_else(|| {
            unknown(
                "sampler",
                &self.sampler,
                luthier_search::SAMPLERS.iter().map(|entry| entry.name).collect(),
            )
        })?;
        let pruner = luthier_search::pruner(&self.pruner).ok_or_else(|| {
            unknown("pruner", &self.pruner, luthier_search::PRUNERS.iter().map(|entry| entry.name).collect())
        })?;
        let definition = StudyDefinition {
            name: self.name.clone(),
            objective: "value".to_owned(),
            direction: self.direction,
            seed: self.seed,
            slots: None,
            steps: None,
            file: None,
            data: None,
            program: crate::PROGRAM.to_owned(),
        };
        let study = match storage.study(&self.name)? {
            None => storage.create_study(&definition)?,
            Some(study) if study.definition.direction != self.direction => {
                return Err(StudyError::Direction {
                    name: self.name,
                    stored: study.definition.direction,
                    now: self.direction,
                });
            }
            Some(study) if study.definition.slots.is_some() => {
                return Err(StudyError::Ordered { name: self.name });
            }
            Some(study) => study,
        };
        let mut ledger = Ledger::open(storage, study)?;
        let record = SessionRecord {
            program: crate::PROGRAM.to_owned(),
            worker: Some(crate::this_process()),
            file: None,
            data: None,
            class: None,
        };
        ledger.begin(&record, Trials::Unlimited)?;
        end_abandoned(&mut ledger)?;
        Ok(Study {
            ledger: Mutex::new(ledger),
            search: Box::new(SamplerAndPruner::new(sampler, pruner)),
            parallel: self.parallel,
        })
    }
}

/// Stores what a trial has said.
fn tell(ledger: &mut Ledger, trial: TrialId, event: &Event) -> Result<(), StudyError> {
    ledger.turn(|ledger| {
        let told = ledger.tell(event.clone())?;
        if told { Ok(()) } else { Err(StudyError::Lost { trial }) }
    })
}

/// Trials of processes that have ended in the midst of one have failed: nobody else can go on with them.
fn end_abandoned(ledger: &mut Ledger) -> Result<(), StudyError> {
    let living = ledger.storage().living(ledger.study().id)?;
    ledger.turn(|ledger| {
        let abandoned = |trial: &&StoredTrial| trial.holder.is_some_and(|holder| !living.contains(&holder));
        let trials: Vec<TrialId> = ledger.history().open().filter(abandoned).map(|trial| trial.id).collect();
        for trial in trials {
            ledger.take(trial)?;
            let cause = FailCause::Error { message: "its process ended before it did".to_owned() };
            ledger.tell(Event::TrialFinished { trial, outcome: Outcome::Failed { cause }, seconds: 0.0 })?;
        }
        Ok(())
    })
}

/// A study whose objective is Rust code. Its parameters are those that the trials ask for.
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
    search: Box<dyn Search>,
    parallel: usize,
}

/// The best trial of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Its number.
    pub trial: TrialId,
    /// Its value.
    pub value: f64,
    /// Its parameters.
    pub params: Params,
}

impl Study {
    /// A study of this name: minimising, with the sampler `auto` and median pruning, until told otherwise.
    pub fn builder(name: &str) -> StudyBuilder {
        StudyBuilder {
            name: name.to_owned(),
            direction: Direction::Minimize,
            sampler: "auto".to_owned(),
            pruner: "median".to_owned(),
            seed: 0,
            parallel: 1,
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Nothing of the user's runs under the lock, so a panic cannot have left it half changed.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a trial.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn ask(&self) -> Result<Trial<'_>, StudyError> {
        let id = self.ledger().turn(|ledger| {
            let id = ledger.start(Params::new(), None, None)?;
            ledger.take(id)?;
            Ok::<_, StudyError>(id)
        })?;
        Ok(Trial::new(self, id))
    }

    /// Ends a trial with its value. One that was told to stop counts as stopped, whatever its value.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn tell(&self, trial: Trial<'_>, value: f64) -> Result<(), StudyError> {
        let (trial, seconds, stopped) = trial.end();
        let outcome = match stopped {
            Some(reason) => Outcome::Stopped { reason, value: Some(value).filter(|value| value.is_finite()) },
            None if value.is_finite() => Outcome::Complete { value, step: None, ending: Ending::Full },
            None => Outcome::Failed { cause: FailCause::NotFinite },
        };
        self.finish(trial, outcome, seconds)
    }

    /// Ends a trial that has no value.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn tell_failed(&self, trial: Trial<'_>, message: impl Into<String>) -> Result<(), StudyError> {
        let cause = FailCause::Error { message: message.into() };
        let (trial, seconds, _) = trial.end();
        self.finish(trial, Outcome::Failed { cause }, seconds)
    }

    fn finish(&self, trial: TrialId, outcome: Outcome, seconds: f64) -> Result<(), StudyError> {
        tell(&mut self.ledger(), trial, &Event::TrialFinished { trial, outcome, seconds })
    }

    /// Runs `trials` more trials of `objective`. An error of the objective fails its trial, not the study.
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
                let mut trial = self.ask()?;
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

    /// The best trial so far.
    pub fn best(&self) -> Option<Best> {
        let ledger = self.ledger();
        let best = ledger.history().best()?;
        let value = best.outcome.as_ref()?.value()?;
        Some(Best { trial: best.id, value, params: best.params.clone() })
    }

    /// All that has happened.
    pub fn history(&self) -> History {
        self.ledger().history().clone()
    }
}
