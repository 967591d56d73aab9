//! Every algorithm of the registry keeps the contracts of `luthier-core`.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::{Played, pruner_contract, sampler_contract};
use luthier_core::{
    Constraint, Criteria, Direction, Distribution, History, Next, Outcome, Parameter, Purpose,
    SamplerAndPruner, Search, Space, Streams, TrialId,
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

/// Lets trials run as a search says until nothing is left to do; `measure` gives loss and metrics of a trial at a step.
fn play(
    search: &dyn Search,
    space: &Space,
    played: &mut Played,
    closed_at: u64,
    measure: impl Fn(TrialId, u64) -> (f64, Vec<(&'static str, f64)>),
) {
    for n in 0..1000 {
        let closed = played.0.trials().len() as u64 >= closed_at;
        let mut rng = Streams::new(0).at(Purpose::Sampler, n);
        let (trial, until) = match search.next(&played.0.view().closing(closed), space, &mut rng).unwrap() {
            Next::New { params, until, .. } => (played.begin(params, until), until),
            Next::Resume { trial, until } => {
                played.resume(trial, until);
                (trial, until)
            }
            Next::Wait => panic!("nothing runs"),
            Next::Done => return,
        };
        let reports = &played.0.trials()[trial.0 as usize].reports;
        let last = reports.last().map_or(0, |report| report.step);
        for step in last + 1..=until.unwrap_or(9) {
            let (loss, metrics) = measure(trial, step);
            played.report_with(trial, step, loss, &metrics);
        }
        match until {
            Some(_) => played.pause(trial),
            None => played.complete(trial, measure(trial, 9).0),
        }
    }
    panic!("it does not end");
}

#[test]
fn a_grid_has_a_winner_beside_every_pruner_that_pauses() {
    let space = Space::new([Parameter::new("x", Distribution::int(1, 5))]).unwrap();
    for pruner in ["asha", "halving", "hyperband", "curve"] {
        let pruner = PrunerConfig::parse(pruner).unwrap();
        assert!(pruner.pauses());
        let search = SamplerConfig::parse("grid").unwrap().search(&pruner, &space, []).unwrap();
        let mut played = Played::with_steps(9);
        play(&search, &space, &mut played, 100, |trial, step| {
            (trial.0 as f64 + 1.0 / step as f64, Vec::new())
        });
        assert_eq!(played.0.trials().len(), 5);
        assert!(played.0.best().is_some(), "{}", pruner.kind());
    }
}

#[test]
fn a_study_with_limits_on_results_has_a_winner_beside_every_pruner_that_pauses() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let limit = Constraint::parse("megabytes <= 10").unwrap();
    let criteria = Criteria { objectives: Vec::new(), constraints: vec![limit] };
    // The better ones take too much memory.
    let measure = |trial: TrialId, step: u64| {
        let megabytes = if trial.0 < 3 { 99.0 } else { 1.0 };
        (trial.0 as f64 + 1.0 / step as f64, vec![("megabytes", megabytes)])
    };
    for pruner in ["asha", "halving", "hyperband", "curve"] {
        let pruner = PrunerConfig::parse(pruner).unwrap();
        let search = SamplerConfig::parse("random").unwrap().search(&pruner, &space, []).unwrap();
        let mut played =
            Played(History::new(Direction::Minimize).with_steps(Some(9)).with_criteria(criteria.clone()));
        // One that misses the limit has come to its end.
        let first = played.begun(None, &[]);
        for step in 1..=9 {
            played.report_with(first, step, 0.0, &[("megabytes", 99.0)]);
        }
        played.complete(first, 0.0);
        play(&search, &space, &mut played, 5, measure);
        let winner = played.0.best().map(|trial| trial.id);
        assert!(winner.is_some_and(|trial| trial.0 >= 3), "{}: {winner:?}", pruner.kind());
    }
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
        ("{ kind = \"cmaes\", population = 3 }", "a whole number from 4 to 100,000"),
        ("{ kind = \"cmaes\", sigma = 0.0 }", "a number above 0, up to 1"),
        ("{ kind = \"tpe\", candidates = 0 }", "a whole number from 1 to 100,000"),
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
