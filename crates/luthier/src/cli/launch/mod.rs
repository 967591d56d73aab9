//! `luthier launch`: workers on many machines, placed by an engine that is there already.

mod follow;
mod storage;

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use luthier::StudyFile;
use luthier::launch::{
    Engine, Job, Kubernetes, Memory, Ray, Resources, STORAGE_VARIABLE, Slurm, WorkerState, job_name,
};
use luthier_core::Stop;
use luthier_core::config::{Decode, Kind, Node, Problems};
use luthier_runner::{Interrupt, LedgerError};
use luthier_train::device;

use super::Failure;
use super::outcome::Worked;
use super::output::{print, tell};
use super::place::with_progress;
use super::progress::Progress;
use super::tune::{TuningArgs, stop_on_signals};
use super::work::Work;
use follow::Followed;

/// How long cancelled workers are waited for, in which they leave their trials to others.
const LONGEST_END: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    #[command(subcommand)]
    engine: EngineArgs,
}

#[derive(Debug, Subcommand)]
enum EngineArgs {
    /// As tasks of a Slurm job array; to be run where jobs are submitted
    Slurm {
        #[command(flatten)]
        common: CommonArgs,
        /// How long each worker may run: 90m, 24h
        #[arg(long, value_parser = time)]
        time: Option<Duration>,
        /// The partition
        #[arg(long)]
        partition: Option<String>,
    },
    /// As jobs of a Ray cluster
    Ray {
        #[command(flatten)]
        common: CommonArgs,
        // As an attribute: in a comment the URL would be a link.
        #[arg(
            long,
            value_name = "URL",
            env = "RAY_API_SERVER_ADDRESS",
            help = "The cluster's dashboard [default: http://127.0.0.1:8265]"
        )]
        address: Option<String>,
    },
    /// As pods of a Kubernetes Job, by kubectl
    Kubernetes {
        #[command(flatten)]
        common: CommonArgs,
        /// How long each worker may run: 90m, 24h
        #[arg(long, value_parser = time)]
        time: Option<Duration>,
        /// The image with the program
        #[arg(long)]
        image: String,
        /// The namespace
        #[arg(long)]
        namespace: Option<String>,
    },
}

#[derive(Debug, Args)]
struct CommonArgs {
    #[command(flatten)]
    study: TuningArgs,
    /// How many workers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: u32,
    /// Trials at once in each worker, each with one thread [default: one, or one for each GPU]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    parallel: Option<u32>,
    /// Processor cores for each worker [default: one for each trial at once]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    cpus_per_worker: Option<u32>,
    /// GPUs for each worker; they are of kind cuda, unless --device says otherwise
    #[arg(long, default_value_t = 0)]
    gpus_per_worker: u32,
    /// Memory for each worker: 512M, 4G
    #[arg(long)]
    memory_per_worker: Option<Memory>,
    /// The program on the workers' machines [default: this one; with Kubernetes, luthier]
    #[arg(long)]
    program: Option<String>,
    /// The folder on the workers' machines from which paths in the study file count [default: that of the file]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The folder for what workers say, where the engine does not keep it [default: NAME.logs beside the file]
    #[arg(long)]
    logs: Option<PathBuf>,
    // As an attribute: in a comment the braces would be read as code.
    #[arg(
        long = "option",
        value_name = "KEY[=VALUE]",
        help = "A further option of the engine: of sbatch (account=vision), of Ray's request \
        (entrypoint_resources={\"a\":1}), of the manifest (spec.template.spec.nodeSelector={\"gpu\":\"a100\"})"
    )]
    options: Vec<String>,
    /// All workers will run on this machine, so that an SQLite file or a server on localhost will do
    #[arg(long)]
    one_host: bool,
    /// How often workers may be lost while the study gets no further
    #[arg(long, default_value_t = 5)]
    retries: u32,
    #[command(flatten)]
    instead: InsteadArgs,
}

/// What may be done instead of watching the workers.
#[derive(Debug, Args)]
struct InsteadArgs {
    /// Submit the workers and do not wait for them
    #[arg(long, conflicts_with_all = ["print", "cancel"])]
    detach: bool,
    /// Print what would be submitted, and submit nothing
    #[arg(long, conflicts_with = "cancel")]
    print: bool,
    /// Cancel the workers of this study; the same command without it goes on later
    #[arg(long)]
    cancel: bool,
}

