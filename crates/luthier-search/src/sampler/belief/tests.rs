//! What samplers make of good and of wrong beliefs.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::record;
use luthier_core::{
    Direction, Ending, Event, History, Outcome, Parameter, Prior, Purpose, Sampler, Streams, TrialId, Value,
};

use super::super::{Auto, Gp, Random, Tpe};
use super::*;

fn space(rate: f64) -> Space {
    Space::new([
        Parameter::new("rate", Distribution::log_float(1e-5, 1e-1)).believed(Prior::around(rate).within(3.0)),
        Parameter::new("kind", Distribution::choice(["a", "b", "c"]))
            .believed(Prior { weight: Some(0.8), ..Prior::around("b") }),
        Parameter::new("layers", Distribution::int(1, 8)).believed(Prior::around(4)),
        Parameter::new("free", Distribution::float(0.0, 1.0)),
    ])
    .unwrap()
}

fn history(space: &Space, trials: u64) -> History {
    let events = (0..trials).flat_map(|n| {
        let trial = TrialId(n);
        let params = space.sample(&mut Streams::new(2).at(Purpose::Data, n));
        let away = libm::log10(params["rate"].as_f64().unwrap()) + 2.0;
        let value = away * away + if params["kind"] == "a".into() { 0.0 } else { 0.3 };
        let outcome = Outcome::Complete { value, step: None, ending: Ending::Full };
        let started = Event::TrialStarted { trial, params, seed: 0, until: None, at: None, from: None };
        [started, Event::TrialFinished { trial, outcome, seconds: 0.0 }]
    });
    History::replay(Direction::Minimize, &record(events)).unwrap()
}

#[test]
fn the_favour_is_the_logarithm_of_a_density_and_its_slope_is_right() {
    let space = space(1e-3);
    let history = history(&space, 5);
    let belief = Belief::of(&history.view(), &space).unwrap();
    assert_eq!(belief.weight, 2.0);
    // The mean of pi over the space is 1.
    let mean = (0..20_000)
        .map(|n| libm::exp(belief.favour(&space.sample(&mut Streams::new(1).at(Purpose::Data, n))) / 2.0))
        .sum::<f64>()
        / 20_000.0;
    assert!((mean - 1.0).abs() < 0.05, "{mean}");
    for unit in [0.1, 0.45, 0.5, 0.62] {
        let h = 1e-6;
        let difference = (belief.slope("rate", unit + h).0 - belief.slope("rate", unit - h).0) / (2.0 * h);
        let slope = belief.slope("rate", unit).1;
        assert!((slope - difference).abs() < 1e-4 * (1.0 + slope.abs()), "{unit}: {slope} {difference}");
    }
}

#[test]
fn draws_are_as_likely_as_they_are_believed() {
    let space = space(1e-3);
    let history = History::new(Direction::Minimize);
    let belief = Belief::of(&history.view(), &space).unwrap();
    let mut rng = Streams::new(0).at(Purpose::Data, 0);
    let draws: Vec<Params> = (0..4000).map(|_| belief.draw(&mut rng)).collect();
    assert!(draws.iter().all(|params| space.contains(params)));
    let share = |keep: &dyn Fn(&Params) -> bool| draws.iter().filter(|p| keep(p)).count() as f64 / 4000.0;
    assert!((share(&|params| params["kind"] == "b".into()) - 0.8).abs() < 0.03);
    assert!((share(&|params| params["kind"] == "c".into()) - 0.1).abs() < 0.02);
    let within = |params: &Params| (1e-3 / 3.0..3e-3).contains(&params["rate"].as_f64().unwrap());
    assert!((share(&within) - 0.683).abs() < 0.03);
}

#[test]
fn the_first_trial_is_the_centre_and_every_other_one_at_the_start_is_believed() {
    let space = space(1e-3);
    let empty = History::new(Direction::Minimize);
    let samplers: [&dyn Sampler; 4] = [&Auto, &Gp::default(), &Tpe::default(), &Random];
    for sampler in samplers {
        let propose =
            |n| sampler.propose(&empty.view(), &space, &mut Streams::new(4).at(Purpose::Sampler, n)).unwrap();
        let first = propose(0);
        assert_eq!((&first["rate"], &first["kind"]), (&Value::Float(1e-3), &"b".into()));
        let near = |n: &u64| (1e-4..1e-2).contains(&propose(*n)["rate"].as_f64().unwrap());
        assert!((2..40).step_by(2).filter(near).count() >= 17);
        assert!((1..40).step_by(2).filter(near).count() <= 15);
    }
}

#[test]
fn a_belief_is_listened_to_and_then_forgotten() {
    // The belief is at 1e-4, and trials are best at 1e-2.
    let believed = space(1e-4);
    let without = Space::new(believed.iter().map(|p| Parameter { prior: None, ..p.clone() })).unwrap();
    let samplers: [&dyn Sampler; 3] = [&Auto, &Gp::default(), &Tpe::default()];
    for sampler in samplers {
        let mean = |space: &Space, trials: u64| {
            let history = history(&without, trials);
            let log = |n| {
                let mut rng = Streams::new(4).at(Purpose::Sampler, trials + n);
                let params = sampler.propose(&history.view(), space, &mut rng).unwrap();
                libm::log10(params["rate"].as_f64().unwrap())
            };
            (0..10).map(log).sum::<f64>() / 10.0
        };
        let (with, plain) = (mean(&believed, 10), mean(&without, 10));
        assert!(with < plain - 0.05, "{with} {plain}");
        assert!((mean(&believed, 300) - mean(&without, 300)).abs() < 0.3);
    }
}
