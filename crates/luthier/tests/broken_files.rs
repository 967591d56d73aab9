//! Files and words that are wrong: each is refused with a message that is kept here, and without a panic.
//!
//! A snapshot holds the command, its exit code (2 for a study file that cannot be used, 1 for all else)
//! and what it says on stderr.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use common::{Sandbox, text};

/// A study file with nothing wrong.
const STUDY: &str = r#"[study]
name = "broken"

[data]
source = { classification = { samples = 60, features = 4, seed = 1 } }

[model]
layers = [{ dense = { int = [4, 16] }, activation = "relu" }]

[train]
epochs = 2
batch_size = 16
optimizer = { kind = "adam", learning_rate = { float = [1e-3, 1e-1], log = true } }

[search]
trials = 2
"#;

const GENERATED: &str = "source = { classification = { samples = 60, features = 4, seed = 1 } }";

/// `STUDY` with other text in a place.
fn study(from: &str, to: &str) -> String {
    let changed = STUDY.replace(from, to);
    assert_ne!(changed, STUDY, "`{from}` is not in the study file");
    changed
}

/// Runs the program, checks the exit code and gives all that the user sees of it.
fn seen(sandbox: &Sandbox, code: i32, args: &[&str]) -> String {
    let output = sandbox.run(args);
    assert_eq!(text(&output.stdout), "", "{args:?} printed a result");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?} said:\n{said}");
    assert!(said.starts_with("error: "), "{said}");
    format!("$ luthier {}\n[exit {code}]\n{said}", args.join(" "))
}

/// Compares with the snapshot of that name, the temporary folder's path aside.
macro_rules! expect {
    ($name:expr, $sandbox:expr, $code:literal, $args:expr) => {{
        let seen = seen(&$sandbox, $code, &$args);
        let folder = $sandbox.folder().to_str().unwrap().replace('.', r"\.");
        insta::with_settings!({ filters => vec![(folder.as_str(), "[DIR]")], omit_expression => true }, {
            insta::assert_snapshot!($name, seen);
        });
    }};
}

/// `luthier check` on a study file with this text ends with exit code 2.
macro_rules! unusable {
    ($($name:ident: $text:expr;)*) => { $(
        #[test]
        fn $name() {
            let sandbox = Sandbox::new();
            sandbox.write("study.toml", $text);
            let seen = seen(&sandbox, 2, &["check", "study.toml"]);
            insta::with_settings!({ omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), seen);
            });
        }
    )* };
}

