//! What engines are asked for, what they answer, and when workers are submitted again.

use std::time::{Duration, Instant};

use super::*;

/// Awkward everywhere: blanks, quotes, dollars and per cents.
fn job() -> Job {
    Job {
        name: "luthier-mnist-0123abcd".to_owned(),
        command: ["/opt/a b/luthier", "worker", "--parallel", "2", "--", "it's $HOME"]
            .map(str::to_owned)
            .to_vec(),
        folder: PathBuf::from("/home/me/a study"),
        storage: "postgres://me:secret@db/studies".to_owned(),
        logs: PathBuf::from("/home/me/a study/100%"),
        resources: Resources {
            cpus: 2,
            gpus: 1,
            memory: Some("4G".parse().unwrap()),
            time: Some(Duration::from_secs(5_401)),
        },
        options: Vec::new(),
    }
}

#[test]
fn batch_script_of_slurm() {
    let slurm = Slurm { partition: Some("gpu".to_owned()) };
    let job = Job { options: vec!["account=vision lab".to_owned(), "--exclusive".to_owned()], ..job() };
    insta::assert_snapshot!(slurm.submission(&job, 64).unwrap());
    let job = Job { options: vec!["comment=\"a\nb".to_owned()], ..job };
    let error = slurm.submission(&job, 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "--comment of sbatch: expected a value without line ends, quotes and backslashes, found \"\\\"a\\nb\""
    );
}

#[test]
fn request_to_ray() {
    let ray = Ray::new("http://127.0.0.1:8265/", None).unwrap();
    let options = vec!["entrypoint_resources={\"fast\":1}".to_owned()];
    insta::assert_snapshot!(ray.submission(&Job { options, ..job() }, 8).unwrap());
    let error = Ray::new("ray://head:10001", None).unwrap_err().to_string();
    assert_eq!(
        error,
        "the address of Ray: expected that of its dashboard, http://HOST:8265, found ray://head:10001"
    );
}

#[test]
fn manifest_of_kubernetes() {
    let kubernetes = Kubernetes { image: "me/luthier:1".to_owned(), namespace: Some("vision".to_owned()) };
    let options = [
        "spec.template.spec.nodeSelector={\"gpu\":\"a100\"}",
        "spec.template.spec.volumes=[{\"name\":\"data\",\"hostPath\":{\"path\":\"/data\"}}]",
        "spec.template.spec.containers.0.imagePullPolicy=Always",
        "spec.template.spec.containers.0.env=[{\"name\":\"LUTHIER_DATA\",\"value\":\"/data\"}]",
    ];
    let with = |options: &[&str]| Job { options: options.iter().map(ToString::to_string).collect(), ..job() };
    insta::assert_snapshot!(kubernetes.submission(&with(&options), 64).unwrap());
    for (option, message) in [
        ("spec", "--option spec: expected PATH=VALUE, found no value"),
        (
            "spec.template.spec.containers.1.image=a",
            "--option spec.template.spec.containers.1.image=a: expected the number of an element, from 0, found \"1\" of 1",
        ),
        (
            "kind.a=1",
            "--option kind.a=1: expected a path through tables and lists, found \"a\" in a single value",
        ),
    ] {
        assert_eq!(kubernetes.submission(&with(&[option]), 1).unwrap_err().to_string(), message);
    }
}

#[test]
fn no_submission_holds_the_storage() {
    let engines: [&dyn Engine; 3] = [
        &Slurm::default(),
        &Ray::new("http://127.0.0.1:8265", None).unwrap(),
        &Kubernetes { image: "luthier".to_owned(), namespace: None },
    ];
    for engine in engines {
        assert!(!engine.submission(&job(), 2).unwrap().contains("secret@"));
    }
}

fn worker(id: &str, state: WorkerState) -> Worker {
    Worker { id: id.to_owned(), state }
}

fn gone(cause: &str, started: bool) -> WorkerState {
    WorkerState::Gone { cause: cause.to_owned(), started }
}

