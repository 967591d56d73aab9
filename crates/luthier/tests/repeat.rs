//! What can be repeated is repeated to the last bit, and what was stopped goes on.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Sandbox, timeless};
use luthier::core::{SessionRecord, Storage};
use luthier::runner::{Ledger, Trials};
use serde_json::Value;

/// Trials of about a tenth of a second.
const STUDY: &str = r#"[study]
name = "quick"

[data]
source = { classification = { samples = 600, features = 6, informative = 4, redundant = 1, class_sep = 0.8, seed = 1 } }

[model]
layers = [{ dense = { int = [8, 32], log = true }, activation = { choice = ["relu", "tanh"] } }, { dropout = 0.1 }]

[train]
epochs = 40
batch_size = { choice = [16, 32] }
optimizer = { kind = "adam", learning_rate = { float = [1e-3, 1e-1], log = true } }

[search]
trials = 8
"#;

const A_MINUTE: Duration = Duration::from_mins(1);

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    sandbox
}

/// A study whose trials take seconds, each.
fn long_sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let text = STUDY.replace("epochs = 40", "epochs = 4000").replace("{ choice = [16, 32] }", "8");
    sandbox.write("study.toml", text.replace("trials = 8", "trials = 1"));
    sandbox
}

#[test]
fn the_same_file_gives_the_same_bits() {
    let sandbox = sandbox();
    for storage in ["one.db", "two.db"] {
        sandbox.ok(&["tune", "study.toml", "--storage", storage]);
        let model = format!("{storage}.safetensors");
        sandbox.ok(&["best", "quick", "--storage", storage, "--model", &model]);
    }
    let one = timeless(&sandbox.trials("quick", "one.db"));
    assert_eq!(one.len(), 8);
    assert_eq!(one, timeless(&sandbox.trials("quick", "two.db")));
    assert_eq!(sandbox.read("one.db.safetensors"), sandbox.read("two.db.safetensors"));
}

#[test]
fn another_seed_gives_other_trials() {
    let sandbox = sandbox();
    sandbox.ok(&["tune", "study.toml", "--trials", "3", "--storage", "one.db"]);
    sandbox.ok(&["tune", "study.toml", "--trials", "3", "--storage", "two.db", "--set", "search.seed=1"]);
    let params = |storage| {
        sandbox.trials("quick", storage).iter().map(|row| row["params"].clone()).collect::<Vec<Value>>()
    };
    assert_ne!(params("one.db"), params("two.db"));
}

#[test]
fn the_winners_file_repeats_the_winner() {
    let sandbox = sandbox();
    sandbox.ok(&["tune", "study.toml", "--parallel", "2", "--set", "study.name=pair"]);
    let best = sandbox.json(&["best", "pair", "-o", "best.toml", "--model", "best.safetensors"]);
    for threads in ["1", "2"] {
        let args = ["train", "best.toml", "--threads", threads, "--test", "--model", "again.safetensors"];
        let again = sandbox.json(&args);
        assert_eq!(again["value"].to_string(), best["value"].to_string(), "with {threads} threads");
        assert_eq!(again["epoch"], best["epoch"], "with {threads} threads");
        assert_eq!(again["test"], best["test"], "with {threads} threads");
        assert_eq!(
            sandbox.read("again.safetensors"),
            sandbox.read("best.safetensors"),
            "with {threads} threads"
        );
    }
}

#[test]
fn ctrl_c_keeps_what_is_done() {
    let sandbox = sandbox();
    let running = sandbox.start(&["tune", "study.toml"]);
    assert!(running.says("trial 1: ", A_MINUTE));
    running.interrupt();
    assert!(running.says("interrupted; the study is intact", A_MINUTE));
    assert_eq!(running.wait(), Some(130));

    let before = sandbox.trials("quick", "luthier.db");
    assert!((2..8).contains(&before.len()), "{} trials", before.len());
    sandbox.ok(&["tune", "study.toml"]);
    let after = sandbox.trials("quick", "luthier.db");
    assert_eq!(after.len(), 8);
    // The winner gets its values on the test part at the end, and nothing else changes.
    let mut kept = after[..2].to_vec();
    for row in &mut kept {
        row.as_object_mut().unwrap().remove("test");
    }
    assert_eq!(kept, before[..2]);

    sandbox.ok(&["tune", "study.toml", "--storage", "calm.db"]);
    assert_eq!(timeless(&after), timeless(&sandbox.trials("quick", "calm.db")));
}

