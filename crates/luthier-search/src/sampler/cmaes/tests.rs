//! Against the package `cmaes` (`scripts/search/cmaes_fixtures.py`), and what a study makes of the distribution.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::Played;
use luthier_core::{Distribution as Range, Event, History, Purpose, Streams, TrialId};
use serde_json::Value as Json;

use super::distribution::Distribution;
use super::margin::corrected;
use super::*;

fn fixture() -> Json {
    serde_json::from_str(include_str!("../../../tests/fixtures/cmaes.json")).unwrap()
}

fn numbers(value: &Json) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn rows(value: &Json) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

#[test]
fn a_population_moves_the_distribution_as_in_cmaes() {
    for case in fixture()["updates"].as_array().unwrap() {
        let d = case["dimensions"].as_u64().unwrap() as usize;
        let lambda = case["population"].as_u64().unwrap() as usize;
        let mut distribution = Distribution::new(vec![0.5; d], 0.2, None, lambda);
        for generation in case["generations"].as_array().unwrap() {
            distribution.tell(&rows(&generation["population"]));
            let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} {b}");
            near(distribution.sigma, generation["sigma"].as_f64().unwrap());
            for (a, b) in distribution.mean.iter().zip(numbers(&generation["mean"])) {
                near(*a, b);
            }
            let covariance = rows(&generation["covariance"]);
            for (a, b) in distribution.covariance().iter().flatten().zip(covariance.iter().flatten()) {
                near(*a, *b);
            }
        }
    }
}

#[test]
fn margins_are_those_of_cmaes() {
    for case in fixture()["margins"].as_array().unwrap() {
        let of = |key: &str| case[key].as_f64().unwrap();
        let found =
            corrected((of("mean"), of("deviation"), of("correction")), (of("low"), of("high")), of("alpha"));
        let expected = numbers(&case["corrected"]);
        for (a, b) in [found.0, found.1].into_iter().zip(expected) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{found:?} {case}");
        }
    }
}

fn unit_space(d: usize) -> Space {
    Space::new((0..d).map(|i| Parameter::new(format!("x{i}"), Range::float(0.0, 1.0)))).unwrap()
}

/// Goes on with a study by so many trials, and gives the best loss of these.
fn go_on(
    played: &mut Played,
    sampler: &CmaEs,
    space: &Space,
    loss: impl Fn(&Params) -> f64,
    seed: u64,
    trials: usize,
) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..trials {
        let mut rng = Streams::new(seed).at(Purpose::Sampler, played.0.trials().len() as u64);
        let params = sampler.propose(&played.0.view(), space, &mut rng).unwrap();
        assert!(space.contains(&params), "{params:?}");
        let value = loss(&params);
        best = best.min(value);
        let trial = played.begin(params, None);
        played.complete(trial, value);
    }
    best
}

fn vector(params: &Params) -> Vec<f64> {
    params.values().map(|value| value.as_f64().unwrap()).collect()
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|v| (v - 0.4) * (v - 0.4)).sum()
}

fn ellipsoid(x: &[f64]) -> f64 {
    let d = x.len() as f64;
    let weigh = |(i, v): (usize, &f64)| libm::pow(10.0, 4.0 * i as f64 / (d - 1.0)) * (v - 0.4) * (v - 0.4);
    x.iter().enumerate().map(weigh).sum()
}

fn rosenbrock(x: &[f64]) -> f64 {
    let y: Vec<f64> = x.iter().map(|v| 4.0 * v - 1.5).collect();
    y.windows(2).map(|y| 100.0 * (y[1] - y[0] * y[0]).powi(2) + (1.0 - y[0]).powi(2)).sum()
}

type Function = fn(&[f64]) -> f64;

#[test]
fn it_comes_as_near_as_cmaes() {
    let quality = fixture()["quality"].clone();
    let (evaluations, seeds) = (quality["evaluations"].as_u64().unwrap(), quality["seeds"].as_u64().unwrap());
    let functions: [(&str, Function); 3] =
        [("sphere", sphere), ("ellipsoid", ellipsoid), ("rosenbrock", rosenbrock)];
    for (name, function) in functions {
        let peer = &quality["functions"][name];
        let space = unit_space(peer["dimensions"].as_u64().unwrap() as usize);
        // Their search has no restarts.
        let sampler = CmaEs { restart: Restart::Never, ..CmaEs::default() };
        let run = |seed| {
            let mut played = Played::new();
            let loss = |params: &Params| function(&vector(params));
            libm::log10(go_on(&mut played, &sampler, &space, loss, seed, evaluations as usize))
        };
        let found = (0..seeds).map(run).sum::<f64>() / seeds as f64;
        let (expected, error) = (peer["mean_log10"].as_f64().unwrap(), peer["error"].as_f64().unwrap());
        // Three errors of the difference, where ours is as large as theirs.
        assert!((found - expected).abs() < 3.0 * 1.5 * error, "{name}: {found} {expected}");
    }
}

