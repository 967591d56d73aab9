//! Tables of a study with every kind of cell, written and read back.

use std::sync::Arc;

use luthier_core::{
    Direction, Event, FailCause, History, MemoryStorage, Outcome, Params, Recorded, Report, Storage,
    StudyDefinition, TrialId, Value,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::{json, reports, trials};

fn history() -> History {
    let params = |pairs: &[(&str, Value)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Params>()
    };
    let started = |trial, params| Event::TrialStarted {
        trial: TrialId(trial),
        params,
        seed: u64::MAX - trial,
        until: None,
        at: None,
        from: None,
    };
    let report = |trial, step, value, metrics: &[(&str, f64)]| Event::Reported {
        trial: TrialId(trial),
        report: Report { step, value, metrics: metrics.iter().copied().collect() },
    };
    let complete = Outcome::Complete { value: 0.1, step: Some(2), ending: luthier_core::Ending::Full };
    let cause = FailCause::Error { message: "no, \"luck\"\nat all".to_owned() };
    let events = [
        started(
            0,
            params(&[
                ("rate", Value::Float(1e-5)),
                ("units", Value::Int(8)),
                ("bias", Value::Bool(true)),
                ("kind", Value::Text("a,b".to_owned())),
                ("value", Value::Int(1)),
            ]),
        ),
        report(0, 1, f64::NAN, &[("loss", 0.5)]),
        report(0, 2, 0.1, &[("loss", f64::INFINITY), ("late", 1.0)]),
        Event::TrialFinished { trial: TrialId(0), outcome: complete, seconds: 1.5 },
        Event::Tested { trial: TrialId(0), metrics: [("accuracy", 0.25)].into_iter().collect() },
        started(
            1,
            params(&[("rate", Value::Int(1)), ("units", Value::Int(16)), ("value", Value::Float(0.5))]),
        ),
        Event::TrialFinished { trial: TrialId(1), outcome: Outcome::Failed { cause }, seconds: 0.25 },
        started(2, Params::new()),
        report(2, 1, 0.75, &[]),
    ];
    let mut history = History::new(Direction::Minimize);
    for (revision, event) in (1..).zip(events) {
        history.apply(&Recorded { revision, at_ms: 1_795_271_119_863, event }).expect("a history");
    }
    history
}

#[test]
fn a_row_a_trial() {
    let table = trials(&history());
    assert_eq!(table.rows(), 3);
    insta::assert_snapshot!(String::from_utf8(table.csv().unwrap()).unwrap(), @r#"
    number,state,value,step,started,seconds,cause,seed,params.rate,params.units,params.bias,params.kind,params.value,test.accuracy
    0,complete,0.1,2,2026-11-21T14:25:19.863Z,1.5,,18446744073709551615,1e-5,8,true,"a,b",1.0,0.25
    1,failed,,,2026-11-21T14:25:19.863Z,0.25,"no, ""luck""
    at all",18446744073709551614,1.0,16,,,0.5,
    2,waiting,0.75,1,2026-11-21T14:25:19.863Z,,,18446744073709551613,,,,,,
    "#);
}

#[test]
fn a_row_a_report() {
    insta::assert_snapshot!(String::from_utf8(reports(&history()).csv().unwrap()).unwrap(), @r"
    trial,step,value,metrics.loss,metrics.late
    0,1,nan,0.5,
    0,2,0.1,inf,1.0
    2,1,0.75,,
    ");
}

#[test]
fn parquet_has_the_same_cells_with_their_kinds() {
    let table = trials(&history());
    let reader = SerializedFileReader::new(bytes::Bytes::from(table.parquet().unwrap())).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let cells: Vec<Vec<(&String, &Field)>> = rows.iter().map(|row| row.get_column_iter().collect()).collect();
    assert_eq!(cells.len(), 3);
    let cell =
        |row: usize, name: &str| cells[row].iter().find(|(found, _)| *found == name).unwrap().1.clone();
    let names: Vec<&String> = cells[0].iter().map(|(name, _)| *name).collect();
    assert_eq!(names, table.columns.keys().collect::<Vec<_>>());
    assert_eq!(cell(0, "number"), Field::Long(0));
    assert_eq!(cell(0, "started"), Field::TimestampMicros(1_795_271_119_863_000));
    assert_eq!(cell(0, "seed"), Field::ULong(u64::MAX));
    assert_eq!(cell(0, "params.bias"), Field::Bool(true));
    assert_eq!(cell(0, "params.kind"), Field::Str("a,b".to_owned()));
    assert_eq!((cell(0, "params.rate"), cell(1, "params.rate")), (Field::Double(1e-5), Field::Double(1.0)));
    assert_eq!((cell(1, "params.units"), cell(2, "params.units")), (Field::Long(16), Field::Null));
    let empty = trials(&History::new(Direction::Minimize));
    let reader = SerializedFileReader::new(bytes::Bytes::from(empty.parquet().unwrap())).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
}

#[test]
fn json_has_everything() {
    let definition = StudyDefinition {
        name: "p".to_owned(),
        objective: "loss".to_owned(),
        direction: Direction::Minimize,
        criteria: luthier_core::Criteria::default(),
        seed: 3,
        slots: None,
        steps: None,
        file: None,
        data: None,
        program: "test".to_owned(),
    };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let study = storage.create_study(&definition).unwrap();
    let text = json(&study, &history()).unwrap();
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["trials"][0]["params"]["rate"], 1e-5);
    assert_eq!(read["trials"][0]["test"]["accuracy"], 0.25);
    assert_eq!(read["trials"][0]["reports"][0]["value"], "nan");
    assert_eq!(read["trials"][0]["reports"][1]["metrics"]["loss"], "inf");
    assert_eq!(read["trials"][1]["cause"], "no, \"luck\"\nat all");
    assert_eq!(read["trials"][2]["value"], 0.75);
    assert_eq!(read["trials"][2]["seconds"], serde_json::Value::Null);
}
