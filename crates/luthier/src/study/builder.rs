//! How a study in Rust begins.

use std::path::Path;
use std::sync::{Arc, Mutex};

use luthier_core::{
    Constraint, Criteria, Direction, Event, FailCause, Goal, MemoryStorage, Outcome, SessionRecord, Space,
    Storage, StudyDefinition, Trial as StoredTrial, TrialId,
};
use luthier_runner::{Ledger, Trials};
use luthier_search::{PrunerConfig, SamplerConfig};

use super::source::Source;
use super::{Study, StudyError};

/// How a study is to be. See [`Study::builder`].
#[derive(Debug, Clone)]
pub struct StudyBuilder {
    name: String,
    direction: Direction,
    further: Vec<Goal>,
    constraints: Vec<String>,
    space: Option<Space>,
    sampler: String,
    pruner: String,
    seed: u64,
    parallel: usize,
}

impl StudyBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            direction: Direction::Minimize,
            further: Vec::new(),
            constraints: Vec::new(),
            space: None,
            sampler: "auto".to_owned(),
            pruner: "median".to_owned(),
            seed: 0,
            parallel: 1,
        }
    }

    /// Makes large values good. Small ones are unless this is called.
    #[must_use]
    pub fn maximize(mut self) -> Self {
        self.direction = Direction::Maximize;
        self
    }

    /// A further objective: a metric that each trial [measures](super::Trial::measure). There is a
    /// [front](super::Study::front) of best trials then.
    #[must_use]
    pub fn also(mut self, metric: &str, direction: Direction) -> Self {
        self.further.push(Goal { name: metric.to_owned(), direction });
        self
    }

    /// What has to hold of metrics that each trial [measures](super::Trial::measure), such as `"megabytes <= 100"`: a trial that
    /// misses it cannot win, and its like is avoided. Where the study knows its [space](Self::space), also what has to hold of
    /// parameters, such as `"a < b"`: nothing else is tried.
    #[must_use]
    pub fn constraint(mut self, limit: &str) -> Self {
        self.constraints.push(limit.to_owned());
        self
    }

    /// All parameters, where they are known beforehand: a trial begins with them ([`Trial::params`](super::Trial::params)). So
    /// they may have conditions, constraints and roles: each combination of the values of scientific parameters has as many
    /// trials, and is [compared](luthier_search::compare) by the best of them.
    ///
    /// ```
    /// use luthier::Study;
    /// use luthier::core::{Distribution, Parameter, Space};
    ///
    /// let space = Space::new([
    ///     Parameter::new("a", Distribution::int(1, 4)),
    ///     Parameter::new("b", Distribution::int(1, 4)),
    /// ])?;
    /// let study = Study::builder("pairs").space(space).constraint("a < b").sampler("grid").in_memory()?;
    /// study.optimize(100, |trial| {
    ///     let params = trial.params();
    ///     Ok(params["a"].as_f64().unwrap_or(0.0) - params["b"].as_f64().unwrap_or(0.0))
    /// })?;
    /// assert_eq!(study.history().trials().len(), 6);
    /// assert_eq!(study.best().map(|best| best.value), Some(-3.0));
    /// # Ok::<(), luthier::BoxError>(())
    /// ```
    #[must_use]
    pub fn space(mut self, space: Space) -> Self {
        self.space = Some(space);
        self
    }

    /// What chooses parameters, as in a study file: the name of a [`SamplerConfig`], such as `auto` (unless set), or a table
    /// with settings, such as `{ kind = "tpe", candidates = 48 }`. `grid` has to know the [space](Self::space). Populations
    /// are not for code between `ask` and `tell`: they fork trials.
    #[must_use]
    pub fn sampler(mut self, sampler: &str) -> Self {
        sampler.clone_into(&mut self.sampler);
        self
    }

    /// What stops trials that cannot win, as in a study file: the name of a [`PrunerConfig`], such as `median`
    /// (unless set), or a table with settings, such as `{ kind = "asha_stop", factor = 4 }`. Those that let trials
    /// pause, such as `asha`, are not for code between `ask` and `tell`. With several objectives it compares what
    /// [`Trial::measure`](super::Trial::measure) was told before each report.
    #[must_use]
    pub fn pruner(mut self, pruner: &str) -> Self {
        pruner.clone_into(&mut self.pruner);
        self
    }

    /// What counts beside the first objective, and the space with the constraints on parameters.
    fn criteria(&self) -> Result<(Criteria, Option<Space>), StudyError> {
        let mut criteria = Criteria { objectives: self.further.clone(), constraints: Vec::new() };
        let mut space = self.space.clone();
        for text in &self.constraints {
            let wrong = |reason: String| StudyError::Constraint { constraint: text.clone(), reason };
            let constraint = Constraint::parse(text).map_err(|error| wrong(error.to_string()))?;
            let is_known = |name: &&str| self.space.as_ref().is_some_and(|space| space.get(name).is_some());
            let known = constraint.names().into_iter().filter(is_known).count();
            if let Some(before) = space.take_if(|_| known > 0 && known == constraint.names().len()) {
                let constraints = [before.constraints(), &[constraint]].concat();
                space = Some(before.with_constraints(constraints).map_err(|error| wrong(error.to_string()))?);
            } else if known > 0 {
                return Err(wrong("it is on parameters or on metrics, not on both".to_owned()));
            } else if constraint.is_limit() {
                criteria.constraints.push(constraint);
            } else {
                return Err(wrong("a constraint on metrics is `a <= b` or `a >= b`".to_owned()));
            }
        }
        Ok((criteria, space))
    }

    /// The seed of every draw; 0 unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Trials that [`Study::optimize`](super::Study::optimize) runs at once; 1 unless set. With more, the order in which trials
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
    /// If sampler or pruner cannot be had.
    pub fn in_memory(self) -> Result<Study, StudyError> {
        self.open(Arc::new(MemoryStorage::new()))
    }

    /// The study, kept in the SQLite file at `path`. If there is one of this name, it goes on: other processes may
    /// work on it at the same time, and trials of those that have ended in the midst of one have failed.
    ///
    /// # Errors
    ///
    /// If sampler or pruner cannot be had, or the file cannot be used.
    pub fn stored_in(self, path: impl AsRef<Path>) -> Result<Study, StudyError> {
        let storage = luthier_storage::SqliteStorage::open(path.as_ref())?;
        self.open(Arc::new(storage))
    }

    fn open(self, storage: Arc<dyn Storage>) -> Result<Study, StudyError> {
        let sampler = SamplerConfig::parse(&self.sampler).map_err(StudyError::Sampler)?;
        let (criteria, space) = self.criteria()?;
        let pruner = PrunerConfig::parse(&self.pruner).map_err(StudyError::Pruner)?;
        if !criteria.objectives.is_empty()
            && let Err(expected) = pruner.for_several_objectives()
        {
            return Err(StudyError::OneObjective { found: self.pruner, expected });
        }
        if pruner.pauses() {
            return Err(StudyError::Pauses { found: self.pruner });
        }
        let source = Source::new(&sampler, &pruner, space)?;
        let definition = StudyDefinition {
            name: self.name.clone(),
            objective: "value".to_owned(),
            direction: self.direction,
            criteria: criteria.clone(),
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
            Some(study) if study.definition.criteria != criteria => {
                return Err(StudyError::Criteria { name: self.name });
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
        Ok(Study { ledger: Mutex::new(ledger), source, parallel: self.parallel, queue: Mutex::default() })
    }
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
