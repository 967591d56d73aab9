//! The way of a table: from a CSV file to a model, and from the model to answers about new rows. And the
//! commands that look at studies.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::fmt::Write;

use common::{Sandbox, text};
use luthier::{Loaded, StudyFile};
use serde_json::Value;

/// A row of the table: its size is missing now and then, its age never is.
fn rows() -> Vec<String> {
    let mut state = 12_345_u64;
    let mut draw = || {
        // Knuth's MMIX: any numbers that look random will do.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    (0..200)
        .map(|i| {
            let (size, age, color) = (draw() * 10.0, draw() * 50.0, i % 3);
            let price = 3.0 * size - 0.2 * age + [0.0, 5.0, 10.0][color] + draw();
            let class = if price > 15.0 { "dear" } else { "cheap" };
            let size = if i % 17 == 4 { String::new() } else { format!("{size:.3}") };
            format!("{size},{age:.3},{},{price:.3},{class}", ["red", "green", "blue"][color])
        })
        .collect()
}

const HEADER: &str = "size,age,color,price,class";

fn table(rows: &[String]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

fn study(target: &str, other: &str) -> String {
    format!(
        r#"[study]
name = "{target}"

[data]
source = {{ csv = "table.csv", target = "{target}", drop = ["{other}"] }}

[model]
layers = [{{ dense = {{ int = [8, 16] }}, activation = "relu" }}]

[train]
epochs = 30
batch_size = 16
optimizer = {{ kind = "adam", learning_rate = {{ float = [3e-3, 3e-2], log = true }} }}

[search]
trials = 3
"#
    )
}

/// A tuned study of the table, its model in model.safetensors.
fn tuned(target: &str, other: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", table(&rows()));
    sandbox.write("study.toml", study(target, other));
    sandbox.ok(&["tune", "study.toml"]);
    sandbox.ok(&["best", "study.toml", "--model", "model.safetensors"]);
    sandbox
}

/// Three rows: one like those of the training, one with an unseen category and a number out of range, one
/// with an age missing, which never was in training, and a size missing, which was.
const NEW_ROWS: &str = "size,age,color\n5.0,20.0,red\n5000.0,20.0,violet\n,,blue\n";

#[test]
fn numbers_are_predicted_and_strange_rows_are_flagged() {
    let sandbox = tuned("price", "class");
    sandbox.write("new.csv", NEW_ROWS);
    let output = sandbox.run(&["predict", "model.safetensors", "new.csv"]);
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("2 rows are unlike the training data"), "{said}");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 4, "{printed}");
    assert_eq!(lines[0], "row,value,flags");
    assert!(lines[1].starts_with("1,") && lines[1].ends_with(','), "{printed}");
    assert!(lines[2].contains("`color` is `violet`"), "{printed}");
    assert!(lines[2].contains("`size` is 5000, in training it was from"), "{printed}");
    assert!(lines[3].contains("`age` is missing") && !lines[3].contains("`size`"), "{printed}");
    let value: f64 = lines[1].split(',').nth(1).unwrap().parse().unwrap();
    assert!((value - 11.5).abs() < 6.0, "3 * 5 - 0.2 * 20 and a half is predicted as {value}");

    let json = sandbox.ok(&["predict", "model.safetensors", "new.csv", "--json"]);
    let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 3);
    assert_eq!(objects[0]["row"], 1);
    assert_eq!(objects[0]["value"].as_f64(), Some(value));
    let flags = |row: usize| objects[row]["flags"].as_array().map_or(0, Vec::len);
    assert_eq!([flags(0), flags(1), flags(2)], [0, 2, 1], "{json}");
    assert!(json.contains("violet") && json.contains("5000"), "{json}");

    let piped = sandbox.run_with(&["predict", "model.safetensors", "-"], NEW_ROWS);
    assert_eq!(text(&piped.stdout), printed);
}

