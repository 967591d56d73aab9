//! Trials that go on from others: `luthier extend`, `luthier fork`, and population based training, killed or not.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::time::Duration;

use common::{Sandbox, timeless};
use serde_json::Value;

fn study(search: &str, epochs: u64) -> String {
    format!(
        r#"[study]
name = "branched"

[data]
source = {{ classification = {{ samples = 400, features = 6, informative = 4, redundant = 1, class_sep = 0.8, seed = 1 }} }}

[model]
layers = [{{ dense = {{ int = [8, 16] }}, activation = "relu" }}, {{ dropout = {{ float = [0.0, 0.5] }} }}]

[train]
epochs = {epochs}
batch_size = 16
optimizer = {{ kind = "adam", learning_rate = {{ float = [1e-3, 1e-1], log = true }} }}
schedule = {{ learning_rate = {{ kind = "cosine", end = 0.1 }} }}

[search]
{search}
"#
    )
}

const PBT: &str = "sampler = { kind = \"pbt\", size = 4, interval = 3 }\nslots = 3";

fn sandbox(search: &str, epochs: u64) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(search, epochs));
    sandbox
}

fn rate(row: &Value) -> f64 {
    row["params"]["train.optimizer.learning_rate"].as_f64().unwrap()
}

#[test]
fn a_population_is_the_same_for_any_number_of_workers_and_its_winner_is_repeated() {
    for sampler in ["pbt", "pb2"] {
        let sandbox = sandbox(&PBT.replace("pbt", sampler), 12);
        sandbox.ok(&["tune", "study.toml", "--storage", "one.db", "--parallel", "1"]);
        sandbox.ok(&["tune", "study.toml", "--storage", "four.db", "--parallel", "4"]);
        let rows = sandbox.trials("branched", "one.db");
        assert_eq!(timeless(&rows), timeless(&sandbox.trials("branched", "four.db")));
        // Three ends of generations, one of four replaced at each.
        assert_eq!(rows.len(), 7, "{rows:?}");
        for row in &rows[4..] {
            let parent = &rows[row["from"]["trial"].as_u64().unwrap() as usize];
            assert_eq!(
                row["params"]["model.layers.dense1.dense"],
                parent["params"]["model.layers.dense1.dense"]
            );
            assert!(rate(row) != rate(parent) || row["params"] != parent["params"]);
        }
        let verified = sandbox.ok(&["verify", "study.toml", "--storage", "four.db"]);
        assert!(verified.contains("7 proposals") && verified.contains("all agree"), "{verified}");
        let left: Vec<String> = files(&sandbox, "four.files");
        assert!(left.iter().all(|name| !name.contains("-at-")), "{left:?}");

        // The best of those that were forked, if that is not the winner anyway: its file has all its pieces.
        let model = ["--model", "best.safetensors"];
        let best = sandbox
            .json(&[&["best", "study.toml", "--storage", "four.db", "-o", "best.toml"], &model[..]].concat());
        let again = sandbox.json(&["train", "best.toml", "--model", "again.safetensors"]);
        assert_eq!((&again["value"], &again["epoch"]), (&best["value"], &best["epoch"]));
        assert_eq!(sandbox.read("again.safetensors"), sandbox.read("best.safetensors"));
        let said = common::text(&sandbox.read("best.toml"));
        let forked = rows[best["trial"].as_u64().unwrap() as usize].get("from").is_some();
        assert_eq!(said.contains("piece by piece"), forked, "{said}");
    }
}

