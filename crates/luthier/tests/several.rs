//! Several objectives and constraints in a study file: what is found, shown, kept and refused.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use common::Sandbox;
use serde_json::Value;

/// Two losses that go against each other, and a size; and what it leaves as its model.
const PROGRAM: &str = r#"
awk -v x="$1" -v y="$2" 'BEGIN {
  printf "{\"loss\": %.9f, \"cost\": %.9f, \"size\": %.9f}\n", (x - 1)^2 + y, x^2 + y, 10 * x }'
echo "$1" > "$LUTHIER_CHECKPOINT/x"
"#;

fn study(study: &str, search: &str) -> String {
    format!(
        r#"[study]
name = "two"
{study}

[command]
run = ["sh", "program.sh", "{{x}}", "{{y}}"]

[params]
x = {{ float = [0.0, 2.0] }}
y = {{ float = [0.0, 1.0] }}

[search]
{search}
"#
    )
}

fn sandbox(head: &str, search: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("program.sh", PROGRAM);
    sandbox.write("study.toml", study(head, search));
    sandbox
}

const TWO: &str = "objective = [\"loss\", \"cost\"]\ndirection = [\"minimize\", \"minimize\"]";

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    serde_json::from_str(&sandbox.ok(args)).unwrap()
}

#[test]
fn a_front_is_found_shown_and_verified_whatever_the_number_of_workers() {
    let sandbox = sandbox(TWO, "trials = 24\nslots = 3");
    let shown = sandbox.ok(&["tune", "study.toml", "--storage", "one.db", "--parallel", "1"]);
    assert!(shown.contains("on the Pareto front; its knee: trial"), "{shown}");
    sandbox.ok(&["tune", "study.toml", "--storage", "three.db", "--parallel", "3"]);
    let front = |storage| json(&sandbox, &["best", "study.toml", "--storage", storage, "--json"]);
    let one = front("one.db");
    assert_eq!(one, front("three.db"));
    let trials = one["trials"].as_array().unwrap();
    assert!(trials.len() > 3, "{one}");
    let value = |row: &Value, name: &str| row["values"][name].as_f64().unwrap();
    for row in trials {
        let dominated = trials.iter().any(|other| {
            value(other, "loss") < value(row, "loss") && value(other, "cost") < value(row, "cost")
        });
        assert!(!dominated, "{row}");
    }
    assert_eq!(trials.iter().filter(|row| row["knee"] == true).count(), 1);
    let text = sandbox.ok(&["best", "study.toml", "--storage", "one.db"]);
    assert!(text.contains("(knee)") && text.contains("loss") && text.contains("cost"), "{text}");

    // Any trial of the front has its model and its file.
    for row in trials {
        let number = row["trial"].to_string();
        let args = ["best", "study.toml", "--storage", "one.db", "--trial", &number];
        sandbox.ok(&[&args[..], &["-o", "best.toml", "--model", "model.tar"]].concat());
        let again = json(&sandbox, &["train", "best.toml", "--json"]);
        assert_eq!(again["value"], row["values"]["loss"]);
    }
    let verified = sandbox.ok(&["verify", "study.toml", "--storage", "one.db"]);
    assert!(verified.contains("24 proposals") && verified.contains("all agree"), "{verified}");
    sandbox.ok(&["export", "study.toml", "--storage", "one.db", "-o", "trials.csv"]);
    let csv = String::from_utf8(sandbox.read("trials.csv")).unwrap();
    assert!(csv.lines().next().unwrap().contains("values.cost"), "{csv}");
}

/// The same, step by step, with a checkpoint after each.
const STEPS: &str = r#"
step=$(cat "$LUTHIER_CHECKPOINT/step" 2>/dev/null || echo 0)
while [ "$step" -lt "${LUTHIER_UNTIL:-9}" ]; do
  step=$((step + 1))
  awk -v x="$1" -v y="$2" -v s="$step" 'BEGIN {
    printf "{\"step\": %d, \"loss\": %.9f, \"cost\": %.9f}\n", s, (x - 1)^2 + y + 1 / s, x^2 + y }'
  echo "$step" > "$LUTHIER_CHECKPOINT/step"
done
"#;

#[test]
fn trials_of_several_objectives_are_cut_short_whatever_the_number_of_workers() {
    for pruner in ["asha", "median"] {
        let sandbox = Sandbox::new();
        sandbox.write("program.sh", STEPS);
        let search = format!("trials = 30\nslots = 3\npruner = {pruner:?}");
        let text = study(TWO, &search).replace("[params]", "steps = 9\nresumes = true\n\n[params]");
        sandbox.write("study.toml", text);
        let mut all = Vec::new();
        for parallel in ["1", "3"] {
            let storage = format!("{parallel}.db");
            sandbox.ok(&["tune", "study.toml", "--storage", &storage, "--parallel", parallel]);
            all.push(sandbox.trials("two", &storage));
        }
        let states = |trials: &[Value]| -> Vec<(Value, Value)> {
            trials.iter().map(|trial| (trial["state"].clone(), trial["params"].clone())).collect()
        };
        assert_eq!(states(&all[0]), states(&all[1]), "{pruner}");
        let complete = all[0].iter().filter(|trial| trial["state"] == "complete").count();
        assert!((1..29).contains(&complete), "{pruner}: {complete} complete");
        let verified = sandbox.ok(&["verify", "study.toml", "--storage", "3.db"]);
        assert!(verified.contains("all agree"), "{verified}");
    }
}

