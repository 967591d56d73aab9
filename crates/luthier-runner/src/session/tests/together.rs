//! Several sessions on one study at once, as if each were a process.

use luthier_core::{Event, SessionId};

use super::clock::{dawdle, ordered, searches, verified};
use super::*;

/// So many sessions at once, each with its own view of the study.
fn sessions(storage: &Arc<dyn Storage>, search: &dyn Search, slots: Option<u32>, count: usize) -> Vec<Stop> {
    open_with(storage, slots);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..count)
            .map(|run| {
                scope.spawn(move || {
                    let objective = Counting { before_step: dawdle(run as u64) };
                    let ledger = open_with(storage, slots);
                    run_on(ledger, search, &objective, limits(40, 1), &Interrupt::default()).unwrap().0
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

fn stored(storage: &Arc<dyn Storage>) -> History {
    crate::read_history(&**storage, &storage.study("s").unwrap().unwrap()).unwrap()
}

#[test]
fn the_number_of_sessions_changes_nothing() {
    for (name, search) in searches() {
        let (_, expected) = ordered(&storage(), &search, 1, 0);
        for count in [2, 5] {
            let storage = storage();
            let stops = sessions(&storage, &search, Some(4), count);
            assert_eq!(stops, vec![Stop::Finished; count], "{name}");
            let history = stored(&storage);
            assert_eq!(essence(&history), essence(&expected), "{name}");
            assert_eq!(verified(&storage, &search).differences, Vec::<String>::new(), "{name}");
            // All that is left is the model of the best.
            let study = storage.study("s").unwrap().unwrap().id;
            let best = model_name(history.best().unwrap().id);
            let mut left = storage.artifacts(study).unwrap();
            left.retain(|name| !name.ends_with(".checkpoint"));
            assert!(left.contains(&best), "{name}: {left:?}");
            assert!(storage.living(study).unwrap().is_empty());
        }
    }
}

#[test]
fn in_free_order_every_trial_runs_once_too() {
    let storage = storage();
    sessions(&storage, &search("median"), None, 4);
    let history = stored(&storage);
    assert_eq!(history.trials().len(), 40);
    assert!(history.trials().iter().all(|trial| trial.outcome.is_some() && trial.taken == 1));
    assert_eq!(verified(&storage, &search("median")).differences, Vec::<String>::new());
}

#[test]
fn what_a_session_leaves_that_is_no_more_goes_on_elsewhere_and_its_words_no_longer_count() {
    let storage = storage();
    // It begins a trial, reports, and falls silent.
    let mut silent = open_with(&storage, Some(2));
    let record =
        SessionRecord { program: "silent".into(), worker: None, file: None, data: None, class: None };
    let session = silent.begin(&record, Trials::All(40)).unwrap();
    let report = |step| Event::Reported {
        trial: luthier_core::TrialId(0),
        report: luthier_core::Report { step, value: 9.0, metrics: Metrics::default() },
    };
    let search = search("none");
    let (space, streams) = (space(), luthier_core::Streams::new(4));
    silent
        .turn(|ledger| -> Result<(), RunError> {
            let mut rng = streams.at(luthier_core::Purpose::Sampler, 0);
            let Next::New { params, from, until } =
                search.next(&ledger.history().view(), &space, &mut rng)?
            else {
                panic!("a first trial")
            };
            let at = luthier_core::Moment { time: 0, slot: 0 };
            let trial = ledger.start(params, from, until, Some(at))?;
            ledger.take(trial)?;
            Ok(())
        })
        .unwrap();
    // While it is there, the trial is left to it.
    let limits = Limits { deadline: Some(Instant::now() + Duration::from_millis(300)), ..limits(40, 2) };
    let objective = Counting { before_step: idle };
    let (stop, history) = run_on(open(&storage), &search, &objective, limits, &Interrupt::default()).unwrap();
    assert_eq!((stop, history.trials()[0].reports.len()), (Stop::Timeout, 0));
    // Its process ends: others see that, and the trial goes on with them.
    let mut orphan = Ledger::open(Arc::clone(&storage), silent.study().clone()).unwrap();
    drop(silent);
    let limits = Limits { deadline: None, ..limits };
    let (stop, history) = run_on(open(&storage), &search, &objective, limits, &Interrupt::default()).unwrap();
    assert_eq!((stop, history.trials().len()), (Stop::Finished, 40));
    assert_eq!(essence(&history), essence(&ordered_with(Some(2), &search)));
    assert_eq!(history.trials()[0].taken, 2);
    // If it was only slow, and speaks again, nobody listens.
    let told = orphan.turn(|ledger| -> Result<bool, RunError> { Ok(ledger.tell(report(11))?) }).unwrap();
    assert!(!told);
    assert!(history.trials()[0].holder != Some(session) && session > SessionId(0));
}

#[test]
fn a_trial_that_ends_every_process_that_takes_it_is_given_up() {
    let storage = storage();
    let search = search("none");
    let record =
        SessionRecord { program: "fragile".into(), worker: None, file: None, data: None, class: None };
    for round in 0..=5 {
        let mut ledger = open_with(&storage, Some(1));
        ledger.begin(&record, Trials::All(3)).unwrap();
        ledger
            .turn(|ledger| -> Result<(), RunError> {
                let trial = luthier_core::TrialId(0);
                if round == 0 {
                    let at = luthier_core::Moment { time: 0, slot: 0 };
                    ledger.start(
                        [("x".to_owned(), Value::Float(0.5))].into_iter().collect(),
                        None,
                        None,
                        Some(at),
                    )?;
                }
                Ok(ledger.take(trial)?)
            })
            .unwrap();
    }
    let objective = Counting { before_step: idle };
    let (stop, history) =
        run_on(open(&storage), &search, &objective, limits(3, 1), &Interrupt::default()).unwrap();
    assert_eq!((stop, history.trials().len()), (Stop::Finished, 3));
    let cause = FailCause::Lost { times: 6 };
    assert_eq!(history.trials()[0].outcome, Some(Outcome::Failed { cause }));
    assert!(history.trials()[1..].iter().all(|trial| trial.state() == "complete"));
}

#[test]
fn who_has_had_fewer_trials_goes_first() {
    let storage = storage();
    let record = SessionRecord { program: "p".into(), worker: None, file: None, data: None, class: None };
    let mut ledgers: Vec<Ledger> = (0..9).map(|_| open_with(&storage, Some(2))).collect();
    for ledger in &mut ledgers {
        ledger.begin(&record, Trials::All(2)).unwrap();
    }
    let (first, others) = ledgers.split_first_mut().unwrap();
    let second = &mut others[0];
    first
        .turn(|ledger| -> Result<(), RunError> {
            for slot in 0..2 {
                let params = [("x".to_owned(), Value::Float(0.5))].into_iter().collect();
                ledger.start(params, None, None, Some(luthier_core::Moment { time: 0, slot }))?;
            }
            ledger.take(luthier_core::TrialId(0))?;
            let outcome = Outcome::Complete { value: 1.0, step: None, ending: luthier_core::Ending::Full };
            let trial = luthier_core::TrialId(0);
            ledger.add(Event::TrialFinished { trial, outcome, seconds: 0.0 })?;
            Ok(())
        })
        .unwrap();
    second.catch_up().unwrap();
    assert!(Shared::others_first(first, |_| true) && !Shared::others_first(second, |_| true));
    assert!(!Shared::others_first(first, |_| false), "who is no more is not waited for");
    let second_id = second.session().unwrap();
    assert!(
        Shared::others_first(first, |session| session == second_id),
        "one waits for the one that is free"
    );
    second.turn(|ledger| -> Result<(), RunError> { Ok(ledger.take(luthier_core::TrialId(1))?) }).unwrap();
    first.catch_up().unwrap();
    let waits = Shared::others_first(first, |session| session == second_id);
    assert!(!waits, "who has one in hand does not wait");
}

fn ordered_with(slots: Option<u32>, search: &dyn Search) -> History {
    let objective = Counting { before_step: idle };
    run_on(open_with(&storage(), slots), search, &objective, limits(40, 1), &Interrupt::default()).unwrap().1
}
