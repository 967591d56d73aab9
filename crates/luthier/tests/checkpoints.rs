//! `luthier train --checkpoint` and `--resume`: what is written, and that a run goes on from it as if it had
//! never stopped, however it ended.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::time::{Duration, Instant};

use common::{Sandbox, text};
use luthier_train::{Checkpoint, MEASURED_TIMES};
use serde_json::Value;

const A_MINUTE: Duration = Duration::from_mins(1);

/// A training of about a fiftieth of a second an epoch.
fn study(epochs: u64) -> String {
    format!(
        r#"[study]
name = "kept"

[data]
source = {{ classification = {{ samples = 600, features = 6, informative = 4, redundant = 1, class_sep = 0.8, seed = 1 }} }}

[model]
layers = [{{ dense = 16, activation = "relu" }}, {{ dropout = 0.1 }}]

[train]
epochs = {epochs}
batch_size = 8
optimizer = {{ kind = "adam", learning_rate = 0.01 }}
schedule = {{ learning_rate = {{ kind = "cosine", horizon = 12 }} }}
checkpoints = {{ every = 2, keep = 3 }}
"#
    )
}

fn sandbox(epochs: u64) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(epochs));
    sandbox
}

/// The files of a folder by name.
fn files(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(sandbox.path(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn checkpoint(sandbox: &Sandbox, name: &str) -> Checkpoint {
    Checkpoint::from_bytes(&sandbox.read(name)).unwrap()
}

/// The rows of epochs, without what is measured with a clock.
fn epochs(trained: &Value) -> Vec<Value> {
    let mut rows = trained["epochs"].as_array().unwrap().clone();
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        row.retain(|name, _| !MEASURED_TIMES.contains(&name.as_str()));
    }
    rows
}

#[test]
fn the_last_the_best_and_those_by_rule_are_kept() {
    let sandbox = sandbox(9);
    let trained = sandbox.json(&["train", "study.toml", "--checkpoint", "kept", "--model", "model"]);
    assert_eq!(
        files(&sandbox, "kept"),
        [
            "best.checkpoint",
            "last.checkpoint",
            "report-000004.checkpoint",
            "report-000006.checkpoint",
            "report-000008.checkpoint"
        ]
    );
    let last = checkpoint(&sandbox, "kept/last.checkpoint");
    assert_eq!((last.position().report, last.has_ended()), (9, true));
    let best = checkpoint(&sandbox, "kept/best.checkpoint");
    assert_eq!(Some(best.position().report), trained["epoch"].as_u64());
    assert_eq!(best.best(), last.best());
    for report in [4, 6, 8] {
        let kept = checkpoint(&sandbox, &format!("kept/report-00000{report}.checkpoint"));
        assert_eq!((kept.position().report, kept.has_ended()), (report, false));
    }
    // Checkpoints change nothing.
    let plain = sandbox.json(&["train", "study.toml", "--model", "plain"]);
    assert_eq!(epochs(&plain), epochs(&trained));
    assert_eq!(sandbox.read("plain"), sandbox.read("model"));
}

#[test]
fn a_training_goes_on_from_any_of_its_checkpoints() {
    let sandbox = sandbox(9);
    let whole = sandbox.json(&["train", "study.toml", "--checkpoint", "kept", "--model", "whole"]);
    let best = sandbox.read("kept/best.checkpoint");
    let args = ["train", "study.toml", "--resume", "kept/report-000004.checkpoint", "--model", "again"];
    let again = sandbox.json(&args);
    assert_eq!(epochs(&again), epochs(&whole)[4..]);
    assert_eq!(sandbox.read("again"), sandbox.read("whole"));
    assert_eq!((&again["value"], &again["epoch"]), (&whole["value"], &whole["epoch"]));
    assert_eq!(sandbox.read("kept/best.checkpoint"), best, "a file is not a folder to write to");
    assert_eq!(files(&sandbox, "kept").len(), 5);
}

#[test]
fn a_killed_training_goes_on_as_if_nothing_had_happened() {
    // Enough for some seconds.
    const EPOCHS: u64 = 4000;
    let sandbox = sandbox(EPOCHS);
    sandbox.ok(&["train", "study.toml", "--model", "calm"]);
    let mut kills = 0;
    for kill in 1..=5_u64 {
        let args = ["train", "study.toml", "--checkpoint", "kept", "--model", "killed"];
        let args = [&args[..], if kill > 1 { &["--resume", "kept"] } else { &[] }].concat();
        let running = sandbox.start(&args);
        assert!(running.says("epoch ", A_MINUTE));
        let until = Instant::now() + Duration::from_millis(40 * kill);
        while Instant::now() < until {
            running.says("nothing at all", Duration::from_millis(5));
        }
        running.kill();
        kills += 1;
        // Whatever is there is whole.
        for name in files(&sandbox, "kept").iter().filter(|name| name.ends_with(".checkpoint")) {
            checkpoint(&sandbox, &format!("kept/{name}"));
        }
    }
    assert_eq!(kills, 5);
    let stood = checkpoint(&sandbox, "kept/last.checkpoint").position();
    assert!((1..EPOCHS).contains(&stood.epoch), "{stood:?}");
    sandbox.ok(&["train", "study.toml", "--resume", "kept", "--model", "killed"]);
    assert_eq!(sandbox.read("killed"), sandbox.read("calm"));
    assert!(checkpoint(&sandbox, "kept/last.checkpoint").has_ended());
    let left = files(&sandbox, "kept");
    assert_eq!(left.iter().filter(|name| name.starts_with("report-")).count(), 3, "{left:?}");
}

#[test]
fn ctrl_c_keeps_the_very_step() {
    let sandbox = sandbox(120);
    sandbox.ok(&["train", "study.toml", "--model", "calm"]);
    let running = sandbox.start(&["train", "study.toml", "--checkpoint", "kept", "--model", "stopped"]);
    assert!(running.says("epoch 3", A_MINUTE));
    running.interrupt();
    assert!(running.says("--resume kept goes on from there", A_MINUTE));
    assert_eq!(running.wait(), Some(130));
    assert!(!sandbox.path("stopped").exists());
    let stood = checkpoint(&sandbox, "kept/last.checkpoint");
    assert!(stood.position().epoch >= 3 && !stood.has_ended());
    sandbox.ok(&["train", "study.toml", "--resume", "kept", "--model", "stopped"]);
    assert_eq!(sandbox.read("stopped"), sandbox.read("calm"));
}

#[test]
fn epochs_lengthen_a_finished_training() {
    let sandbox = sandbox(12);
    let whole = sandbox.json(&["train", "study.toml", "--model", "whole"]);
    sandbox.ok(&["train", "study.toml", "--epochs", "5", "--checkpoint", "kept"]);
    assert_eq!(checkpoint(&sandbox, "kept/last.checkpoint").position().epoch, 5);
    let rest = sandbox.json(&["train", "study.toml", "--resume", "kept", "--model", "longer"]);
    assert_eq!(epochs(&rest), epochs(&whole)[5..]);
    assert_eq!(rest["value"], whole["value"]);
    assert_eq!(sandbox.read("longer"), sandbox.read("whole"), "as if it had been asked for at once");
    let more = sandbox.json(&["train", "study.toml", "--epochs", "14", "--resume", "kept"]);
    assert_eq!(epochs(&more).len(), 2);
    let said = sandbox.fails(1, &["train", "study.toml", "--epochs", "14", "--resume", "kept"]);
    assert!(said.contains("it has had 14 epochs, so 14 do not lengthen it; ask for more"), "{said}");
}

#[test]
fn the_best_checkpoint_stays_the_best_when_a_training_goes_on() {
    let sandbox = sandbox(12);
    // A rate at which it only gets worse.
    let worse = "train.optimizer.learning_rate=30.0";
    sandbox.ok(&["train", "study.toml", "--epochs", "4", "--checkpoint", "kept"]);
    let best = checkpoint(&sandbox, "kept/best.checkpoint").best().unwrap();
    sandbox.ok(&["train", "study.toml", "--epochs", "7", "--resume", "kept", "--set", worse]);
    assert_eq!(checkpoint(&sandbox, "kept/best.checkpoint").best().unwrap(), best);
    assert_eq!(checkpoint(&sandbox, "kept/last.checkpoint").position().epoch, 7);
}

#[test]
fn set_with_resume_forks() {
    let sandbox = sandbox(8);
    let whole = sandbox.json(&["train", "study.toml"]);
    sandbox.ok(&["train", "study.toml", "--epochs", "4", "--checkpoint", "kept"]);
    let fork = |value: &str| {
        let args = ["train", "study.toml", "--resume", "kept/last.checkpoint", "--set", value];
        sandbox.json(&args)
    };
    let rate = fork("train.optimizer.learning_rate=0.001");
    assert_eq!(epochs(&rate).len(), 4);
    assert_eq!(epochs(&rate)[0]["epoch"], 5);
    assert!(epochs(&rate)[0]["learning_rate"].as_f64().unwrap() < 0.001 + 1e-12);
    assert_ne!(epochs(&rate), epochs(&whole)[4..]);
    let optimizer = fork("train.optimizer=\"sgd\"");
    assert_eq!(epochs(&optimizer).len(), 4);
    assert_eq!(epochs(&fork("train.optimizer=\"sgd\"")), epochs(&optimizer), "a fork can be repeated");
    let said = sandbox
        .fails(1, &["train", "study.toml", "--resume", "kept", "--set", "model.layers.dense1.dense=17"]);
    assert!(said.contains("last.checkpoint") && said.contains("0.weight has the shape [16, 6]"), "{said}");

    // Without --set, another file is no fork but a mistake, and the line is named.
    sandbox.write("study.toml", study(8).replace("learning_rate = 0.01", "learning_rate = 0.02"));
    let said = sandbox.fails(1, &["train", "study.toml", "--resume", "kept"]);
    for part in ["the checkpoint is of another training", "learning_rate = 0.01", "learning_rate = 0.02"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_fork_that_is_interrupted_goes_on() {
    let sandbox = sandbox(120);
    sandbox.ok(&["train", "study.toml", "--epochs", "4", "--checkpoint", "kept"]);
    let set = ["--set", "train.optimizer.learning_rate=0.001"];
    let fork = ["train", "study.toml", "--resume", "kept/last.checkpoint", "--checkpoint", "forked"];
    let calm = sandbox.json(&[&fork[..], &set[..], &["--model", "calm"]].concat());
    std::fs::remove_dir_all(sandbox.path("forked")).unwrap();
    let running = sandbox.start(&[&fork[..], &set[..]].concat());
    assert!(running.says("epoch 7", A_MINUTE));
    running.interrupt();
    assert_eq!(running.wait(), Some(130));
    // With the same values it goes on, and is not forked once more.
    let resume = ["train", "study.toml", "--resume", "forked/last.checkpoint", "--model", "rest"];
    let rest = sandbox.json(&[&resume[..], &set[..]].concat());
    assert_eq!(rest["value"], calm["value"]);
    assert_eq!(sandbox.read("rest"), sandbox.read("calm"));
    // So it does with the values in the file.
    sandbox.write("study.toml", study(120).replace("learning_rate = 0.01", "learning_rate = 0.001"));
    sandbox.ok(&resume);
    assert_eq!(sandbox.read("rest"), sandbox.read("calm"));
}

#[test]
fn checkpoints_that_are_no_longer_whole_are_refused() {
    let sandbox = sandbox(3);
    sandbox.ok(&["train", "study.toml", "--checkpoint", "kept"]);
    let whole = sandbox.read("kept/last.checkpoint");
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        sandbox.write("kept/last.checkpoint", &whole[..length]);
        let said = sandbox.fails(1, &["train", "study.toml", "--epochs", "5", "--resume", "kept"]);
        assert!(said.contains("last.checkpoint: this is not a whole checkpoint"), "{said}");
        assert_eq!(said.lines().filter(|line| line.contains("error")).count(), 1, "{said}");
    }
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    sandbox.write("kept/last.checkpoint", &altered);
    let said = sandbox.fails(1, &["train", "study.toml", "--epochs", "5", "--resume", "kept"]);
    assert!(said.contains("cut off or altered"), "{said}");
    // The best one is whole still.
    sandbox.ok(&["train", "study.toml", "--epochs", "5", "--resume", "kept/best.checkpoint"]);
    let said = sandbox.fails(2, &["train", "study.toml", "--resume", "elsewhere"]);
    assert!(said.contains("cannot read the checkpoint elsewhere"), "{said}");
}

#[test]
fn checkpoints_that_cannot_be_written_are_said() {
    let sandbox = sandbox(3);
    sandbox.write("file", "in the way");
    let said = sandbox.fails(1, &["train", "study.toml", "--checkpoint", "file"]);
    assert!(said.contains("cannot make the folder file for checkpoints"), "{said}");
}

#[test]
fn folds_go_on_as_well() {
    let sandbox = Sandbox::new();
    let folds = study(60).replace("[model]", "split = { folds = 3 }\n\n[model]");
    sandbox.write("study.toml", folds);
    let calm = sandbox.json(&["train", "study.toml", "--model", "calm"]);
    let running = sandbox.start(&["train", "study.toml", "--checkpoint", "kept", "--model", "stopped"]);
    assert!(running.says("fold 1", A_MINUTE));
    running.interrupt();
    assert_eq!(running.wait(), Some(130));
    let rest = sandbox.json(&["train", "study.toml", "--resume", "kept", "--model", "stopped"]);
    assert_eq!(rest["value"], calm["value"]);
    assert_eq!(sandbox.read("stopped"), sandbox.read("calm"));
    let whole = sandbox.read("kept/last.checkpoint");
    sandbox.write("kept/last.checkpoint", &whole[..whole.len() / 2]);
    let output = sandbox.run(&["train", "study.toml", "--resume", "kept"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}
