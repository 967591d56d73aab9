//! Samplers: what is tried next.

mod auto;
mod gp;
mod grid;
mod halton;
mod observation;
mod random;
mod sobol;
mod tpe;

pub use auto::Auto;
pub use gp::Gp;
pub use grid::Grid;
pub use halton::Halton;
pub use random::Random;
pub use sobol::Sobol;
pub use tpe::Tpe;