#[test]
fn classes_are_predicted_with_their_probability() {
    let sandbox = tuned("class", "price");
    let printed = text(&sandbox.run_with(&["predict", "model.safetensors", "-"], NEW_ROWS).stdout);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 4, "{printed}");
    assert_eq!(lines[0], "row,class,probability,flags");
    for line in &lines[1..] {
        let fields: Vec<&str> = line.split(',').collect();
        assert!(["dear", "cheap"].contains(&fields[1]), "{line}");
        let probability: f64 = fields[2].parse().unwrap();
        assert!((0.5..=1.0).contains(&probability), "{line}");
    }
    assert!(lines[2].contains("violet") && lines[3].contains("`age` is missing"), "{printed}");

    // The order of the columns does not matter, nor do columns that the model does not know.
    let shuffled = "color,note,age,size\nred,x,20.0,5.0\nviolet,y,20.0,5000.0\nblue,z,,\n";
    let piped = sandbox.run_with(&["predict", "model.safetensors", "-"], shuffled);
    assert_eq!(text(&piped.stdout), printed);
}

/// Writes the rows with these numbers to a file.
fn write_rows(sandbox: &Sandbox, name: &str, numbers: &[usize]) {
    let all = rows();
    let mut file = format!("{HEADER}\n");
    for number in numbers {
        writeln!(file, "{}", all[*number]).unwrap();
    }
    sandbox.write(name, file);
}

#[test]
fn evaluation_gives_the_numbers_of_the_study() {
    for (target, other, metric) in [("price", "class", "rmse"), ("class", "price", "accuracy")] {
        let sandbox = tuned(target, other);
        let best = sandbox.json(&["best", target]);
        let file = StudyFile::open(&sandbox.path("study.toml"), &[]).unwrap();
        let loaded = file.load(luthier_train::device("cpu").unwrap(), &|_, _, _| {}).unwrap();
        let Loaded::Training(training) = loaded else { panic!("a training") };
        let split = training.experiment.split();

        write_rows(&sandbox, "test.csv", &split.test);
        let measured = sandbox.json(&["evaluate", "model.safetensors", "test.csv"]);
        assert_eq!(measured["rows"], split.test.len());
        let tested = best["test"].as_object().unwrap();
        assert!(tested.len() > 1, "{tested:?}");
        for (name, value) in tested {
            assert_eq!(measured["metrics"][name], *value, "{target}: {name}");
        }
        assert!(measured["metrics"].as_object().unwrap().len() >= tested.len());

        write_rows(&sandbox, "validation.csv", &split.validation);
        let measured = sandbox.json(&["evaluate", "model.safetensors", "validation.csv"]);
        assert_eq!(measured["metrics"][metric], best["value"], "{target}");
    }
}

#[test]
fn evaluation_shows_every_metric_and_the_confusion_matrix() {
    let sandbox = tuned("class", "price");
    sandbox.write("new.csv", table(&rows()));
    let printed = sandbox.ok(&["evaluate", "model.safetensors", "new.csv"]);
    for line in ["200 rows", "accuracy ", "f1_macro ", "auroc ", "log_loss "] {
        assert!(printed.lines().any(|found| found.starts_with(line)), "{line:?} is not in {printed}");
    }
    let measured = sandbox.json(&["evaluate", "model.safetensors", "new.csv"]);
    assert_eq!(measured["confusion"]["classes"].as_array().unwrap().len(), 2);
    let counts = measured["confusion"]["counts"].as_array().unwrap();
    let counts = counts.iter().flat_map(|row| row.as_array().unwrap()).map(|count| count.as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 200);

    // Rows of one class alone have no ranking.
    let alone: Vec<String> = rows().into_iter().filter(|row| row.ends_with("dear")).collect();
    sandbox.write("alone.csv", table(&alone));
    let printed = sandbox.ok(&["evaluate", "model.safetensors", "alone.csv"]);
    assert!(
        printed.contains("none: it needs rows of every class, and there are none of class 1"),
        "{printed}"
    );
}