#[test]
fn queue_of_slurm() {
    let lines = "7|1|RUNNING|None\n7|2|PENDING|Resources\n7|3|FAILED|JobLaunchFailure\n8|1|CANCELLED|None\n\
                 8|2|COMPLETED|None\n8|3|NODE_FAIL|None\n";
    let expected = [
        ("7_1", WorkerState::Running),
        ("7_2", WorkerState::Pending(Some("Resources".to_owned()))),
        ("7_3", gone("FAILED, JobLaunchFailure", true)),
        ("8_1", WorkerState::Cancelled),
        ("8_2", WorkerState::Done),
        ("8_3", gone("NODE_FAIL", true)),
    ];
    assert_eq!(slurm::read_queue(lines).unwrap(), expected.map(|(id, state)| worker(id, state)));
    assert_eq!(
        slurm::read_queue("slurm_load_jobs").unwrap_err().to_string(),
        "`squeue` answered with something unexpected: \"slurm_load_jobs\""
    );
}

#[test]
fn jobs_of_ray() {
    let jobs = serde_json::json!([
        { "submission_id": "luthier-a-1", "status": "RUNNING" },
        { "submission_id": "luthier-a-2", "status": "PENDING" },
        { "submission_id": "luthier-a-3", "status": "FAILED", "driver_exit_code": -9, "message": "failed" },
        { "submission_id": "luthier-a-4", "status": "FAILED", "driver_exit_code": null,
          "error_type": "JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "message": "Job supervisor actor failed to start" },
        { "submission_id": "luthier-a-5", "status": "STOPPED" },
        { "submission_id": "luthier-a-6", "status": "SUCCEEDED", "driver_exit_code": 0 },
        { "submission_id": "luthier-ab-1", "status": "RUNNING" },
        { "submission_id": null, "type": "DRIVER", "status": "RUNNING" },
    ]);
    let expected = [
        ("luthier-a-1", WorkerState::Running),
        ("luthier-a-2", WorkerState::Pending(None)),
        ("luthier-a-3", gone("killed by signal 9", true)),
        ("luthier-a-4", gone("no place within RAY_JOB_START_TIMEOUT_SECONDS", false)),
        ("luthier-a-5", WorkerState::Cancelled),
        ("luthier-a-6", WorkerState::Done),
    ];
    assert_eq!(ray::read_jobs(&jobs, "luthier-a").unwrap(), expected.map(|(id, state)| worker(id, state)));
    assert!(ray::read_jobs(&serde_json::json!({ "error": "no" }), "luthier-a").is_none());
}

#[test]
fn pods_of_kubernetes() {
    let pod = |index: &str, created: &str, status: serde_json::Value| {
        serde_json::json!({
            "metadata": {
                "creationTimestamp": created,
                "annotations": { "batch.kubernetes.io/job-completion-index": index },
                "ownerReferences": [{ "kind": "Job", "name": "l-1" }],
            },
            "status": status,
        })
    };
    let killed = serde_json::json!({ "phase": "Failed", "containerStatuses": [
        { "state": { "terminated": { "reason": "OOMKilled", "exitCode": 137 } } }] });
    let full = serde_json::json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }] });
    let pods = serde_json::json!({ "items": [
        pod("0", "2026-01-01T00:00:09Z", serde_json::json!({ "phase": "Running" })),
        pod("0", "2026-01-01T00:00:00Z", killed.clone()),
        pod("1", "2026-01-01T00:00:00Z", killed.clone()),
        pod("2", "2026-01-01T00:00:00Z", full),
        pod("3", "2026-01-01T00:00:00Z", killed),
    ] });
    let jobs = serde_json::json!({ "items": [{
        "metadata": { "name": "l-1" },
        "spec": { "completions": 7 },
        "status": { "completedIndexes": "5-6", "failedIndexes": "1" },
    }] });
    let expected = [
        WorkerState::Running,
        gone("OOMKilled, exit code 137", true),
        WorkerState::Pending(Some("Unschedulable".to_owned())),
        WorkerState::Pending(Some("OOMKilled, exit code 137".to_owned())),
        WorkerState::Pending(None),
        WorkerState::Done,
        WorkerState::Done,
    ];
    let expected: Vec<Worker> = expected
        .into_iter()
        .enumerate()
        .map(|(index, state)| worker(&format!("l-1/{index}"), state))
        .collect();
    assert_eq!(kubernetes::read_workers(&jobs, &pods).unwrap(), expected);
}

