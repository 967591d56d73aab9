//! `luthier launch` without an engine: what is refused before anything is submitted, and what is printed. With engines it
//! is run by `scripts/engines`.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use common::{Sandbox, text};
use serde_json::Value;

const STUDY: &str = r#"[study]
name = "far away"

[data]
source = { classification = { samples = 100, features = 4, seed = 1 } }

[model]
layers = [{ dense = { int = [4, 8] } }]

[train]
epochs = 2
optimizer = { kind = "adam", learning_rate = 0.01 }

[search]
trials = 3
"#;

const SERVER: &str = "postgres://me:secret@db.example/studies?lease=30";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", STUDY);
    sandbox
}

#[test]
fn a_storage_that_workers_cannot_reach_is_refused() {
    let sandbox = sandbox();
    for engine in [&["slurm"][..], &["ray"], &["kubernetes", "--image", "luthier"]] {
        let launch = [&["launch"], engine, &["study.toml"]].concat();
        let said = sandbox.fails(2, &launch);
        assert!(said.contains("an SQLite file is for one machine"), "{said}");
        let said = sandbox
            .fails(2, &[&launch[..], &["--storage", "postgres://me:secret@localhost:5432/a"]].concat());
        assert!(said.contains("a server on localhost") && !said.contains("secret"), "{said}");
    }
    // With Kubernetes, no worker is on this machine.
    let said = sandbox.fails(2, &["launch", "kubernetes", "--image", "luthier", "study.toml", "--one-host"]);
    assert!(
        said.contains("an SQLite file is for one machine") && !said.contains("with --one-host"),
        "{said}"
    );
    assert!(!sandbox.path("luthier.db").exists());
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let sandbox = sandbox();
    for (args, message) in [
        (&["slurm"][..], "`squeue` was not found: `luthier launch slurm` is run where jobs are submitted"),
        (&["ray", "--address", "http://127.0.0.1:9"], "there is no answer from http://127.0.0.1:9"),
        (&["kubernetes", "--image", "luthier"], "`kubectl` was not found: install kubectl"),
    ] {
        let launch = [&["launch"], args, &["study.toml", "--storage", SERVER]].concat();
        let output = sandbox.command(&launch).env("PATH", sandbox.folder()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let sandbox = sandbox();
    for (args, message) in [
        (
            &["slurm", "--memory-per-worker", "4"][..],
            "expected a whole number with a unit, such as 512M, 4G or 1T",
        ),
        (&["slurm", "--time", "soon"], "expected a time such as 90m or 24h, found \"soon\""),
        (&["slurm", "--workers", "0"], "0 is not in 1..=10000"),
        (&["slurm", "--print", "--cancel"], "cannot be used with"),
        (&["ray", "--address", "ray://head:10001"], "expected that of its dashboard, http://HOST:8265"),
        (&["kubernetes"], "--image <IMAGE>"),
        (
            &["kubernetes", "--image", "a", "--print", "--option", "spec"],
            "expected PATH=VALUE, found no value",
        ),
    ] {
        let said = sandbox.fails(2, &[&["launch"], args, &["study.toml", "--storage", SERVER]].concat());
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn what_is_printed_is_what_workers_need_and_no_password() {
    let sandbox = sandbox();
    let print = |args: &[&str]| {
        let launch =
            [&["launch"], args, &["study.toml", "--print", "--workers", "5", "--gpus-per-worker", "2"]]
                .concat();
        let output = sandbox.command(&launch).env("LUTHIER_STORAGE", SERVER).output().unwrap();
        let (printed, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{said}");
        assert!(!printed.contains("secret@") && !said.contains("secret@"), "{printed}\n{said}");
        printed
    };
    let manifest: Value = serde_json::from_str(&print(&["kubernetes", "--image", "me/luthier"])).unwrap();
    assert_eq!(manifest["spec"]["completions"], 5);
    let container = &manifest["spec"]["template"]["spec"]["containers"][0];
    let command: Vec<&str> =
        container["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command.join(" "), "luthier worker --parallel 2 --device cuda --devices 0,1 -- far away");
    assert_eq!(container["resources"]["limits"]["nvidia.com/gpu"], "2");
    let request: Value = serde_json::from_str(&print(&["ray"])).unwrap();
    assert_eq!((&request["entrypoint_num_gpus"], &request["entrypoint_num_cpus"]), (&2.into(), &2.into()));
    let script = print(&["slurm", "--time", "2h", "--partition", "fast"]);
    for line in ["--array=1-5", "--gres=gpu:2", "--time=120", "--partition=fast"] {
        assert!(script.contains(&format!("#SBATCH {line}\n")), "{script}");
    }
}

#[test]
fn the_storage_may_be_named_by_the_environment_and_is_not_repeated() {
    let sandbox = sandbox();
    let output =
        sandbox.command(&["tune", "study.toml"]).env("LUTHIER_STORAGE", "elsewhere.db").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(sandbox.path("elsewhere.db").exists() && !sandbox.path("luthier.db").exists());
    assert!(!text(&output.stdout).contains("elsewhere"), "{}", text(&output.stdout));
}

#[test]
fn a_model_says_nothing_of_how_many_workers_there_were() {
    let sandbox = sandbox();
    let mut models = Vec::new();
    for (number, args) in
        [&["tune", "--parallel", "1"][..], &["tune", "--parallel", "3"], &["worker"]].iter().enumerate()
    {
        let storage = format!("{number}.db");
        let more = ["study.toml", "--storage", &storage];
        sandbox.write("study.toml", format!("{STUDY}slots = 2\n"));
        sandbox.ok(&[args, &more[..]].concat());
        sandbox.ok(&["best", "far away", "--storage", &storage, "--model", "model", "-o", "best.toml"]);
        models.push((sandbox.read("model"), sandbox.read("best.toml")));
    }
    assert!(models.iter().all(|model| *model == models[0]));
}

#[test]
fn devices_that_are_not_there_are_refused() {
    let sandbox = sandbox();
    for (devices, message) in [
        ("0,1", "there is no device"),
        ("cuda:7", "there is no device \"cuda:7\" here; there is cpu"),
        ("cpu,cuda:0", "expected devices of one kind"),
        ("1,1", "twice"),
    ] {
        for command in ["tune", "worker"] {
            let said = sandbox.fails(2, &[command, "study.toml", "--devices", devices]);
            assert!(said.contains(message), "{said}");
        }
    }
    sandbox.ok(&["tune", "study.toml", "--devices", "cpu"]);
}