/// What was typed, understood.
struct Launch {
    args: CommonArgs,
    word: &'static str,
    engine: Box<dyn Engine>,
    file: StudyFile,
    job: Job,
}

pub(crate) fn run(args: LaunchArgs) -> Result<(), Failure> {
    let launch = Launch::of(args)?;
    if launch.args.instead.print {
        return launch.print();
    }
    if launch.args.instead.cancel {
        return launch.cancel();
    }
    launch.run()
}

impl Launch {
    fn of(args: LaunchArgs) -> Result<Self, Failure> {
        let (word, args, time, engine): (_, _, _, Box<dyn Engine>) = match args.engine {
            EngineArgs::Slurm { common, time, partition } => {
                ("slurm", common, time, Box::new(Slurm { partition }))
            }
            EngineArgs::Ray { common, address } => {
                let address = address.as_deref().unwrap_or("http://127.0.0.1:8265");
                let token = std::env::var("RAY_AUTH_TOKEN").ok();
                let ray = Ray::new(address, token).map_err(Failure::usage)?;
                ("ray", common, None, Box::new(ray))
            }
            EngineArgs::Kubernetes { common, time, image, namespace } => {
                ("kubernetes", common, time, Box::new(Kubernetes { image, namespace }))
            }
        };
        let gpus = args.gpus_per_worker;
        let parallel = args.parallel.unwrap_or(gpus.max(1));
        // So many slots has the study, if it begins here and its file says nothing else.
        let file = args.study.open(Some(args.workers as usize * parallel as usize))?;
        let storage = storage::for_workers(&file, &args.study.storage, args.one_host, word)?;
        let name = job_name(&file.study.name, &storage);
        let here = std::path::absolute(file.folder())?;
        let program = match &args.program {
            Some(program) => program.clone(),
            None if word == "kubernetes" => "luthier".to_owned(),
            None => std::env::current_exe()?.display().to_string(),
        };
        let job = Job {
            command: command(program, &args, parallel, &file.study.name),
            folder: args.folder.clone().unwrap_or_else(|| here.clone()),
            storage,
            logs: match &args.logs {
                Some(logs) => std::path::absolute(logs)?,
                None => here.join(format!("{name}.logs")),
            },
            resources: Resources {
                cpus: args.cpus_per_worker.unwrap_or(parallel),
                gpus,
                memory: args.memory_per_worker,
                time,
            },
            options: args.options.clone(),
            name,
        };
        Ok(Self { args, word, engine, file, job })
    }

    fn print(&self) -> Result<(), Failure> {
        let text = self.engine.submission(&self.job, self.args.workers).map_err(Failure::usage)?;
        tell(&match self.word {
            "kubernetes" => format!(
                "note: the pods take the storage's URL from a secret: kubectl create secret generic {} \
                 --from-literal=storage=URL",
                self.job.name
            ),
            "ray" => format!("note: {STORAGE_VARIABLE} is added to env_vars of runtime_env on submission"),
            _ => format!("note: the workers take the storage's URL from {STORAGE_VARIABLE}"),
        });
        tell(&format!(
            "note: the study has to be there when they begin: any `luthier worker {}` or `luthier tune` makes it",
            self.file.path.display()
        ));
        print(&text)
    }

    fn cancel(&self) -> Result<(), Failure> {
        let active = self.active()?.len();
        self.engine.cancel(&self.job)?;
        self.wait_for_the_end()?;
        print(&format!(
            "study `{}`: {active} worker{} cancelled; the study is intact\n",
            self.file.study.name,
            if active == 1 { "" } else { "s" }
        ))
    }

    /// The workers that run or wait for a place.
    fn active(&self) -> Result<Vec<String>, Failure> {
        let workers = self.engine.workers(&self.job)?;
        Ok(workers.into_iter().filter(|worker| worker.state.is_active()).map(|worker| worker.id).collect())
    }

    /// Waits until no worker is at work any more, but not for ever.
    fn wait_for_the_end(&self) -> Result<(), Failure> {
        let end = Instant::now() + LONGEST_END;
        loop {
            let workers = self.engine.workers(&self.job)?;
            if !workers.iter().any(|worker| worker.state == WorkerState::Running) {
                return Ok(());
            }
            if Instant::now() > end {
                tell("some workers have not ended yet; the engine ends them");
                return Ok(());
            }
            sleep(Duration::from_millis(500));
        }
    }

