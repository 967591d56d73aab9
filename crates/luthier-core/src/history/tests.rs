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
