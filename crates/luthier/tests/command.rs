//! Programs as objectives: real shell programs that report, are stopped, pause, misbehave, and leave nothing behind.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::processes::{LONG, alive, unique, until};
use common::{Sandbox, timeless};
use serde_json::Value;

/// Nine steps of a bowl with a little noise-free descent, as JSON lines.
const BOWL: &str = r#"
for i in 1 2 3 4 5 6 7 8 9; do
  awk -v lr="$1" -v i=$i 'BEGIN { printf "{\"step\": %d, \"loss\": %.9f}\n", i, (log(lr) + 4)^2 + 1 / i }'
done
"#;

/// The same, which goes on from the step in its checkpoint folder, and counts how often it was started. It does not look at
/// `LUTHIER_UNTIL`, so it runs ahead until it is ended.
const RESUMING: &str = r#"
echo started >> starts-$LUTHIER_TRIAL
i=$(cat "$LUTHIER_CHECKPOINT/step" 2> /dev/null || echo 0)
while [ $i -lt 9 ]; do
  i=$((i + 1))
  awk -v lr="$1" -v i=$i 'BEGIN { printf "{\"step\": %d, \"loss\": %.9f}\n", i, (log(lr) + 4)^2 + 1 / i }'
  echo $i > "$LUTHIER_CHECKPOINT/new" && mv "$LUTHIER_CHECKPOINT/new" "$LUTHIER_CHECKPOINT/step"
  sleep ${PAUSE:-0}
done
"#;

fn study(command: &str, search: &str) -> String {
    format!(
        r#"[study]
name = "program"
objective = "loss"
direction = "minimize"

[command]
run = ["sh", "program.sh", "{{lr}}"]
{command}

[params]
lr = {{ float = [1e-4, 1.0], log = true }}

[search]
{search}
"#
    )
}

fn sandbox(program: &str, command: &str, search: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("program.sh", program);
    sandbox.write("study.toml", study(command, search));
    sandbox
}

fn tune(sandbox: &Sandbox, storage: &str, more: &[&str]) -> Vec<Value> {
    sandbox.ok(&[&["tune", "study.toml", "--storage", storage], more].concat());
    sandbox.trials("program", storage)
}

/// The note of the first trial of a study of programs that fail, each in the same way.
fn note(program: &str, command: &str) -> String {
    let sandbox = sandbox(program, command, "trials = 1");
    sandbox.fails(1, &["tune", "study.toml", "--storage", "failed.db"]);
    let trials = sandbox.trials("program", "failed.db");
    assert_eq!(trials[0]["state"], "failed", "{trials:?}");
    trials[0]["note"].as_str().unwrap().to_owned()
}

#[test]
fn a_median_pruner_stops_programs_whatever_the_number_of_workers() {
    let sandbox = sandbox(BOWL, "", "trials = 16\nslots = 4");
    let one = tune(&sandbox, "one.db", &["--parallel", "1"]);
    let four = tune(&sandbox, "four.db", &["--parallel", "4"]);
    assert_eq!(timeless(&one), timeless(&four));
    let stopped: Vec<&Value> = one.iter().filter(|row| row["state"] == "stopped").collect();
    assert!(!stopped.is_empty(), "{one:?}");
    assert!(stopped[0]["note"].as_str().unwrap().starts_with("behind the median at step"), "{stopped:?}");
    let verified = sandbox.ok(&["verify", "study.toml", "--storage", "four.db"]);
    assert!(verified.contains("all agree"), "{verified}");
    // The filled-in file is the winner again.
    let best = sandbox.json(&["best", "study.toml", "--storage", "one.db", "-o", "best.toml"]);
    let again = sandbox.json(&["train", "best.toml"]);
    assert_eq!((&again["value"], &again["epoch"]), (&best["value"], &best["epoch"]));
    assert_eq!(again["epochs"].as_array().unwrap().len(), 9);
}

