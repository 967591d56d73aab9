//! Studies from Rust: ask and tell, and a loop over a closure.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use luthier_core::{
    Decision, Direction, Distribution, Ending, Event, FailCause, History, MemoryStorage, Metrics, Outcome,
    Parameter, Params, Purpose, Report, SamplerAndPruner, Search, StopReason, Storage, Streams,
    StudyDefinition, TrialId, Value,
};
use luthier_runner::{Ledger, LedgerError};
use thiserror::Error;

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
    /// A range that cannot be used, or that is not the one of before.
    #[error("parameter `{name}`: {reason}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong.
        reason: String,
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

    /// The study, kept in the SQLite file at `path`. If there is one of this name, it goes on.
    ///
    /// # Errors
    ///
    /// If sampler or pruner are unknown, the file cannot be used, or another process works on the study.
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
            Some(study) => study,
        };
        Ok(Study {
            ledger: Mutex::new(Ledger::open(storage, study)?),
            search: Box::new(SamplerAndPruner::new(sampler, pruner)),
            parallel: self.parallel,
        })
    }
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
    /// A study of this name: minimising, with TPE and median pruning, until told otherwise.
    pub fn builder(name: &str) -> StudyBuilder {
        StudyBuilder {
            name: name.to_owned(),
            direction: Direction::Minimize,
            sampler: "tpe".to_owned(),
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
        let id = self.ledger().start(Params::new(), None)?;
        Ok(Trial { study: self, id, stopped: None })
    }

    /// Ends a trial with its value. One that was told to stop counts as stopped, whatever its value.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn tell(&self, trial: Trial<'_>, value: f64) -> Result<(), StudyError> {
        let outcome = match trial.stopped {
            Some(reason) => Outcome::Stopped { reason, value: Some(value).filter(|value| value.is_finite()) },
            None if value.is_finite() => Outcome::Complete { value, step: None, ending: Ending::Full },
            None => Outcome::Failed { cause: FailCause::NotFinite },
        };
        self.finish(trial.id, outcome)
    }

    /// Ends a trial that has no value.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    #[allow(clippy::needless_pass_by_value, reason = "a trial that has ended cannot be used again")]
    pub fn tell_failed(&self, trial: Trial<'_>, message: impl Into<String>) -> Result<(), StudyError> {
        let cause = FailCause::Error { message: message.into() };
        self.finish(trial.id, Outcome::Failed { cause })
    }

    fn finish(&self, trial: TrialId, outcome: Outcome) -> Result<(), StudyError> {
        Ok(self.ledger().append(Event::TrialFinished { trial, outcome, seconds: 0.0 })?)
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

/// A running trial of a [`Study`].
pub struct Trial<'s> {
    study: &'s Study,
    id: TrialId,
    stopped: Option<StopReason>,
}

impl Trial<'_> {
    /// Its number.
    pub fn id(&self) -> TrialId {
        self.id
    }

    /// A number from a range: `trial.suggest_float("lr", 1e-5..=1e-1).log().get()?`.
    pub fn suggest_float(&mut self, name: &str, range: std::ops::RangeInclusive<f64>) -> Suggest<'_, f64> {
        self.suggest(name, Distribution::float(*range.start(), *range.end()))
    }

    /// A whole number from a range.
    pub fn suggest_int(&mut self, name: &str, range: std::ops::RangeInclusive<i64>) -> Suggest<'_, i64> {
        self.suggest(name, Distribution::int(*range.start(), *range.end()))
    }

    /// One of several options.
    ///
    /// # Errors
    ///
    /// As [`Suggest::get`].
    pub fn suggest_choice<V: Into<Value> + Clone>(
        &mut self,
        name: &str,
        options: &[V],
    ) -> Result<V, StudyError> {
        let values: Vec<Value> = options.iter().cloned().map(Into::into).collect();
        let chosen = self.value(name, &Distribution::Choice { options: values.clone() })?;
        let index = values.iter().position(|value| *value == chosen);
        index.map(|index| options[index].clone()).ok_or_else(|| StudyError::Parameter {
            name: name.to_owned(),
            reason: "it is not one of the options".to_owned(),
        })
    }

    fn suggest<T>(&mut self, name: &str, distribution: Distribution) -> Suggest<'_, T> {
        Suggest {
            study: self.study,
            id: self.id,
            name: name.to_owned(),
            distribution,
            value: std::marker::PhantomData,
        }
    }

    fn value(&self, name: &str, distribution: &Distribution) -> Result<Value, StudyError> {
        suggest_value(self.study, self.id, name, distribution)
    }

    /// Tells how the trial stands after `step` (from 1, rising), and hears whether to go on.
    ///
    /// # Errors
    ///
    /// If it cannot be stored, or steps do not rise.
    pub fn report(&mut self, step: u64, value: f64) -> Result<Decision, StudyError> {
        let mut ledger = self.study.ledger();
        let report = Report { step, value, metrics: Metrics::default() };
        ledger.append(Event::Reported { trial: self.id, report })?;
        let view = ledger.history().view();
        let Some(trial) = view.get_unfinished(self.id) else { return Ok(Decision::Continue) };
        let mut rng =
            Streams::new(ledger.study().definition.seed).at(Purpose::Pruner, (self.id.0 << 32) | step);
        let decision = self.study.search.decide(&view, &trial, &mut rng);
        if let Decision::Stop(reason) = &decision {
            self.stopped = Some(reason.clone());
        }
        Ok(decision)
    }
}

