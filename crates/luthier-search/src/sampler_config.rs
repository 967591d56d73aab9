//! What a study file, a message or a line of Rust may ask for as a sampler: one line for each kind.

use luthier_core::config::{Decode, Node, Problems};
use luthier_core::{Params, Sampler, SamplerAndPruner, SearchError, Space};

use crate::sampler::{Auto, CmaEs, Gp, Grid, Halton, Nsga2, Random, Sobol, Tpe};
use crate::{ByRole, Explore, Pbt, Population, PrunerConfig, Queue};

luthier_core::kinds! {
    /// What chooses configurations.
    #[derive(Debug, Clone, PartialEq)]
    pub enum SamplerConfig ("a sampler") {
        /// The best choice for most: Gaussian process and TPE by turns, TPE alone where losses are hard to predict.
        "auto" => Auto,
        /// Every value of a range equally likely on its scale.
        "random" => Random,
        /// Fills the space evenly (Sobol's quasi-random sequence, scrambled).
        "sobol" => Sobol,
        /// Fills the space evenly (Halton's quasi-random sequence, scrambled).
        "halton" => Halton,
        /// Every combination once.
        "grid" => Grid(Grid),
        /// Learns where good trials are denser than bad ones (tree-structured Parzen estimator).
        "tpe" => Tpe(Tpe),
        /// Predicts losses and seeks the largest expected improvement (Gaussian process).
        "gp" => Gp(Gp),
        /// A normal distribution that follows what was good; choices and conditional parameters by TPE (CMA-ES).
        "cmaes" => CmaEs(CmaEs),
        /// Crosses and changes the best trials, generation by generation; for several objectives (NSGA-II).
        "nsga2" => Nsga2(Nsga2),
        /// Trains a population; the last go on from the first ones' checkpoints, with values perturbed (population based
        /// training). It takes no pruner: it decides itself who goes on.
        "pbt" => Pbt(Population),
        /// The same with values that a Gaussian process chooses (population based bandits).
        "pb2" => Pb2(Population),
    }
}

/// What a kind makes.
enum Made {
    Sampler(Box<dyn Sampler>),
    Pbt(Pbt),
}

impl SamplerConfig {
    /// Reads a name, such as `tpe`, or a table with settings, such as `{ kind = "tpe", candidates = 48 }`.
    ///
    /// # Errors
    ///
    /// [`Problems`] that name what was expected.
    ///
    /// ```
    /// use luthier_search::SamplerConfig;
    /// assert_eq!(SamplerConfig::parse(r#"{ kind = "grid" }"#)?, SamplerConfig::parse("grid")?);
    /// let unknown = SamplerConfig::parse("{ kind = \"grid\", point = 3 }").unwrap_err();
    /// assert!(unknown.to_string().contains("did you mean `points`?"), "{unknown}");
    /// # Ok::<(), luthier_core::config::Problems>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::new("sampler");
        let read = Self::decode(&Node::parse_value(text), "", &mut problems);
        problems.or(read)
    }

    fn make(&self) -> Made {
        let population =
            |settings: &Population, explore| Made::Pbt(Pbt { settings: settings.clone(), explore });
        Made::Sampler(match self {
            Self::Auto => Box::new(Auto),
            Self::Random => Box::new(Random),
            Self::Sobol => Box::new(Sobol),
            Self::Halton => Box::new(Halton),
            Self::Grid(grid) => Box::new(*grid),
            Self::Tpe(tpe) => Box::new(tpe.clone()),
            Self::Gp(gp) => Box::new(gp.clone()),
            Self::CmaEs(cmaes) => Box::new(cmaes.clone()),
            Self::Nsga2(nsga2) => Box::new(*nsga2),
            Self::Pbt(settings) => return population(settings, Explore::Perturb),
            Self::Pb2(settings) => return population(settings, Explore::Bandit),
        })
    }

    /// The sampler, unless it is a population's.
    pub fn create(&self) -> Option<Box<dyn Sampler>> {
        match self.make() {
            Made::Sampler(sampler) => Some(sampler),
            Made::Pbt(_) => None,
        }
    }

    /// The population based search, if it is one. It stands in the place of sampler and pruner.
    pub fn population(&self) -> Option<Pbt> {
        match self.make() {
            Made::Sampler(_) => None,
            Made::Pbt(pbt) => Some(pbt),
        }
    }

    /// The settings of a population, if it is one.
    pub fn population_mut(&mut self) -> Option<&mut Population> {
        match self {
            Self::Pbt(settings) | Self::Pb2(settings) => Some(settings),
            _ => None,
        }
    }

    /// The search by it and a pruner, which begins with `starts`. Where there are scientific parameters, each of their
    /// combinations is searched alike. A population takes no notice of the pruner.
    ///
    /// # Errors
    ///
    /// If scientific parameters cannot be compared.
    pub fn search(
        &self,
        pruner: &PrunerConfig,
        space: &Space,
        starts: impl IntoIterator<Item = Params>,
    ) -> Result<Queue, SearchError> {
        match self.make() {
            Made::Sampler(sampler) => {
                let search = SamplerAndPruner::new(sampler, pruner.create());
                Ok(Queue::new(ByRole::wrap(Box::new(search), space)?, starts))
            }
            Made::Pbt(pbt) => {
                let members = pbt.size();
                Ok(Queue::new(Box::new(pbt), starts).of_population(members))
            }
        }
    }

    /// Makes sure that it makes use of priors.
    ///
    /// # Errors
    ///
    /// Which samplers do.
    pub fn for_priors(&self) -> Result<(), &'static str> {
        match self {
            Self::Auto | Self::Random | Self::Tpe(_) | Self::Gp(_) => Ok(()),
            _ => Err("a sampler that makes use of priors: auto, random, tpe or gp"),
        }
    }

    /// Makes sure that it begins with configurations that are given.
    ///
    /// # Errors
    ///
    /// What was expected instead.
    pub fn for_starts(&self) -> Result<(), &'static str> {
        match self {
            Self::Grid(_) => {
                Err("nothing with the sampler \"grid\", which tries every combination by itself")
            }
            _ => Ok(()),
        }
    }
}

/// The sampler of this name with its default settings, unless there is none, or it is a population's.
pub fn sampler(name: &str) -> Option<Box<dyn Sampler>> {
    SamplerConfig::parse(name).ok()?.create()
}

/// Every sampler by its name, with its default settings.
pub fn samplers() -> impl Iterator<Item = (&'static str, Box<dyn Sampler>)> {
    SamplerConfig::KINDS.iter().filter_map(|name| Some((*name, sampler(name)?)))
}