#[test]
fn a_program_pauses_and_resumes_under_asha() {
    let sandbox = sandbox(RESUMING, "resumes = true\nsteps = 9", "trials = 9\nslots = 2\npruner = \"asha\"");
    let trials = tune(&sandbox, "asha.db", &["--parallel", "2"]);
    assert!(trials.iter().any(|row| row["state"] == "paused" && row["epochs"] == 1), "{trials:?}");
    let complete: Vec<&Value> = trials.iter().filter(|row| row["state"] == "complete").collect();
    assert!(!complete.is_empty(), "{trials:?}");
    for row in complete {
        let trial = row["trial"].to_string();
        let logs = sandbox.json(&["logs", "program", "--storage", "asha.db", "--trial", &trial]);
        let steps: Vec<u64> =
            logs.as_array().unwrap().iter().map(|report| report["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let starts = common::text(&sandbox.read(&format!("starts-{trial}"))).lines().count();
        assert!(starts >= 3, "trial {trial} came to its end in {starts} starts, with rungs at 1 and 3");
    }
    let one = tune(&sandbox, "one.db", &["--parallel", "1", "--set", "search.slots=2"]);
    assert_eq!(timeless(&one), timeless(&trials));
    // What the winner left is the model.
    sandbox.ok(&["best", "program", "--storage", "asha.db", "--model", "best.tar"]);
    let unpacked =
        std::process::Command::new("tar").args(["xf", "best.tar"]).current_dir(sandbox.folder()).status();
    assert!(unpacked.unwrap().success());
    assert_eq!(sandbox.read("checkpoint/step"), b"9\n");
}

#[test]
fn an_interrupted_study_goes_on_where_it_was() {
    let sandbox = sandbox(RESUMING, "resumes = true", "trials = 2\npruner = \"none\"");
    let calm = tune(&sandbox, "calm.db", &[]);
    std::fs::remove_file(sandbox.path("starts-0")).unwrap();
    let mut command = sandbox.command(&["tune", "study.toml", "--storage", "broken.db"]);
    let mut child = command.env("PAUSE", "0.2").spawn().unwrap();
    assert!(until(|| sandbox.path("starts-0").exists()));
    sleep(Duration::from_millis(700));
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let paused = sandbox.trials("program", "broken.db");
    assert_eq!(paused[0]["state"], "paused", "{paused:?}");
    let trials = tune(&sandbox, "broken.db", &[]);
    assert_eq!(timeless(&trials), timeless(&calm));
    assert_eq!(common::text(&sandbox.read("starts-0")).lines().count(), 2);
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let started = Instant::now();
    let note = note(
        "trap '' TERM\necho '{\"loss\": 1}'\nwhile :; do sleep 0.05; done",
        "time_limit = \"300ms\"\ngrace = \"300ms\"",
    );
    assert_eq!(note, "took longer than its time limit of 0.3 s");
    let time = started.elapsed();
    assert!(time > Duration::from_millis(600) && time < Duration::from_secs(20), "{time:?}");
}

#[test]
fn sigterm_comes_first() {
    let sandbox = sandbox(
        "trap 'echo asked > asked; exit 0' TERM\necho '{\"loss\": 1}'\nwhile :; do sleep 0.05; done",
        "time_limit = \"300ms\"\ngrace = \"60s\"",
        "trials = 1",
    );
    sandbox.fails(1, &["tune", "study.toml", "--storage", "failed.db"]);
    assert_eq!(sandbox.read("asked"), b"asked\n");
}

/// Grandchildren in the group, in a session of their own where there is `setsid`, and deaf ones.
fn brood(mark: &str) -> String {
    format!(
        "sleep {mark}1 &\n(trap '' TERM HUP; sleep {mark}2; :) &\n\
         if command -v setsid > /dev/null; then setsid sh -c 'sleep {mark}3; :' & fi\n\
         (sh -c 'sleep {mark}4; :' &)\n"
    )
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let mark = unique();
    let program = format!("{}echo '{{\"loss\": 1}}'\n", brood(&mark));
    let sandbox = sandbox(&program, "", "trials = 2\nparallel = 2");
    let trials = tune(&sandbox, "s.db", &[]);
    assert!(trials.iter().all(|row| row["state"] == "complete"), "{trials:?}");
    assert!(until(|| alive(&mark).is_empty()), "{:?}", alive(&mark));
}

#[test]
fn killing_luthier_leaves_no_process_behind() {
    let mark = unique();
    let program =
        format!("{}trap '' TERM HUP INT\necho up > up-$LUTHIER_TRIAL\nsleep {mark}5\n", brood(&mark));
    let sandbox = sandbox(&program, "", "trials = 2\nparallel = 2");
    let scratch = sandbox.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut command = sandbox.command(&["tune", "study.toml", "--storage", "s.db"]);
    let mut child = command.env("TMPDIR", &scratch).spawn().unwrap();
    let is_up = |trial: &str| sandbox.path(trial).exists();
    assert!(until(|| is_up("up-0") && is_up("up-1") && alive(&format!("sleep {mark}4")).len() >= 2));
    assert!(until(|| alive(&format!("sleep {mark}5")).len() == 2), "{:?}", alive(&mark));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(until(|| alive(&mark).is_empty()), "{:?}", alive(&mark));
    // Nor a supervisor, nor the folders of the trials.
    let folder = scratch.to_str().unwrap();
    assert!(until(|| alive(folder).is_empty()), "{:?}", alive(folder));
    assert!(until(|| scratch.read_dir().unwrap().next().is_none()));
}

#[test]
fn a_second_ctrl_c_leaves_no_process_behind() {
    let mark = unique();
    let program = format!("{}trap '' TERM\necho up > up\nsleep {mark}5\n", brood(&mark));
    let sandbox = sandbox(&program, "grace = \"1h\"", "trials = 1");
    let running = sandbox.start(&["tune", "study.toml", "--storage", "s.db"]);
    assert!(until(|| sandbox.path("up").exists() && alive(&mark).len() >= 4));
    running.interrupt();
    assert!(running.says("stopping", LONG));
    running.interrupt();
    assert_eq!(running.wait(), Some(130));
    assert!(until(|| alive(&mark).is_empty()), "{:?}", alive(&mark));
}

#[test]
fn killing_the_supervisor_fails_the_trial_and_ends_the_program() {
    let mark = unique();
    let program = format!("echo '{{\"loss\": 1}}'\nsleep {mark}1 &\necho up > up\nsleep {mark}2\n");
    let sandbox = sandbox(&program, "", "trials = 1");
    let scratch = sandbox.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut command = sandbox.command(&["tune", "study.toml", "--storage", "s.db"]);
    let mut child = command.env("TMPDIR", &scratch).spawn().unwrap();
    assert!(until(|| sandbox.path("up").exists() && alive(&mark).len() == 2));
    let listed = std::process::Command::new("ps").args(["-A", "-o", "pid=,args="]).output().unwrap();
    let listed = common::text(&listed.stdout);
    // The supervisor is told the folder of the trial; the program is not, by its arguments.
    let supervisor = listed.lines().find(|line| line.contains(scratch.to_str().unwrap())).unwrap();
    let pid = supervisor.split_whitespace().next().unwrap();
    assert!(std::process::Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(until(|| alive(&mark).is_empty()), "{:?}", alive(&mark));
    let trials = sandbox.trials("program", "s.db");
    let note = trials[0]["note"].as_str().unwrap();
    assert!(note.starts_with("the program's supervisor was ended from outside"), "{note}");
}

#[test]
fn output_is_kept_and_bounded() {
    let program = "echo first line\nawk 'BEGIN { for (i = 0; i < 400000; i++) print \"noise\", i }'\n\
                   echo oh dear >&2\necho '{\"loss\": 1}'\n";
    let sandbox = sandbox(program, "log_limit = \"10KB\"", "trials = 1");
    tune(&sandbox, "s.db", &[]);
    let output = sandbox.json(&["logs", "program", "--storage", "s.db", "--trial", "0", "--output"]);
    let stdout = output["stdout"].as_str().unwrap();
    assert!(stdout.len() < 10_200 && stdout.starts_with("first line\nnoise 0\n"), "{}", stdout.len());
    assert!(stdout.ends_with("noise 399999\n{\"loss\": 1}\n") && stdout.contains("bytes were left out here"));
    assert_eq!(output["stderr"], "oh dear\n");
    // It stays when the study is taken up again.
    sandbox.ok(&["tune", "study.toml", "--storage", "s.db", "--trials", "2"]);
    let printed = sandbox.ok(&["logs", "program", "--storage", "s.db", "--trial", "0", "--output"]);
    assert_eq!(printed, format!("{stdout}oh dear\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_limited() {
    let program = "echo '{\"loss\": 1}'\nawk 'BEGIN { s = \"x\"; while (length(s) < 2^27) s = s s; system(\"sleep 30\") }'\n";
    let started = Instant::now();
    let note = note(program, "memory_limit = \"50MB\"");
    assert!(note.starts_with("took ") && note.ends_with("more than its limit of 50 MB"), "{note}");
    assert!(started.elapsed() < Duration::from_secs(25));
}

#[test]
fn failures_say_what_happened() {
    assert_eq!(
        note("echo '{\"loss\": 1}'\necho no such file >&2\nexit 3\n", ""),
        "the program ended with exit code 3; its last error output: no such file"
    );
    assert_eq!(note("kill -SEGV $$", ""), "the program was ended by SIGSEGV");
    assert_eq!(
        note("echo loss 3", ""),
        "the program ended without a report of `loss`; its last output: loss 3"
    );
    assert_eq!(
        note("echo '{\"loss\": \"low\"}'", ""),
        "the program printed \"{\\\"loss\\\": \\\"low\\\"}\": `loss` is no number"
    );
    let twice = "echo '{\"loss\": 1, \"step\": 2}'\necho '{\"loss\": 1, \"step\": 2}'\n";
    assert_eq!(note(twice, ""), "the program reported step 2 after step 2, and steps have to rise");
    assert_eq!(
        note("echo '{\"loss\": 1}'", "resumes = true"),
        "the program reported no step, and one that resumes has to"
    );
    assert_eq!(note("echo '{\"loss\": NaN}'", ""), "the objective's value is not a finite number");
}

#[test]
fn a_study_of_a_broken_program_ends_early() {
    let sandbox = sandbox("exit 1", "", "trials = 50");
    let said = sandbox.fails(1, &["tune", "study.toml", "--storage", "s.db"]);
    assert!(said.contains("too many trials failed in a row"), "{said}");
    assert_eq!(sandbox.trials("program", "s.db").len(), 5);
}

#[test]
fn a_program_that_cannot_be_changed_is_read_by_an_expression() {
    let program = "for i in 1 2 3; do echo \"[$i/3] loss=0.$i (best 0.1)\"; done";
    let command = r"report = { kind = 'regex', pattern = '\[(?P<step>\d+)/3\] loss=(?P<value>\S+) \(best (?P<best>\S+)\)' }";
    let sandbox = sandbox(program, command, "trials = 1");
    let trials = tune(&sandbox, "s.db", &[]);
    assert_eq!((&trials[0]["value"], &trials[0]["epochs"]), (&Value::from(0.1), &Value::from(3)));
    let logs = sandbox.json(&["logs", "program", "--storage", "s.db"]);
    assert_eq!(logs[2]["metrics"]["best"], 0.1);
}

#[test]
fn a_program_is_told_its_trial() {
    let program = "cat \"$LUTHIER_PARAMS\" > told\necho \"$LUTHIER_PARAM_LR $1 $LUTHIER_TRIAL $LUTHIER_SEED\" > env\n\
                   ls -A \"$LUTHIER_CHECKPOINT\" > folder\necho '{\"loss\": 1}'\n";
    let sandbox = sandbox(program, "", "trials = 1");
    let trials = tune(&sandbox, "s.db", &[]);
    let told: Value = serde_json::from_slice(&sandbox.read("told")).unwrap();
    assert_eq!(told["params"]["lr"], trials[0]["params"]["params.lr"]);
    assert_eq!((&told["seed"], &told["until"]), (&trials[0]["seed"], &Value::Null));
    assert!(Path::new(told["checkpoint"].as_str().unwrap()).is_absolute());
    let env = common::text(&sandbox.read("env"));
    let words: Vec<&str> = env.split_whitespace().collect();
    assert_eq!(words[0], words[1]);
    assert_eq!(words[0].parse::<f64>().unwrap(), told["params"]["lr"].as_f64().unwrap());
    assert_eq!(words[2..], ["0".to_owned(), trials[0]["seed"].to_string()]);
    assert_eq!(sandbox.read("folder"), b"");
    let said = sandbox.fails(1, &["best", "program", "--storage", "s.db", "--model", "m.tar"]);
    assert!(said.contains("there is no model: the program left nothing"), "{said}");
}

#[test]
fn a_changed_script_is_another_study() {
    let sandbox = sandbox(BOWL, "", "trials = 1");
    tune(&sandbox, "s.db", &[]);
    sandbox.write("program.sh", format!("{BOWL}\n# another one\n"));
    let said = sandbox.fails(2, &["tune", "study.toml", "--storage", "s.db", "--trials", "2"]);
    assert!(said.contains("this has changed since"), "{said}");
}

#[test]
fn mistakes_are_found_before_the_first_trial() {
    let good = study("", "trials = 1");
    let cases = [
        ("{lr}", "{lrr}", "study.toml:7: command.run.3", "did you mean `{lr}`?"),
        ("{lr}", "{lr", "study.toml:7: command.run.3", "a brace itself is written twice"),
        ("\"sh\"", "\"no-such-shell\"", "study.toml:7: command.run", "nowhere on the PATH"),
        ("\"sh\"", "\"./study.toml\"", "study.toml:7: command.run", "no file that may be executed"),
        ("run = [\"sh\", \"program.sh\", \"{lr}\"]", "run = []", "study.toml:7: command.run", "a list of 0"),
        ("objective = \"loss\"\n", "", "study.objective", "the key is missing"),
        ("direction = \"minimize\"\n", "", "study.toml:3: study.direction", "none of Luthier's metrics"),
        ("[params]", "[parms]", "parms", "did you mean `params`?"),
        ("[params]", "[model]\nlayers = []\n[params]", "model", "the unknown key `model`"),
        ("[search]", "[search]\npruner = \"asha\"", "study.toml:14: search.pruner", "resumes = true"),
        ("[search]", "[search]\npruner = \"wilcoxon\"", "study.toml:14: search.pruner", "folds"),
        (
            "[params]",
            "report = { kind = \"regex\", pattern = '(?P<value>' }\n[params]",
            "study.toml:10: command.report.pattern",
            "unclosed group",
        ),
        (
            "[params]",
            "report = { kind = \"regex\", pattern = 'loss (.*)' }\n[params]",
            "study.toml:10: command.report.pattern",
            "(?P<value>…)",
        ),
        ("[params]", "steps = { int = [1, 3] }\n[params]", "command.steps", "ranges stand in [params]"),
        ("[params]", "memory_limit = \"lots\"\n[params]", "command.memory_limit", "512MB"),
        ("[search]", "l-r = 1\nl_r = 2\n[search]", "params.l_r", "LUTHIER_PARAM_L_R"),
    ];
    for (from, to, place, reason) in cases {
        let sandbox = Sandbox::new();
        sandbox.write("program.sh", BOWL);
        assert!(good.contains(from), "{from}");
        sandbox.write("study.toml", good.replacen(from, to, 1));
        let said = sandbox.fails(2, &["check", "study.toml"]);
        assert!(said.contains(place) && said.contains(reason), "{from} as {to}:\n{said}");
    }
}