#[test]
fn whole_numbers_and_choices_are_found() {
    let space = Space::new([
        Parameter::new("layers", Range::int(1, 20)),
        Parameter::new("units", Range::log_int(1, 1000)),
        Parameter::new("rate", Range::log_float(1e-5, 1.0)),
        Parameter::new("kind", Range::choice(["a", "b", "c"])),
    ])
    .unwrap();
    let loss = |params: &Params| {
        let of = |name: &str| params[name].as_f64().unwrap();
        let kind = if params["kind"].as_str() == Some("b") { 0.0 } else { 1.0 };
        (of("layers") - 17.0).abs() / 5.0
            + (libm::log(of("units")) - 3.0).abs()
            + (libm::log10(of("rate")) + 3.0).abs()
            + kind
    };
    let mut played = Played::new();
    let best = go_on(&mut played, &CmaEs::default(), &space, loss, 3, 200);
    assert!(best < 0.1, "{best}");
}

#[test]
fn a_spent_distribution_begins_again() {
    // Two valleys: a search that never begins again stays in the one it has found.
    let space = unit_space(1);
    let narrow = |params: &Params| {
        let x = vector(params)[0];
        (20.0 * (x - 0.4) * (x - 0.4)).min((x - 0.93) * (x - 0.93) * 400.0 - 1.0)
    };
    for (restart, finds) in [(Restart::Never, false), (Restart::Ipop, true), (Restart::Bipop, true)] {
        let sampler = CmaEs { restart, sigma: 0.02, ..CmaEs::default() };
        let best = go_on(&mut Played::new(), &sampler, &space, narrow, 0, 900);
        assert_eq!(best < -0.5, finds, "{restart:?}: {best}");
    }
}

#[test]
fn imported_trials_are_where_it_begins() {
    let space = unit_space(6);
    // The other problem is like this one, not the same.
    let loss =
        |params: &Params, best: f64| vector(params).iter().map(|v| (v - best) * (v - best)).sum::<f64>();
    let first = |imported: u64| {
        let mut played = Played::new();
        for n in 0..imported {
            let params = space.sample(&mut Streams::new(5).at(Purpose::Data, n));
            let value = loss(&params, 0.8);
            let trial = played.begin(params, None);
            let attributes = luthier_core::Attributes::default();
            played.add(Event::TrialImported { trial, started_us: None, attributes });
            played.complete(trial, value);
        }
        let propose = |n| {
            let mut rng = Streams::new(1).at(Purpose::Sampler, imported + n);
            CmaEs::default().propose(&played.0.view(), &space, &mut rng).unwrap()
        };
        (0..50).map(|n| loss(&propose(n), 0.85)).sum::<f64>() / 50.0
    };
    let (warm, cold) = (first(200), first(0));
    assert!(warm < 0.6 * cold, "{warm} {cold}");
}

#[test]
fn trials_that_run_wait_for_their_population() {
    let space = unit_space(3);
    let mut played = Played::new();
    let sampler = CmaEs { population: Some(6), ..CmaEs::default() };
    let propose = |history: &History, n: u64| {
        let mut rng = Streams::new(0).at(Purpose::Sampler, n);
        sampler.propose(&history.view(), &space, &mut rng).unwrap()
    };
    let last = propose(&played.0, 8);
    for n in 0..6 {
        let trial = played.begin(propose(&played.0, n), None);
        if n != 2 {
            played.complete(trial, n as f64);
        }
    }
    assert_eq!(propose(&played.0, 8), last);
    played.complete(TrialId(2), 2.0);
    assert_ne!(propose(&played.0, 8), last);
}

#[test]
fn paused_trials_count_as_what_is_expected_of_them() {
    let space = unit_space(3);
    let mut played = Played::with_steps(9);
    for n in 0..200 {
        let mut rng = Streams::new(0).at(Purpose::Sampler, n);
        let params = CmaEs::default().propose(&played.0.view(), &space, &mut rng).unwrap();
        let loss = sphere(&vector(&params));
        let trial = played.begin(params, Some(1));
        played.report(trial, 1, loss);
        played.pause(trial);
    }
    let losses = |from: usize| {
        let trials = &played.0.trials()[from..from + 20];
        trials.iter().map(|trial| trial.reports[0].value).sum::<f64>() / 20.0
    };
    assert!(losses(180) < 0.01 * losses(0), "{} {}", losses(180), losses(0));
}