#[test]
fn importance_is_told_of_each_objective_and_of_the_front() {
    let sandbox = sandbox(TWO, "trials = 40\nsampler = \"random\"");
    sandbox.ok(&["tune", "study.toml"]);
    let names = |found: &Value| -> Vec<Value> {
        found["objectives"].as_array().unwrap().iter().map(|one| one["objective"].clone()).collect()
    };
    let both = json(&sandbox, &["importance", "two", "--json"]);
    assert_eq!((names(&both), both.get("front")), (vec!["loss".into(), "cost".into()], None));
    let cost = json(&sandbox, &["importance", "two", "--objective", "cost", "--json"]);
    assert_eq!(cost["objectives"], serde_json::json!([both["objectives"][1]]));
    // The loss is (x - 1)² + y and the cost x² + y, with variances 4/45, 64/45 and 1/12.
    let first = |of: &Value| of["parameters"][0]["parameter"].clone();
    assert_eq!(first(&both["objectives"][1]), "params.x");
    let ped = json(&sandbox, &["importance", "two", "--method", "ped-anova", "--json"]);
    // Along the front x changes and y is 0.
    assert_eq!(first(&ped["front"]), "params.y", "{ped}");
    let one =
        json(&sandbox, &["importance", "two", "--method", "ped-anova", "--objective", "loss", "--json"]);
    assert_eq!((names(&one), one.get("front")), (vec!["loss".into()], None));

    let text = sandbox.ok(&["importance", "two", "--method", "ped-anova"]);
    assert!(text.starts_with("what it took to be among the best tenth by each objective, over 40"), "{text}");
    let heads: Vec<&str> = text.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(heads, ["parameter", "loss", "cost", "front", "trials"]);
    let text = sandbox.ok(&["importance", "two", "--objective", "cost"]);
    assert!(text.starts_with("shares of the variance of cost, over 40"), "{text}");
    let said = sandbox.fails(2, &["importance", "two", "--objective", "costs"]);
    assert!(said.contains("study `two` has no objective `costs`; expected loss or cost"), "{said}");
}

#[test]
fn constraints_on_parameters_and_results_are_kept() {
    let constraints = "constraints = [\"params.x + params.y <= 1.5\", \"size <= 8\"]\ntrials = 30";
    let sandbox = sandbox("objective = \"loss\"\ndirection = \"minimize\"", constraints);
    let checked = sandbox.ok(&["check", "study.toml"]);
    assert!(checked.contains("where params.x + params.y <= 1.5"), "{checked}");
    sandbox.ok(&["tune", "study.toml", "--storage", "s.db"]);
    let trials = sandbox.trials("two", "s.db");
    let of = |trial: &Value, name: &str| trial["params"][name].as_f64().unwrap();
    assert!(trials.iter().all(|trial| of(trial, "params.x") + of(trial, "params.y") <= 1.5));
    for trial in &trials {
        let misses = trial.get("misses").is_some_and(|misses| misses[0] == "size <= 8");
        assert_eq!(misses, of(trial, "params.x") > 0.8, "{trial}");
    }
    // Without the constraint x = 1 would be the best.
    let best = json(&sandbox, &["best", "study.toml", "--storage", "s.db", "--json"]);
    let x = best["params"]["params.x"].as_f64().unwrap();
    assert!((0.6..=0.8).contains(&x), "{best}");
    assert!(sandbox.ok(&["verify", "study.toml", "--storage", "s.db"]).contains("all agree"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |head: &str, search: &str, expected: &str| {
        let sandbox = sandbox(head, search);
        let said = sandbox.fails(2, &["check", "study.toml"]);
        assert!(said.contains(expected), "{head} {search}: {said}");
    };
    let one = "objective = \"loss\"\ndirection = \"minimize\"";
    refused("objective = [\"loss\", \"cost\"]", "", "study.direction");
    refused(
        "objective = [\"loss\", \"cost\"]\ndirection = \"minimize\"",
        "",
        "one for each of the 2 objectives",
    );
    refused(&format!("{TWO}\ntarget = 1.0"), "", "several objectives have no one value to reach");
    refused(
        TWO,
        "pruner = { kind = \"threshold\", limit = 1.0 }",
        "a pruner that compares several objectives",
    );
    refused(one, "constraints = [\"params.x <\"]", "found the end");
    refused(one, "constraints = [\"params.z < 1\"]", "did you mean `params.");
    refused(one, "constraints = [\"size < 1\"]", "a limit on metrics");
    refused(one, "constraints = [\"params.x <= size\"]", "a constraint on parameters, or one on metrics");
    refused(one, "constraints = [\"params.x < 'a'\"]", "expected a number, found a");
}

#[test]
fn a_metric_that_is_missing_fails_its_trial_and_says_which() {
    let sandbox =
        sandbox("objective = [\"loss\", \"costs\"]\ndirection = [\"minimize\", \"minimize\"]", "trials = 1");
    sandbox.fails(1, &["tune", "study.toml", "--storage", "s.db"]);
    let note = sandbox.trials("two", "s.db")[0]["note"].as_str().unwrap().to_owned();
    assert!(note.contains("no finite value of `costs` was reported"), "{note}");
}
