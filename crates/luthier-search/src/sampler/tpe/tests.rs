//! What the sampler makes of trials of each kind.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::Played;
use luthier_core::{
    Distribution, Ending, Event, FailCause, History, Metrics, Outcome, Parameter, Purpose, Report, Stop,
    StopReason, Streams, TrialId,
};

use super::*;

fn line() -> Space {
    Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap()
}

/// A history of trials with these x, each followed by the events that `rest` makes for it.
fn history(xs: &[f64], rest: impl Fn(TrialId, f64) -> Vec<Event>) -> History {
    let mut played = Played::new();
    for x in xs {
        let trial = played.begin(Params::from_iter([("x".to_owned(), (*x).into())]), None);
        for event in rest(trial, *x) {
            played.add(event);
        }
    }
    played.0
}

fn finished(trial: TrialId, outcome: Outcome) -> Event {
    Event::TrialFinished { trial, outcome, seconds: 0.0 }
}

fn complete(trial: TrialId, value: f64) -> Event {
    finished(trial, Outcome::Complete { value, step: None, ending: Ending::Full })
}

fn reported(trial: TrialId, value: f64) -> Event {
    Event::Reported { trial, report: Report { step: 1, value, metrics: Metrics::default() } }
}

fn grid(n: u32) -> Vec<f64> {
    (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).collect()
}

/// The mean of x over many proposals.
fn mean(history: &History) -> f64 {
    let propose = |position| {
        let mut rng = Streams::new(3).at(Purpose::Sampler, position);
        Tpe::default().propose(&history.view(), &line(), &mut rng).unwrap()["x"].as_f64().unwrap()
    };
    (0..100).map(propose).sum::<f64>() / 100.0
}

#[test]
fn it_goes_where_losses_are_small() {
    let found = mean(&history(&grid(40), |trial, x| vec![complete(trial, (x - 0.8).abs())]));
    assert!((found - 0.8).abs() < 0.05, "{found}");
}

#[test]
fn old_trials_count_less_where_that_is_asked_for() {
    let tpe = Tpe { recent: Some(25), ..Tpe::default() };
    // As hyperopt and Optuna have it: from 1 / n on in equal steps to 1.
    let weights: Vec<f64> = (0..50).map(|i| tpe.weight_of_age(i, 50)).collect();
    assert_eq!((weights[0], weights[25], weights[49]), (0.02, 1.0, 1.0));
    assert!((weights[10] - (0.02 + 0.98 * 10.0 / 24.0)).abs() < 1e-12);
    assert!((0..20).all(|i| tpe.weight_of_age(i, 20) == 1.0));
    assert!((0..50).all(|i| Tpe::default().weight_of_age(i, 50) == 1.0));
    // The least loss was at 0.2, and since the objective has drifted it is at 0.8.
    let drifted = history(&[grid(40), grid(40)].concat(), |trial, x| {
        let best = if trial.0 < 40 { 0.2 } else { 0.8 };
        vec![complete(trial, f64::abs(x - best))]
    });
    let near = |recent| {
        let tpe = Tpe { recent, ..Tpe::default() };
        let is_near = |position: &u64| {
            let mut rng = Streams::new(3).at(Purpose::Sampler, *position);
            tpe.propose(&drifted.view(), &line(), &mut rng).unwrap()["x"].as_f64().unwrap() > 0.5
        };
        (0..200).filter(is_near).count()
    };
    let (all, late) = (near(None), near(Some(25)));
    assert!(late > all + 20 && late > 120, "{late} of 200, without weights {all}");
}

#[test]
fn it_avoids_where_trials_fail() {
    let outcome = |x: f64| match x {
        x if x > 0.75 => Outcome::Failed { cause: FailCause::NotFinite },
        _ => Outcome::Infeasible { reason: "no room".into() },
    };
    let found = mean(&history(&grid(40)[20..], |trial, x| vec![finished(trial, outcome(x))]));
    assert!(found < 0.35, "{found}");
}

