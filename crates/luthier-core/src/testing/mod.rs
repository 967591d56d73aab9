//! Suites that every implementation of a contract passes, and small things to test with.
#![allow(clippy::unwrap_used, reason = "a contract that is broken is meant to stop the test")]

mod played;
mod sampler;
mod storage;

pub use played::Played;
pub use sampler::{pruner_contract, sampler_contract};
pub use storage::storage_contract;

use crate::{Condition, Distribution, Event, Parameter, Recorded, Space};

/// The events as a storage would have stored them, from revision 1.
pub fn record(events: impl IntoIterator<Item = Event>) -> Vec<Recorded> {
    events.into_iter().zip(1..).map(|(event, revision)| Recorded { revision, at_ms: 0, event }).collect()
}

/// A space with every kind of range and of condition.
pub fn conditional_space() -> Space {
    Space::new([
        Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
        Parameter::new("rate", Distribution::log_float(1e-5, 1e-1)),
        Parameter::new("momentum", Distribution::float(0.0, 0.99))
            .when(Condition::equals("optimizer", "sgd")),
        Parameter::new("layers", Distribution::int(1, 3)),
        Parameter::new("units1", Distribution::log_int(8, 256)),
        Parameter::new("units2", Distribution::log_int(8, 256))
            .when(Condition::AtLeast { param: "layers".into(), value: 2 }),
        Parameter::new("units3", Distribution::log_int(8, 256))
            .when(Condition::AtLeast { param: "layers".into(), value: 3 }),
        Parameter::new("dropout", Distribution::Float { low: 0.0, high: 0.5, log: false, step: Some(0.1) }),
    ])
    .expect("the space is written down correctly above")
}
