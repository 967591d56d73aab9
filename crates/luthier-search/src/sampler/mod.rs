//! Samplers: what is tried next.

mod observation;
mod random;
mod tpe;

pub use random::Random;
pub use tpe::Tpe;
