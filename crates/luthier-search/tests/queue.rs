//! Starting points come first, and what they leave out comes from the search.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::{Played, conditional_space};
use luthier_core::{
    Constraint, Distribution, Next, Parameter, Params, Purpose, SamplerAndPruner, Search, Space, Streams,
    Value,
};
use luthier_search::{Pbt, Population, Queue};

#[test]
fn starting_points_come_first_and_are_completed() {
    let space = conditional_space();
    let plain = || {
        let sampler = luthier_search::sampler("auto").unwrap();
        Box::new(SamplerAndPruner::new(sampler, luthier_search::PrunerConfig::None.create()))
    };
    let start = |name: &str, value: Value| space.start(&Params::from([(name.to_owned(), value)])).unwrap();
    let mut queue = Queue::new(plain(), [start("momentum", 0.9.into()), start("rate", 1e-3.into())]);
    let mut played = Played::new();
    let mut found = Vec::new();
    for n in 0..6 {
        if n == 4 {
            assert_eq!(queue.push(n, start("layers", 2.into())), Ok(4));
            assert_eq!(queue.push(n, start("layers", 1.into())), Ok(5));
        }
        let next = |search: &dyn Search| {
            let mut rng = Streams::new(0).at(Purpose::Sampler, n);
            match search.next(&played.0.view(), &space, &mut rng).unwrap() {
                Next::New { params, .. } => params,
                other => panic!("{other:?}"),
            }
        };
        let (params, proposed) = (next(&queue), next(&*plain()));
        assert!(space.contains(&params), "{params:?}");
        if [2, 3].contains(&n) {
            assert_eq!(params, proposed, "trial {n} is the search's own");
        }
        played.begin(params.clone(), None);
        found.push((params, proposed));
    }
    assert_eq!(found[0].0["momentum"], Value::Float(0.9));
    assert_eq!(found[0].0["optimizer"], "sgd".into());
    assert_eq!(found[0].0["dropout"], found[0].1["dropout"]);
    assert_eq!(found[1].0["rate"], Value::Float(1e-3));
    assert_eq!((&found[4].0["layers"], &found[5].0["layers"]), (&Value::Int(2), &Value::Int(1)));
}

#[test]
fn what_a_starting_point_leaves_out_keeps_the_constraints() {
    let constraint = Constraint::parse("x < y").unwrap();
    let space = Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0))))
        .unwrap()
        .with_constraints([constraint])
        .unwrap();
    for n in 0..20 {
        let sampler = luthier_search::sampler("sobol").unwrap();
        let search = SamplerAndPruner::new(sampler, luthier_search::PrunerConfig::None.create());
        let given = Params::from([("x".to_owned(), Value::Float(0.9))]);
        let queue = Queue::new(Box::new(search), [space.start(&given).unwrap()]);
        let mut rng = Streams::new(n).at(Purpose::Sampler, 0);
        let Next::New { params, .. } = queue.next(&Played::new().0.view(), &space, &mut rng).unwrap() else {
            panic!("a first trial")
        };
        assert!(space.contains(&params) && params["x"] == Value::Float(0.9), "{params:?}");
    }
}

#[test]
fn a_population_begins_with_starting_points_and_goes_on_with_forks() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let start = |x: f64| space.start(&Params::from([("x".to_owned(), Value::Float(x))])).unwrap();
    let settings = Population { size: 3, interval: Some(1), ..Population::default() };
    let pbt = Pbt { settings, ..Pbt::perturbed() };
    let mut queue = Queue::new(Box::new(pbt), [start(0.25)]).of_population(3);
    assert!(queue.forks());
    assert_eq!(queue.push(0, start(0.5)), Ok(1));
    let mut played = Played::with_steps(2);
    let next = |queue: &Queue, played: &Played| {
        let mut rng = Streams::new(0).at(Purpose::Sampler, played.0.trials().len() as u64);
        queue.next(&played.0.view(), &space, &mut rng).unwrap()
    };
    for expected in [Some(0.25), Some(0.5), None] {
        let Next::New { params, from: None, until } = next(&queue, &played) else { panic!("a member") };
        let trial = played.begin(params.clone(), until);
        played.report(trial, 1, 1.0);
        played.pause(trial);
        assert!(expected.is_none_or(|x| params["x"] == Value::Float(x)), "{params:?}");
    }
    let error = queue.push(3, start(0.75)).unwrap_err().to_string();
    assert!(error.contains("a population begins with 3 configurations"), "{error}");
    for _ in 0..2 {
        let Next::Resume { trial, until } = next(&queue, &played) else { panic!("a member that goes on") };
        played.resume(trial, until);
    }
    assert!(matches!(next(&queue, &played), Next::New { from: Some(_), .. }));
}
