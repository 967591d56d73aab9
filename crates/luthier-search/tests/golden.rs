//! Proposals are the same numbers on every machine: those of `fixtures/proposals.json`.
//!
//! Where an algorithm has been changed on purpose, `LUTHIER_WRITE_GOLDEN=1 cargo test -p luthier-search` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::{Played, conditional_space};
use luthier_core::{History, Params, Purpose, Space, Streams};
use serde_json::{Value, json};

/// A history whose losses need no function of a C library.
fn history(space: &Space, trials: u64) -> History {
    let streams = Streams::new(11);
    let loss = |params: &Params| {
        let unit = |name: &str| {
            let parameter = space.get(name).unwrap();
            params.get(name).and_then(|value| parameter.distribution.to_unit(value)).unwrap_or(0.5)
        };
        (unit("rate") - 0.6) * (unit("rate") - 0.6) + 0.3 * unit("units1") + 0.2 * unit("momentum")
    };
    let mut played = Played::new();
    for n in 0..trials {
        let params = space.sample(&mut streams.at(Purpose::Data, n));
        let value = loss(&params);
        let trial = played.begin(params, None);
        // Some run.
        if n % 9 != 8 {
            played.complete(trial, value);
        }
    }
    played.0
}

#[test]
fn proposals_are_those_of_the_golden_file() {
    let space = conditional_space();
    let propose = |name: &str, trials| {
        let sampler = luthier_search::sampler(name).unwrap();
        let mut rng = Streams::new(1).at(Purpose::Sampler, trials);
        let params = sampler.propose(&history(&space, trials).view(), &space, &mut rng).unwrap();
        serde_json::to_value(params).unwrap()
    };
    let found: Value = luthier_search::samplers()
        .map(|(name, _)| (name, json!([propose(name, 5), propose(name, 40), propose(name, 300)])))
        .map(|(name, proposals)| (name.to_owned(), proposals))
        .collect::<serde_json::Map<_, _>>()
        .into();
    if std::env::var_os("LUTHIER_WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/proposals.json");
        std::fs::write(path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        return;
    }
    let expected: Value = serde_json::from_str(include_str!("fixtures/proposals.json")).unwrap();
    assert_eq!(found, expected);
}
