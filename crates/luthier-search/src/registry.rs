//! The names under which a study file asks for an algorithm: one line for each.

use std::fmt;

use luthier_core::Sampler;

use crate::Pbt;
use crate::sampler::{Auto, CmaEs, Gp, Grid, Halton, Nsga2, Random, Sobol, Tpe};

/// An algorithm with its name.
pub struct Entry<T: ?Sized> {
    /// What a study file calls it.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    create: fn() -> Box<T>,
}

impl<T: ?Sized> Entry<T> {
    /// The algorithm with its default settings.
    pub fn create(&self) -> Box<T> {
        (self.create)()
    }
}

impl<T: ?Sized> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every sampler.
pub const SAMPLERS: &[Entry<dyn Sampler>] = &[
    Entry {
        name: "auto",
        about: "the best choice for most: Gaussian process and TPE by turns, TPE alone where losses are hard to predict",
        create: || Box::new(Auto),
    },
    Entry {
        name: "random",
        about: "every value of a range equally likely on its scale",
        create: || Box::new(Random),
    },
    Entry {
        name: "sobol",
        about: "fills the space evenly (Sobol's quasi-random sequence, scrambled)",
        create: || Box::new(Sobol),
    },
    Entry {
        name: "halton",
        about: "fills the space evenly (Halton's quasi-random sequence, scrambled)",
        create: || Box::new(Halton),
    },
    Entry {
        name: "grid",
        about: "every combination once; ranges of floats without a step by 5 points",
        create: || Box::new(Grid::default()),
    },
    Entry {
        name: "tpe",
        about: "learns where good trials are denser than bad ones (tree-structured Parzen estimator)",
        create: || Box::new(Tpe::default()),
    },
    Entry {
        name: "gp",
        about: "predicts losses and seeks the largest expected improvement (Gaussian process)",
        create: || Box::new(Gp::default()),
    },
    Entry {
        name: "cmaes",
        about: "a normal distribution that follows what was good; choices and conditional parameters by TPE (CMA-ES)",
        create: || Box::new(CmaEs::default()),
    },
    Entry {
        name: "nsga2",
        about: "crosses and changes the best trials, generation by generation; for several objectives (NSGA-II)",
        create: || Box::new(Nsga2::default()),
    },
];

/// A population based search: its name, what it does in one line, and how it is made.
type Population = (&'static str, &'static str, fn() -> Pbt);

/// Every population based search. It is named in the place of a sampler, and takes no pruner: it decides itself who goes on.
pub const POPULATIONS: &[Population] = &[
    (
        "pbt",
        "trains a population; the last go on from the first ones' checkpoints, with values perturbed (population based training)",
        Pbt::perturbed,
    ),
    (
        "pb2",
        "the same with values that a Gaussian process chooses (population based bandits)",
        Pbt::by_bandit,
    ),
];

/// The sampler of this name (one of [`SAMPLERS`]) with its default settings.
pub fn sampler(name: &str) -> Option<Box<dyn Sampler>> {
    find(SAMPLERS, name)
}

/// Whether the sampler of this name makes use of priors.
pub fn uses_priors(name: &str) -> bool {
    matches!(name, "auto" | "random" | "tpe" | "gp")
}

/// The samplers that make use of priors.
pub fn users_of_priors() -> Vec<&'static str> {
    SAMPLERS.iter().map(|entry| entry.name).filter(|name| uses_priors(name)).collect()
}

/// The population based search of this name (one of [`POPULATIONS`]) with its default settings.
pub fn population(name: &str) -> Option<Pbt> {
    POPULATIONS.iter().find(|entry| entry.0 == name).map(|entry| entry.2())
}

/// All that may be named as a sampler.
pub fn sampler_names() -> Vec<&'static str> {
    SAMPLERS.iter().map(|entry| entry.name).chain(POPULATIONS.iter().map(|entry| entry.0)).collect()
}

fn find<T: ?Sized>(entries: &[Entry<T>], name: &str) -> Option<Box<T>> {
    entries.iter().find(|entry| entry.name == name).map(Entry::create)
}
