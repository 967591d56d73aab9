//! Sessions by the logical clock: neither the number nor the speed of workers has a part in what comes out.

use std::sync::atomic::AtomicUsize;

use luthier_core::Due;

use super::*;
use crate::{Verified, verify};

/// Waits some time that differs from trial to trial, step to step and run to run.
pub(super) fn dawdle(run: u64) -> impl Fn(&dyn TrialHandle, u64) + Send + Sync {
    move |trial, step| {
        let mixed = (trial.id().0 + 1).wrapping_mul(0x9e37_79b9).wrapping_add(step * 77 + run * 1013);
        std::thread::sleep(Duration::from_micros((mixed.wrapping_mul(0x85eb_ca6b) >> 7) % 400));
    }
}

pub(super) fn searches() -> Vec<(&'static str, SamplerAndPruner)> {
    let of = |sampler: &str, pruner: &str| {
        let pruner = luthier_search::PrunerConfig::parse(pruner).unwrap();
        SamplerAndPruner::new(luthier_search::sampler(sampler).unwrap(), pruner.create())
    };
    ["none", "median", "asha", "asha_stop", "halving", "hyperband", "curve"]
        .map(|pruner| (pruner, of("tpe", pruner)))
        .into()
}

pub(super) fn ordered(
    storage: &Arc<dyn Storage>,
    search: &dyn Search,
    workers: usize,
    run: u64,
) -> (Stop, History) {
    let objective = Counting { before_step: dawdle(run) };
    run_on(open_with(storage, Some(4)), search, &objective, limits(40, workers), &Interrupt::default())
        .unwrap()
}

pub(super) fn verified(storage: &Arc<dyn Storage>, search: &dyn Search) -> Verified {
    let study = storage.study("s").unwrap().unwrap();
    verify(&study.definition, &storage.read(study.id, 0).unwrap(), search, &space()).unwrap()
}

#[test]
fn the_number_of_workers_changes_nothing() {
    for (name, search) in searches() {
        let mut expected = None;
        for (run, workers) in [1, 2, 4, 9].into_iter().enumerate() {
            let storage = storage();
            let (stop, history) = ordered(&storage, &search, workers, run as u64);
            assert_eq!((stop, history.trials().len()), (Stop::Finished, 40), "{name}");
            let found = (essence(&history), history.best().unwrap().id);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert!(found == *expected, "{name} with {workers} workers: {found:#?} {expected:#?}");
            // What is stored gives the same history, without the search.
            let study = storage.study("s").unwrap().unwrap();
            let read = crate::read_history(&*storage, &study).unwrap();
            assert_eq!(essence(&read), found.0, "{name}");
            let verified = verified(&storage, &search);
            assert_eq!((verified.proposals, &verified.differences[..]), (40, &[][..]), "{name}");
        }
    }
}

#[test]
fn who_cannot_pause_runs_ahead_and_comes_to_the_same_end() {
    let closure = crate::Closure::new(|run: &mut crate::Run<'_>| {
        let x = run.params()["x"].as_f64().unwrap();
        for step in 1..=10 {
            std::thread::sleep(Duration::from_micros((run.id().0 * 37 + step * 91) % 300));
            run.report(step, x + 1.0 / step as f64)?;
        }
        Ok(x + 0.1)
    });
    for (name, search) in searches() {
        let (_, expected) = ordered(&storage(), &search, 1, 0);
        for workers in [1, 2, 8] {
            let storage = storage();
            let ledger = open_with(&storage, Some(4));
            let (stop, history) =
                run_on(ledger, &search, &closure, limits(40, workers), &Interrupt::default()).unwrap();
            assert_eq!(stop, Stop::Finished, "{name}");
            assert_eq!(essence(&history), essence(&expected), "{name} with {workers} workers");
            assert_eq!(verified(&storage, &search).differences, Vec::<String>::new(), "{name}");
        }
    }
}

