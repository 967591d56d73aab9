//! What every sampler and pruner promises.

use super::{conditional_space, record};
use crate::{
    Decision, Direction, Ending, Event, FailCause, History, Metrics, Outcome, Params, Pruner, Purpose,
    Recorded, Report, Sampler, Space, Streams, TrialId, Value,
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
        events.push(Event::TrialStarted { trial, params, seed: n, until: None, at: None });
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
        for position in 0..25 {
            let rng = || Streams::new(5).at(Purpose::Sampler, position);
            let params = sampler.propose(&view, &space, &mut rng()).unwrap();
            // It stays in the space, parents and children fitting each other.
            assert!(space.contains(&params), "{params:?}");
            // It is a function of what it is given.
            assert_eq!(params, sampler.propose(&view, &space, &mut rng()).unwrap());
            for parameter in space.iter() {
                let value = sampler.suggest(&view, parameter, &mut rng()).unwrap();
                assert!(parameter.distribution.contains(&value), "{value} for {}", parameter.name);
            }
        }
    }

    // Trials of another space (an older file, a parameter that has gone) do no harm.
    let other =
        Space::new([crate::Parameter::new("rate", crate::Distribution::log_float(1.0, 2.0))]).unwrap();
    let history = History::replay(Direction::Minimize, &mixed_history(&space, 40)).unwrap();
    let params =
        sampler.propose(&history.view(), &other, &mut Streams::new(1).at(Purpose::Sampler, 0)).unwrap();
    assert!(other.contains(&params));

    // A space of one point has one answer, and the empty space the empty one.
    let point = Space::new([crate::Parameter::new("x", crate::Distribution::float(2.0, 2.0))]).unwrap();
    let params =
        sampler.propose(&history.view(), &point, &mut Streams::new(1).at(Purpose::Sampler, 0)).unwrap();
    assert_eq!(params["x"], Value::Float(2.0));
    let nothing = Space::default();
    let params =
        sampler.propose(&history.view(), &nothing, &mut Streams::new(1).at(Purpose::Sampler, 0)).unwrap();
    assert!(params.is_empty());
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
        Event::TrialStarted { trial: TrialId(0), params: Params::new(), seed: 0, until: None, at: None },
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
