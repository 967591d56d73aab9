//! Many processes on one study: however many there are, whenever they are killed, halted or cut off from their
//! storage, it comes to the same end.
//!
//! `LUTHIER_POSTGRES` names a server on which databases may be made; without it the half of the tests that needs one
//! is skipped, and fails in CI. `LUTHIER_S3` names a bucket in an S3-compatible store, with the credentials in the `AWS_`
//! variables (`scripts/s3.sh` starts one), and likewise. `LUTHIER_KILLS` says how many processes are killed on each storage, 12 unless set;
//! `LUTHIER_WORKERS` how many there are at once, such as `1,2,8,64`, on a study of 200 trials then.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::place::{Place, say};
use common::{Running, Sandbox, timeless};
use serde_json::Value;

/// Trials of up to 27 epochs, in eight slots, of which halving lets few run to their end.
fn study(trials: usize, samples: usize) -> String {
    format!(
        r#"[study]
name = "many"

[data]
source = {{ classification = {{ samples = {samples}, features = 6, informative = 4, redundant = 1, class_sep = 0.8, seed = 1 }} }}

[model]
layers = [{{ dense = {{ int = [8, 32], log = true }}, activation = {{ choice = ["relu", "tanh"] }} }}]

[train]
epochs = 27
batch_size = {{ choice = [16, 32] }}
optimizer = {{ kind = "adam", learning_rate = {{ float = [1e-3, 1e-1], log = true }} }}

[search]
trials = {trials}
pruner = "asha"
slots = 8
"#
    )
}

/// Numbers without a pattern, from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What a study came to: its trials, and the winner's model.
type End = (Vec<Value>, Vec<u8>);

fn end(sandbox: &Sandbox, place: &Place) -> End {
    sandbox.ok(&["best", "many", "--storage", &place.url, "--model", "model.safetensors"]);
    (timeless(&sandbox.trials("many", &place.url)), sandbox.read("model.safetensors"))
}

/// What one worker comes to, undisturbed.
fn undisturbed(sandbox: &Sandbox) -> End {
    let place = Place::sqlite("calm.db");
    sandbox.ok(&["worker", "study.toml", "--storage", &place.url]);
    end(sandbox, &place)
}

fn start(sandbox: &Sandbox, place: &Place) -> Running {
    sandbox.start(&["worker", "study.toml", "--storage", &place.url])
}

