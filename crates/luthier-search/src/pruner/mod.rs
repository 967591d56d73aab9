//! Pruners: which trials are stopped.

mod median;
mod none;
mod percentile;

pub use none::NoPruner;
pub use percentile::Percentile;