#[test]
fn a_missing_column_is_named() {
    let sandbox = tuned("price", "class");
    sandbox.write("new.csv", "size,age\n1,2\n");
    let said = sandbox.fails(1, &["predict", "model.safetensors", "new.csv"]);
    assert!(said.contains("`color`") && said.contains("new.csv"), "{said}");
    sandbox.write("new.csv", "size,age,color\n1,2,red\n");
    let said = sandbox.fails(1, &["evaluate", "model.safetensors", "new.csv"]);
    assert!(said.contains("target"), "{said}");
    sandbox.write("new.csv", "size,age,color\nwide,2,red\n");
    let said = sandbox.fails(1, &["predict", "model.safetensors", "new.csv"]);
    assert!(said.contains("`size`") && said.contains("wide") && said.contains("new.csv"), "{said}");
}

#[test]
fn studies_are_listed_shown_and_deleted() {
    let sandbox = tuned("price", "class");
    sandbox.write("class.toml", study("class", "price"));
    sandbox.ok(&["tune", "class.toml", "--trials", "2"]);

    let studies = sandbox.json(&["studies"]);
    let names: Vec<&str> =
        studies.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["price", "class"]);
    assert_eq!(studies[1]["trials"], 2);
    let listed = sandbox.ok(&["studies"]);
    assert!(listed.contains("minimize val_rmse") && listed.contains("maximize val_accuracy"), "{listed}");

    assert_eq!(sandbox.json(&["trials", "price"]).as_array().unwrap().len(), 3);
    assert_eq!(sandbox.ok(&["trials", "price"]).lines().count(), 4);

    let epochs = sandbox.json(&["logs", "price", "--trial", "0"]);
    assert_eq!(epochs.as_array().unwrap().len(), 30);
    assert_eq!(epochs[29]["step"], 30);
    assert!(epochs[0]["metrics"]["val_rmse"].is_number());
    assert!(sandbox.ok(&["logs", "price"]).contains("val_rmse"));

    assert_eq!(sandbox.json(&["delete", "price", "--yes"])["deleted"], "price");
    sandbox.fails(1, &["trials", "price"]);
    assert_eq!(sandbox.json(&["studies"]).as_array().unwrap().len(), 1);
    sandbox.ok(&["best", "class", "--model", "class.safetensors"]);
    sandbox.ok(&["delete", "class", "-y"]);
    assert_eq!(sandbox.json(&["studies"]), Value::Array(Vec::new()));
}

#[test]
fn check_shows_the_space_the_data_and_the_model() {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", table(&rows()));
    sandbox.write("study.toml", study("price", "class"));
    let checked = sandbox.json(&["check", "study.toml"]);
    assert_eq!(checked["objective"], "val_rmse");
    assert_eq!(checked["parameters"].as_array().unwrap().len(), 2);
    assert_eq!(checked["examples"]["train"], 120);
    assert!(checked["weights"].as_u64() < checked["largest"].as_u64());
    assert!(sandbox.ok(&["check", "study.toml"]).contains("model.layers.dense1.dense"));
    assert!(!sandbox.path("luthier.db").exists(), "a check stores nothing");
}

#[test]
fn new_files_can_be_used() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["new"]);
    sandbox.ok(&["check", "study.toml"]);
    let said = sandbox.fails(2, &["new"]);
    assert!(said.contains("study.toml is already there"), "{said}");
    for template in ["case-study", "csv", "mnist"] {
        sandbox.ok(&["new", template, "-o", &format!("{template}.toml")]);
    }
    sandbox.write("california_housing.csv", "size,ocean_proximity,median_house_value\n");
    let said = sandbox.fails(1, &["check", "csv.toml"]);
    assert!(said.contains("california_housing.csv"), "{said}");
}

#[test]
fn shells_are_helped() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(sandbox.ok(&["completions", shell]).contains("luthier"), "{shell}");
    }
    sandbox.fails(2, &["completions", "abacus"]);
    sandbox.fails(2, &["tune"]);
    assert!(sandbox.ok(&["--help"]).contains("Exit codes"));
}