fn signal(running: &Running, name: &str) {
    let sent = Command::new("kill").args([name, &running.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn any_number_of_workers_comes_to_the_same_end_on_either_storage() {
    let sandbox = Sandbox::new();
    let counts = std::env::var("LUTHIER_WORKERS");
    sandbox.write("study.toml", study(if counts.is_ok() { 200 } else { 60 }, 300));
    let expected = undisturbed(&sandbox);
    let mut chance = Chance(1);
    let counts = counts.unwrap_or_else(|_| "2,9".to_owned());
    for count in counts.split(',').map(|count| count.parse::<u64>().unwrap()) {
        for place in [Some(Place::sqlite(&format!("{count}.db"))), Place::postgres()].into_iter().flatten() {
            let mut workers: Vec<Running> = (0..count).map(|_| start(&sandbox, &place)).collect();
            // Delays: now and then one is halted for a moment.
            while workers.iter_mut().any(Running::is_running) {
                let halted = &mut workers[chance.below(count) as usize];
                if halted.is_running() {
                    signal(halted, "-STOP");
                    sleep(Duration::from_millis(chance.below(20)));
                    signal(halted, "-CONT");
                }
                sleep(Duration::from_millis(chance.below(20)));
            }
            for worker in workers {
                assert_eq!(worker.wait(), Some(0), "{} workers on {}", count, place.kind());
            }
            assert!(end(&sandbox, &place) == expected, "{count} workers on {}", place.kind());
            let verified = sandbox.ok(&["verify", "many", "--storage", &place.url]);
            assert!(verified.contains("all agree"), "{verified}");
            say(&format!("{count} workers on {}: the same end; {}", place.kind(), verified.trim()));
        }
    }
}

/// Kills workers until so many are dead, on as many studies as it takes, each of which has to come to the same end.
fn kill(kind: &str, place: impl Fn(u64) -> Place, kills: u64) {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(120, 600));
    let expected = undisturbed(&sandbox);
    let (mut chance, mut killed, mut studies) = (Chance(7), 0, 0);
    let started = Instant::now();
    while killed < kills {
        let place = place(studies);
        let mut workers: Vec<Running> = (0..3).map(|_| start(&sandbox, &place)).collect();
        let mut acknowledged: Vec<Value> = Vec::new();
        let mut here = 0;
        while killed < kills && workers.iter_mut().all(Running::is_running) {
            sleep(Duration::from_millis(chance.below(250)));
            let victim = workers.swap_remove(chance.below(3) as usize);
            killed += u64::from(victim.kill_if_running());
            here += 1;
            workers.push(start(&sandbox, &place));
            if chance.below(4) > 0 {
                continue;
            }
            // What had ended before has not changed since, to the last digit of its seconds.
            let Some(rows) = sandbox.trials_if_any("many", &place.url) else { continue };
            for row in &acknowledged {
                let number = row["trial"].as_u64().unwrap() as usize;
                assert_eq!(rows.get(number), Some(row), "a finished trial has changed");
            }
            let is_finished =
                |row: &Value| !matches!(row["state"].as_str(), Some("waiting" | "running" | "paused"));
            acknowledged = rows.into_iter().filter(is_finished).collect();
        }
        for worker in workers {
            assert_eq!(worker.wait(), Some(0), "{}", place.kind());
        }
        let found = end(&sandbox, &place);
        assert!(found == expected, "{} after {here} kills: {found:?}", place.kind());
        let verified = sandbox.ok(&["verify", "many", "--storage", &place.url]);
        assert!(verified.contains("all agree"), "{verified}");
        studies += 1;
    }
    let took = started.elapsed().as_secs();
    say(&format!("{kind}: {killed} workers killed in {studies} studies, {took} s; all came to the same end"));
}

fn kills() -> u64 {
    std::env::var("LUTHIER_KILLS").map_or(12, |kills| kills.parse().unwrap())
}

#[test]
fn workers_that_are_killed_change_nothing_on_sqlite() {
    kill("SQLite", |number| Place::sqlite(&format!("{number}.db")), kills());
}

#[test]
fn workers_that_are_killed_change_nothing_on_postgres() {
    if Place::postgres().is_some() {
        kill("PostgreSQL", |_| Place::postgres().unwrap(), kills());
    }
}

#[test]
fn workers_that_are_killed_change_nothing_with_checkpoints_in_a_bucket() {
    let Some(place) = Place::bucket() else { return };
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(120, 600));
    // The bucket is named once; the database remembers it.
    let bare = Place { url: place.url.split("&files=").next().unwrap().to_owned(), database: None };
    let storage = luthier::storage::open(&place.url).unwrap();
    let worker = start(&sandbox, &place);
    let deadline = Instant::now() + Duration::from_mins(1);
    let study = loop {
        assert!(Instant::now() < deadline, "no checkpoint is in the bucket");
        let study = storage.study("many").unwrap().map(|study| study.id);
        let kept = study.map_or_else(Vec::new, |study| storage.artifacts(study).unwrap());
        if let Some(study) = study.filter(|_| kept.iter().any(|name| name.ends_with(".checkpoint"))) {
            break study;
        }
        sleep(Duration::from_millis(5));
    };
    worker.kill();
    let mut server = postgres::Client::connect(bare.url.split('?').next().unwrap(), postgres::NoTls).unwrap();
    let in_table: i64 = server.query_one("SELECT count(*) FROM artifacts", &[]).unwrap().get(0);
    assert_eq!(in_table, 0);
    drop(server);
    // Another one goes on from there.
    assert_eq!(start(&sandbox, &bare).wait(), Some(0));
    let expected = undisturbed(&sandbox);
    assert!(end(&sandbox, &bare) == expected);
    let kept = storage.artifacts(study).unwrap();
    let winners = kept.iter().map(|name| name.split('.').next().unwrap_or_default()).collect::<Vec<_>>();
    assert!(
        kept.len() == 2 && winners[0] == winners[1],
        "model and checkpoint of the winner are left: {kept:?}"
    );
    drop((storage, place));
    kill("PostgreSQL with a bucket", |_| Place::bucket().unwrap(), kills());
}

#[test]
fn a_place_for_checkpoints_that_cannot_be_used_is_said_with_what_to_do() {
    let Some(place) = Place::bucket() else { return };
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(2, 300));
    let at = |files: &str| format!("{}&files={files}", place.url.split("&files=").next().unwrap());
    let said = sandbox.fails(1, &["tune", "study.toml", "--storage", &at("s3://no-such-bucket/x")]);
    assert!(said.contains("expected a bucket named `no-such-bucket`, found none"), "{said}");
    let said = sandbox.fails(1, &["tune", "study.toml", "--storage", &at("checkpoints")]);
    assert!(said.contains("expected files=s3://BUCKET/PREFIX or files=/FOLDER"), "{said}");
    let mut command = sandbox.command(&["tune", "study.toml", "--storage", &at("s3://luthier/x")]);
    let output = command.env_remove("AWS_ACCESS_KEY_ID").output().unwrap();
    let said = common::text(&output.stderr);
    assert!(!output.status.success() && said.contains("to be set, found no AWS_ACCESS_KEY_ID"), "{said}");
    let output = command.env_remove("AWS_SECRET_ACCESS_KEY").output().unwrap();
    let said = common::text(&output.stderr);
    assert!(
        !output.status.success() && said.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        "{said}"
    );
}

