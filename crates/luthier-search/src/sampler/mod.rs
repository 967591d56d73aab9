//! Samplers: what is tried next.

mod grid;
mod halton;
mod observation;
mod random;
mod sobol;
mod tpe;

pub use grid::Grid;
pub use halton::Halton;
pub use random::Random;
pub use sobol::Sobol;
pub use tpe::Tpe;