fn files(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![sandbox.path(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names
}

#[test]
fn a_population_that_is_killed_again_and_again_comes_to_the_same_end() {
    let sandbox = sandbox(PBT, 150);
    sandbox.write("study.toml", study(PBT, 150).replace("interval = 3", "interval = 30"));
    sandbox.ok(&["tune", "study.toml", "--storage", "calm.db", "--parallel", "2"]);
    let mut kills = 0;
    for kill in 0..12_u64 {
        let running = sandbox.start(&["tune", "study.toml", "--storage", "killed.db", "--parallel", "2"]);
        running.says("paused", Duration::from_millis(60 + 90 * (kill % 5)));
        kills += u64::from(running.kill_if_running());
    }
    assert!(kills > 3, "{kills} kills hit something");
    sandbox.ok(&["tune", "study.toml", "--storage", "killed.db", "--parallel", "2"]);
    let (calm, killed) = (sandbox.trials("branched", "calm.db"), sandbox.trials("branched", "killed.db"));
    assert_eq!(timeless(&killed), timeless(&calm));
    let verified = sandbox.ok(&["verify", "study.toml", "--storage", "killed.db"]);
    assert!(verified.contains("all agree"), "{verified}");
}

#[test]
fn what_does_not_go_with_a_population_is_said() {
    let refused = |search: &str, expected: &str| {
        let sandbox = sandbox(search, 12);
        let said = sandbox.fails(2, &["check", "study.toml"]);
        assert!(said.contains(expected), "{said}");
    };
    refused("sampler = \"pbt\"\npruner = \"asha\"", "no pruner beside this sampler");
    refused("sampler = \"pbt\"\ntrials = 5", "5 trials, and a population of 10");
    refused("sampler = { kind = \"tpe\", size = 4 }", "the unknown key `size`");
    refused("sampler = { kind = \"pb2\", size = 1 }", "a whole number of 2 or more");
    refused("sampler = { kind = \"pb2\", quantile = 0.9 }", "a number above 0, up to 0.5");
    let all = "sampler = { kind = \"pbt\", inherit = [\"model\", \"train.optimizer\"] }";
    refused(all, "a parameter that can change while training");
    let sandbox = Sandbox::new();
    let folds = study("sampler = \"pbt\"", 12).replace("[model]", "split = { folds = 3 }\n\n[model]");
    sandbox.write("study.toml", folds);
    assert!(sandbox.fails(2, &["check", "study.toml"]).contains("one training a trial beside this sampler"));
    let error = luthier::Study::builder("closures").sampler("pbt").in_memory().map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("pauses trials and forks them"), "{error}");
}

const RANDOM: &str = "sampler = \"random\"\npruner = \"none\"\ntrials = 3";

#[test]
fn a_trial_is_lengthened_as_if_it_had_been_asked_for_at_once() {
    let sandbox = sandbox(RANDOM, 8);
    sandbox.ok(&["tune", "study.toml"]);
    let best = sandbox.json(&["best", "study.toml", "-o", "best.toml"]);
    let trial = best["trial"].to_string();
    let longer = sandbox.json(&["extend", "study.toml", "--trial", &trial, "--epochs", "13"]);
    assert_eq!((&longer["trial"], &longer["state"]), (&Value::from(3), &Value::from("complete")));
    let at_once = ["train", "best.toml", "--set", "train.epochs=13", "--set", "train.horizon=8"];
    let at_once = sandbox.json(&at_once);
    assert_eq!((&longer["value"], &longer["epoch"]), (&at_once["value"], &at_once["epoch"]));
    let rows = sandbox.trials("branched", "luthier.db");
    assert_eq!(rows[3]["from"]["trial"], best["trial"]);
    assert_eq!((&rows[3]["from"]["step"], &rows[3]["seed"]), (&Value::from(8), &best["seed"]));
    let logs = sandbox.json(&["logs", "study.toml", "--trial", "3"]);
    let logs = logs.as_array().unwrap();
    assert_eq!((logs.len(), &logs[0]["step"]), (5, &Value::from(9)));
    for (report, row) in logs.iter().zip(&at_once["epochs"].as_array().unwrap()[8..]) {
        assert_eq!(report["metrics"]["val_loss"], row["val_loss"]);
        assert_eq!(
            report["metrics"]["learning_rate"], logs[0]["metrics"]["learning_rate"],
            "the last value holds"
        );
    }
    // Another horizon goes on to sink.
    let sinks = ["extend", "study.toml", "--trial", &trial, "--epochs", "13", "--horizon", "13", "--retrain"];
    sandbox.json(&sinks);
    let logs = sandbox.json(&["logs", "study.toml", "--trial", "4"]);
    let rates: Vec<f64> = logs
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["metrics"]["learning_rate"].as_f64().unwrap())
        .collect();
    assert!(rates.windows(2).all(|pair| pair[1] < pair[0]), "{rates:?}");

    let other = rows[..3].iter().find(|row| row["trial"] != best["trial"]).unwrap()["trial"].to_string();
    let said = sandbox.fails(1, &["extend", "study.toml", "--trial", &other, "--epochs", "13"]);
    assert!(said.contains("is not kept any more") && said.contains("--retrain"), "{said}");
    sandbox.ok(&["extend", "study.toml", "--trial", &other, "--epochs", "9", "--retrain"]);
    let said = sandbox.fails(2, &["extend", "study.toml", "--trial", &trial, "--epochs", "8"]);
    assert!(said.contains("has 8 epochs, so 8 do not lengthen it"), "{said}");
    let said = sandbox.fails(1, &["extend", "study.toml", "--trial", "70", "--epochs", "8"]);
    assert!(said.contains("there is no trial 70"), "{said}");
    let verified = sandbox.ok(&["verify", "study.toml"]);
    assert!(
        verified.contains("3 trials were asked for by hand") && verified.contains("all agree"),
        "{verified}"
    );
    // The study itself goes on as if nothing had been asked for.
    sandbox.ok(&["tune", "study.toml", "--trials", "4"]);
    let rows = sandbox.trials("branched", "luthier.db");
    assert_eq!(rows.len(), 7);
    assert!(rows[6].get("from").is_none());
}

