//! Sessions on a storage in memory: limits, interruption, pausing, failures.

#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it should be")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use luthier_core::{
    Abilities, Decision, Direction, Distribution, Ending, Evaluation, FailCause, History, MemoryStorage,
    Metrics, Next, Outcome, Parameter, Rng, SamplerAndPruner, StudyDefinition, Trial, TrialHandle,
    Unfinished, Value, View,
};

use super::*;
use crate::model_name;

/// Counts to ten: the value after step n is x + 1/n. Its checkpoint is the step; its model the number.
struct Counting<F: Fn(&dyn TrialHandle, u64) + Send + Sync> {
    before_step: F,
}

impl<F: Fn(&dyn TrialHandle, u64) + Send + Sync> Objective for Counting<F> {
    fn abilities(&self) -> Abilities {
        Abilities { reports: true, pauses: true, forks: false }
    }

    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        let x = trial.params()["x"].as_f64().unwrap();
        let mut step = trial.checkpoint()?.map_or(0, |bytes| u64::from(bytes[0]));
        loop {
            if step == 10 {
                let model = Some(format!("model {}", trial.id()).into_bytes());
                return Ok(Evaluation::Complete {
                    value: x + 0.1,
                    step: Some(10),
                    ending: Ending::Full,
                    model,
                });
            }
            if trial.until().is_some_and(|until| step >= until) {
                trial.save_checkpoint(vec![step as u8])?;
                return Ok(Evaluation::Paused);
            }
            (self.before_step)(trial, step + 1);
            if trial.interrupted().is_some() {
                return Ok(Evaluation::Paused);
            }
            step += 1;
            let value = x + 1.0 / step as f64;
            if let Decision::Stop(reason) = trial.report(step, value, Metrics::default())? {
                return Ok(Evaluation::Stopped(reason));
            }
        }
    }
}

fn space() -> Space {
    Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap()
}

fn storage() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

fn open(storage: &Arc<dyn Storage>) -> Ledger {
    open_with(storage, None)
}

fn open_with(storage: &Arc<dyn Storage>, slots: Option<u32>) -> Ledger {
    let study = storage.study("s").unwrap().unwrap_or_else(|| {
        let definition = StudyDefinition {
            name: "s".into(),
            objective: "value".into(),
            direction: Direction::Minimize,
            criteria: luthier_core::Criteria::default(),
            seed: 4,
            slots,
            steps: None,
            file: None,
            data: None,
            program: "test".into(),
        };
        storage.create_study(&definition).unwrap()
    });
    Ledger::open(Arc::clone(storage), study).unwrap()
}

fn search(pruner: &str) -> SamplerAndPruner {
    let pruner = luthier_search::PrunerConfig::parse(pruner).unwrap();
    SamplerAndPruner::new(luthier_search::sampler("random").unwrap(), pruner.create())
}

fn run(
    storage: &Arc<dyn Storage>,
    search: &dyn Search,
    objective: &dyn Objective,
    limits: Limits,
    interrupt: &Interrupt,
) -> Result<(Stop, History), RunError> {
    run_on(open(storage), search, objective, limits, interrupt)
}

fn run_on(
    ledger: Ledger,
    search: &dyn Search,
    objective: &dyn Objective,
    limits: Limits,
    interrupt: &Interrupt,
) -> Result<(Stop, History), RunError> {
    let session = Session {
        search,
        space: &space(),
        objective,
        limits,
        interrupt: interrupt.clone(),
        observer: &Quiet,
        record: SessionRecord { program: "test".into(), worker: None, file: None, data: None, class: None },
    };
    let (stop, ledger) = session.run(ledger)?;
    Ok((stop, ledger.history().clone()))
}

fn limits(trials: u64, parallel: usize) -> Limits {
    Limits { trials: Trials::All(trials), parallel, ..Limits::default() }
}

fn idle(_: &dyn TrialHandle, _: u64) {}

/// What a trial is apart from times.
fn essence(history: &History) -> Vec<String> {
    history
        .trials()
        .iter()
        .map(|t| format!("{} {:?} {} {:?} {:?}", t.id, t.params, t.seed, t.reports, t.outcome))
        .collect()
}

#[test]
fn as_many_trials_as_asked_for_each_once() {
    for parallel in [1, 4] {
        let storage = storage();
        let objective = Counting { before_step: idle };
        let (stop, history) =
            run(&storage, &search("none"), &objective, limits(20, parallel), &Interrupt::default()).unwrap();
        assert_eq!(stop, Stop::Finished);
        assert_eq!(history.trials().len(), 20);
        assert!(
            history.trials().iter().all(|trial| trial.state() == "complete" && trial.reports.len() == 10)
        );
        // Only the best model is kept, and no checkpoint.
        let best = history.best().unwrap().id;
        let id = storage.study("s").unwrap().unwrap().id;
        assert_eq!(storage.artifacts(id).unwrap(), [model_name(best)]);
        assert_eq!(
            storage.artifact(id, &model_name(best)).unwrap().unwrap(),
            format!("model {best}").into_bytes()
        );
        // Asking for more goes on.
        let (_, history) =
            run(&storage, &search("none"), &objective, limits(25, parallel), &Interrupt::default()).unwrap();
        assert_eq!(history.trials().len(), 25);
    }
}