fn suggest_value(
    study: &Study,
    id: TrialId,
    name: &str,
    distribution: &Distribution,
) -> Result<Value, StudyError> {
    let mut ledger = study.ledger();
    let wrong = |reason: String| StudyError::Parameter { name: name.to_owned(), reason };
    if let Some(trial) = ledger.history().trial(id)
        && let (Some(value), Some(before)) = (trial.params.get(name), trial.suggested.get(name))
    {
        // Asked for twice: the same answer, as long as it is the same question.
        if before == distribution {
            return Ok(value.clone());
        }
        return Err(wrong(format!("it was asked for with the range {before}, and now with {distribution}")));
    }
    distribution.check().map_err(|error| wrong(error.to_string()))?;
    let parameter = Parameter::new(name, distribution.clone());
    let seed = ledger.study().definition.seed;
    // A stream of its own for each parameter of each trial.
    let place = u64::from_str_radix(&luthier_core::fingerprint(name.as_bytes()), 16).unwrap_or(0);
    let mut rng = Streams::new(seed ^ place).at(Purpose::Sampler, id.0);
    let value = study.search.suggest(&ledger.history().view(), &parameter, &mut rng)?;
    ledger.append(Event::ParamSuggested {
        trial: id,
        name: name.to_owned(),
        distribution: distribution.clone(),
        value: value.clone(),
    })?;
    Ok(value)
}

/// A parameter that is about to be chosen. [`Suggest::get`] chooses it.
#[must_use = "a parameter is chosen by `get`"]
pub struct Suggest<'t, T> {
    study: &'t Study,
    id: TrialId,
    name: String,
    distribution: Distribution,
    value: std::marker::PhantomData<T>,
}

impl<T> Suggest<'_, T> {
    /// Even on the logarithmic scale.
    pub fn log(mut self) -> Self {
        match &mut self.distribution {
            Distribution::Float { log, .. } | Distribution::Int { log, .. } => *log = true,
            Distribution::Choice { .. } => {}
        }
        self
    }

    fn choose(&self) -> Result<Value, StudyError> {
        suggest_value(self.study, self.id, &self.name, &self.distribution)
    }

    fn wrong(&self, value: &Value) -> StudyError {
        StudyError::Parameter {
            name: self.name.clone(),
            reason: format!("the search gave {value}, which is of another kind"),
        }
    }
}

impl Suggest<'_, f64> {
    /// Only the low end and so many steps above it.
    pub fn step(mut self, by: f64) -> Self {
        if let Distribution::Float { step, .. } = &mut self.distribution {
            *step = Some(by);
        }
        self
    }

    /// Chooses the value.
    ///
    /// # Errors
    ///
    /// If the range cannot be used, is not the one of an earlier question in this trial, or the choice
    /// cannot be stored.
    pub fn get(self) -> Result<f64, StudyError> {
        let value = self.choose()?;
        value.as_f64().ok_or_else(|| self.wrong(&value))
    }
}

impl Suggest<'_, i64> {
    /// Only the low end and so many steps above it.
    pub fn step(mut self, by: i64) -> Self {
        if let Distribution::Int { step, .. } = &mut self.distribution {
            *step = by;
        }
        self
    }

    /// Chooses the value.
    ///
    /// # Errors
    ///
    /// As for numbers.
    pub fn get(self) -> Result<i64, StudyError> {
        let value = self.choose()?;
        value.as_i64().ok_or_else(|| self.wrong(&value))
    }
}