unusable! {
    not_toml: study("[train]", "[train");
    empty_file: "";
    unknown_key: study("batch_size", "batchsize");
    unknown_section: study("[search]", "[serach]");
    wrong_type: study("epochs = 2", "epochs = \"two\"");
    negative_count: study("epochs = 2", "epochs = -2");
    low_above_high: study("[4, 16]", "[16, 4]");
    log_from_zero: study("[1e-3, 1e-1]", "[0.0, 1e-1]");
    empty_choice: study("\"relu\"", "{ choice = [] }");
    duplicate_option: study("\"relu\"", "{ choice = [\"relu\", \"tanh\", \"relu\"] }");
    range_out_of_bounds: study("[4, 16]", "[0, 16]");
    range_without_an_end: study("[4, 16]", "[4]");
    duplicate_layer_name: study(
        "layers = [",
        "layers = [{ dense = 8, name = \"a\" }, { dense = 8, name = \"a\" }, ",
    );
    duplicate_key: study("epochs = 2", "epochs = 2\nepochs = 3");
    range_for_epochs: study("epochs = 2", "epochs = { int = [1, 5] }");
    range_in_search: study("trials = 2", "trials = { int = [1, 5] }");
    unknown_optimizer: study("\"adam\"", "\"adm\"");
    unknown_layer: study("dense =", "dens =");
    unknown_activation: study("\"relu\"", "\"rleu\"");
    missing_key: study("epochs = 2\n", "");
    missing_section: study("[data]\n", "").replace(GENERATED, "");
    unknown_objective: study("name = \"broken\"", "name = \"broken\"\nobjective = \"val_acuracy\"");
    objective_of_another_task: study("name = \"broken\"", "name = \"broken\"\nobjective = \"val_rmse\"");
    unknown_sampler: study("trials = 2", "sampler = \"tpee\"");
    unknown_pruner: study("trials = 2", "pruner = \"medan\"");
    wilcoxon_without_folds: study("trials = 2", "trials = 2\npruner = \"wilcoxon\"");
    bad_timeout: study("trials = 2", "timeout = \"4 parsecs\"");
    unknown_source: study(GENERATED, "source = \"minst\"");
    convolution_on_a_table: study("layers = [", "layers = [{ conv = 8, kernel = 3 }, ");
    metrics_that_do_not_fit: study("epochs = 2", "epochs = 2\nmetrics = [\"auroc\", \"r2\"]");
    unknown_metric: study("epochs = 2", "epochs = 2\nmetrics = [\"f1_marco\"]");
    searched_loss_as_objective: study("name = \"broken\"", "name = \"broken\"\nobjective = \"val_loss\"").replace(
        "epochs = 2",
        "epochs = 2\nloss = { kind = \"cross_entropy\", smoothing = { float = [0.0, 0.2] } }",
    );
    class_weights_of_another_number: study(
        "epochs = 2",
        "epochs = 2\nloss = { kind = \"cross_entropy\", class_weights = [1, 2, 3, 4, 5, 6, 7] }",
    );
    loss_that_does_not_fit: study("epochs = 2", "epochs = 2\nloss = \"mse\"");
    several_errors: study("epochs = 2", "epochs = \"two\"")
        .replace("batch_size", "batchsize")
        .replace("\"relu\"", "\"rleu\"")
        .replace("seed = 1", "seed = 1.5")
        .replace("\"adam\"", "\"adm\"");
    several_errors_of_ranges: study("[4, 16]", "[16, 4]")
        .replace("[1e-3, 1e-1]", "[0.0, 1e-1]")
        .replace("epochs = 2", "epochs = { int = [1, 5] }");
    errors_of_ranges_and_of_values: study("[4, 16]", "[16, 4]")
        .replace("batch_size", "batchsize")
        .replace("trials = 2", "sampler = \"tpee\"");
    errors_of_values_and_of_names: study("batch_size", "batchsize").replace("trials = 2", "sampler = \"tpee\"");
    no_epochs: study("epochs = 2", "epochs = 0");
    no_trials_at_once: study("trials = 2", "parallel = 0");
    layer_without_a_kind: study("layers = [", "layers = [{ name = \"a\" }, ");
}

/// A change of the file's text that no check of keys can see: what the settings contradict is in the data.
#[test]
fn settings_that_contradict_each_other() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study("features = 4", "features = 3"));
    expect!("settings_that_contradict_each_other", sandbox, 2, ["check", "study.toml"]);
}

#[test]
fn missing_study_file() {
    let sandbox = Sandbox::new();
    expect!("missing_study_file", sandbox, 2, ["check", "study.toml"]);
}

#[test]
fn sets_that_cannot_be_set() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    expect!("set_without_equals_sign", sandbox, 2, ["check", "study.toml", "--set", "train.epochs"]);
    expect!("set_of_an_unknown_path", sandbox, 2, ["check", "study.toml", "--set", "train.epoch=3"]);
    expect!("set_into_a_value", sandbox, 2, ["check", "study.toml", "--set", "train.epochs.most=3"]);
    expect!("set_of_another_type", sandbox, 2, ["check", "study.toml", "--set", "train.epochs=many"]);
}

#[test]
fn training_with_ranges() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    expect!("training_with_ranges", sandbox, 2, ["train", "study.toml"]);
}

#[test]
fn unknown_device() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    expect!("unknown_device", sandbox, 2, ["check", "study.toml", "--device", "abacus"]);
}

/// Thirty rows, to be broken.
fn rows() -> Vec<String> {
    (0..30).map(|i| format!("{}.5,{},{}.25", i % 7, ["red", "blue"][i % 2], i * 3)).collect()
}

