//! Every algorithm of the registry keeps the contracts of `luthier-core`.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::{Played, pruner_contract, sampler_contract};
use luthier_core::{
    Distribution, History, Next, Outcome, Parameter, Purpose, SamplerAndPruner, Search, Space, Streams,
    TrialId,
};
use luthier_search::sampler::{CmaEs, Grid, Restart};
use luthier_search::{PrunerConfig, SamplerConfig};

#[test]
fn samplers() {
    for (_, sampler) in luthier_search::samplers() {
        sampler_contract(&*sampler);
    }
}

#[test]
fn pruners() {
    for kind in PrunerConfig::KINDS {
        let settings = match *kind {
            "threshold" => ", limit = 1e12",
            "patient" => ", patience = 3, pruner = \"asha_stop\"",
            _ => "",
        };
        let pruner = PrunerConfig::parse(&format!("{{ kind = {kind:?}{settings} }}")).unwrap();
        pruner_contract(&*pruner.create());
    }
}

#[test]
fn a_search_over_a_grid_comes_to_its_end() {
    let space = Space::new([Parameter::new("x", Distribution::int(1, 3))]).unwrap();
    let search = SamplerAndPruner::new(Box::new(Grid::default()), PrunerConfig::None.create());
    let mut played = Played::new();
    let next = |history: &History, n| {
        search.next(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, n)).unwrap()
    };
    for n in 0..3 {
        // Numbers of trials have gaps where a person asked for some of them.
        let Next::New { params, .. } = next(&played.0, 2 * n + 1) else { panic!("trial {n} is missing") };
        assert_eq!(params["x"].as_i64(), Some(n as i64 + 1));
        played.begin(params, None);
    }
    assert_eq!(next(&played.0, 3), Next::Wait);
    for n in 0..3 {
        played.finish(TrialId(n), Outcome::Infeasible { reason: "no room".into() });
    }
    assert_eq!(next(&played.0, 3), Next::Done);
}

#[test]
fn names_find_their_algorithm() {
    assert_eq!(
        luthier_search::samplers().map(|(name, _)| name).collect::<Vec<_>>(),
        ["auto", "random", "sobol", "halton", "grid", "tpe", "gp", "cmaes", "nsga2"]
    );
    assert!(luthier_search::sampler("median").is_none() && luthier_search::sampler("pbt").is_none());
    assert!(PrunerConfig::parse("median").unwrap().create().decides());
    let cmaes = CmaEs { population: Some(8), restart: Restart::Never, ..CmaEs::default() };
    assert_eq!(
        SamplerConfig::parse("{ kind = \"cmaes\", population = 8, restart = \"never\" }").unwrap(),
        SamplerConfig::CmaEs(cmaes)
    );
    for (text, expected) in [
        ("{ kind = \"cmaes\", population = 3 }", "a whole number of 4 or more"),
        ("{ kind = \"cmaes\", sigma = 0.0 }", "a number above 0, up to 1"),
        ("{ kind = \"tpe\", candidates = 0 }", "a whole number of 1 or more"),
        ("{ kind = \"tpe\", good_share = 1.5 }", "a number from 0 to 1"),
        ("{ kind = \"auto\", candidates = 9 }", "no key here"),
        ("tpee", "did you mean \"tpe\"?"),
    ] {
        let said = SamplerConfig::parse(text).unwrap_err().to_string();
        assert!(said.contains(expected), "{text}: {said}");
    }
    let missing = PrunerConfig::parse("threshold").unwrap_err();
    assert!(missing.to_string().contains("limit"), "{missing}");
}
