//! Whatever is done to it, the storage answers as the one in memory does.

use std::fmt::Debug;

use luthier_core::{
    Distribution, Ending, Event, MemoryStorage, Metrics, Outcome, Params, Presence, Prior, Recorded, Report,
    SessionId, Stop, Storage, StorageError, Study, StudyId, TrialId, Value,
};
use luthier_storage::SqliteStorage;
use proptest::prelude::*;
use tempfile::tempdir;

use crate::definition;

#[derive(Debug, Clone)]
enum Operation {
    Create(u8),
    Delete(i64),
    Append { study: i64, behind: u64, events: Vec<Event> },
    Read { study: i64, after: u64 },
    Put { study: i64, name: u8, bytes: Vec<u8> },
    Get { study: i64, name: u8 },
    Remove { study: i64, name: u8 },
    Enroll { study: i64, session: u64 },
    Leave(usize),
    Living(i64),
    Reopen,
}

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(-0.0)]
}

fn events() -> impl Strategy<Value = Event> {
    let finite = any::<f64>().prop_filter("a value is finite", |x| x.is_finite());
    let value = prop_oneof![
        finite.prop_map(Value::Float),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
        ".{0,5}".prop_map(Value::Text),
    ];
    let trial = any::<u64>().prop_map(TrialId);
    let metrics = proptest::collection::vec(("[a-z]{1,3}", numbers()), 0..3).prop_map(Metrics::from_iter);
    prop_oneof![
        (trial.clone(), proptest::collection::vec((".{0,5}", value.clone()), 0..4), any::<u64>()).prop_map(
            |(trial, params, seed)| Event::TrialStarted {
                trial,
                params: Params::from_iter(params),
                seed,
                until: seed.is_multiple_of(2).then_some(seed),
                at: None,
                from: None,
            }
        ),
        (trial.clone(), proptest::collection::vec((".{0,5}", value.clone()), 0..4))
            .prop_map(|(trial, params)| Event::ParamsProposed { trial, params: Params::from_iter(params) }),
        (trial.clone(), ".{0,5}", value).prop_map(|(trial, name, value)| Event::ParamSuggested {
            trial,
            name,
            distribution: Distribution::log_float(0.1 + 0.2, 1e300),
            prior: matches!(value, Value::Float(_)).then(|| Prior::around(value.clone())),
            value,
        }),
        (trial.clone(), any::<u64>(), numbers(), metrics).prop_map(|(trial, step, value, metrics)| {
            Event::Reported { trial, report: Report { step, value, metrics } }
        }),
        (trial, -1e9..1e9_f64).prop_map(|(trial, value)| Event::TrialFinished {
            trial,
            outcome: Outcome::Complete { value, step: None, ending: Ending::Full },
            seconds: value.abs(),
        }),
        Just(Event::SessionEnded { session: SessionId(1), cause: Stop::Timeout, at: None }),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    let study = 1..6_i64;
    let name = 0..3_u8;
    let bytes = proptest::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        3 => (0..5_u8).prop_map(Operation::Create),
        1 => study.clone().prop_map(Operation::Delete),
        6 => (study.clone(), 0..8_u64, proptest::collection::vec(events(), 0..4)).prop_map(
            |(study, behind, events)| Operation::Append { study, behind: behind.saturating_sub(6), events }
        ),
        2 => (study.clone(), 0..9_u64).prop_map(|(study, after)| Operation::Read { study, after }),
        2 => (study.clone(), name.clone(), bytes)
            .prop_map(|(study, name, bytes)| Operation::Put { study, name, bytes }),
        2 => (study.clone(), name.clone()).prop_map(|(study, name)| Operation::Get { study, name }),
        1 => (study.clone(), name).prop_map(|(study, name)| Operation::Remove { study, name }),
        1 => (study.clone(), 0..9_u64).prop_map(|(study, session)| Operation::Enroll { study, session }),
        1 => any::<usize>().prop_map(Operation::Leave),
        1 => study.prop_map(Operation::Living),
        1 => Just(Operation::Reopen),
    ]
}

/// The answer as text. Times are left out.
fn told<T: Debug>(answer: Result<T, StorageError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}

fn timeless(recorded: Vec<Recorded>) -> Vec<Recorded> {
    recorded.into_iter().map(|recorded| Recorded { at_ms: 0, ..recorded }).collect()
}

fn undated(study: Study) -> Study {
    Study { created_ms: 0, ..study }
}

type Presences = Vec<Box<dyn Presence>>;

fn apply(storage: &dyn Storage, here: &mut Presences, operation: &Operation) -> String {
    match operation {
        Operation::Create(name) => told(storage.create_study(&definition(&name.to_string())).map(undated)),
        Operation::Delete(study) => told(storage.delete_study(StudyId(*study))),
        Operation::Append { study, behind, events } => {
            let study = StudyId(*study);
            let at = storage.read(study, 0).map_or(0, |events| events.len() as u64);
            told(storage.append(study, at.saturating_sub(*behind), events).map(timeless))
        }
        Operation::Read { study, after } => told(storage.read(StudyId(*study), *after).map(timeless)),
        Operation::Put { study, name, bytes } => {
            told(storage.put_artifact(StudyId(*study), &format!("n-{name}"), bytes))
        }
        Operation::Get { study, name } => told(storage.artifact(StudyId(*study), &format!("n-{name}"))),
        Operation::Remove { study, name } => {
            told(storage.remove_artifact(StudyId(*study), &format!("n-{name}")))
        }
        Operation::Enroll { study, session } => {
            // Each session enrolls once.
            let study = StudyId(*study);
            let session = SessionId(*session + 10 * here.len() as u64);
            told(storage.enroll(study, session).map(|presence| here.push(presence)))
        }
        Operation::Leave(n) => {
            if !here.is_empty() {
                drop(here.remove(n % here.len()));
            }
            String::new()
        }
        Operation::Living(study) => told(storage.living(StudyId(*study))),
        Operation::Reopen => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_the_one_of_the_storage_in_memory(
        operations in proptest::collection::vec(operations(), 1..60)
    ) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("luthier.db");
        let memory = MemoryStorage::new();
        let mut disk = SqliteStorage::open(&path).unwrap();
        let (mut memory_here, mut disk_here) = (Vec::new(), Vec::new());
        for operation in &operations {
            if matches!(operation, Operation::Reopen) {
                drop(disk);
                disk = SqliteStorage::open_existing(&path).unwrap();
            }
            prop_assert_eq!(
                apply(&disk, &mut disk_here, operation),
                apply(&memory, &mut memory_here, operation),
                "{:?}", operation
            );
        }
        let all = |storage: &dyn Storage| -> Vec<(Study, String)> {
            let studies = storage.studies().unwrap();
            let whole = |study: Study| {
                let events = timeless(storage.read(study.id, 0).unwrap());
                let artifacts = storage.artifacts(study.id).unwrap();
                (undated(study), format!("{events:?} {artifacts:?}"))
            };
            studies.into_iter().map(whole).collect()
        };
        prop_assert_eq!(all(&disk), all(&memory));
    }
}
