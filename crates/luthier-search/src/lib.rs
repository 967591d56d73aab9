//! The algorithms of a search: samplers choose configurations, pruners stop trials that cannot win.
//!
//! Each is a pure function of the history, the space and a random stream, so a study that is replayed
//! proposes and decides the same again. Algorithms are known to a study file by name:
//!
//! ```
//! use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Space, Streams};
//!
//! let space = Space::new([Parameter::new("rate", Distribution::log_float(1e-5, 1e-1))])?;
//! let sampler = luthier_search::sampler("tpe").expect("a name of SAMPLERS");
//! let history = History::new(Direction::Minimize);
//! let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
//! let params = sampler.propose(&history.view(), &space, &mut rng)?;
//! assert!(space.contains(&params));
//! assert!(luthier_search::sampler("tpee").is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod by_role;
mod by_run;
mod curves;
pub mod importance;
pub mod pareto;
mod population;
pub mod pruner;
mod queue;
mod registry;
pub mod sampler;
mod warm_start;

pub use by_role::{ByRole, Compared, combinations, compare};
pub use by_run::{Proposal, suggested_space};
pub use population::{Explore, Misfit, Pbt};
pub use pruner::PrunerConfig;
pub use queue::Queue;
pub use registry::{
    Entry, POPULATIONS, SAMPLERS, population, sampler, sampler_names, users_of_priors, uses_priors,
};
pub use warm_start::{STARTS, leaders, warm_start};
