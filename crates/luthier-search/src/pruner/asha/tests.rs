//! Histories that are played, and what ASHA makes of them.

use luthier_core::{Direction, Ending, Event, History, Outcome, Purpose, Stop, Streams};

use super::*;
use luthier_core::testing::Played;

#[test]
fn the_best_third_of_a_rung_goes_on() {
    let (asha, mut played) = (Asha::promoting(), Played::new());
    for value in [0.5, 0.3, 0.9, 0.1] {
        assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
        let trial = played.start(Some(1));
        played.report(trial, 1, value);
        played.pause(trial);
        if trial.0 == 2 {
            // One of three: the one with 0.3.
            let promoted = TrialId(1);
            assert_eq!(asha.admit(&played.0.view()), Admission::Resume(promoted, Budget::Until(3)));
            played.add(Event::TrialResumed { trial: promoted, until: Some(3), at: None });
            played.report(promoted, 2, 0.25);
            played.report(promoted, 3, 0.2);
            played.pause(promoted);
        }
    }
    // One of four is one, and one has gone on: the new best waits until there are six.
    for value in [0.95, 0.8] {
        assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
        let trial = played.start(Some(1));
        played.report(trial, 1, value);
        played.pause(trial);
    }
    assert_eq!(asha.admit(&played.0.view()), Admission::Resume(TrialId(3), Budget::Until(3)));
    played.add(Event::TrialResumed { trial: TrialId(3), until: Some(3), at: None });
    assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
}

#[test]
fn a_higher_rung_comes_first_and_no_trial_twice() {
    let (asha, mut played) = (Asha::promoting(), Played::new());
    for number in 0..9 {
        let trial = played.start(Some(1));
        played.report(trial, 1, f64::from(number));
        played.pause(trial);
    }
    for number in 0..3 {
        let trial = TrialId(number);
        assert_eq!(asha.admit(&played.0.view()), Admission::Resume(trial, Budget::Until(3)));
        played.add(Event::TrialResumed { trial, until: Some(3), at: None });
        played.report(trial, 3, number as f64);
        played.pause(trial);
    }
    assert_eq!(asha.admit(&played.0.view()), Admission::Resume(TrialId(0), Budget::Until(9)));
    played.add(Event::TrialResumed { trial: TrialId(0), until: Some(9), at: None });
    // It ended before the rung: nobody waits any more among the best.
    let outcome = Outcome::Complete { value: 0.0, step: Some(3), ending: Ending::Full };
    played.add(Event::TrialFinished { trial: TrialId(0), outcome, seconds: 0.0 });
    assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
}

#[test]
fn behind_the_last_rung_a_trial_runs_to_its_end_and_one_always_does() {
    let asha = Asha::promoting();
    let mut played = Played(History::new(Direction::Minimize).with_steps(Some(10)));
    for number in 0..5 {
        let trial = played.start(Some(1));
        played.report(trial, 1, f64::from(number));
        played.pause(trial);
    }
    let resume = |played: &Played| asha.admit(&played.0.view().closing(true));
    assert_eq!(resume(&played), Admission::Resume(TrialId(0), Budget::Until(3)));
    played.add(Event::TrialResumed { trial: TrialId(0), until: Some(3), at: None });
    // While it runs, it may win.
    assert_eq!(resume(&played), Admission::New(Budget::Until(1)));
    played.report(TrialId(0), 3, 0.0);
    played.pause(TrialId(0));
    // One of one is no third, and yet somebody has to come to an end.
    assert_eq!(resume(&played), Admission::Resume(TrialId(0), Budget::Full));
    assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
    for (number, value) in [(1, 0.1), (2, 0.2)] {
        let trial = TrialId(number);
        played.add(Event::TrialResumed { trial, until: Some(3), at: None });
        played.report(trial, 3, value);
        played.pause(trial);
    }
    // 9 is no rung where 27 is beyond the end.
    assert_eq!(asha.admit(&played.0.view()), Admission::Resume(TrialId(0), Budget::Full));
}

#[test]
fn a_trial_without_a_number_is_the_last() {
    let (asha, mut played) = (Asha::promoting(), Played::new());
    for value in [f64::NAN, f64::INFINITY, 4.0] {
        let trial = played.start(Some(1));
        played.report(trial, 1, value);
        played.pause(trial);
    }
    assert_eq!(asha.admit(&played.0.view()), Admission::Resume(TrialId(2), Budget::Until(3)));
}

#[test]
fn who_is_behind_at_a_rung_stops() {
    let (asha, mut played) = (Asha::stopping(), Played::new());
    assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Full));
    let mut decide = |value: f64| {
        let trial = played.start(None);
        played.report(trial, 1, value);
        played.decide(&asha, trial)
    };
    assert_eq!(decide(0.5), Decision::Continue);
    let behind = |rank, of| Decision::Stop(StopReason::BehindRung { step: 1, rank, kept: 1, of });
    assert_eq!(decide(0.6), behind(2, 2));
    assert_eq!(decide(0.4), Decision::Continue);
    assert_eq!(decide(f64::NAN), behind(4, 4));
    // Between the rungs nothing is judged.
    played.report(TrialId(0), 2, 9.0);
    assert_eq!(played.decide(&asha, TrialId(0)), Decision::Continue);
}

/// A session of a study that is to have so many trials.
fn limited_to(trials: u64) -> Event {
    Event::SessionStarted {
        program: String::new(),
        worker: None,
        file: None,
        data: None,
        class: None,
        trials: Some(trials),
        at: None,
    }
}

