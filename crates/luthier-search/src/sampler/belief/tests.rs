//! What samplers make of good and of wrong beliefs.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::Played;
use luthier_core::{
    Criteria, Direction, Ending, History, Outcome, Parameter, Prior, Purpose, Sampler, Streams, Value,
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
    let trials = (0..trials).map(|n| {
        let params = space.sample(&mut Streams::new(2).at(Purpose::Data, n));
        let away = libm::log10(params["rate"].as_f64().unwrap()) + 2.0;
        let value = away * away + if params["kind"] == "a".into() { 0.0 } else { 0.3 };
        (params, value)
    });
    Played::completed(Direction::Minimize, trials)
}

#[test]
fn a_belief_is_a_density() {
    let space = space(1e-3);
    let belief = Belief::of(&space).unwrap();
    // The mean of pi over the space is 1.
    let pi = |n| libm::exp(belief.log_density(&space.sample(&mut Streams::new(1).at(Purpose::Data, n))));
    let mean = (0..20_000).map(pi).sum::<f64>() / 20_000.0;
    assert!((mean - 1.0).abs() < 0.05, "{mean}");
    let unbelieved = Space::new(space.iter().map(|p| Parameter { prior: None, ..p.clone() })).unwrap();
    assert!(Belief::of(&unbelieved).is_none());
}

#[test]
fn draws_are_as_likely_as_they_are_believed() {
    let space = space(1e-3);
    let belief = Belief::of(&space).unwrap();
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
fn a_belief_loses_its_turns_when_a_better_trial_speaks_against_it() {
    // Trials are best at 1e-2.
    let unbelieved = Space::new(space(1e-2).iter().map(|p| Parameter { prior: None, ..p.clone() })).unwrap();
    let nine = history(&unbelieved, 9);
    let samplers: [&dyn Sampler; 4] = [&Auto, &Gp::default(), &Tpe::default(), &Random];
    for sampler in samplers {
        for (rate, kept) in [(1e-2, true), (1e-5, false)] {
            let believed = space(rate);
            let propose = |space: &Space, n| {
                sampler.propose(&nine.view(), space, &mut Streams::new(4).at(Purpose::Sampler, n)).unwrap()
            };
            for n in 9..30 {
                let same = propose(&believed, n) == propose(&unbelieved, n);
                assert_eq!(same, n % 2 == 1 || !kept, "{n} {rate}");
            }
        }
    }
    // After the start acquisition functions know nothing of it.
    let samplers: [&dyn Sampler; 3] = [&Auto, &Gp::default(), &Tpe::default()];
    let twelve = history(&unbelieved, 12);
    for sampler in samplers {
        let propose = |space: &Space| {
            sampler.propose(&twelve.view(), space, &mut Streams::new(4).at(Purpose::Sampler, 12)).unwrap()
        };
        assert_eq!(propose(&space(1e-2)), propose(&unbelieved));
    }
}

#[test]
fn who_misses_a_constraint_says_nothing_against_a_belief() {
    let goal = luthier_core::Goal { name: "size".to_owned(), direction: Direction::Minimize };
    let limit = luthier_core::Constraint::parse("size <= 10").unwrap();
    let one = Criteria { objectives: Vec::new(), constraints: vec![limit] };
    let two = Criteria { objectives: vec![goal], constraints: Vec::new() };
    let space = Space::new([
        Parameter::new("x", Distribution::float(0.0, 1.0)).believed(Prior::around(0.9).within(0.05))
    ])
    .unwrap();
    let belief = Belief::of(&space).unwrap();
    let holds = |criteria: &Criteria, trials: &[(f64, f64, f64)]| {
        let mut played = Played(History::new(Direction::Minimize).with_criteria(criteria.clone()));
        for (x, loss, size) in trials {
            let trial = played.begin(Params::from([("x".to_owned(), Value::Float(*x))]), None);
            played.report_with(trial, 1, *loss, &[("size", *size)]);
            played.finish(trial, Outcome::Complete { value: *loss, step: Some(1), ending: Ending::Full });
        }
        belief.holds(&played.0.view())
    };
    // What is far from the belief is the best, but misses the constraint.
    assert!(holds(&one, &[(0.1, 0.0, 50.0), (0.9, 1.0, 5.0)]));
    assert!(!holds(&one, &[(0.1, 0.0, 5.0), (0.9, 1.0, 5.0)]));
    // It is the best by the first objective, and the other one is the knee.
    assert!(holds(&two, &[(0.1, 0.0, 10.0), (0.9, 1.0, 1.0), (0.2, 10.0, 0.0)]));
    assert!(!holds(&two, &[(0.9, 0.0, 10.0), (0.1, 1.0, 1.0), (0.2, 10.0, 0.0)]));
}