#[test]
fn a_pruner_stops_trials_with_its_reason() {
    let (_, history) = run(
        &storage(),
        &search("median"),
        &Counting { before_step: idle },
        limits(30, 1),
        &Interrupt::default(),
    )
    .unwrap();
    let stopped: Vec<&Trial> = history.trials().iter().filter(|trial| trial.state() == "stopped").collect();
    assert!(!stopped.is_empty());
    for trial in stopped {
        let note = trial.outcome.as_ref().unwrap().note().unwrap();
        assert!(note.starts_with("behind the median at step"), "{note}");
        assert!(trial.reports.len() < 10);
    }
}

#[test]
fn an_interrupted_study_goes_on_where_it_was_and_ends_as_if_nothing_had_been() {
    let undisturbed = {
        let objective = Counting { before_step: idle };
        run(&storage(), &search("none"), &objective, limits(6, 1), &Interrupt::default()).unwrap().1
    };
    let storage = storage();
    for at in 0..20 {
        let interrupt = Interrupt::default();
        let steps = std::sync::atomic::AtomicU64::new(0);
        let objective = Counting {
            before_step: |trial: &dyn TrialHandle, _| {
                // Set the first session's trials aside at rising depths, so that each gets further.
                if steps.fetch_add(1, Ordering::Relaxed) == 3 + at {
                    interrupt.set();
                    assert_eq!(trial.interrupted(), Some(Stop::Interrupted));
                }
            },
        };
        let (stop, history) = run(&storage, &search("none"), &objective, limits(6, 1), &interrupt).unwrap();
        if stop == Stop::Finished {
            break;
        }
        let last = history.trials().last().unwrap();
        assert_eq!((last.state(), last.paused), ("paused", Some(Stop::Interrupted)));
    }
    let objective = Counting { before_step: idle };
    let (_, history) =
        run(&storage, &search("none"), &objective, limits(6, 1), &Interrupt::default()).unwrap();
    assert_eq!(essence(&history), essence(&undisturbed));
}

/// Runs every configuration to step 2, then the best one on to its end.
struct TwoRungs;