#[test]
fn ctrl_c_ends_a_training() {
    let sandbox = sandbox();
    let file = STUDY
        .replace("{ int = [8, 32], log = true }", "8")
        .replace("{ choice = [\"relu\", \"tanh\"] }", "\"relu\"")
        .replace("{ float = [1e-3, 1e-1], log = true }", "0.01")
        .replace("{ choice = [16, 32] }", "8")
        .replace("epochs = 40", "epochs = 100000");
    sandbox.write("study.toml", file);
    let running = sandbox.start(&["train", "study.toml", "--model", "m"]);
    assert!(running.says("epoch 2", A_MINUTE));
    running.interrupt();
    assert_eq!(running.wait(), Some(130));
    assert!(!sandbox.path("m").exists());
}

#[test]
fn a_changed_file_is_not_continued_in_silence() {
    let sandbox = sandbox();
    sandbox.ok(&["tune", "study.toml", "--trials", "2"]);
    sandbox.write("study.toml", STUDY.replace("[8, 32]", "[8, 64]"));
    let said = sandbox.fails(2, &["tune", "study.toml", "--trials", "3"]);
    let shows = |mark: char, range: &str| {
        said.lines().any(|line| line.trim_start().starts_with(mark) && line.contains(range))
    };
    assert!(shows('-', "[8, 32]") && shows('+', "[8, 64]") && said.contains("--force"), "{said}");
    assert_eq!(sandbox.trials("quick", "luthier.db").len(), 2, "it did nothing");
    sandbox.ok(&["tune", "study.toml", "--trials", "3", "--force"]);
    assert_eq!(sandbox.trials("quick", "luthier.db").len(), 3);
    // What was agreed to once is not asked again, nor is a comment a change.
    sandbox.write("study.toml", format!("# A comment.\n{}", STUDY.replace("[8, 32]", "[8, 64]")));
    sandbox.ok(&["tune", "study.toml", "--trials", "4"]);
}

#[test]
fn limits_may_be_raised() {
    let sandbox = sandbox();
    sandbox.ok(&["tune", "study.toml", "--trials", "3"]);
    let first = sandbox.trials("quick", "luthier.db");
    assert_eq!(first.len(), 3);
    let tuned = sandbox.json(&["tune", "study.toml", "--trials", "3"]);
    assert_eq!(tuned["stopped"], "finished");
    assert_eq!(sandbox.trials("quick", "luthier.db"), first, "there was nothing to do");
    sandbox.ok(&["tune", "study.toml", "--trials", "5", "--timeout", "10m", "--parallel", "2"]);
    let rows = sandbox.trials("quick", "luthier.db");
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[..3], first);
}

