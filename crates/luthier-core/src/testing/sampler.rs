//! What every sampler and pruner promises.

use super::{conditional_space, record};
use crate::{
    Condition, Constraint, Criteria, Decision, Direction, Distribution, Ending, Event, FailCause, Goal,
    History, Metrics, Outcome, Parameter, Params, Pruner, Purpose, Recorded, Report, Sampler, Space, Streams,
    TrialId, Value,
};

/// A made-up loss: small for a rate near 1e-3 and many layers.
fn loss(params: &Params) -> f64 {
    let rate = params["rate"].as_f64().expect("a number");
    let layers = params["layers"].as_f64().expect("a number");
    (rate.log10() + 3.0).powi(2) + 0.3 * (3.0 - layers)
}

/// A history with trials of every state: complete, stopped, failed, infeasible, paused and running.
fn mixed_history(space: &Space, trials: u64) -> Vec<Recorded> {
    let streams = Streams::new(99);
    let mut events = Vec::new();
    for n in 0..trials {
        let trial = TrialId(n);
        let params = space.sample(&mut streams.at(Purpose::Sampler, n));
        let value = loss(&params);
        events.push(Event::TrialStarted { trial, params, seed: n, until: None, at: None, from: None });
        for step in 1..=3 {
            let value = if n % 11 == 4 { f64::NAN } else { value + 1.0 / step as f64 };
            events
                .push(Event::Reported { trial, report: Report { step, value, metrics: Metrics::default() } });
        }
        let outcome = match n % 7 {
            0 => Outcome::Failed { cause: FailCause::Diverged { epoch: 1, step: 3 } },
            1 => Outcome::Infeasible { reason: "no room".into() },
            2 => Outcome::Stopped { reason: crate::StopReason::Requested, value: Some(value) },
            3 if n % 2 == 0 => continue,
            _ => Outcome::Complete { value, step: Some(3), ending: Ending::Full },
        };
        events.push(Event::TrialFinished { trial, outcome, seconds: 0.0 });
    }
    record(events)
}

/// Checks a sampler against the contract of [`Sampler`].
///
/// # Panics
///
/// Where it breaks the contract.
pub fn sampler_contract(sampler: &dyn Sampler) {
    let space = conditional_space();
    for trials in [0, 1, 5, 60] {
        let history = History::replay(Direction::Minimize, &mixed_history(&space, trials)).unwrap();
        let view = history.view();
        for position in 0..10 {
            let rng = || Streams::new(5).at(Purpose::Sampler, position);
            let params = sampler.propose(&view, &space, &mut rng()).unwrap();
            // It stays in the space, parents and children fitting each other.
            assert!(space.contains(&params), "{params:?}");
            // It is a function of what it is given.
            assert_eq!(params, sampler.propose(&view, &space, &mut rng()).unwrap());
        }
    }

    sees_no_gaps(sampler, &space);
    keeps_to_unusual_spaces(sampler);
    copes_with_several_objectives(sampler);

    // A parameter that trials may lack is proposed all the same.
    let optional = Parameter { optional: true, ..Parameter::new("extra", Distribution::float(0.0, 1.0)) };
    let wider = Space::new(space.iter().cloned().chain([optional])).unwrap();
    let history = History::replay(Direction::Minimize, &mixed_history(&space, 40)).unwrap();
    for position in 40..44 {
        let mut rng = Streams::new(1).at(Purpose::Sampler, position);
        let params = sampler.propose(&history.view(), &wider, &mut rng).unwrap();
        assert!(wider.contains(&params) && params.contains_key("extra"), "{params:?}");
    }

    // Trials of another space (an older file, a parameter that has gone) do no harm.
    let other = Space::new([Parameter::new("rate", Distribution::log_float(1.0, 2.0))]).unwrap();
    let history = History::replay(Direction::Minimize, &mixed_history(&space, 40)).unwrap();
    let params =
        sampler.propose(&history.view(), &other, &mut Streams::new(1).at(Purpose::Sampler, 0)).unwrap();
    assert!(other.contains(&params));

    // A space of one point has one answer, and the empty space the empty one.
    let point = Space::new([Parameter::new("x", Distribution::float(2.0, 2.0))]).unwrap();
    let params =
        sampler.propose(&history.view(), &point, &mut Streams::new(1).at(Purpose::Sampler, 0)).unwrap();
    assert_eq!(params["x"], Value::Float(2.0));
    let nothing = Space::default();
    let params =
        sampler.propose(&history.view(), &nothing, &mut Streams::new(1).at(Purpose::Sampler, 0)).unwrap();
    assert!(params.is_empty());
}

