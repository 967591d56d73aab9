//! The algorithms of a search: samplers choose configurations, pruners stop trials that cannot win.
//!
//! Each is a pure function of the history, the space and a random stream, so a study that is replayed
//! proposes and decides the same again. Algorithms are known to a study file by name:
//!
//! ```
//! use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Space, Streams};
//!
//! let space = Space::new([Parameter::new("rate", Distribution::log_float(1e-5, 1e-1))])?;
//! let sampler = luthier_search::sampler("tpe").expect("a sampler of this name");
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
pub mod sampler;
mod sampler_config;
mod warm_start;

pub use by_role::{ByRole, Compared, combinations, compare};
pub use by_run::{Proposal, suggested_space};
pub use population::{Explore, Misfit, Pbt, Population};
pub use pruner::PrunerConfig;
pub use queue::Queue;
pub use sampler_config::{SamplerConfig, sampler, samplers};
pub use warm_start::{STARTS, leaders, warm_start};
