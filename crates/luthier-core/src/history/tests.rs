//! What a history makes of its events, and what it refuses.

use super::*;
use crate::Event;
use crate::{Ending, testing::record};

fn started(n: u64) -> Event {
    Event::TrialStarted {
        trial: TrialId(n),
        params: Params::new(),
        seed: n,
        until: None,
        at: None,
        from: None,
    }
}

fn finished(n: u64, value: f64) -> Event {
    let outcome = Outcome::Complete { value, step: None, ending: Ending::Full };
    Event::TrialFinished { trial: TrialId(n), outcome, seconds: 0.0 }
}

fn reported(n: u64, step: u64, value: f64) -> Event {
    let report = Report { step, value, metrics: Metrics::default() };
    Event::Reported { trial: TrialId(n), report }
}

#[test]
fn the_best_is_the_first_of_equals_in_the_studys_direction() {
    let events =
        record([started(0), started(1), started(2), finished(2, 0.9), finished(0, 0.5), finished(1, 0.9)]);
    let best = |direction| History::replay(direction, &events).unwrap().best().unwrap().id.0;
    assert_eq!(best(Direction::Maximize), 1);
    assert_eq!(best(Direction::Minimize), 0);
}

#[test]
fn what_cannot_follow_is_refused_and_changes_nothing() {
    let mut history =
        History::replay(Direction::Minimize, &record([started(0), reported(0, 2, 1.0), finished(0, 1.0)]))
            .unwrap();
    let mut next = |event| {
        let before = history.clone();
        let error = history.apply(&Recorded { revision: 4, at_ms: 0, event }).unwrap_err();
        assert_eq!(before.trials, history.trials);
        error.to_string()
    };
    assert_eq!(next(started(2)), "trial 2 was started where 1 was due");
    assert_eq!(next(reported(0, 3, 0.0)), "trial 0 has ended and cannot change");
    assert_eq!(next(finished(0, 0.0)), "trial 0 has ended and cannot change");
    assert_eq!(next(reported(5, 1, 0.0)), "trial 5 does not exist");
}

#[test]
fn with_a_clock_every_trial_has_a_slot_and_ends_once() {
    let mut history = History { clock: Some(Clock::new(1)), ..History::new(Direction::Minimize) };
    let mut apply = |event: Event| {
        let revision = history.revision() + 1;
        history.apply(&Recorded { revision, at_ms: 0, event })
    };
    assert_eq!(apply(started(0)), Err(HistoryError::NoMoment(TrialId(0))));
    let Event::TrialStarted { trial, params, seed, until, .. } = started(0) else { panic!("a start") };
    let at = Some(Moment { time: 0, slot: 0 });
    assert_eq!(apply(Event::TrialStarted { trial, params, seed, until, at, from: None }), Ok(()));
    assert_eq!(apply(finished(0, 1.0)), Ok(()));
    // It does not count yet, and cannot be taken back.
    assert_eq!(apply(finished(0, 0.5)), Err(HistoryError::Ended(TrialId(0))));
    assert_eq!(apply(reported(0, 1, 0.5)), Err(HistoryError::Ended(TrialId(0))));
}

#[test]
fn steps_rise() {
    let events = record([started(0), reported(0, 2, 1.0), reported(0, 2, 1.0)]);
    let error = History::replay(Direction::Minimize, &events).unwrap_err();
    assert_eq!(error.to_string(), "trial 0 reported step 2 after step 2");
}

/// Trials with a value, the metric `cost` and the metric `size`.
fn measured(trials: &[(f64, f64, f64)]) -> Vec<Event> {
    let events = trials.iter().zip(0..).flat_map(|((value, cost, size), n)| {
        let trial = TrialId(n);
        let metrics = Metrics::from_iter([("cost", *cost), ("size", *size)]);
        let report = crate::Report { step: 1, value: *value, metrics };
        let outcome = Outcome::Complete { value: *value, step: Some(1), ending: crate::Ending::Full };
        [
            Event::TrialStarted {
                trial,
                params: crate::Params::new(),
                seed: 0,
                until: None,
                at: None,
                from: None,
            },
            Event::Reported { trial, report },
            Event::TrialFinished { trial, outcome, seconds: 0.0 },
        ]
    });
    events.collect()
}

fn with_criteria(criteria: Criteria, trials: &[(f64, f64, f64)]) -> History {
    let mut history = History::new(Direction::Maximize).with_criteria(criteria);
    for recorded in crate::testing::record(measured(trials)) {
        history.apply(&recorded).unwrap();
    }
    history
}

fn winners(history: &History) -> Vec<u64> {
    history.winners().iter().map(|id| id.0).collect()
}

#[test]
fn of_several_objectives_the_front_wins() {
    let cost = crate::Goal { name: "cost".into(), direction: Direction::Minimize };
    let criteria = Criteria { objectives: vec![cost], constraints: Vec::new() };
    let trials = [
        (0.5, 3.0, 1.0),
        (0.9, 9.0, 1.0),
        (0.4, 4.0, 1.0),
        (0.6, 3.0, 1.0),
        (0.95, f64::NAN, 1.0),
        (0.1, 1.0, 1.0),
    ];
    let history = with_criteria(criteria, &trials);
    assert_eq!(winners(&history), [1, 3, 5]);
    assert_eq!(history.best().unwrap().id.0, 1);
    assert_eq!(history.trial(TrialId(3)).unwrap().loss_vector(), Some(vec![-0.6, 3.0]));
    assert_eq!(history.trial(TrialId(4)).unwrap().loss_vector(), None);
    assert_eq!(history.view().objectives(), 2);
}

#[test]
fn a_trial_that_misses_a_constraint_does_not_win() {
    let constraint = crate::Constraint::parse("size <= 10").unwrap();
    let criteria = Criteria { objectives: Vec::new(), constraints: vec![constraint] };
    let history =
        with_criteria(criteria, &[(0.5, 0.0, 12.0), (0.3, 0.0, 10.0), (0.9, 0.0, f64::NAN), (0.2, 0.0, 1.0)]);
    assert_eq!(winners(&history), [1]);
    let violations: Vec<f64> = history.view().finished().map(|trial| trial.violations()[0]).collect();
    assert_eq!(violations, [2.0, 0.0, f64::INFINITY, 0.0]);
}
