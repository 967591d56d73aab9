//! What a user knows and wants to know: starting points, priors, roles, earlier studies, and importance.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use common::Sandbox;
use serde_json::Value;

/// One step of a bowl whose place depends on the kind.
const BOWL: &str = r#"
awk -v lr="$1" -v kind="$2" -v w="$3" 'BEGIN {
  c = kind == "a" ? -4 : -2; d = kind == "a" ? 0.5 : 0
  printf "{\"step\": 1, \"loss\": %.9f}\n", (log(lr) - c)^2 + d + 0.01 * w
}'
"#;

fn study(name: &str, lr: &str, kind: &str, search: &str) -> String {
    format!(
        r#"[study]
name = "{name}"
objective = "loss"
direction = "minimize"

[command]
run = ["sh", "program.sh", "{{lr}}", "{{kind}}", "{{w}}"]

[params]
lr = {{ float = [1e-4, 1.0], log = true{lr} }}
kind = {{ choice = ["a", "b"]{kind} }}
w = {{ int = [1, 9], name = "width" }}

[search]
{search}
"#
    )
}

fn sandbox(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("program.sh", BOWL);
    sandbox.write("study.toml", text);
    sandbox
}

fn params(trials: &[Value], key: &str) -> Vec<Value> {
    trials.iter().map(|trial| trial["params"][key].clone()).collect()
}