/// Of a view that leaves trials out nothing counts but their order: a history in which those that are left have numbers
/// without gaps makes the same proposals.
fn sees_no_gaps(sampler: &dyn Sampler, space: &Space) {
    let is_left = |n: u64| n % 3 != 1;
    let events = mixed_history(space, 60);
    let history = History::replay(Direction::Minimize, &events).unwrap();
    let params = |n: u64| space.sample(&mut Streams::new(99).at(Purpose::Sampler, n));
    let left: Vec<Params> = (0..60).filter(|n| is_left(*n)).map(params).collect();
    let trials = history.view().select(|params| left.contains(params));
    let view = history.view();
    let with_gaps = view.only(&trials);
    let renumbered = events.into_iter().filter_map(|mut recorded| {
        let (Event::TrialStarted { trial, .. }
        | Event::Reported { trial, .. }
        | Event::TrialFinished { trial, .. }) = &mut recorded.event
        else {
            return None;
        };
        let number = trial.0;
        *trial = TrialId((0..number).filter(|n| is_left(*n)).count() as u64);
        is_left(number).then_some(recorded.event)
    });
    let renumbered = record(renumbered);
    let without = History::replay(Direction::Minimize, &renumbered).unwrap();
    let propose = |view| {
        let mut rng = Streams::new(5).at(Purpose::Sampler, 40);
        sampler.propose(view, space, &mut rng).unwrap()
    };
    assert_eq!(with_gaps.len(), 40);
    assert_eq!(propose(&with_gaps), propose(&without.view()));
}

/// Spaces with whatever is unusual in a range: one parameter, two hundred, constants, steps that do not reach the end,
/// options of one and of many, children of children.
fn unusual_spaces() -> Vec<Space> {
    let step = |low, high, step| Distribution::Float { low, high, log: false, step: Some(step) };
    let space = |parameters: Vec<Parameter>| Space::new(parameters).unwrap();
    let many = |i: usize| {
        let distribution = match i % 4 {
            0 => Distribution::float(-1.0, 1.0),
            1 => Distribution::log_int(1, 1000),
            2 => Distribution::choice(["a", "b", "c"]),
            _ => step(0.0, 1.0, 0.3),
        };
        Parameter::new(format!("p{i}"), distribution)
    };
    vec![
        space(vec![Parameter::new("x", Distribution::float(-1e300, 1e300))]),
        space(vec![Parameter::new("x", Distribution::log_float(1e-300, 1e300))]),
        space(vec![Parameter::new("n", Distribution::Int { low: -7, high: 8, log: false, step: 4 })]),
        space(vec![
            Parameter::new("only", Distribution::choice(["one"])),
            Parameter::new("fixed", Distribution::int(3, 3)),
            Parameter::new("step", step(0.1, 0.95, 0.2)),
        ]),
        space(vec![
            Parameter::new("kind", Distribution::choice((0..60_i64).collect::<Vec<_>>())),
            Parameter::new("depth", Distribution::int(0, 2)).when(Condition::equals("kind", 1)),
            Parameter::new("width", Distribution::log_float(1e-3, 1.0))
                .when(Condition::AtLeast { param: "depth".into(), value: 1 }),
        ]),
        space((0..200).map(many).collect()),
    ]
}

/// How trials may end that say little, by name.
const UNUSUAL_ENDS: [&str; 7] =
    ["failed", "infeasible", "equal", "not finite", "huge", "running", "stopped without a report"];

/// A history of `trials` trials that all end in this way.
fn unusual_history(space: &Space, trials: u64, end: &str) -> Vec<Recorded> {
    let streams = Streams::new(7);
    let complete = |value| Outcome::Complete { value, step: None, ending: Ending::Full };
    let mut events = Vec::new();
    for n in 0..trials {
        let trial = TrialId(n);
        let params = space.sample(&mut streams.at(Purpose::Sampler, n));
        events.push(Event::TrialStarted { trial, params, seed: n, until: None, at: None, from: None });
        let outcome = match end {
            "failed" => Outcome::Failed { cause: FailCause::NotFinite },
            "infeasible" => Outcome::Infeasible { reason: "no room".into() },
            "equal" => complete(0.25),
            "not finite" => complete([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0][n as usize % 4]),
            "huge" => complete([f64::MAX, f64::MIN, 1e-300, 0.0][n as usize % 4]),
            "running" => continue,
            _ => Outcome::Stopped { reason: crate::StopReason::Requested, value: None },
        };
        events.push(Event::TrialFinished { trial, outcome, seconds: 0.0 });
    }
    record(events)
}