#[test]
fn a_stopped_or_paused_trial_counts_with_its_best_report() {
    let stop = |trial| finished(trial, Outcome::Stopped { reason: StopReason::Requested, value: None });
    let pause = |trial| Event::TrialPaused { trial, cause: Stop::Search };
    for end in [&stop as &dyn Fn(TrialId) -> Event, &pause] {
        let found = mean(&history(&grid(40), |trial, x| {
            if x > 0.6 {
                vec![reported(trial, (x - 0.8).abs()), end(trial)]
            } else {
                vec![complete(trial, 1.0 + x)]
            }
        }));
        assert!((found - 0.8).abs() < 0.05, "{found}");
    }
}

#[test]
fn a_running_trial_turns_the_next_proposal_elsewhere() {
    let alone = |trial, x: f64| vec![complete(trial, (x - 0.5).abs())];
    let beside = |trial: TrialId, x: f64| if trial.0 < 20 { alone(trial, x) } else { Vec::new() };
    let near = |history: &History| {
        let propose = |position| {
            let mut rng = Streams::new(3).at(Purpose::Sampler, position);
            Tpe::default().propose(&history.view(), &line(), &mut rng).unwrap()["x"].as_f64().unwrap()
        };
        (0..100).map(propose).filter(|x| (x - 0.5).abs() < 0.02).count()
    };
    let free = near(&history(&grid(20), alone));
    let busy = near(&history(&[grid(20), vec![0.5; 8]].concat(), beside));
    assert!(busy < free, "{busy} of 100 near the running ones, {free} without them");
}

#[test]
fn first_trials_keep_apart() {
    let mut xs: Vec<f64> = Vec::new();
    for n in 0..10 {
        let history = history(&xs, |trial, x| vec![complete(trial, x)]);
        let mut rng = Streams::new(1).at(Purpose::Sampler, n);
        let params = Tpe::default().propose(&history.view(), &line(), &mut rng).unwrap();
        xs.push(params["x"].as_f64().unwrap());
    }
    xs.sort_by(f64::total_cmp);
    assert!(xs.windows(2).all(|pair| pair[1] - pair[0] > 0.02), "{xs:?}");
}

#[test]
fn the_density_integrates_to_one() {
    let space = Space::new([
        Parameter::new("kind", Distribution::choice(["a", "b", "c"])),
        Parameter::new("units", Distribution::log_int(1, 40)),
    ])
    .unwrap();
    let cube = Cube::new(&space);
    let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
    let points: Vec<Point> = (0..12).map(|_| cube.point(&space.sample(&mut rng))).collect();
    let points: Vec<(Point, f64)> = points.into_iter().map(|point| (point, 1.0)).collect();
    for bandwidth in [Bandwidth::Fixed, Bandwidth::Scott] {
        let parzen = Parzen::new(&cube, &points, 1.0, bandwidth);
        let mut total = 0.0;
        for kind in ["a", "b", "c"] {
            for units in 1..=40_i64 {
                let params =
                    Params::from_iter([("kind".into(), kind.into()), ("units".into(), units.into())]);
                let width = libm::log((units as f64 + 0.5) / (units as f64 - 0.5)) / libm::log(40.5 / 0.5);
                total += libm::exp(parzen.log_density(&cube.point(&params))) * width / 3.0;
            }
        }
        assert!((total - 1.0).abs() < 1e-9, "{total}");
    }
}

#[test]
fn losses_of_any_size_are_weighed() {
    for value in [f64::MAX, f64::MIN, 0.0, f64::NAN, f64::INFINITY] {
        let found =
            mean(&history(&grid(20), |trial, x| vec![complete(trial, if x < 0.5 { value } else { -value })]));
        assert!((0.0..=1.0).contains(&found), "{value}");
    }
}

#[test]
fn of_a_long_history_some_kernels_stand_for_all() {
    let history = history(&grid(3_000), |trial, x| vec![complete(trial, (x - 0.8).abs())]);
    let space = line();
    let split = Split::new(
        &history.view(),
        &Cube::new(&space),
        &Tpe::default(),
        &mut Streams::new(0).at(Purpose::Sampler, 0),
    );
    assert_eq!((split.good.len(), split.bad.len()), (GOOD_LIMIT, BAD_LIMIT));
    let weight: f64 = split.bad.iter().map(|(_, weight)| weight).sum();
    assert!((weight - (3_000 - GOOD_LIMIT) as f64).abs() < 1e-6, "{weight}");
    let found = mean(&history);
    assert!((found - 0.8).abs() < 0.05, "{found}");
}