#[test]
fn starting_points_come_first_and_are_verified() {
    let search =
        "trials = 6\nenqueue = [\n  { \"params.lr\" = 0.018, width = 1 },\n  { params.kind = \"a\" },\n]";
    let sandbox = sandbox(&study("starts", "", "", search));
    sandbox.ok(&["tune", "study.toml"]);
    let trials = sandbox.trials("starts", "luthier.db");
    assert_eq!(trials.len(), 6);
    let first = &trials[0]["params"];
    assert_eq!((&first["params.lr"], &first["width"]), (&0.018.into(), &1.into()));
    assert_eq!(trials[1]["params"]["params.kind"], "a");
    let verified = sandbox.ok(&["verify", "study.toml"]);
    assert!(verified.contains("6 proposals") && verified.contains("all agree"), "{verified}");
    // The filled-in file searches nothing, and is the winner again.
    let best = sandbox.json(&["best", "study.toml", "-o", "best.toml"]);
    assert_eq!(sandbox.json(&["train", "best.toml"])["value"], best["value"]);

    let wrong =
        search.replace("params.lr", "params.lrr").replace("params.kind = \"a\"", "params.kind = \"c\"");
    sandbox.write("wrong.toml", study("wrong", "", "", &wrong));
    let said = sandbox.fails(2, &["tune", "wrong.toml"]);
    for part in [
        "wrong.toml:17: search.enqueue.1.params.lrr\n  expected a parameter of this study",
        "did you mean `params.lr`?",
        "wrong.toml:18: search.enqueue.2.params.kind\n  expected a value of a | b\n  found    c",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn scientific_values_are_compared_fairly() {
    let sandbox = sandbox(&study(
        "roles",
        ", prior = { around = 0.05, spread = 4 }",
        ", role = \"scientific\"",
        "trials = 12",
    ));
    sandbox.ok(&["tune", "study.toml"]);
    let trials = sandbox.trials("roles", "luthier.db");
    let kinds = params(&trials, "params.kind");
    assert_eq!(kinds.iter().filter(|kind| *kind == "a").count(), 6);
    // The first trial of each is the belief's centre.
    assert_eq!(params(&trials[..2], "params.lr"), [0.05, 0.05]);
    assert!(sandbox.ok(&["verify", "study.toml"]).contains("all agree"));
    let best = sandbox.json(&["best", "study.toml"]);
    let compared = best["compared"].as_array().unwrap();
    assert_eq!(compared.len(), 2);
    assert_eq!(compared[0]["values"]["params.kind"], best["params"]["params.kind"]);
    assert!(compared[0]["value"].as_f64() <= compared[1]["value"].as_f64(), "{best}");
    assert_eq!((&compared[0]["value"], &compared[0]["trials"]), (&best["value"], &6.into()));
    let shown = sandbox.ok(&["best", "study.toml"]);
    assert!(shown.contains("params.kind = a") && shown.contains("params.kind = b"), "{shown}");
    let checked = sandbox.ok(&["check", "study.toml"]);
    assert!(checked.contains("believed around 0.05") && checked.contains("scientific"), "{checked}");
}

#[test]
fn importance_is_shown() {
    let sandbox =
        sandbox(&study("importance", "", "", "trials = 40\nsampler = \"random\"\npruner = \"none\""));
    let few = sandbox.fails(1, &["importance", "study.toml"]);
    assert!(few.contains("no"), "{few}");
    sandbox.ok(&["tune", "study.toml", "--trials", "3"]);
    let few = sandbox.fails(1, &["importance", "study.toml"]);
    assert!(few.contains("study `importance`: importance needs at least 4 complete trials"), "{few}");
    sandbox.ok(&["tune", "study.toml"]);
    for method in ["fanova", "ped-anova"] {
        let found = sandbox.json(&["importance", "study.toml", "--method", method]);
        assert_eq!((&found["method"], &found["trials"]), (&method.into(), &40.into()));
        assert_eq!(found["objectives"][0]["parameters"][0]["parameter"], "params.lr");
        assert!(found["objectives"][0]["parameters"][0]["importance"].as_f64().unwrap() > 0.5, "{found}");
    }
    let shown = sandbox.ok(&["importance", "importance"]);
    assert!(shown.starts_with("shares of the variance of loss, over 40 complete trials (fanova)"), "{shown}");
    assert!(shown.contains("████████████████████"), "{shown}");
}

#[test]
fn an_earlier_study_is_begun_with() {
    let sandbox = sandbox(&study("early", "", "", "trials = 12"));
    sandbox.ok(&["tune", "study.toml"]);
    let best = sandbox.json(&["best", "early"]);
    let later = study("later", "", "", "trials = 8\nwarm_start = [\"early\"]").replace("[1, 9]", "[1, 20]");
    sandbox.write("later.toml", later.replace("1e-4, 1.0", "1e-5, 1.0"));
    sandbox.ok(&["tune", "later.toml", "--trials", "4"]);
    let trials = sandbox.trials("later", "luthier.db");
    assert_eq!(trials[0]["params"], best["params"]);
    // It goes on without the earlier one, and needs it no more.
    sandbox.ok(&["delete", "early", "--yes"]);
    sandbox.ok(&["tune", "later.toml"]);
    assert_eq!(sandbox.trials("later", "luthier.db").len(), 8);
    assert!(sandbox.ok(&["verify", "later.toml"]).contains("all agree"));
    sandbox.write("none.toml", study("none", "", "", "warm_start = [\"latr\"]"));
    let said = sandbox.fails(2, &["tune", "none.toml"]);
    assert!(said.contains("there is no study `latr` in this storage; did you mean `later`?"), "{said}");
}

#[test]
fn what_cannot_be_believed_or_compared_is_said() {
    let sandbox = sandbox("");
    for (lr, kind, search, message) in [
        (
            ", prior = { around = 2.0 }",
            "",
            "trials = 2",
            "params.lr.prior\n  expected a prior that fits the range",
        ),
        (", prior = { around = 0.1, spread = 0.5 }", "", "trials = 2", "a spread above 1, which is a factor"),
        (", prior = { aroud = 0.1 }", "", "trials = 2", "did you mean `around`?"),
        (
            ", prior = { around = 0.1 }",
            "",
            "sampler = \"sobol\"",
            "a sampler that makes use of priors: auto, random",
        ),
        ("", ", role = \"scientfic\"", "trials = 2", "did you mean \"scientific\"?"),
        ("", ", role = \"fixed\"", "trials = 2", "a value to keep to: prior = { around = VALUE }"),
        ("", ", prior = { around = \"c\" }", "trials = 2", "a prior around a value of a | b, found c"),
        ("", "", "sampler = \"grid\"\nenqueue = [{ width = 2 }]", "nothing with the sampler \"grid\""),
        ("", "", "sampler = \"grid\"\nwarm_start = [\"a\"]", "search.warm_start\n  expected nothing"),
        ("", "", "constraints = [\"lr <= 0.1\"]", "did you mean `params.lr`?"),
        (
            "",
            "",
            "constraints = [\"width > 9\"]",
            "wrong.toml:15: search.constraints\n  expected constraints that something of the ranges keeps",
        ),
        (
            "",
            "",
            "constraints = [\"params.lr < 0.1\"]\nenqueue = [{ \"params.lr\" = 0.5 }]",
            "search.enqueue.1.params.lr\n  expected values that keep the constraint `params.lr < 0.1`\n  found    params.lr = 0.5",
        ),
    ] {
        sandbox.write("wrong.toml", study("wrong", lr, kind, search));
        for command in ["tune", "check"] {
            let said = sandbox.fails(2, &[command, "wrong.toml"]);
            assert!(said.contains(message), "{said}");
        }
    }
    // What is fixed is no parameter any more, but what was said of it stays true.
    sandbox.write(
        "study.toml",
        study(
            "fixed",
            "",
            ", role = \"fixed\", prior = { around = \"b\" }",
            "trials = 3\nenqueue = [{ \"params.kind\" = \"b\", width = 7 }]\n\
             constraints = [\"params.kind == 'a' or params.lr < 0.01\"]",
        ),
    );
    sandbox.ok(&["tune", "study.toml"]);
    let trials = sandbox.trials("fixed", "luthier.db");
    assert_eq!(trials[0]["params"].as_object().unwrap().len(), 2);
    assert_eq!(trials[0]["params"]["width"], 7);
    assert!(params(&trials, "params.lr").iter().all(|lr| lr.as_f64().unwrap() < 0.01));
    assert!(sandbox.ok(&["verify", "study.toml"]).contains("all agree"));
    let never = study(
        "fixed",
        "",
        ", role = \"fixed\", prior = { around = \"b\" }",
        "constraints = [\"params.kind == 'a'\"]",
    );
    sandbox.write("never.toml", never);
    let said = sandbox.fails(2, &["check", "never.toml"]);
    assert!(said.contains("expected a constraint that something keeps"), "{said}");
    let other = study(
        "fixed",
        "",
        ", role = \"fixed\", prior = { around = \"b\" }",
        "enqueue = [{ \"params.kind\" = \"a\" }]",
    );
    sandbox.write("wrong.toml", other);
    let said = sandbox.fails(2, &["check", "wrong.toml"]);
    assert!(
        said.contains("search.enqueue.1.params.kind\n  expected the value that the file keeps to, b"),
        "{said}"
    );
}

#[test]
fn settings_of_a_sampler_count() {
    let sandbox = sandbox("");
    sandbox.write("study.toml", study("grid", "", "", "sampler = { kind = \"grid\", points = 2 }"));
    sandbox.ok(&["tune", "study.toml"]);
    let trials = sandbox.trials("grid", "luthier.db");
    assert_eq!(trials.len(), 2 * 2 * 9);
    let mut rates: Vec<f64> = params(&trials, "params.lr").iter().filter_map(Value::as_f64).collect();
    rates.dedup();
    assert_eq!(rates, [1e-4, 1.0]);
    let wrong = study("grid", "", "", "sampler = { kind = \"grid\", point = 2 }");
    sandbox.write("wrong.toml", wrong);
    let said = sandbox.fails(2, &["check", "wrong.toml"]);
    assert!(said.contains("search.sampler.point") && said.contains("did you mean `points`?"), "{said}");
}

/// A population of the same program.
fn population(name: &str, (lr, kind): (&str, &str), settings: &str, search: &str) -> String {
    let search = format!("sampler = {{ kind = \"pbt\"{settings} }}\nparallel = 2\n{search}");
    let steps = "[command]\nsteps = 2\nresumes = true";
    study(name, lr, kind, &search).replace("[command]", steps)
}

/// Two steps, each in a file of its own, so that a program that goes on has what was before.
const TWO_STEPS: &str = r#"
for step in 1 2; do
  [ -f "$LUTHIER_CHECKPOINT/$step" ] && continue
  touch "$LUTHIER_CHECKPOINT/$step"
  awk -v step="$step" -v lr="$1" 'BEGIN { printf "{\"step\": %d, \"loss\": %.9f}\n", step, lr / step }'
done
"#;

#[test]
fn a_population_begins_with_starting_points_and_keeps_constraints() {
    let settings = ", size = 4, interval = 1, quantile = 0.5, inherit = [\"width\"]";
    let search = "constraints = [\"params.lr * width <= 0.01\"]\n\
        enqueue = [{ \"params.lr\" = 0.002, width = 2 }, { width = 9 }]";
    let sandbox = sandbox(&population("members", ("", ""), settings, search));
    sandbox.write("program.sh", TWO_STEPS);
    sandbox.ok(&["tune", "study.toml"]);
    let trials = sandbox.trials("members", "luthier.db");
    assert_eq!(trials.len(), 6);
    let first = &trials[0]["params"];
    assert_eq!((&first["params.lr"], &first["width"]), (&0.002.into(), &2.into()));
    assert_eq!(trials[1]["params"]["width"], 9);
    for trial in &trials {
        let number = |key: &str| trial["params"][key].as_f64().unwrap();
        assert!(number("params.lr") * number("width") <= 0.01, "{trial}");
    }
    assert!(sandbox.ok(&["verify", "study.toml"]).contains("all agree"));
    // An earlier study gives no more than there are members.
    let later = population("later", ("", ""), ", size = 2", "warm_start = [\"members\"]");
    sandbox.write("later.toml", later);
    sandbox.ok(&["tune", "later.toml"]);
    let best = sandbox.json(&["best", "members"]);
    assert_eq!(sandbox.trials("later", "luthier.db")[0]["params"], best["params"]);
}

#[test]
fn what_a_population_makes_no_use_of_is_refused() {
    let sandbox = sandbox("");
    for (lr, kind, settings, search, message) in [
        (
            ", prior = { around = 0.1 }",
            "",
            "",
            "",
            "params.lr.prior\n  expected a sampler that makes use of priors",
        ),
        ("", ", role = \"scientific\"", "", "", "params.kind.role\n  expected a sampler that compares"),
        ("", "", ", inherit = [\"widht\"]", "", "found    \"widht\"\n  help     did you mean \"width\"?"),
        (
            "",
            "",
            ", size = 2",
            "enqueue = [{ width = 1 }, { width = 2 }, { width = 3 }]",
            "search.enqueue\n  expected at most 2 configurations",
        ),
    ] {
        sandbox.write("wrong.toml", population("wrong", (lr, kind), settings, search));
        let said = sandbox.fails(2, &["check", "wrong.toml"]);
        assert!(said.contains(message), "{said}");
    }
    let two = population("wrong", ("", ""), "", "")
        .replace("\"loss\"\n", "[\"loss\", \"size\"]\n")
        .replace("\"minimize\"", "[\"minimize\", \"minimize\"]");
    sandbox.write("wrong.toml", two);
    let said = sandbox.fails(2, &["check", "wrong.toml"]);
    assert!(said.contains("wrong.toml:3: study.objective\n  expected one objective"), "{said}");
}
