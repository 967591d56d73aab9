//! Slurm, by its commands: workers are the tasks of job arrays (<https://slurm.schedmd.com/job_array.html>).
//!
//! Nothing here depends on accounting: `squeue` knows jobs that have ended for `MinJobAge` seconds. Its columns are asked
//! for one by one, as the layout of its JSON differs between versions.

use std::path::PathBuf;
use std::process::Command;

use super::tools::{line, pair, run, text};
use super::{Engine, Job, LaunchError, STORAGE_VARIABLE, Worker, WorkerState};

const HELP: &str = "`luthier launch slurm` is run where jobs are submitted, on a login node of the cluster";

/// A Slurm cluster, as this machine's configuration names it.
#[derive(Debug, Clone, Default)]
pub struct Slurm {
    /// The partition; where it is not given, the cluster's default.
    pub partition: Option<String>,
}

impl Slurm {
    /// The log of a task of an array, as `sbatch` is told where.
    fn log_path(job: &Job, array: &str, task: &str) -> PathBuf {
        job.logs.join(format!("{array}_{task}.log"))
    }

    /// The lines of `squeue`.
    fn queue(job: &Job) -> Result<Vec<Worker>, LaunchError> {
        let mut command = Command::new("squeue");
        command.args(["--noheader", "--array", "--states=all", "--format=%F|%K|%T|%r"]);
        command.arg(format!("--name={}", job.name));
        read_queue(&run(command, "", HELP)?)
    }
}

/// Workers by the lines `ARRAY|TASK|STATE|REASON` of `squeue`.
pub(super) fn read_queue(lines: &str) -> Result<Vec<Worker>, LaunchError> {
    let worker = |line: &str| {
        let mut fields = line.trim().splitn(4, '|');
        let (Some(array), Some(task), Some(state), reason) =
            (fields.next(), fields.next(), fields.next(), fields.next().unwrap_or_default())
        else {
            return Err(LaunchError::Unreadable { what: "`squeue`".to_owned(), found: format!("{line:?}") });
        };
        let because = || (!["", "None"].contains(&reason)).then(|| reason.to_owned());
        let state = match state {
            "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" => {
                WorkerState::Pending(because())
            }
            "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "RESIZING" | "SIGNALING" | "STAGE_OUT" => {
                WorkerState::Running
            }
            "COMPLETED" => WorkerState::Done,
            "CANCELLED" | "REVOKED" => WorkerState::Cancelled,
            // FAILED, NODE_FAIL, OUT_OF_MEMORY, PREEMPTED, TIMEOUT, DEADLINE, BOOT_FAIL and what is new.
            other => WorkerState::Gone {
                cause: because().map_or_else(|| other.to_owned(), |reason| format!("{other}, {reason}")),
                started: true,
            },
        };
        Ok(Worker { id: format!("{array}_{task}"), state })
    };
    lines.lines().filter(|line| !line.trim().is_empty()).map(worker).collect()
}

impl Engine for Slurm {
    fn submit(&self, job: &Job, workers: u32) -> Result<Vec<String>, LaunchError> {
        std::fs::create_dir_all(&job.logs).map_err(|source| LaunchError::Io {
            what: format!("make the folder {} for what workers say", job.logs.display()),
            source,
        })?;
        let mut command = Command::new("sbatch");
        // The variable goes to the workers by `--export=ALL`, seen neither in the script nor in a list of processes.
        command.arg("--parsable").env(STORAGE_VARIABLE, &job.storage);
        let printed = run(command, &self.submission(job, workers)?, HELP)?;
        // `ID`, or `ID;CLUSTER`.
        let array = printed.lines().last().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if array.is_empty() || !array.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(LaunchError::Unreadable {
                what: "`sbatch`".to_owned(),
                found: format!("{printed:?}"),
            });
        }
        Ok((1..=workers).map(|task| format!("{array}_{task}")).collect())
    }

    fn workers(&self, job: &Job) -> Result<Vec<Worker>, LaunchError> {
        Self::queue(job)
    }

    fn cancel(&self, job: &Job) -> Result<(), LaunchError> {
        let active = Self::queue(job)?.into_iter().filter(|worker| worker.state.is_active());
        let ids: Vec<String> = active.map(|worker| worker.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut command = Command::new("scancel");
        command.args(ids);
        run(command, "", HELP).map(drop)
    }

    fn log(&self, job: &Job, id: &str) -> Result<String, LaunchError> {
        let (array, task) = id.split_once('_').unwrap_or((id, ""));
        let path = Self::log_path(job, array, task);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(source) => Err(LaunchError::Io { what: format!("read {}", path.display()), source }),
        }
    }

    fn submission(&self, job: &Job, workers: u32) -> Result<String, LaunchError> {
        let resources = &job.resources;
        // `%` begins a pattern in the name of a log.
        let folder = PathBuf::from(text(&job.logs)?.replace('%', "%%"));
        let log = folder.join("%A_%a.log");
        let mut options = vec![
            ("job-name", Some(job.name.clone())),
            ("array", Some(format!("1-{workers}"))),
            // A node that is lost takes nothing with it: Slurm starts its workers elsewhere.
            ("requeue", None),
            ("open-mode", Some("append".to_owned())),
            ("export", Some("ALL".to_owned())),
            ("chdir", Some(text(&job.folder)?.to_owned())),
            ("output", Some(text(&log)?.to_owned())),
            ("nodes", Some("1".to_owned())),
            ("ntasks", Some("1".to_owned())),
            ("cpus-per-task", Some(resources.cpus.to_string())),
        ];
        if resources.gpus > 0 {
            options.push(("gres", Some(format!("gpu:{}", resources.gpus))));
        }
        options.extend(resources.memory.map(|memory| ("mem", Some(format!("{}M", memory.mebibytes())))));
        // Slurm counts in minutes.
        options.extend(
            resources.time.map(|time| ("time", Some(time.as_secs().div_ceil(60).max(1).to_string()))),
        );
        options.extend(self.partition.as_ref().map(|partition| ("partition", Some(partition.clone()))));
        options.extend(
            job.options
                .iter()
                .map(|option| pair(option))
                .map(|(key, value)| (key.trim_start_matches('-'), value.map(str::to_owned))),
        );
        let mut script = "#!/bin/sh\n".to_owned();
        for (key, value) in options {
            script += &match value {
                Some(value) => format!("#SBATCH --{key}={}\n", directive(key, &value)?),
                None => format!("#SBATCH --{key}\n"),
            };
        }
        script += &format!(
            ": \"${{{STORAGE_VARIABLE}:?is not set: give it the URL of the storage before sbatch}}\"\nexec {}\n",
            line(&job.command)?
        );
        Ok(script)
    }

    fn how_to_look(&self, job: &Job) -> String {
        format!("squeue --states=all --name={}; what workers say: {}", job.name, job.logs.display())
    }
}

/// A value in a line that begins with `#SBATCH`: in quotes, where it has blanks.
fn directive(key: &str, value: &str) -> Result<String, LaunchError> {
    if value.contains(['\n', '"', '\\']) {
        return Err(LaunchError::Option {
            option: format!("--{key} of sbatch"),
            expected: "a value without line ends, quotes and backslashes",
            found: format!("{value:?}"),
        });
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=%+@[]".contains(c);
    Ok(if value.chars().all(plain) { value.to_owned() } else { format!("\"{value}\"") })
}