/// Whatever the space and whatever became of the trials, a proposal is in the space and the same each time.
fn keeps_to_unusual_spaces(sampler: &dyn Sampler) {
    for space in unusual_spaces() {
        for end in UNUSUAL_ENDS {
            for trials in [1, 14] {
                let events = unusual_history(&space, trials, end);
                let history = History::replay(Direction::Maximize, &events).unwrap();
                let rng = || Streams::new(5).at(Purpose::Sampler, trials);
                let params = sampler.propose(&history.view(), &space, &mut rng()).unwrap();
                assert!(space.contains(&params), "trials that are {end}: {params:?}");
                assert_eq!(params, sampler.propose(&history.view(), &space, &mut rng()).unwrap());
            }
        }
    }
}

/// A history of trials with three objectives and two constraints; of some a value is missing or not finite, and some miss
/// constraints, or all of them where `feasible` is false.
fn history_of_several(space: &Space, trials: u64, feasible: bool) -> History {
    let goal = |name: &str| Goal { name: name.to_owned(), direction: Direction::Maximize };
    let limit = |text: &str| Constraint::parse(text).unwrap();
    let criteria = Criteria {
        objectives: vec![goal("second"), goal("third")],
        constraints: vec![limit("size <= 0.7"), limit("weight >= 2")],
    };
    let streams = Streams::new(17);
    let mut events = Vec::new();
    for n in 0..trials {
        let trial = TrialId(n);
        let params = space.sample(&mut streams.at(Purpose::Sampler, n));
        let mut draws = streams.at(Purpose::Data, n);
        let mut metrics = Metrics::from_iter([("second", draws.uniform()), ("size", draws.uniform())]);
        if n % 5 != 1 {
            metrics.insert("third", if n % 7 == 3 { f64::INFINITY } else { draws.below(3) as f64 });
        }
        metrics.insert("weight", if feasible { 3.0 } else { n as f64 / trials as f64 });
        let value = draws.uniform();
        let outcome = Outcome::Complete { value, step: Some(1), ending: Ending::Full };
        events.push(Event::TrialStarted { trial, params, seed: n, until: None, at: None, from: None });
        events.push(Event::Reported { trial, report: Report { step: 1, value, metrics } });
        if n % 6 != 4 {
            events.push(Event::TrialFinished { trial, outcome, seconds: 0.0 });
        }
    }
    let mut history = History::new(Direction::Minimize).with_criteria(criteria);
    for recorded in record(events) {
        history.apply(&recorded).unwrap();
    }
    history
}

/// With several objectives and constraints on results, a proposal is in the space and the same each time.
fn copes_with_several_objectives(sampler: &dyn Sampler) {
    let space = conditional_space();
    for (trials, feasible) in
        [(0, true), (1, true), (1, false), (14, true), (14, false), (80, true), (80, false)]
    {
        let history = history_of_several(&space, trials, feasible);
        for position in [trials, trials + 1] {
            let rng = || Streams::new(5).at(Purpose::Sampler, position);
            let params = sampler.propose(&history.view(), &space, &mut rng()).unwrap();
            assert!(space.contains(&params), "{params:?}");
            assert_eq!(params, sampler.propose(&history.view(), &space, &mut rng()).unwrap());
        }
    }
}

/// Checks a pruner against the contract of [`Pruner`].
///
/// # Panics
///
/// Where it breaks the contract.
pub fn pruner_contract(pruner: &dyn Pruner) {
    let space = conditional_space();
    for trials in [1, 8, 60] {
        let events = mixed_history(&space, trials);
        let history = History::replay(Direction::Minimize, &events).unwrap();
        let view = history.view();
        for trial in view.unfinished() {
            let rng = || Streams::new(5).at(Purpose::Pruner, trial.id().0);
            let decision = pruner.decide(&view, &trial, &mut rng());
            assert_eq!(decision, pruner.decide(&view, &trial, &mut rng()));
            if !pruner.decides() {
                assert_eq!(decision, Decision::Continue);
            }
        }
    }

    // The only trial there is, is never stopped.
    let alone = record([
        Event::TrialStarted {
            trial: TrialId(0),
            params: Params::new(),
            seed: 0,
            until: None,
            at: None,
            from: None,
        },
        Event::Reported {
            trial: TrialId(0),
            report: Report { step: 1, value: 1e9, metrics: Metrics::default() },
        },
    ]);
    let history = History::replay(Direction::Minimize, &alone).unwrap();
    let view = history.view();
    let trial = view.get_unfinished(TrialId(0)).unwrap();
    assert_eq!(pruner.decide(&view, &trial, &mut Streams::new(0).at(Purpose::Pruner, 0)), Decision::Continue);
}
