//! Every algorithm of the registry keeps the contracts of `luthier-core`.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::{pruner_contract, record, sampler_contract};
use luthier_core::{
    Direction, Distribution, Event, History, Next, Outcome, Parameter, Purpose, SamplerAndPruner, Search,
    Space, Streams, TrialId,
};
use luthier_search::sampler::Grid;
use luthier_search::{PRUNERS, SAMPLERS};

#[test]
fn samplers() {
    for entry in SAMPLERS {
        sampler_contract(&*entry.create());
    }
}

#[test]
fn pruners() {
    for entry in PRUNERS {
        pruner_contract(&*entry.create());
    }
}

#[test]
fn a_search_over_a_grid_comes_to_its_end() {
    let space = Space::new([Parameter::new("x", Distribution::int(1, 3))]).unwrap();
    let search =
        SamplerAndPruner::new(Box::new(Grid::default()), luthier_search::pruner("none").expect("a name"));
    let mut events = Vec::new();
    let next = |events: &[Event], n| {
        let history = History::replay(Direction::Minimize, &record(events.to_vec())).unwrap();
        search.next(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, n)).unwrap()
    };
    for n in 0..3 {
        let Next::New { params, .. } = next(&events, n) else { panic!("trial {n} is missing") };
        events.push(Event::TrialStarted {
            trial: TrialId(n),
            params,
            seed: 0,
            until: None,
            at: None,
            from: None,
        });
    }
    assert_eq!(next(&events, 3), Next::Wait);
    for n in 0..3 {
        let outcome = Outcome::Infeasible { reason: "no room".into() };
        events.push(Event::TrialFinished { trial: TrialId(n), outcome, seconds: 0.0 });
    }
    assert_eq!(next(&events, 3), Next::Done);
}

#[test]
fn names_find_their_algorithm() {
    assert_eq!(
        SAMPLERS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        ["auto", "random", "sobol", "halton", "grid", "tpe", "gp"]
    );
    assert_eq!(
        PRUNERS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        ["none", "median", "asha", "asha_stop"]
    );
    assert!(luthier_search::sampler("median").is_none());
    assert!(luthier_search::pruner("median").is_some_and(|pruner| pruner.decides()));
}
