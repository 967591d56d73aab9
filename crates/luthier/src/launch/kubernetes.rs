//! Kubernetes, by `kubectl`: workers are the pods of indexed Jobs
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/>).

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::tools::{pair, run, text};
use super::{Engine, Job, LaunchError, STORAGE_VARIABLE, Worker, WorkerState};

const HELP: &str =
    "install kubectl (https://kubernetes.io/docs/tasks/tools), or print the manifest by --print";

/// The label that all objects of a launch carry.
const LABEL: &str = "app.kubernetes.io/instance";

/// How often Kubernetes starts a worker again that failed, before it counts as lost.
const RESTARTS: u32 = 3;

/// Seconds between SIGTERM and SIGKILL, in which a worker writes a checkpoint and leaves its trials to others.
const GRACE: u32 = 60;

/// A Kubernetes cluster, as `kubectl` finds it.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The image with the program, and with the data where no volume holds them.
    pub image: String,
    /// The namespace; where it is not given, that of `kubectl`'s context.
    pub namespace: Option<String>,
}

impl Kubernetes {
    fn kubectl(&self, args: &[&str], input: &str) -> Result<String, LaunchError> {
        let mut command = Command::new("kubectl");
        command.args(self.namespace.as_ref().map(|namespace| format!("--namespace={namespace}"))).args(args);
        run(command, input, HELP)
    }

    fn get(&self, what: &str, job: &Job) -> Result<Value, LaunchError> {
        let printed = self.kubectl(&["get", what, "--selector", &selector(job), "--output=json"], "")?;
        serde_json::from_str(&printed).map_err(|error| LaunchError::Unreadable {
            what: "`kubectl get`".to_owned(),
            found: error.to_string(),
        })
    }

    /// The manifest of so many workers.
    fn manifest(&self, job: &Job, number: u64, workers: u32) -> Result<Value, LaunchError> {
        let resources = &job.resources;
        let mut requests = json!({ "cpu": resources.cpus.to_string() });
        let mut limits = json!({});
        if let Some(memory) = resources.memory {
            let memory = format!("{}Mi", memory.mebibytes());
            requests["memory"] = memory.clone().into();
            limits["memory"] = memory.into();
        }
        if resources.gpus > 0 {
            limits["nvidia.com/gpu"] = resources.gpus.to_string().into();
        }
        let labels = json!({ "app.kubernetes.io/name": "luthier", LABEL: job.name });
        let mut pod = json!({
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE,
            "containers": [{
                "name": "worker",
                "image": self.image,
                "command": job.command,
                "workingDir": text(&job.folder)?,
                "env": [{
                    "name": STORAGE_VARIABLE,
                    "valueFrom": { "secretKeyRef": { "name": job.name, "key": "storage" } },
                }],
                "resources": { "requests": requests, "limits": limits },
            }],
        });
        if let Some(time) = resources.time {
            pod["activeDeadlineSeconds"] = time.as_secs().max(1).into();
        }
        let mut manifest = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": format!("{}-{number}", job.name), "labels": labels },
            "spec": {
                "completionMode": "Indexed",
                "completions": workers,
                "parallelism": workers,
                "backoffLimitPerIndex": RESTARTS,
                // What the cluster takes away for its own reasons is no failure of the worker.
                "podFailurePolicy": {
                    "rules": [{
                        "action": "Ignore",
                        "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }],
                    }],
                },
                "ttlSecondsAfterFinished": 86_400,
                "template": { "metadata": { "labels": labels }, "spec": pod },
            },
        });
        if let Some(namespace) = &self.namespace {
            manifest["metadata"]["namespace"] = namespace.clone().into();
        }
        for option in &job.options {
            set(&mut manifest, option)?;
        }
        Ok(manifest)
    }
}

fn selector(job: &Job) -> String {
    format!("{LABEL}={}", job.name)
}

/// Puts the value of an option `PATH=JSON` into a manifest: `spec.template.spec.nodeSelector={"gpu":"a100"}`. Numbers in
/// a path count the elements of a list, from 0; tables are joined to those that are there, lists are lengthened by lists.
fn set(manifest: &mut Value, option: &str) -> Result<(), LaunchError> {
    let (path, value) = pair(option);
    let wrong = |expected, found: &str| LaunchError::Option {
        option: format!("--option {option}"),
        expected,
        found: found.to_owned(),
    };
    let value = value.ok_or_else(|| wrong("PATH=VALUE", "no value"))?;
    let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    let mut place = manifest;
    for key in path.split('.') {
        if let Value::Array(elements) = place {
            let count = elements.len();
            let found = key.parse::<usize>().ok().and_then(|index| elements.get_mut(index));
            place = found
                .ok_or_else(|| wrong("the number of an element, from 0", &format!("{key:?} of {count}")))?;
        } else if let Value::Object(table) = place {
            place = table.entry(key).or_insert_with(|| json!({}));
        } else {
            return Err(wrong("a path through tables and lists", &format!("{key:?} in a single value")));
        }
    }
    match (place, value) {
        (Value::Object(table), Value::Object(more)) => table.extend(more),
        (Value::Array(list), Value::Array(more)) => list.extend(more),
        (place, value) => *place = value,
    }
    Ok(())
}

/// Numbers such as `0,3-5`.
fn indexes(text: Option<&str>) -> Vec<u64> {
    let ranges = text.unwrap_or_default().split(',').filter_map(|range| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        Some(low.trim().parse::<u64>().ok()?..=high.trim().parse().ok()?)
    });
    ranges.flatten().collect()
}