/// The words that fork a trial.
fn of<'a>(trial: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["fork", "study.toml", "--trial", trial][..], more].concat()
}

#[test]
fn a_trial_is_branched_under_other_values() {
    let sandbox = sandbox(RANDOM, 8);
    sandbox.ok(&["tune", "study.toml"]);
    let best = sandbox.json(&["best", "study.toml"]);
    let trial = best["trial"].to_string();
    let rate = "train.optimizer.learning_rate=1e-4";
    let text = sandbox.ok(&of(&trial, &["--epoch", "8", "--epochs", "12", "--set", rate]));
    assert!(text.contains(&format!("forked from trial {trial} at step 8 with train.epochs=12")), "{text}");
    let rows = sandbox.trials("branched", "luthier.db");
    assert_eq!(rows[3]["params"]["train.optimizer.learning_rate"], 1e-4, "also outside its range");
    assert_ne!(rows[3]["seed"], best["seed"]);
    // What the other one had reached is none of its results.
    let logs = sandbox.json(&["logs", "study.toml", "--trial", "3"]);
    let values: Vec<f64> =
        logs.as_array().unwrap().iter().map(|report| report["value"].as_f64().unwrap()).collect();
    assert_eq!(values.len(), 4);
    assert_eq!(rows[3]["value"].as_f64().unwrap(), values.iter().copied().fold(f64::MIN, f64::max));

    for (code, more, expected) in [
        (1, &["--epoch", "3", "--set", rate][..], "is not kept any more"),
        (2, &["--epoch", "9"], "expected one from 1 to 8, found 9"),
        (2, &["--retrain", "--set", rate], "nothing is left to train"),
        (2, &["--retrain", "--epochs", "12", "--set", "model.layers.dense1.dense=7"], "has the shape"),
        (2, &["--epochs", "12", "--set", "train.optimiser=\"sgd\""], "did you mean"),
        (2, &["--epochs", "12", "--set", "search.seed=3"], "expected a parameter of trial"),
        (2, &["--epochs", "12", "--set", "train.optimizer.learning_rate=fast"], "expected a number"),
    ] {
        let said = sandbox.fails(code, &of(&trial, more));
        assert!(said.contains(expected), "{more:?}: {said}");
    }
    assert_eq!(sandbox.trials("branched", "luthier.db").len(), 4, "nothing that is refused begins");
    sandbox.ok(&of(&trial, &["--epoch", "3", "--set", "model.layers.dropout1.dropout=0.25", "--retrain"]));
    sandbox.ok(&["export", "study.toml", "-o", "trials.csv"]);
    let csv = common::text(&sandbox.read("trials.csv"));
    assert!(csv.starts_with("number,") && csv.contains("from_trial,from_step"), "{csv}");
    let verified = sandbox.ok(&["verify", "study.toml"]);
    assert!(
        verified.contains("2 trials were asked for by hand") && verified.contains("all agree"),
        "{verified}"
    );
}

