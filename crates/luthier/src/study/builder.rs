//! How a study in Rust begins.

use std::path::Path;
use std::sync::{Arc, Mutex};

use luthier_core::{
    Constraint, Criteria, Direction, Event, FailCause, Goal, MemoryStorage, Outcome, SessionRecord, Storage,
    StudyDefinition, Trial as StoredTrial, TrialId,
};
use luthier_runner::{Ledger, Trials};
use luthier_search::{PrunerConfig, SamplerConfig};

use super::{Study, StudyError};

/// How a study is to be. See [`Study::builder`].
#[derive(Debug, Clone)]
pub struct StudyBuilder {
    name: String,
    direction: Direction,
    further: Vec<Goal>,
    constraints: Vec<String>,
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

    /// What has to hold of metrics that each trial [measures](super::Trial::measure), such as `"megabytes <= 100"`. A trial that
    /// misses it cannot win, and its like is avoided.
    #[must_use]
    pub fn constraint(mut self, limit: &str) -> Self {
        self.constraints.push(limit.to_owned());
        self
    }

    /// What chooses parameters, as in a study file: the name of a [`SamplerConfig`], such as `auto` (unless set), or a table
    /// with settings, such as `{ kind = "tpe", candidates = 48 }`. Not `grid`, which has to know all ranges beforehand, and
    /// no population, which forks trials.
    #[must_use]
    pub fn sampler(mut self, sampler: &str) -> Self {
        sampler.clone_into(&mut self.sampler);
        self
    }

    /// What stops trials that cannot win, as in a study file: the name of a [`PrunerConfig`], such as `median`
    /// (unless set), or a table with settings, such as `{ kind = "asha", factor = 4 }`. With several objectives it compares
    /// what [`Trial::measure`](super::Trial::measure) was told before each report.
    #[must_use]
    pub fn pruner(mut self, pruner: &str) -> Self {
        pruner.clone_into(&mut self.pruner);
        self
    }

    fn criteria(&self) -> Result<Criteria, StudyError> {
        let limit = |text: &String| {
            let wrong = |reason: String| StudyError::Constraint { constraint: text.clone(), reason };
            let constraint = Constraint::parse(text).map_err(|error| wrong(error.to_string()))?;
            if constraint.is_limit() {
                Ok(constraint)
            } else {
                Err(wrong("a constraint on metrics is `a <= b` or `a >= b`".to_owned()))
            }
        };
        let constraints = self.constraints.iter().map(limit).collect::<Result<_, _>>()?;
        Ok(Criteria { objectives: self.further.clone(), constraints })
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
        if let SamplerConfig::Grid(_) = sampler {
            return Err(StudyError::Grid);
        }
        let sampler =
            sampler.create().ok_or_else(|| StudyError::Population { name: sampler.kind().to_owned() })?;
        let criteria = self.criteria()?;
        let pruner = PrunerConfig::parse(&self.pruner).map_err(StudyError::Pruner)?;
        if !criteria.objectives.is_empty()
            && let Err(expected) = pruner.for_several_objectives()
        {
            return Err(StudyError::OneObjective { found: self.pruner, expected });
        }
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
        Ok(Study {
            ledger: Mutex::new(ledger),
            sampler,
            pruner: pruner.create(),
            parallel: self.parallel,
            queue: Mutex::default(),
        })
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
