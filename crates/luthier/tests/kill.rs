//! A study that is killed again and again: what was finished stays, nothing is done twice, and it ends as
//! if nothing had happened.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Running, Sandbox, timeless};
use serde_json::Value;

/// Trials of about a tenth of a second.
fn study(trials: usize, pruner: &str, parallel: usize) -> String {
    format!(
        r#"[study]
name = "killed"

[data]
source = {{ classification = {{ samples = 600, features = 6, informative = 4, redundant = 1, class_sep = 0.8, seed = 1 }} }}

[model]
layers = [{{ dense = {{ int = [8, 32], log = true }}, activation = {{ choice = ["relu", "tanh"] }} }}]

[train]
epochs = 200
batch_size = {{ choice = [16, 32] }}
optimizer = {{ kind = "adam", learning_rate = {{ float = [1e-3, 1e-1], log = true }} }}

[search]
trials = {trials}
pruner = "{pruner}"
parallel = {parallel}
"#
    )
}

/// When a run is killed. Every kind comes at the latest when a trial has ended, so that the trials last for
/// all the kills.
#[derive(Clone, Copy)]
enum Moment {
    /// So long after the start.
    After(Duration),
    /// So long after a trial has ended.
    Ended(Duration),
    /// As soon as a file of the study changes on the disk, such as when a model is being written.
    Writing,
}

impl Moment {
    /// The moment of the kill with this number.
    fn of(kill: u64) -> Self {
        match kill % 4 {
            1 => Self::Ended(Duration::from_millis(kill)),
            3 => Self::Writing,
            _ => Self::After(Duration::from_millis(15 + kill * 37 % 250)),
        }
    }

    fn wait(self, running: &Running, files: &Path) {
        const AN_END: Duration = Duration::from_mins(1);
        match self {
            Self::After(delay) => {
                running.says("trial ", delay);
            }
            Self::Ended(delay) => {
                assert!(running.says("trial ", AN_END), "no trial ended");
                sleep(delay);
            }
            Self::Writing => {
                let before = list(files);
                let deadline = Instant::now() + AN_END;
                while Instant::now() < deadline
                    && list(files) == before
                    && !running.says("trial ", Duration::from_micros(200))
                {}
            }
        }
    }
}

/// All files below a folder, with their sizes.
fn list(folder: &Path) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(list(&path));
        } else {
            // A file may be gone by now.
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            files.push((path.display().to_string(), size));
        }
    }
    files.sort();
    files
}

fn number(row: &Value) -> usize {
    row["trial"].as_u64().unwrap() as usize
}

fn is_finished(row: &Value) -> bool {
    !matches!(row["state"].as_str(), Some("waiting" | "running" | "paused"))
}

/// Starts the study and kills it `kills` times, and runs it to its end; gives its trials.
fn killed(sandbox: &Sandbox, kills: u64, trials: usize) -> Vec<Value> {
    let mut finished: Vec<Value> = Vec::new();
    for kill in 0..kills {
        let running = sandbox.start(&["tune", "study.toml", "--storage", "killed.db"]);
        Moment::of(kill).wait(&running, &sandbox.path("killed.files"));
        running.kill();
        if !sandbox.path("killed.db").exists() {
            continue;
        }
        let output = sandbox.run(&["trials", "killed", "--storage", "killed.db", "--json"]);
        if finished.is_empty() && common::text(&output.stderr).contains("there is no study") {
            continue;
        }
        let rows = sandbox.trials("killed", "killed.db");
        for (number, row) in rows.iter().enumerate() {
            assert_eq!(row["trial"], number, "after kill {kill}: the numbers have gaps");
        }
        // Equal to the last digit of the seconds: a trial that had run twice would not be.
        for row in &finished {
            assert_eq!(rows.get(number(row)), Some(row), "after kill {kill}: a finished trial has changed");
        }
        finished = rows.into_iter().filter(is_finished).collect();
        if finished.iter().any(|row| row["state"] == "complete") {
            sandbox.ok(&["best", "killed", "--storage", "killed.db", "--model", "model.safetensors"]);
        }
    }
    let unfinished = sandbox.trials("killed", "killed.db").len() < trials;
    assert!(unfinished, "the study ended before the last kill: the kills hit nothing");
    assert!(!finished.is_empty(), "every kill came before the first trial had ended");

    sandbox.ok(&["tune", "study.toml", "--storage", "killed.db"]);
    let rows = sandbox.trials("killed", "killed.db");
    assert_eq!(rows.len(), trials);
    assert!(rows.iter().all(is_finished), "{rows:?}");
    for row in &finished {
        // At the end the winner gets its values on the test part, and nothing else.
        let mut ended = rows[number(row)].clone();
        ended.as_object_mut().unwrap().remove("test");
        assert_eq!(&ended, row, "a finished trial has changed");
    }
    sandbox.ok(&["best", "killed", "--storage", "killed.db", "--model", "model.safetensors"]);
    rows
}

/// The same study without a kill.
fn undisturbed(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.ok(&["tune", "study.toml", "--storage", "calm.db"]);
    sandbox.ok(&["best", "killed", "--storage", "calm.db", "--model", "calm.safetensors"]);
    sandbox.trials("killed", "calm.db")
}

#[test]
fn twenty_kills_change_no_bit() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(24, "none", 1));
    let calm = undisturbed(&sandbox);
    let rows = killed(&sandbox, 20, 24);
    assert_eq!(timeless(&rows), timeless(&calm));
    assert_eq!(sandbox.read("model.safetensors"), sandbox.read("calm.safetensors"));
}

#[test]
fn kills_with_a_pruner_change_no_bit() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(16, "median", 1));
    let calm = undisturbed(&sandbox);
    let rows = killed(&sandbox, 8, 16);
    assert_eq!(timeless(&rows), timeless(&calm));
    assert_eq!(sandbox.read("model.safetensors"), sandbox.read("calm.safetensors"));
}

#[test]
fn kills_with_two_trials_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(20, "none", 2));
    let calm = undisturbed(&sandbox);
    let rows = killed(&sandbox, 6, 20);
    assert_eq!(timeless(&rows), timeless(&calm));
}

#[test]
fn kills_with_two_trials_at_once_and_a_pruner() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(20, "median", 2));
    let calm = undisturbed(&sandbox);
    let rows = killed(&sandbox, 6, 20);
    assert_eq!(timeless(&rows), timeless(&calm));
    assert_eq!(sandbox.read("model.safetensors"), sandbox.read("calm.safetensors"));
    // By one worker in the same two slots.
    sandbox.ok(&["tune", "study.toml", "--storage", "one.db", "--parallel", "1", "--set", "search.slots=2"]);
    assert_eq!(timeless(&sandbox.trials("killed", "one.db")), timeless(&calm));
    let verified = sandbox.ok(&["verify", "killed", "--storage", "killed.db"]);
    assert!(verified.contains("all agree"), "{verified}");
}
