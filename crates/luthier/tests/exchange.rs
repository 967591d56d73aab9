//! Coming and going: what `luthier export` writes and `luthier import` takes, as a user meets it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::path::PathBuf;

use common::{Sandbox, text, timeless};
use luthier::Study;
use luthier_core::History;

/// Files that Optuna 5 wrote (`scripts/optuna/fixtures.py`).
fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../luthier-storage/tests/fixtures/optuna");
    folder.join(name).display().to_string()
}

const STUDY: &str = r#"[study]
name = "small"

[data]
source = { classification = { samples = 80, features = 4, seed = 1 } }

[model]
layers = [{ dense = { int = [4, 16] }, activation = { choice = ["relu", "tanh"] } }]

[train]
epochs = 4
batch_size = 16
optimizer = { choice = [
  { kind = "adam", learning_rate = { float = [1e-3, 1e-1], log = true } },
  { kind = "sgd", learning_rate = { float = [1e-3, 1e-1], log = true }, momentum = { float = [0.0, 0.9] } },
] }

[search]
trials = 6
"#;

fn near(x: f64) -> f64 {
    (x - 2.0).abs()
}

/// The new trials of the fixture's problem, ten of them: `x` of each, and their numbers.
fn ten_more(study: &Study) -> (Vec<f64>, Vec<u64>) {
    let before = study.history().trials().len();
    study
        .optimize(10, |trial| {
            let x = trial.suggest_float("x", -10.0..=10.0).get()?;
            let n = trial.suggest_int("n", 1..=5).get()?;
            Ok((x - 2.0).powi(2) + n as f64)
        })
        .unwrap();
    let history: History = study.history();
    let new = &history.trials()[before..];
    (new.iter().map(|t| t.params["x"].as_f64().unwrap()).collect(), new.iter().map(|t| t.id.0).collect())
}

#[test]
fn a_study_of_optuna_goes_on_in_the_library() {
    for file in ["parabola.sqlite", "parabola.journal"] {
        let sandbox = Sandbox::new();
        let taken = sandbox.json(&["import", &fixture(file)]);
        assert_eq!((&taken["trials"], &taken["states"]["complete"]), (&25.into(), &25.into()));
        let best = taken["best"].as_f64().unwrap();

        let study = Study::builder("parabola").stored_in(sandbox.path("luthier.db")).unwrap();
        assert_eq!(study.best().unwrap().value, best);
        let (proposed, numbers) = ten_more(&study);
        assert_eq!(numbers, (25..35).collect::<Vec<_>>());
        let empty = Study::builder("parabola").in_memory().unwrap();
        let (from_nothing, _) = ten_more(&empty);
        assert_ne!(proposed, from_nothing);
        // The search has learnt from trials that ran in Optuna: it looks where they were good.
        let mean = |xs: &[f64]| xs.iter().copied().map(near).sum::<f64>() / xs.len() as f64;
        assert!(mean(&proposed) < 0.5 * mean(&from_nothing), "{proposed:?} {from_nothing:?}");
        assert!(study.best().unwrap().value <= best);
        drop(study);
        assert_eq!(sandbox.trials("parabola", "luthier.db").len(), 35);
        // And back to Optuna's tables, with what was added.
        sandbox.ok(&["export", "parabola", "-o", "back.db"]);
        let again = sandbox.json(&["import", "back.db", "--name", "again"]);
        assert_eq!(again["trials"], 35);
    }
}

#[test]
fn a_study_made_by_a_file_leaves_and_comes_back_and_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    sandbox.ok(&["tune", "study.toml"]);
    let before = sandbox.trials("small", "luthier.db");
    assert_eq!(before.len(), 6);
    let said = sandbox.ok(&["export", "small", "-o", "optuna.db"]);
    assert_eq!(said, "wrote 6 trials of study `small` to optuna.db\n");
    sandbox.ok(&["import", "optuna.db", "--storage", "other/luthier.db"]);
    assert_eq!(timeless(&before), timeless(&sandbox.trials("small", "other/luthier.db")));
    // Conditions hold: momentum only where it was.
    assert!(before.iter().any(|trial| trial["params"]["train.optimizer"] == "adam"));

    let tuned = sandbox.json(&["tune", "study.toml", "--storage", "other/luthier.db", "--trials", "8"]);
    assert_eq!(tuned["stopped"], "finished");
    let after = sandbox.trials("small", "other/luthier.db");
    assert_eq!((after.len(), &timeless(&after)[..6]), (8, &timeless(&before)[..]));
}