fn csv_study(sandbox: &Sandbox, rows: &[String]) {
    sandbox.write("study.toml", study(GENERATED, "source = { csv = \"table.csv\", target = \"price\" }"));
    sandbox.write("table.csv", format!("size,color,price\n{}\n", rows.join("\n")));
}

/// `luthier check` on `rows()` with this row in place 20, which is line 22 of the file.
macro_rules! broken_row {
    ($($name:ident: $row:expr;)*) => { $(
        #[test]
        fn $name() {
            let sandbox = Sandbox::new();
            let mut rows = rows();
            rows[20] = $row.to_owned();
            csv_study(&sandbox, &rows);
            expect!(stringify!($name), sandbox, 1, ["check", "study.toml"]);
        }
    )* };
}

broken_row! {
    ragged_row: "1.5,red";
    row_with_too_many_fields: "1.5,red,3.25,9";
    text_among_numbers: "wide,red,3.25";
    missing_target: "1.5,red,";
    text_in_the_target: "1.5,red,cheap";
    quote_without_an_end: "1.5,\"red,3.25";
}

#[test]
fn missing_data_file() {
    let sandbox = Sandbox::new();
    csv_study(&sandbox, &rows());
    std::fs::remove_file(sandbox.path("table.csv")).unwrap();
    expect!("missing_data_file", sandbox, 1, ["check", "study.toml"]);
}

#[test]
fn empty_data_file() {
    let sandbox = Sandbox::new();
    csv_study(&sandbox, &[]);
    expect!("data_file_without_rows", sandbox, 1, ["check", "study.toml"]);
    sandbox.write("table.csv", "");
    expect!("empty_data_file", sandbox, 1, ["check", "study.toml"]);
}

#[test]
fn target_that_is_no_column() {
    let sandbox = Sandbox::new();
    csv_study(&sandbox, &rows());
    sandbox.write("study.toml", study(GENERATED, "source = { csv = \"table.csv\", target = \"prize\" }"));
    expect!("target_that_is_no_column", sandbox, 1, ["check", "study.toml"]);
}

#[test]
fn data_that_is_not_text() {
    let sandbox = Sandbox::new();
    csv_study(&sandbox, &rows());
    sandbox.write("table.csv", b"size,color,price\n1.5,r\xe9d,3.25\n");
    expect!("data_that_is_not_text", sandbox, 1, ["check", "study.toml"]);
}

/// An IDX file of `count` images of 6 x 6 pixels.
fn images(count: u32) -> Vec<u8> {
    let header = [2051, count, 6, 6].map(u32::to_be_bytes).concat();
    [header, (0..count * 36).map(|i| (i % 251) as u8).collect()].concat()
}

fn labels(count: u32) -> Vec<u8> {
    let header = [2049, count].map(u32::to_be_bytes).concat();
    [header, (0..count).map(|i| (i % 10) as u8).collect()].concat()
}

/// A study of images, and the four files of it.
fn image_study(sandbox: &Sandbox) {
    sandbox.write("study.toml", study(GENERATED, "source = \"mnist\""));
    sandbox.write("mnist/train-images-idx3-ubyte", images(60));
    sandbox.write("mnist/train-labels-idx1-ubyte", labels(60));
    sandbox.write("mnist/t10k-images-idx3-ubyte", images(20));
    sandbox.write("mnist/t10k-labels-idx1-ubyte", labels(20));
}

#[test]
fn small_images_are_fine() {
    let sandbox = Sandbox::new();
    image_study(&sandbox);
    sandbox.ok(&["check", "study.toml"]);
}

#[test]
fn idx_files_that_are_broken() {
    let sandbox = Sandbox::new();
    image_study(&sandbox);
    let check = ["check", "study.toml"];
    sandbox.write("mnist/train-images-idx3-ubyte", &images(60)[..1000]);
    expect!("truncated_idx", sandbox, 1, check);
    sandbox.write("mnist/train-images-idx3-ubyte", &images(60)[..10]);
    expect!("truncated_idx_header", sandbox, 1, check);
    sandbox.write("mnist/train-images-idx3-ubyte", labels(60));
    expect!("idx_with_another_magic", sandbox, 1, check);
    sandbox.write("mnist/train-images-idx3-ubyte", images(60));
    sandbox.write("mnist/train-labels-idx1-ubyte", labels(59));
    expect!("idx_with_too_few_labels", sandbox, 1, check);
}