/// Six steps, whose sum is in the checkpoint folder.
#[cfg(unix)]
const SUMMING: &str = r#"
sum=0; i=0
if [ -f "$LUTHIER_CHECKPOINT/sum" ]; then read i sum < "$LUTHIER_CHECKPOINT/sum"; fi
[ -n "$LUTHIER_FROM_TRIAL" ] && echo "$LUTHIER_TRIAL $LUTHIER_FROM_TRIAL $LUTHIER_FROM_STEP $i" >> forks
while [ $i -lt "${LUTHIER_UNTIL:-6}" ]; do
  i=$((i + 1))
  sum=$(awk -v lr="$1" -v sum=$sum 'BEGIN { printf "%.9f", sum + lr }')
  echo "{\"step\": $i, \"loss\": $sum}"
  echo "$i $sum" > "$LUTHIER_CHECKPOINT/new" && mv "$LUTHIER_CHECKPOINT/new" "$LUTHIER_CHECKPOINT/sum"
done
"#;

#[cfg(unix)]
#[test]
fn a_program_is_forked_with_its_folder() {
    let text = |command: &str| {
        format!(
            "[study]\nname = \"program\"\nobjective = \"loss\"\ndirection = \"minimize\"\n\n[command]\n\
             run = [\"sh\", \"program.sh\", \"{{lr}}\"]\n{command}\n\n[params]\nlr = {{ float = [0.1, 1.0] }}\n\n\
             [search]\nsampler = {{ kind = \"pbt\", size = 3, interval = 2 }}\nslots = 3\n"
        )
    };
    let sandbox = Sandbox::new();
    sandbox.write("program.sh", SUMMING);
    sandbox.write("study.toml", text(""));
    let said = sandbox.fails(2, &["check", "study.toml"]);
    assert!(
        said.contains("a program that goes on from checkpoints") && said.contains("command.steps"),
        "{said}"
    );
    sandbox.write("study.toml", text("resumes = true\nsteps = 6"));
    sandbox.ok(&["tune", "study.toml", "--parallel", "2"]);
    let rows = sandbox.trials("program", "luthier.db");
    assert_eq!(rows.len(), 5, "{rows:?}");
    let told = common::text(&sandbox.read("forks"));
    for row in &rows[3..] {
        let (parent, step) = (&row["from"]["trial"], row["from"]["step"].as_u64().unwrap());
        let line = format!("{} {parent} {step} {step}", row["trial"]);
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
        let reports = |trial: &Value| {
            let reports = sandbox.json(&["logs", "program", "--trial", &trial.to_string()]);
            reports.as_array().unwrap().clone()
        };
        let value = |trial: &Value, step: u64| {
            let found = reports(trial).into_iter().find(|report| report["step"] == step);
            found.unwrap()["value"].as_f64().unwrap()
        };
        let lr = row["params"]["params.lr"].as_f64().or(row["params"]["lr"].as_f64()).unwrap();
        let first = value(&row["trial"], step + 1);
        assert!((first - value(parent, step) - lr).abs() < 1e-6, "{first} after {}", value(parent, step));
    }
    let best = sandbox.ok(&["best", "program"]);
    assert!(best.contains("loss"), "{best}");
}