#[test]
fn an_interrupted_study_comes_to_the_same_end() {
    for (name, search) in searches() {
        let (_, expected) = ordered(&storage(), &search, 3, 0);
        let storage = storage();
        for round in 0..50 {
            let interrupt = Interrupt::default();
            let steps = AtomicUsize::new(0);
            let objective = Counting {
                before_step: |trial: &dyn TrialHandle, step: u64| {
                    dawdle(round)(trial, step);
                    if steps.fetch_add(1, Ordering::Relaxed) == 60 {
                        interrupt.set();
                    }
                },
            };
            let ledger = open_with(&storage, Some(4));
            let (stop, history) = run_on(ledger, &search, &objective, limits(40, 3), &interrupt).unwrap();
            if stop == Stop::Finished {
                assert!(round > 0, "{name} was never interrupted");
                let (a, b) = (essence(&history), essence(&expected));
                if let Some(k) = (0..40).find(|k| a[*k] != b[*k]) {
                    panic!("{name} round {round} {k}\n{}\n{}", a[k], b[k]);
                }
                break;
            }
            assert!(stop == Stop::Interrupted && round < 49, "{name}: {stop}");
        }
        assert_eq!(verified(&storage, &search).differences, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_was_altered_is_found() {
    let (_, search) = searches().remove(3);
    let storage = storage();
    ordered(&storage, &search, 2, 0);
    let study = storage.study("s").unwrap().unwrap();
    let events = storage.read(study.id, 0).unwrap();
    let differences = |change: &dyn Fn(&mut Event)| {
        let mut altered = events.clone();
        for recorded in &mut altered {
            change(&mut recorded.event);
        }
        verify(&study.definition, &altered, &search, &space()).map(|verified| verified.differences)
    };
    assert_eq!(differences(&|_| {}).unwrap(), Vec::<String>::new());
    let better = differences(&|event| {
        if let Event::Reported { trial: TrialId(2), report } = event {
            report.value -= 0.5;
        }
    });
    assert!(!better.unwrap().is_empty());
    let seeded = differences(&|event| {
        if let Event::TrialStarted { trial: TrialId(7), seed, .. } = event {
            *seed += 1;
        }
    });
    assert_eq!(seeded.unwrap(), ["trial 7 has another seed than the study gives it"]);
    let elsewhere = differences(&|event| {
        if let Event::TrialStarted { trial: TrialId(30), params, .. } = event {
            params.insert("x".into(), Value::Float(0.5));
        }
    });
    let elsewhere = elsewhere.unwrap();
    assert!(elsewhere[0].contains("trial 30 has x = 0.5 where the search proposes x = 0."), "{elsewhere:?}");
}

#[test]
fn a_study_in_free_order_is_verified_by_what_each_proposal_saw() {
    for (name, search) in searches() {
        let storage = storage();
        let objective = Counting { before_step: dawdle(1) };
        run(&storage, &search, &objective, limits(30, 3), &Interrupt::default()).unwrap();
        let verified = verified(&storage, &search);
        assert_eq!((verified.proposals, &verified.differences[..]), (30, &[][..]), "{name}");
    }
}

/// Seconds of a trial's report, from 1 to 10.
fn cost(trial: u64) -> f64 {
    let share = ((trial + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 24);
    1.0 + 9.0 * share
}

/// The time that `workers` need for `trials` trials of ten reports each, whose costs differ tenfold, on machines that
/// exist in thought only.
fn simulated(slots: u32, workers: usize, trials: u64) -> f64 {
    let definition = StudyDefinition {
        name: "s".into(),
        objective: "value".into(),
        direction: Direction::Minimize,
        criteria: luthier_core::Criteria::default(),
        seed: 0,
        slots: Some(slots),
        steps: Some(10),
        file: None,
        data: None,
        program: "test".into(),
    };
    let mut history = History::of(&definition);
    let record = |history: &mut History, event: Event| {
        let revision = history.revision() + 1;
        history.apply(&luthier_core::Recorded { revision, at_ms: 0, event }).unwrap();
    };
    let (mut now, mut done) = (0.0, 0);
    // What each worker is at: the trial, the next step and when it is done.
    let mut busy: Vec<Option<(TrialId, u64, f64)>> = vec![None; workers];
    let mut begun = 0;
    loop {
        loop {
            match history.due() {
                Due::Report(at, trial) | Due::End(at, trial) => history.count(at, trial),
                Due::Next(at) if begun < trials => {
                    let event = Event::TrialStarted {
                        trial: TrialId(begun),
                        params: luthier_core::Params::new(),
                        seed: 0,
                        until: None,
                        at: Some(at),
                        from: None,
                    };
                    record(&mut history, event);
                    begun += 1;
                }
                Due::Next(at) => history.wait(at),
                Due::Unknown(_) | Due::Nothing => break,
            }
        }
        for worker in 0..workers {
            if busy[worker].is_none() {
                let in_hand: Vec<TrialId> = busy.iter().flatten().map(|(trial, ..)| *trial).collect();
                let next = history.runnable().into_iter().find(|trial| !in_hand.contains(trial));
                busy[worker] = next.map(|trial| (trial, 1, now + cost(trial.0)));
            }
        }
        let Some(worker) = (0..workers)
            .filter(|worker| busy[*worker].is_some())
            .min_by(|a, b| busy[*a].unwrap().2.total_cmp(&busy[*b].unwrap().2))
        else {
            assert_eq!(done, trials);
            return now;
        };
        let (trial, step, at) = busy[worker].unwrap();
        now = at;
        let report = luthier_core::Report { step, value: 1.0, metrics: Metrics::default() };
        record(&mut history, Event::Reported { trial, report });
        busy[worker] = if step < 10 {
            Some((trial, step + 1, now + cost(trial.0)))
        } else {
            let outcome = Outcome::Complete { value: 1.0, step: Some(10), ending: Ending::Full };
            record(&mut history, Event::TrialFinished { trial, outcome, seconds: 0.0 });
            done += 1;
            None
        };
    }
}

#[test]
fn order_costs_little_where_there_are_slots_enough() {
    let trials = 400;
    let work: f64 = (0..trials).map(|trial| 10.0 * cost(trial)).sum();
    for workers in [2, 8] {
        // Workers that are never idle, which no order can beat.
        let free = work / workers as f64;
        for (times, most) in [(1, 2.2), (2, 1.5), (4, 1.25), (8, 1.2)] {
            let ratio = simulated(workers as u32 * times, workers, trials) / free;
            assert!((1.0..most).contains(&ratio), "{workers} workers, {times} times as many slots: {ratio}");
        }
    }
}