/// Plays a study of at most `limit` trials in `slots` slots at random, and passes each state of it to `look`, with the
/// trial that goes on there.
fn play(seed: u64, asha: &Asha, limit: u64, slots: usize, mut look: impl FnMut(&History, Option<TrialId>)) {
    let mut rng = Streams::new(seed).at(Purpose::Data, 0);
    let length = 1 + rng.below(30) as u64;
    let steps = Some(length).filter(|_| rng.below(2) == 0);
    let mut played = Played(History::new(Direction::Minimize).with_steps(steps));
    played.add(limited_to(limit));
    let mut running: Vec<TrialId> = Vec::new();
    let until = |budget| match budget {
        Budget::Full => None,
        Budget::Until(step) => Some(step),
    };
    loop {
        let closed = played.0.trials().len() as u64 >= limit;
        let admitted = if running.len() < slots {
            asha.admit(&played.0.view().closing(closed))
        } else {
            Admission::Wait
        };
        match admitted {
            Admission::Resume(trial, budget) => {
                look(&played.0, Some(trial));
                played.add(Event::TrialResumed { trial, until: until(budget), at: None });
                running.push(trial);
                continue;
            }
            // Often all slots are in use, and sometimes not.
            Admission::New(budget) if !closed && (running.is_empty() || rng.below(8) > 0) => {
                running.push(played.start(until(budget)));
                continue;
            }
            _ => look(&played.0, None),
        }
        if running.is_empty() {
            return;
        }
        let place = rng.below(running.len());
        let trial = running[place];
        let at = played.0.trial(trial).expect("it runs");
        let (step, ends) = (at.reports.len() as u64 + 1, at.until);
        let value = match rng.below(40) {
            0 => f64::NAN,
            1 => 0.5,
            _ => rng.uniform(),
        };
        played.report(trial, step, value);
        let outcome = match rng.below(60) {
            0 => Some(Outcome::Failed { cause: luthier_core::FailCause::NotFinite }),
            _ if step >= length => {
                Some(Outcome::Complete { value: 0.5, step: Some(step), ending: Ending::Full })
            }
            _ => None,
        };
        if let Some(outcome) = outcome {
            played.add(Event::TrialFinished { trial, outcome, seconds: 0.0 });
        } else if ends.is_some_and(|until| step >= until) {
            played.pause(trial);
        } else {
            continue;
        }
        running.swap_remove(place);
    }
}

#[test]
fn who_is_given_up_never_goes_on_and_at_the_end_all_are() {
    let (mut early, mut histories) = (0, 0);
    for seed in 0..400 {
        let asha = Asha::promoting().with_rungs(Rungs { first: 1 + seed % 2, factor: 2 + seed % 3 });
        let (limit, slots) = (1 + seed % 70, 1 + (seed % 9) as usize);
        let mut gone: Vec<TrialId> = Vec::new();
        let mut paused = Vec::new();
        play(seed, &asha, limit, slots, |history, resumed| {
            let given_up = asha.given_up(&history.view());
            assert!(resumed.is_none_or(|trial| !gone.contains(&trial)), "history {seed}: {resumed:?}");
            let open = history.trials().len() as u64 + (slots as u64) < limit;
            for trial in given_up {
                assert!(history.trial(trial).is_some_and(|trial| trial.paused == Some(Stop::Search)));
                if !gone.contains(&trial) {
                    gone.push(trial);
                    early += u64::from(open);
                }
            }
            let waits = |trial: &&luthier_core::Trial| trial.paused == Some(Stop::Search);
            paused = history.open().filter(waits).map(|trial| trial.id).collect();
            histories += 1;
        });
        gone.sort_unstable();
        assert_eq!(paused, gone, "history {seed}");
    }
    assert!(histories > 10_000 && early > 300, "{histories} states, {early} given up long before the end");
}

#[test]
fn none_is_given_up_without_a_limit_or_a_winner() {
    let asha = Asha::promoting();
    play(5, &asha, 60, 4, |history, _| {
        let given_up = asha.given_up(&history.view());
        assert!(given_up.is_empty() || history.best().is_some());
    });
    let mut played = Played::new();
    for number in 0..50 {
        let trial = played.start(Some(1));
        played.report(trial, 1, f64::from(number));
        played.pause(trial);
    }
    let outcome = Outcome::Complete { value: 0.0, step: Some(1), ending: Ending::Full };
    let trial = played.start(None);
    played.add(Event::TrialFinished { trial, outcome, seconds: 0.0 });
    assert!(asha.given_up(&played.0.view()).is_empty());
    // None may begin: the best 16 of the 50 go on, and the first of them soon.
    let given_up = asha.given_up(&played.0.view().closing(true));
    assert_eq!(given_up, (16..50).map(TrialId).collect::<Vec<_>>());
}

#[test]
fn new_trials_begin_at_a_higher_rung_the_more_have_come_to_their_end() {
    let (asha, mut played) = (Asha::promoting(), Played::with_steps(27));
    let budgets: Vec<Budget> = (0..=3 * ENDED)
        .map(|_| {
            let Admission::New(budget) = asha.admit(&played.0.view()) else { panic!("nobody waits") };
            played.whole(&[0.5; 27]);
            budget
        })
        .collect();
    let expected = [1, 3, 9].into_iter().flat_map(|rung| [Budget::Until(rung); ENDED]);
    assert_eq!(budgets, expected.chain([Budget::Full]).collect::<Vec<_>>());
    // Where there is to be a number of trials, they stay cheap.
    played.add(limited_to(1000));
    assert_eq!(asha.admit(&played.0.view()), Admission::New(Budget::Until(1)));
}