#[test]
fn names_fit_everywhere() {
    for study in ["", "ÄÖ/Ü", "a", &"long ".repeat(40), "--x--"] {
        let name = job_name(study, "/srv/luthier.db");
        assert!(name.len() <= 56, "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        assert!(!name.contains("--") && !name.ends_with('-'), "{name}");
    }
}

#[test]
fn memory_has_a_unit() {
    for (text, bytes) in [("512M", 512 << 20), ("4G", 4_u64 << 30), ("4GiB", 4 << 30), ("1t", 1 << 40)] {
        assert_eq!(text.parse::<Memory>().unwrap().bytes(), bytes);
    }
    for text in ["", "4", "G", "0G", "4.5G", "-4G", "99999999999T"] {
        let error = text.parse::<Memory>().unwrap_err();
        assert!(error.starts_with("expected a whole number with a unit"), "{error}");
    }
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[test]
fn lost_workers_are_submitted_again() {
    let now = Instant::now();
    let mut watch = Watch::new(3, 2, ids(&["a"]));
    let mut workers = vec![worker("a", WorkerState::Running)];
    // One is there already.
    assert_eq!(watch.step(&workers, 0, now), Step::Submit(2));
    watch.submitted(ids(&["b", "c"]));
    // Not seen yet, but submitted.
    assert_eq!(watch.step(&workers, 0, now), Step::Wait);
    workers.extend([worker("b", WorkerState::Running), worker("c", WorkerState::Pending(None))]);
    assert_eq!(watch.step(&workers, 1, now), Step::Wait);
    // One is killed; one is forgotten by the engine.
    workers[1].state = gone("NODE_FAIL", true);
    workers.remove(0);
    assert_eq!(watch.step(&workers, 2, now), Step::Submit(2));
    watch.submitted(ids(&["d", "e"]));
    workers.extend([worker("d", WorkerState::Running), worker("e", WorkerState::Running)]);
    assert_eq!(watch.step(&workers, 2, now), Step::Wait);
    // The study is done; what still waits for a place is not worth waiting for.
    workers[2].state = WorkerState::Done;
    assert_eq!(watch.step(&workers, 9, now), Step::Wait);
    workers[3].state = WorkerState::Done;
    assert_eq!(watch.step(&workers, 9, now), Step::End);
}

#[test]
fn workers_that_die_at_once_are_given_up() {
    let mut now = Instant::now();
    let mut watch = Watch::new(1, 2, []);
    assert_eq!(watch.step(&[], 0, now), Step::Submit(1));
    let mut workers = Vec::new();
    for (round, wait) in [(0, 0), (1, 2)] {
        let id = round.to_string();
        watch.submitted([id.clone()]);
        workers.push(worker(&id, gone("exit code 127", true)));
        if wait > 0 {
            assert_eq!(watch.step(&workers, 0, now), Step::Wait);
            now += Duration::from_secs(wait);
        }
        assert_eq!(watch.step(&workers, 0, now), Step::Submit(1));
    }
    watch.submitted(ids(&["2"]));
    workers.push(worker("2", gone("exit code 127", true)));
    let last = Step::GiveUp { id: "2".to_owned(), cause: "exit code 127".to_owned() };
    assert_eq!(watch.step(&workers, 0, now), last);
}

#[test]
fn a_study_that_goes_on_outlives_any_number_of_losses() {
    let mut now = Instant::now();
    let mut watch = Watch::new(1, 1, ids(&["0"]));
    let mut workers = Vec::new();
    for round in 0..20 {
        workers.push(worker(&round.to_string(), gone("PREEMPTED", true)));
        assert_eq!(watch.step(&workers, round + 1, now), Step::Submit(1), "round {round}");
        watch.submitted([(round + 1).to_string()]);
        now += Duration::from_secs(1);
    }
}

#[test]
fn no_place_is_no_failure_and_cancelled_workers_stay_away() {
    let mut now = Instant::now();
    let mut watch = Watch::new(2, 0, ids(&["0", "x"]));
    let mut workers = vec![worker("x", WorkerState::Running)];
    for round in 0..5 {
        workers.push(worker(&round.to_string(), gone("START_TIMEOUT", false)));
        assert_eq!(watch.step(&workers, 0, now), Step::Wait);
        now += Duration::from_secs(10);
        assert_eq!(watch.step(&workers, 0, now), Step::Submit(1));
        watch.submitted([(round + 1).to_string()]);
    }
    workers.push(worker("5", WorkerState::Cancelled));
    assert_eq!(watch.step(&workers, 0, now), Step::Wait);
    workers[0].state = WorkerState::Cancelled;
    assert_eq!(watch.step(&workers, 0, now), Step::End);
}
