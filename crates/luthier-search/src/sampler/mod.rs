//! Samplers: what is tried next.

mod random;
mod tpe;

pub use random::Random;
pub use tpe::Tpe;