#[test]
fn a_worker_that_is_told_to_stop_gives_its_trials_back() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(40, 600));
    let expected = undisturbed(&sandbox);
    let place = Place::sqlite("many.db");
    for number in 0..3 {
        let running = start(&sandbox, &place);
        assert!(running.says("trial ", Duration::from_mins(1)), "no trial ended");
        // As an engine does that wants its machine back.
        signal(&running, "-TERM");
        assert_eq!(running.wait(), Some(130));
        let rows = sandbox.trials("many", &place.url);
        assert!(rows.iter().all(|row| row["state"] != "running"), "after {number}: {rows:?}");
    }
    assert_eq!(start(&sandbox, &place).wait(), Some(0));
    assert!(end(&sandbox, &place) == expected);
}

#[test]
fn a_study_can_be_made_longer_while_others_work_on_it() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(20, 600));
    let place = Place::sqlite("many.db");
    sandbox.ok(&["tune", "study.toml", "--storage", &place.url]);
    sandbox.ok(&["tune", "study.toml", "--storage", &place.url, "--trials", "+10"]);
    assert_eq!(sandbox.trials("many", &place.url).len(), 30);
    let worker = start(&sandbox, &place);
    sandbox.ok(&["tune", "study.toml", "--storage", &place.url, "--trials", "+10"]);
    assert_eq!(worker.wait(), Some(0));
    assert_eq!(sandbox.trials("many", &place.url).len(), 40);
    let verified = sandbox.ok(&["verify", "many", "--storage", &place.url]);
    assert!(verified.contains("all agree"), "{verified}");
}

/// A PostgreSQL server of its own, which can be stopped and started.
struct Server {
    script: std::path::PathBuf,
    folder: String,
    port: String,
    url: String,
}

impl Server {
    /// Nothing where PostgreSQL is not installed.
    fn start(sandbox: &Sandbox) -> Option<Self> {
        use std::os::unix::fs::PermissionsExt;
        if !std::path::Path::new("/usr/lib/postgresql").exists() {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL is not installed");
            say("skipped: PostgreSQL is not installed");
            return None;
        }
        // The server runs as a user of its own.
        std::fs::set_permissions(sandbox.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres.sh");
        let folder = sandbox.path("server").display().to_string();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let mut server = Self { script, folder, port, url: String::new() };
        server.url = server.control("start");
        Some(server)
    }

    fn control(&self, action: &str) -> String {
        let output = Command::new(&self.script).args([action, &self.folder, &self.port]).output().unwrap();
        assert!(output.status.success(), "{action}: {}", common::text(&output.stderr));
        common::text(&output.stdout).trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(Command::new(&self.script).args(["stop", &self.folder]).output());
    }
}

#[test]
fn a_database_that_goes_away_is_waited_for() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(400, 600));
    let expected = undisturbed(&sandbox);
    let Some(server) = Server::start(&sandbox) else { return };
    let place = Place { url: format!("{}?lease=5", server.url), database: None };
    let mut workers: Vec<Running> = (0..3).map(|_| start(&sandbox, &place)).collect();
    let mut stops = 0;
    while stops < 5 {
        sleep(Duration::from_millis(250));
        server.control("stop");
        stops += usize::from(workers.iter_mut().any(Running::is_running));
        sleep(Duration::from_millis(250));
        server.control("start");
        if !workers.iter_mut().any(Running::is_running) {
            break;
        }
    }
    assert!(stops >= 3, "the study was over after {stops} stops");
    for worker in workers {
        assert_eq!(worker.wait(), Some(0));
    }
    assert!(end(&sandbox, &place) == expected);
}

#[test]
fn a_full_disk_stops_the_work_and_loses_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study(60, 300));
    let expected = undisturbed(&sandbox);
    // A disk of its own, which is small at first.
    let script = r#"
        mkdir small && mount -t tmpfs -o size=500k none small || exit 77
        "$1" worker study.toml --storage small/many.db 2>full.txt
        echo $? >full.code
        mount -o remount,size=50m small || exit 77
        "$1" trials many --storage small/many.db --json >before.json || exit 1
        "$1" worker study.toml --storage small/many.db || exit 1
        "$1" trials many --storage small/many.db --json >after.json || exit 1
        "$1" best many --storage small/many.db --model after.safetensors
    "#;
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_luthier")])
        .current_dir(sandbox.folder())
        .output();
    let output = match output {
        Ok(output) if !matches!(output.status.code(), Some(77 | 1)) || sandbox.path("full.code").exists() => {
            output
        }
        _ => {
            assert!(std::env::var_os("CI").is_none(), "no small disk can be mounted here");
            return say("skipped: no small disk can be mounted here");
        }
    };
    assert!(output.status.success(), "{}", common::text(&output.stderr));
    assert_eq!(common::text(&sandbox.read("full.code")).trim(), "1");
    let said = common::text(&sandbox.read("full.txt"));
    assert!(said.contains("full") || said.contains("space"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let rows = |name: &str| -> Vec<Value> { serde_json::from_slice(&sandbox.read(name)).unwrap() };
    let (before, after) = (rows("before.json"), rows("after.json"));
    for row in before.iter().filter(|row| row["state"] == "complete") {
        assert_eq!(
            after.get(row["trial"].as_u64().unwrap() as usize),
            Some(row),
            "a finished trial has changed"
        );
    }
    assert!((timeless(&after), sandbox.read("after.safetensors")) == expected);
}
