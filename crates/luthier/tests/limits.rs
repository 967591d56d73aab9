//! Limits of time and memory of a trial that trains.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use common::Sandbox;
use serde_json::Value;

/// Trials that would take hours.
fn study(limits: &str, units: &str) -> String {
    format!(
        r#"[study]
name = "limited"

[data]
source = {{ classification = {{ samples = 600, features = 6, informative = 4, redundant = 1, seed = 1 }} }}

[model]
layers = [{{ dense = {units}, activation = "relu" }}]

[train]
epochs = 3
batch_size = 16
optimizer = {{ kind = "adam", learning_rate = {{ float = [1e-3, 1e-1], log = true }} }}
{limits}

[search]
trials = 4
"#
    )
}

fn field<'a>(trial: &'a Value, key: &str) -> &'a str {
    trial[key].as_str().unwrap_or_default()
}

#[test]
fn a_trial_that_takes_longer_than_its_limit_fails_and_the_study_can_be_verified() {
    let sandbox = Sandbox::new();
    let text = study("time_limit = \"100ms\"", "8").replace("epochs = 3", "epochs = 1000000");
    sandbox.write("study.toml", &text);
    let said = sandbox.fails(1, &["tune", "study.toml"]);
    assert!(said.contains("no trial came to a value"), "{said}");
    let trials = sandbox.trials("limited", "luthier.db");
    assert_eq!(trials.len(), 4);
    for trial in &trials {
        assert_eq!(field(trial, "state"), "failed");
        assert!(field(trial, "note").contains("took longer than its time limit of 0.1 s"), "{trial}");
        let seconds = trial["seconds"].as_f64().unwrap();
        assert!((0.1..20.0).contains(&seconds), "{seconds} s");
    }
    sandbox.ok(&["verify", "study.toml"]);
}

#[test]
fn a_training_that_needs_more_memory_than_its_limit_is_not_begun() {
    let sandbox = Sandbox::new();
    // 8,194 units with 6 weights and a bias, and two outputs: 73,748 weights, held five times with Adam; 16,396 values between
    // the layers for each of 16 examples, held six times.
    sandbox.write("study.toml", study("memory_limit = \"2MB\"", "{ choice = [8, 8194] }"));
    sandbox.ok(&["tune", "study.toml", "--trials", "12"]);
    let trials = sandbox.trials("limited", "luthier.db");
    for trial in &trials {
        let large = trial["params"].to_string().contains("8194");
        assert_eq!(field(trial, "state"), if large { "infeasible" } else { "complete" }, "{trial}");
        if large {
            let note = field(trial, "note");
            assert!(
                note.contains("it needs about 7.77 MB") && note.contains("memory_limit is 2.00 MB"),
                "{note}"
            );
        }
    }
    let infeasible = trials.iter().filter(|trial| field(trial, "state") == "infeasible").count();
    assert!((1..12).contains(&infeasible), "{infeasible}");
    sandbox.ok(&["verify", "study.toml"]);
    let said = sandbox.fails(2, &["check", "study.toml", "--set", "train.memory_limit=\"0MB\""]);
    assert!(said.contains("a size above 0"), "{said}");
}