#[test]
fn a_study_that_is_worked_on_is_not_deleted() {
    let sandbox = long_sandbox();
    let running = sandbox.start(&["tune", "study.toml", "--set", "train.epochs=1000000"]);
    let deadline = Instant::now() + A_MINUTE;
    let started = || sandbox.run(&["trials", "quick", "--json"]).stdout.starts_with(b"[\n");
    while !started() {
        assert!(Instant::now() < deadline, "no trial has started");
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = sandbox.fails(1, &["delete", "quick", "--yes"]);
    let process = format!("process {}", running.id());
    assert!(said.contains("is being worked on by") && said.contains(&process), "{said}");
    sandbox.ok(&["tune", "study.toml", "--set", "study.name=another", "--set", "train.epochs=2"]);
    running.kill();
    sandbox.ok(&["delete", "quick", "--yes"]);
}

#[test]
fn a_target_ends_the_study() {
    let sandbox = sandbox();
    let tuned = sandbox.json(&["tune", "study.toml", "--set", "study.target=0.5"]);
    assert_eq!(tuned["stopped"], "target");
    assert_eq!(sandbox.trials("quick", "luthier.db").len(), 1);
    assert!(tuned["best"]["value"].as_f64().unwrap() >= 0.5);
    // Without it, the study goes on.
    sandbox.ok(&["tune", "study.toml", "--trials", "2"]);
    assert_eq!(sandbox.trials("quick", "luthier.db").len(), 2);
}

#[test]
fn a_timeout_is_kept_and_the_trial_goes_on_later() {
    let sandbox = long_sandbox();
    let started = Instant::now();
    let said = sandbox.fails(1, &["tune", "study.toml", "--timeout", "1s"]);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(said.contains("before any trial came to a value"), "{said}");
    let paused = sandbox.trials("quick", "luthier.db");
    assert_eq!(paused.len(), 1);
    assert_eq!(paused[0]["state"], "paused");
    let epochs = paused[0]["epochs"].as_u64().unwrap();
    assert!((1..4000).contains(&epochs), "{epochs} epochs");

    sandbox.ok(&["tune", "study.toml"]);
    sandbox.ok(&["tune", "study.toml", "--storage", "calm.db"]);
    let resumed = sandbox.trials("quick", "luthier.db");
    assert_eq!(timeless(&resumed), timeless(&sandbox.trials("quick", "calm.db")));
    for storage in ["luthier.db", "calm.db"] {
        sandbox.ok(&["best", "quick", "--storage", storage, "--model", &format!("{storage}.model")]);
    }
    assert_eq!(sandbox.read("luthier.db.model"), sandbox.read("calm.db.model"));
}

#[test]
fn a_study_of_a_file_is_not_asked_by_a_program() {
    let sandbox = sandbox();
    sandbox.ok(&["tune", "study.toml", "--set", "study.name=filed"]);
    let study = luthier::Study::builder("filed").maximize().stored_in(sandbox.path("luthier.db"));
    let error = study.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`filed` was made by a study file"), "{error}");
}

#[test]
fn a_machine_of_another_class_is_refused_unless_it_is_allowed() {
    let sandbox = sandbox();
    sandbox.ok(&["tune", "study.toml", "--trials", "1", "--storage", "here.db"]);
    let open = |name: &str| luthier::storage::open(sandbox.path(name).to_str().unwrap()).unwrap();
    let here = open("here.db");
    let study = here.study("quick").unwrap().unwrap();
    let history = luthier::runner::read_history(&*here, &study).unwrap();
    let record = history.session().unwrap().clone();
    let class = record.class.clone().unwrap();
    assert!(class.ends_with(" cpu"), "{class}");

    // The same study, begun elsewhere.
    let there: Arc<dyn Storage> = open("there.db").into();
    let study = there.create_study(&study.definition).unwrap();
    let mut ledger = Ledger::open(Arc::clone(&there), study).unwrap();
    ledger.begin(&SessionRecord { class: Some("riscv64 cpu".to_owned()), ..record }, Trials::All(1)).unwrap();
    drop(ledger);
    for command in ["tune", "worker"] {
        let said = sandbox.fails(2, &[command, "study.toml", "--storage", "there.db"]);
        assert!(
            said.contains(&format!("it was riscv64 cpu, it is {class}")) && said.contains("--force"),
            "{said}"
        );
    }
    let said = sandbox.ok(&["tune", "study.toml", "--storage", "there.db", "--trials", "2", "--force"]);
    assert!(said.contains(&format!("several classes (riscv64 cpu, {class})")), "{said}");
    // What was allowed once is allowed.
    sandbox.ok(&["tune", "study.toml", "--storage", "there.db", "--trials", "3"]);
    let said = sandbox.ok(&["verify", "study.toml", "--storage", "there.db", "--no-training"]);
    assert!(said.contains("several classes"), "{said}");
}