    fn run(&self) -> Result<(), Failure> {
        let started = Instant::now();
        let args = &self.args;
        // What cannot work is known before anything is submitted, and what is quick to know first.
        let active = self.active()?;
        let file = args.study.open(Some(self.file.search.parallel))?;
        let cpu = device("cpu").map_err(Failure::failed)?;
        let loaded = with_progress(|progress| file.load(cpu, progress))?;
        let storage = luthier_storage::open(&self.job.storage)?;
        let mut work = Work::open(file, loaded, storage.into(), args.study.force)?;
        let limit = args.study.limit(&work);
        // Workers take the file and the number of trials from the last session.
        work.announce(limit)?;
        let interrupt = Interrupt::default();
        if !args.instead.detach {
            stop_on_signals(&interrupt, "cancelling the workers (once more to leave them alone)")?;
        }
        if args.instead.detach {
            let missing = args.workers.saturating_sub(active.len() as u32);
            if missing > 0 {
                self.engine.submit(&self.job, missing)?;
            }
            return print(&format!(
                "study `{}`: {missing} worker{} submitted as {}\nlook:   {}\nwatch:  {}\ncancel: {} --cancel\n",
                self.file.study.name,
                if missing == 1 { "" } else { "s" },
                self.job.name,
                self.engine.how_to_look(&self.job),
                self.again(),
                self.again(),
            ));
        }
        let deadline = work.file.search.timeout.map(|timeout| started + timeout);
        let name = work.loaded.objective();
        let named = (name.as_str(), work.file.unit());
        let limit = work.ledger.history().limit();
        let progress = Progress::new(work.ledger.history(), named, limit, deadline, args.study.file.json);
        let mut followed = Followed::new(&work, &progress)?;
        let watched = self.follow(&mut followed, active, &interrupt);
        progress.finish();
        let watched = watched.and_then(|()| {
            // What still waits for a place has nothing to do any more.
            self.engine.cancel(&self.job)?;
            if interrupt.is_set() { self.wait_for_the_end() } else { Ok(()) }
        });
        watched?;
        let stopped = followed.stopped(&interrupt);
        let Work { file, loaded, mut ledger, .. } = work;
        ledger.turn(|_| Ok::<(), LedgerError>(()))?;
        let worked = Worked {
            file: &file,
            loaded: &loaded,
            stopped,
            time: started.elapsed(),
            storage: &args.study.storage,
            json: args.study.file.json,
            again: self.again(),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        worked.conclude(&mut ledger, if stopped == Stop::Interrupted { 1 } else { threads })
    }

    /// The command for the same study and engine.
    fn again(&self) -> String {
        let (file, storage) = (self.file.path.display(), self.args.study.storage.as_option());
        let one_host = if self.args.one_host { " --one-host" } else { "" };
        format!("luthier launch {} {file}{storage}{one_host} --workers {}", self.word, self.args.workers)
    }
}

/// What each worker runs.
fn command(program: String, args: &CommonArgs, parallel: u32, study: &str) -> Vec<String> {
    let mut command = vec![program, "worker".to_owned(), "--parallel".to_owned(), parallel.to_string()];
    let (device, gpus) = (args.study.file.device.as_str(), args.gpus_per_worker);
    let device = if gpus > 0 && device == "cpu" { "cuda" } else { device };
    if device != "cpu" {
        command.extend(["--device".to_owned(), device.to_owned()]);
    }
    if gpus > 1 {
        let numbers: Vec<String> = (0..gpus).map(|gpu| gpu.to_string()).collect();
        command.extend(["--devices".to_owned(), numbers.join(",")]);
    }
    if args.study.force {
        command.push("--force".to_owned());
    }
    command.extend(["--".to_owned(), study.to_owned()]);
    command
}

/// Reads `90s`, `10m` or `2h`.
fn time(text: &str) -> Result<Duration, String> {
    let node = Node::new(Kind::Text(text.to_owned()));
    Duration::decode(&node, "", &mut Problems::new(""))
        .ok_or_else(|| format!("expected a time such as 90m or 24h, found {text:?}"))
}

/// A path for a message.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