#[test]
fn layers_larger_than_the_image() {
    let sandbox = Sandbox::new();
    image_study(&sandbox);
    let layers = "layers = [{ conv = 4, kernel = { int = [3, 9] }, padding = 0 }, ";
    sandbox.write("study.toml", study(GENERATED, "source = \"mnist\"").replace("layers = [", layers));
    expect!("filter_larger_than_the_image", sandbox, 2, ["check", "study.toml"]);
    let layers = "layers = [{ max_pool = 4 }, { max_pool = 4 }, ";
    sandbox.write("study.toml", study(GENERATED, "source = \"mnist\"").replace("layers = [", layers));
    expect!("pool_larger_than_the_image", sandbox, 2, ["check", "study.toml"]);
}

#[test]
fn storages_that_are_none() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    sandbox.write(
        "notes.txt",
        "a text file that is no database, and long enough to hold a header of one\n".repeat(9),
    );
    sandbox.write("folder/file.txt", "");
    for command in ["tune", "trials"] {
        let args = |storage| [command, "study.toml", "--storage", storage];
        expect!(format!("{command}_on_a_text_file"), sandbox, 1, args("notes.txt"));
        expect!(format!("{command}_on_a_folder"), sandbox, 1, args("folder"));
        expect!(format!("{command}_on_an_unknown_scheme"), sandbox, 1, args("mysql://me:secret@host/db"));
    }
    assert!(text(&sandbox.read("notes.txt")).starts_with("a text file"), "the text file is as it was");
}

#[test]
fn a_new_storage_may_lie_in_a_new_folder() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    expect!(
        "trials_in_a_missing_folder",
        sandbox,
        1,
        ["trials", "study.toml", "--storage", "new/luthier.db"]
    );
    sandbox.ok(&["tune", "study.toml", "--storage", "new/luthier.db"]);
    sandbox.ok(&["trials", "study.toml", "--storage", "new/luthier.db"]);
}

#[test]
fn missing_storage() {
    let sandbox = Sandbox::new();
    expect!("missing_storage", sandbox, 1, ["trials", "broken"]);
    assert!(!sandbox.path("luthier.db").exists(), "looking makes no storage");
}

#[test]
fn study_that_is_not_there() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    sandbox.ok(&["tune", "study.toml"]);
    expect!("study_with_a_slip", sandbox, 1, ["trials", "brokn"]);
    expect!("study_that_is_not_there", sandbox, 1, ["best", "housing"]);
    expect!("trial_that_is_not_there", sandbox, 1, ["logs", "broken", "--trial", "7"]);
    expect!("delete_without_yes", sandbox, 2, ["delete", "broken"]);
}

#[test]
fn models_that_are_none() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    sandbox.write("rows.csv", "feature_0,feature_1,feature_2,feature_3\n1,2,3,4\n");
    expect!("model_that_is_text", sandbox, 1, ["predict", "study.toml", "rows.csv"]);
    sandbox.write("empty.safetensors", "");
    expect!("model_that_is_empty", sandbox, 1, ["predict", "empty.safetensors", "rows.csv"]);
    // A safetensors file of somebody else: a header without our card.
    sandbox.write("other.safetensors", [&2_u64.to_le_bytes()[..], b"{}"].concat());
    expect!("model_of_another_program", sandbox, 1, ["predict", "other.safetensors", "rows.csv"]);
    expect!("model_that_is_missing", sandbox, 1, ["predict", "model.safetensors", "rows.csv"]);
    sandbox.ok(&["tune", "study.toml"]);
    sandbox.ok(&["best", "broken", "--model", "model.safetensors"]);
    let model = sandbox.read("model.safetensors");
    sandbox.write("model.safetensors", &model[..model.len() - 5]);
    expect!("model_that_is_cut_off", sandbox, 1, ["predict", "model.safetensors", "rows.csv"]);
}