/// Workers by what Kubernetes says of Jobs and of their pods.
pub(super) fn read_workers(jobs: &Value, pods: &Value) -> Option<Vec<Worker>> {
    // The newest pod of each index.
    let mut newest: BTreeMap<(&str, u64), &Value> = BTreeMap::new();
    for pod in pods["items"].as_array()? {
        let meta = &pod["metadata"];
        let annotations = &meta["annotations"];
        let index =
            annotations["batch.kubernetes.io/job-completion-index"].as_str().and_then(|i| i.parse().ok());
        let owner = meta["ownerReferences"].as_array().and_then(|owners| owners.first());
        let (Some(index), Some(job)) = (index, owner.and_then(|owner| owner["name"].as_str())) else {
            continue;
        };
        // Times as Kubernetes writes them sort as text.
        let created =
            |pod: &Value| pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
        let entry = newest.entry((job, index)).or_insert(pod);
        if created(entry) < created(pod) {
            *entry = pod;
        }
    }
    let mut workers = Vec::new();
    for job in jobs["items"].as_array()? {
        let name = job["metadata"]["name"].as_str()?;
        let status = &job["status"];
        let done = indexes(status["completedIndexes"].as_str());
        let failed = indexes(status["failedIndexes"].as_str());
        let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let over = conditions
            .iter()
            .find(|condition| condition["type"] == "Failed" && condition["status"] == "True");
        for index in 0..job["spec"]["completions"].as_u64()? {
            let pod = newest.get(&(name, index));
            let state = if done.contains(&index) {
                WorkerState::Done
            } else if job["metadata"]["deletionTimestamp"].is_string() {
                WorkerState::Cancelled
            } else if failed.contains(&index) || over.is_some() {
                let cause = pod
                    .and_then(|pod| ended(pod))
                    .or_else(|| over.and_then(|over| over["message"].as_str()).map(str::to_owned));
                WorkerState::Gone { cause: cause.unwrap_or_else(|| "failed".to_owned()), started: true }
            } else {
                match pod.map(|pod| (pod, pod["status"]["phase"].as_str().unwrap_or_default())) {
                    Some((_, "Running")) => WorkerState::Running,
                    Some((_, "Succeeded")) => WorkerState::Done,
                    Some((pod, "Failed")) => WorkerState::Pending(ended(pod)),
                    Some((pod, _)) => WorkerState::Pending(waiting(pod)),
                    None => WorkerState::Pending(None),
                }
            };
            workers.push(Worker { id: format!("{name}/{index}"), state });
        }
    }
    Some(workers)
}

/// What a pod ended of.
fn ended(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let terminated = &status["containerStatuses"][0]["state"]["terminated"];
    let reason = terminated["reason"].as_str().or(status["reason"].as_str());
    match (reason, terminated["exitCode"].as_i64()) {
        (Some(reason), Some(code)) => Some(format!("{reason}, exit code {code}")),
        (None, Some(code)) => Some(format!("exit code {code}")),
        (reason, None) => reason.map(str::to_owned),
    }
}

/// What a pod waits for.
fn waiting(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let container = &status["containerStatuses"][0]["state"]["waiting"];
    let unscheduled = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False");
    let reason = container["reason"].as_str().or_else(|| unscheduled?["reason"].as_str());
    reason.map(str::to_owned)
}

impl Engine for Kubernetes {
    fn submit(&self, job: &Job, workers: u32) -> Result<Vec<String>, LaunchError> {
        let jobs = self.get("jobs", job)?;
        let names =
            jobs["items"].as_array().into_iter().flatten().filter_map(|job| job["metadata"]["name"].as_str());
        let numbers =
            names.filter_map(|name| name.strip_prefix(&job.name)?.strip_prefix('-')?.parse::<u64>().ok());
        let number = numbers.max().map_or(1, |last| last + 1);
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": job.name, "labels": { LABEL: job.name } },
            "stringData": { "storage": job.storage },
        });
        let manifest = self.manifest(job, number, workers)?;
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": [secret, manifest] });
        self.kubectl(&["apply", "--filename=-"], &list.to_string())?;
        Ok((0..workers).map(|index| format!("{}-{number}/{index}", job.name)).collect())
    }

    fn workers(&self, job: &Job) -> Result<Vec<Worker>, LaunchError> {
        read_workers(&self.get("jobs", job)?, &self.get("pods", job)?).ok_or_else(|| {
            LaunchError::Unreadable {
                what: "`kubectl get`".to_owned(),
                found: "no list of jobs and pods".to_owned(),
            }
        })
    }

    fn cancel(&self, job: &Job) -> Result<(), LaunchError> {
        let selector = selector(job);
        self.kubectl(
            &["delete", "jobs,secrets", "--selector", &selector, "--ignore-not-found", "--wait=false"],
            "",
        )
        .map(drop)
    }

    fn log(&self, job: &Job, id: &str) -> Result<String, LaunchError> {
        let (name, index) = id.rsplit_once('/').unwrap_or((id, "0"));
        let selector = format!(
            "{},batch.kubernetes.io/job-name={name},batch.kubernetes.io/job-completion-index={index}",
            selector(job)
        );
        self.kubectl(&["logs", "--tail=50", "--selector", &selector], "")
    }

    fn submission(&self, job: &Job, workers: u32) -> Result<String, LaunchError> {
        Ok(format!("{:#}\n", self.manifest(job, 1, workers)?))
    }

    fn how_to_look(&self, job: &Job) -> String {
        let namespace =
            self.namespace.as_ref().map(|name| format!(" --namespace={name}")).unwrap_or_default();
        format!("kubectl{namespace} get jobs,pods --selector {}", selector(job))
    }
}