impl Search for TwoRungs {
    fn next(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Next, SearchError> {
        if view.len() < 5 {
            return Ok(Next::New { params: space.sample(rng), from: None, until: Some(2) });
        }
        if view.finished().next().is_some() {
            return Ok(Next::Done);
        }
        if view.unfinished().any(|trial| !trial.is_paused()) {
            return Ok(Next::Wait);
        }
        let last = |trial: &Unfinished<'_>| trial.losses().last().unwrap().1;
        let best = view.unfinished().min_by(|a, b| last(a).total_cmp(&last(b))).unwrap();
        Ok(Next::Resume { trial: best.id(), until: None })
    }

    fn decide(&self, _: &View<'_>, _: &Unfinished<'_>, _: &mut Rng) -> Decision {
        Decision::Continue
    }
}

#[test]
fn a_search_pauses_trials_and_lets_the_best_go_on_from_its_checkpoint() {
    for parallel in [1, 3] {
        let begun = Mutex::new(Vec::new());
        let objective = Counting {
            before_step: |trial: &dyn TrialHandle, step| begun.lock().unwrap().push((trial.id(), step)),
        };
        let storage = storage();
        let (stop, history) =
            run(&storage, &TwoRungs, &objective, limits(5, parallel), &Interrupt::default()).unwrap();
        assert_eq!(stop, Stop::Finished);
        let best = history.best().unwrap();
        assert_eq!(best.reports.len(), 10);
        let x = |trial: &Trial| trial.params["x"].as_f64().unwrap();
        assert!(history.trials().iter().all(|trial| x(trial) >= x(best)));
        assert!(history.trials().iter().filter(|t| t.id != best.id).all(|t| t.paused == Some(Stop::Search)));
        // No step was worked twice.
        let mut steps = begun.into_inner().unwrap();
        assert_eq!(steps.len(), 4 * 2 + 10);
        steps.sort_unstable();
        steps.dedup();
        assert_eq!(steps.len(), 4 * 2 + 10);
    }
}

#[test]
fn a_panic_fails_its_trial_and_five_in_a_row_end_the_work() {
    let objective = Counting {
        before_step: |trial: &dyn TrialHandle, step| {
            assert!(trial.id().0 % 3 != 1 || step < 4, "odd one out");
        },
    };
    let (stop, history) =
        run(&storage(), &search("none"), &objective, limits(9, 2), &Interrupt::default()).unwrap();
    assert_eq!(stop, Stop::Finished);
    assert_eq!(history.trials().iter().filter(|trial| trial.state() == "failed").count(), 3);
    let note = history.trials()[1].outcome.as_ref().unwrap().note().unwrap();
    assert_eq!(note, "panicked: odd one out");

    let objective = Counting { before_step: |_: &dyn TrialHandle, _| panic!("always") };
    let (stop, history) =
        run(&storage(), &search("none"), &objective, limits(100, 1), &Interrupt::default()).unwrap();
    assert_eq!((stop, history.trials().len()), (Stop::Failing, FAILURES_IN_A_ROW));
}

#[test]
fn a_target_ends_the_work() {
    let limits = Limits { target: Some(0.5), ..limits(1_000, 1) };
    let objective = Counting { before_step: idle };
    let (stop, history) =
        run(&storage(), &search("none"), &objective, limits, &Interrupt::default()).unwrap();
    assert_eq!(stop, Stop::Target);
    let values: Vec<f64> =
        history.trials().iter().map(|trial| trial.outcome.as_ref().unwrap().value().unwrap()).collect();
    assert!(values[..values.len() - 1].iter().all(|value| *value > 0.5));
    assert!(values[values.len() - 1] <= 0.5);
}

#[test]
fn when_the_time_is_up_running_trials_are_paused_and_none_fails() {
    let limits = Limits { deadline: Some(Instant::now()), ..limits(10, 2) };
    let objective = Counting { before_step: idle };
    let (stop, history) =
        run(&storage(), &search("none"), &objective, limits, &Interrupt::default()).unwrap();
    assert_eq!((stop, history.trials().len()), (Stop::Timeout, 0));

    let interrupt = Interrupt::default();
    let limits = Limits { deadline: Some(Instant::now() + Duration::from_millis(30)), ..limits };
    let objective =
        Counting { before_step: |_: &dyn TrialHandle, _| std::thread::sleep(Duration::from_millis(10)) };
    let (stop, history) = run(&storage(), &search("none"), &objective, limits, &interrupt).unwrap();
    assert_eq!(stop, Stop::Timeout);
    assert!(history.trials().iter().all(|trial| trial.paused == Some(Stop::Timeout)), "{history:?}");
    assert!(!history.trials().is_empty());
}

#[test]
fn a_value_that_is_not_finite_fails_its_trial() {
    struct Nan;
    impl Objective for Nan {
        fn abilities(&self) -> Abilities {
            Abilities { reports: false, pauses: false, forks: false }
        }

        fn evaluate(&self, _: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
            Ok(Evaluation::Complete { value: f64::NAN, step: None, ending: Ending::Full, model: None })
        }
    }
    let (_, history) = run(&storage(), &search("none"), &Nan, limits(3, 1), &Interrupt::default()).unwrap();
    assert!(
        history.trials().iter().all(|t| t.outcome == Some(Outcome::Failed { cause: FailCause::NotFinite }))
    );
}

#[test]
fn an_objective_that_cannot_work_ends_the_study_and_blames_no_trial() {
    struct Broken;
    impl Objective for Broken {
        fn abilities(&self) -> Abilities {
            Abilities { reports: false, pauses: false, forks: false }
        }

        fn evaluate(&self, _: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
            Err("the disk is gone".to_owned().into())
        }
    }
    let storage = storage();
    let error = run(&storage, &search("none"), &Broken, limits(3, 2), &Interrupt::default()).unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    let objective = Counting { before_step: idle };
    let (stop, history) =
        run(&storage, &search("none"), &objective, limits(3, 2), &Interrupt::default()).unwrap();
    assert_eq!((stop, history.trials().len()), (Stop::Finished, 3));
    assert!(history.trials().iter().all(|trial| trial.state() == "complete"));
}

#[test]
fn halving_ends_with_a_winner_however_few_trials_there_are() {
    for trials in [1, 2, 6, 30] {
        let storage = storage();
        let (stop, history) = run(
            &storage,
            &search("asha"),
            &Counting { before_step: idle },
            limits(trials, 2),
            &Interrupt::default(),
        )
        .unwrap();
        assert_eq!((stop, history.trials().len() as u64), (Stop::Finished, trials));
        let best = history.best().expect("a winner");
        assert_eq!(best.reports.len(), 10);
        // The others paused on the way: of thirty, ten get to step 3, and three of them to the end.
        let steps: usize = history.trials().iter().map(|trial| trial.reports.len()).sum();
        assert!(steps <= 10 + trials as usize * 5 / 2, "{steps}");
    }
}

mod clock;
mod forks;
mod given_up;
mod together;