#[test]
fn tables_are_written_whole_or_printed() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["import", &fixture("mixed.sqlite"), "--study", "mixed"]);
    let printed = sandbox.ok(&["export", "mixed", "--format", "csv"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 12);
    assert!(
        lines[0].starts_with("number,state,value,step,started,seconds,cause,seed,params.rate,"),
        "{}",
        lines[0]
    );
    sandbox.ok(&["export", "mixed", "-o", "mixed.csv"]);
    assert_eq!(text(&sandbox.read("mixed.csv")), printed);
    sandbox.ok(&["export", "mixed", "-o", "mixed.parquet"]);
    assert!(sandbox.read("mixed.parquet").starts_with(b"PAR1"));
    sandbox.ok(&["export", "mixed", "--reports", "-o", "reports.csv"]);
    assert!(text(&sandbox.read("reports.csv")).starts_with("trial,step,value\n0,0,"));
    let study: serde_json::Value =
        serde_json::from_str(&sandbox.ok(&["export", "mixed", "--format", "json"])).unwrap();
    assert_eq!(study, sandbox.json(&["export", "mixed"]));
    assert_eq!(study["trials"].as_array().unwrap().len(), 11);
    assert_eq!(study["trials"][2]["reports"][0]["value"], "nan");
    assert_eq!(study["trials"][1]["attributes"]["not a number"], "nan");
    // A file that is there is replaced whole, and nothing is left beside it.
    sandbox.write("mixed.csv", "old");
    sandbox.ok(&["export", "mixed", "-o", "mixed.csv"]);
    assert_eq!(text(&sandbox.read("mixed.csv")), printed);
    assert!(!sandbox.path("mixed.csv.part").exists());
}

#[test]
fn what_is_imported_is_shown_with_how_to_go_on() {
    let sandbox = Sandbox::new();
    let file = fixture("mixed.journal");
    let output = sandbox.run(&["import", &file, "--study", "mixed", "--name", "mine", "--storage", "my.db"]);
    let shown =
        format!("{}---\n{}", text(&output.stdout), text(&output.stderr)).replace(&file, "mixed.journal");
    insta::assert_snapshot!(shown);
}

#[test]
fn words_that_do_not_go_together() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["import", &fixture("parabola.sqlite")]);
    let usage = |args: &[&str], expected: &str| {
        let said = sandbox.fails(2, args);
        assert!(said.contains(expected), "{args:?}: {said}");
    };
    usage(&["export", "parabola"], "found neither --format nor a file whose extension says it");
    usage(&["export", "parabola", "-o", "file.xlsx"], "found neither --format");
    usage(&["export", "parabola", "--format", "optuna"], "name the file to write with -o FILE");
    usage(&["export", "parabola", "--format", "parquet"], "name the file to write with -o FILE");
    usage(&["export", "parabola", "--format", "csv", "--json"], "leave one of them out");
    usage(&["export", "parabola", "--reports", "-o", "x.json"], "--reports is for tables");
    usage(&["import", &fixture("parabola.sqlite"), "--name", " "], "the study needs a name");
    let failed = |args: &[&str], expected: &str| {
        let said = sandbox.fails(1, args);
        assert!(said.contains(expected), "{args:?}: {said}");
    };
    failed(&["import", &fixture("parabola.sqlite")], "there is already a study `parabola`");
    let two = sandbox.ok(&["import", &fixture("mixed.sqlite"), "--study", "two"]);
    assert!(two.contains("study `two`"), "{two}");
    failed(&["import", "luthier.db"], "expected a database of Optuna");
    failed(&["export", "parabola", "-o", "luthier.db"], "expected a database of Optuna");
    sandbox.write("precious.db", "precious");
    failed(&["export", "parabola", "-o", "precious.db"], "it exists and is no database of Optuna's");
    assert_eq!(sandbox.read("precious.db"), b"precious");
}
