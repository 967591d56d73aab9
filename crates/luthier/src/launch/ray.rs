//! Ray, by its Jobs API: each worker is a job of its own (<https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html>).
//!
//! Ray starts no job again, neither one whose node is lost nor one that waited for a place longer than the head's
//! `RAY_JOB_START_TIMEOUT_SECONDS`; [`super::Watch`] does.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::tools::{line, pair, quoted, text};
use super::{Engine, Job, LaunchError, STORAGE_VARIABLE, Worker, WorkerState};

const HELP: &str = "expected the dashboard of a Ray cluster: name it by --address http://HOST:8265";

/// How long a request may take. Ray takes seconds over a submission.
const LONGEST: Duration = Duration::from_mins(1);

/// A Ray cluster.
#[derive(Debug, Clone)]
pub struct Ray {
    address: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Ray {
    /// The cluster whose dashboard is at `address`, such as `http://127.0.0.1:8265`; with the token of clusters that
    /// ask for one (`RAY_AUTH_TOKEN`).
    ///
    /// # Errors
    ///
    /// [`LaunchError::Option`] where `address` is none of HTTP.
    pub fn new(address: &str, token: Option<String>) -> Result<Self, LaunchError> {
        let address = address.trim_end_matches('/');
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(LaunchError::Option {
                option: "the address of Ray".to_owned(),
                expected: "that of its dashboard, http://HOST:8265",
                found: address.to_owned(),
            });
        }
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(LONGEST))
            .http_status_as_error(false)
            .build()
            .into();
        Ok(Self { address: address.to_owned(), token, agent })
    }

    /// A request, and its answer: the status and the text.
    fn ask(&self, path: &str, body: Option<&Value>) -> Result<(u16, String), LaunchError> {
        let url = format!("{}/api/jobs/{path}", self.address);
        let answer = match (&self.token, body) {
            (None, None) => self.agent.get(&url).call(),
            (Some(token), None) => self.agent.get(&url).header("Authorization", bearer(token)).call(),
            (token, Some(body)) => {
                let mut request = self.agent.post(&url).header("Content-Type", "application/json");
                if let Some(token) = token {
                    request = request.header("Authorization", bearer(token));
                }
                request.send(body.to_string())
            }
        };
        let unreachable = |error: ureq::Error| LaunchError::Unreachable {
            address: self.address.clone(),
            reason: error.to_string(),
            help: HELP,
        };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let said = answer.body_mut().read_to_string().map_err(unreachable)?;
        match status {
            401 | 403 => Err(LaunchError::Refused {
                what: format!("a request to {}", self.address),
                said: "it asks for a token; give it as the variable RAY_AUTH_TOKEN".to_owned(),
            }),
            _ => Ok((status, said)),
        }
    }

    /// A request that has to succeed, and its answer.
    fn expect(&self, what: &str, path: &str, body: Option<&Value>) -> Result<Value, LaunchError> {
        let (status, said) = self.ask(path, body)?;
        if status != 200 {
            return Err(LaunchError::Refused { what: what.to_owned(), said: last_line(&said) });
        }
        serde_json::from_str(&said)
            .map_err(|_| LaunchError::Unreadable { what: self.address.clone(), found: last_line(&said) })
    }

    /// What is submitted for one worker, but for the storage's URL.
    fn request(job: &Job) -> Result<Map<String, Value>, LaunchError> {
        let resources = &job.resources;
        // Ray gives it to a shell; `exec` lets signals reach the worker.
        let entrypoint = format!("cd {} && exec {}", quoted(text(&job.folder)?)?, line(&job.command)?);
        let mut request = Map::new();
        request.insert("entrypoint".to_owned(), entrypoint.into());
        request.insert("entrypoint_num_cpus".to_owned(), resources.cpus.into());
        if resources.gpus > 0 {
            request.insert("entrypoint_num_gpus".to_owned(), resources.gpus.into());
        }
        if let Some(memory) = resources.memory {
            request.insert("entrypoint_memory".to_owned(), memory.bytes().into());
        }
        request.insert("metadata".to_owned(), json!({ "luthier": job.name }));
        for option in &job.options {
            let (key, value) = pair(option);
            let value = value.unwrap_or("true");
            // Whatever is not JSON is text.
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            request.insert(key.to_owned(), value);
        }
        Ok(request)
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Ray answers errors with a traceback, of which the last line says what is wrong.
fn last_line(said: &str) -> String {
    said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing").trim().to_owned()
}

/// Workers by what Ray says of jobs, those of this name.
pub(super) fn read_jobs(jobs: &Value, name: &str) -> Option<Vec<Worker>> {
    let mut workers = Vec::new();
    for job in jobs.as_array()? {
        let Some(id) = job["submission_id"].as_str() else { continue };
        if number(id, name).is_none() {
            continue;
        }
        let message = job["message"].as_str().unwrap_or_default().trim();
        let state = match job["status"].as_str()? {
            "PENDING" => WorkerState::Pending(None),
            "RUNNING" => WorkerState::Running,
            "SUCCEEDED" => WorkerState::Done,
            "STOPPED" => WorkerState::Cancelled,
            _ => {
                let error = job["error_type"].as_str().unwrap_or_default();
                let started = error != "JOB_SUPERVISOR_ACTOR_START_TIMEOUT";
                let cause = match job["driver_exit_code"].as_i64() {
                    _ if !started => "no place within RAY_JOB_START_TIMEOUT_SECONDS".to_owned(),
                    Some(code) if code < 0 => format!("killed by signal {}", -code),
                    Some(code) => format!("exit code {code}"),
                    None if message.is_empty() => error.to_owned(),
                    None => last_line(message),
                };
                WorkerState::Gone { cause, started }
            }
        };
        workers.push(Worker { id: id.to_owned(), state });
    }
    Some(workers)
}

/// The number behind the name.
fn number(id: &str, name: &str) -> Option<u64> {
    id.strip_prefix(name)?.strip_prefix('-')?.parse().ok()
}

impl Engine for Ray {
    fn submit(&self, job: &Job, workers: u32) -> Result<Vec<String>, LaunchError> {
        let mut request = Self::request(job)?;
        let environment = request.entry("runtime_env").or_insert_with(|| json!({}));
        let expected = "a table, as in runtime_env={\"env_vars\":{\"A\":\"1\"}}";
        let wrong = |found: &Value| LaunchError::Option {
            option: "runtime_env of Ray".to_owned(),
            expected,
            found: found.to_string(),
        };
        let Value::Object(environment) = environment else { return Err(wrong(environment)) };
        match environment.entry("env_vars").or_insert_with(|| json!({})) {
            Value::Object(variables) => {
                variables.insert(STORAGE_VARIABLE.to_owned(), job.storage.clone().into());
            }
            other => return Err(wrong(other)),
        }
        let known = self.workers(job)?;
        let first =
            known.iter().filter_map(|worker| number(&worker.id, &job.name)).max().map_or(1, |last| last + 1);
        let mut ids = Vec::new();
        for id in (first..).take(workers as usize).map(|number| format!("{}-{number}", job.name)) {
            request.insert("submission_id".to_owned(), id.clone().into());
            self.expect("a job of Ray", "", Some(&Value::Object(request.clone())))?;
            ids.push(id);
        }
        Ok(ids)
    }

    fn workers(&self, job: &Job) -> Result<Vec<Worker>, LaunchError> {
        let jobs = self.expect("the list of jobs", "", None)?;
        read_jobs(&jobs, &job.name).ok_or_else(|| LaunchError::Unreadable {
            what: self.address.clone(),
            found: "no list of jobs with their status".to_owned(),
        })
    }

    fn cancel(&self, job: &Job) -> Result<(), LaunchError> {
        for worker in self.workers(job)?.into_iter().filter(|worker| worker.state.is_active()) {
            self.expect("to stop a job of Ray", &format!("{}/stop", worker.id), Some(&json!({})))?;
        }
        Ok(())
    }

    fn log(&self, _: &Job, id: &str) -> Result<String, LaunchError> {
        let answer = self.expect("the log of a job", &format!("{id}/logs"), None)?;
        Ok(answer["logs"].as_str().unwrap_or_default().to_owned())
    }

    fn submission(&self, job: &Job, _: u32) -> Result<String, LaunchError> {
        let request = Value::Object(Self::request(job)?);
        Ok(format!("{request:#}\n"))
    }

    fn how_to_look(&self, _: &Job) -> String {
        format!("{} in a browser, or ray job list --address {}", self.address, self.address)
    }
}
