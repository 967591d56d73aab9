//! Trials a second in a storage, by so many processes, of Luthier and of Optuna.
//!
//! An objective that costs nothing, with 5 parameters and 10 reports, a random sampler and no pruner: what is measured
//! is the storage and what stands around it. Both take turns, so that what else the machine does meets both. A trial
//! counts when it is complete with its ten reports in the storage, read again at the end.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use luthier::core::{
    Abilities, Direction, Distribution, Ending, Evaluation, Metrics, Objective, ObjectiveError, Outcome,
    Parameter, SamplerAndPruner, SessionRecord, Space, Storage, StudyDefinition, TrialHandle,
};
use luthier::runner::{Interrupt, Ledger, Limits, Quiet, Session, read_history};
use serde_json::Value;

use crate::bench::Bench;
use crate::speed::table::{Figures, put};

/// How long a process works on a study that is to become long, and in one half of a pair of new and long.
const FILL_SECONDS: f64 = 5.0;
const LATE_SECONDS: f64 = 3.0;

/// What the command says.
#[derive(Debug)]
pub(crate) struct Options {
    processes: Vec<usize>,
    repeats: usize,
    seconds: f64,
    /// Pairs of a new and a long study.
    pairs: usize,
    write: bool,
}

impl Options {
    /// Reads the words behind `bench storage`.
    pub(crate) fn read(words: &[&str]) -> Result<Self> {
        let mut options =
            Self { processes: vec![1, 4, 16, 64], repeats: 3, seconds: 8.0, pairs: 5, write: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--processes" => {
                    options.processes = value()?
                        .split(',')
                        .map(str::parse)
                        .collect::<Result<_, _>>()
                        .context("--processes")?;
                }
                "--repeats" => options.repeats = value()?.parse().context("--repeats")?,
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                "--pairs" => options.pairs = value()?.parse().context("--pairs")?,
                "--write" => options.write = true,
                word => bail!("there is no option {word}"),
            }
        }
        ensure!(
            options.repeats > 0 && options.seconds > 0.0 && options.pairs > 0,
            "something has to be measured"
        );
        Ok(options)
    }
}

/// Five parameters, ten reports, no work.
struct Nothing {
    /// When the last trial began, and the longest time from one to the next.
    pace: Mutex<(Option<Instant>, Duration)>,
}

impl Objective for Nothing {
    fn abilities(&self) -> Abilities {
        Abilities { reports: true, pauses: false, forks: false }
    }

    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        if let Ok(mut pace) = self.pace.lock() {
            let now = Instant::now();
            let since = pace.0.replace(now).map_or(Duration::ZERO, |before| now - before);
            pace.1 = pace.1.max(since);
        }
        let value: f64 = trial.params().values().filter_map(luthier::Value::as_f64).sum();
        for step in 1..=10 {
            trial.report(step, value + 1.0 / step as f64, Metrics::default())?;
        }
        Ok(Evaluation::Complete { value, step: Some(10), ending: Ending::Full, model: None })
    }
}

/// The hidden command that is one process: it says when it is ready, waits for the word, and works.
pub(crate) fn work(words: &[&str]) -> Result<()> {
    let [url, seconds] = words else { bail!("a URL and seconds") };
    let space = Space::new((0..5).map(|k| Parameter::new(format!("x{k}"), Distribution::float(0.0, 1.0))))?;
    let sampler = luthier::search::sampler("random").context("the sampler")?;
    let pruner = luthier::search::PrunerConfig::None.create();
    let search = SamplerAndPruner::new(sampler, pruner);
    let storage: std::sync::Arc<dyn Storage> = luthier::storage::open(url)?.into();
    let study = storage.study("bench")?.context("the study")?;
    let ledger = Ledger::open(storage, study)?;
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let objective = Nothing { pace: Mutex::new((None, Duration::ZERO)) };
    let session = Session {
        search: &search,
        space: &space,
        objective: &objective,
        limits: Limits {
            deadline: Some(Instant::now() + Duration::from_secs_f64(seconds.parse()?)),
            parallel: 1,
            ..Limits::default()
        },
        interrupt: Interrupt::default(),
        observer: &Quiet,
        record: SessionRecord {
            program: "bench".to_owned(),
            worker: None,
            file: None,
            data: None,
            class: None,
        },
    };
    session.run(ledger)?;
    let longest = objective.pace.lock().map_or(Duration::ZERO, |pace| pace.1);
    println!("{}", longest.as_secs_f64());
    Ok(())
}

/// What one side did in one go.
struct Go {
    rate: f64,
    errors: u64,
    longest: f64,
}

/// So many processes of Luthier on a new study at `url`.
fn ours(url: &str, slots: Option<u32>, processes: usize, seconds: f64) -> Result<Go> {
    let storage = luthier::storage::open(url)?;
    let definition = StudyDefinition {
        name: "bench".to_owned(),
        objective: "value".to_owned(),
        direction: Direction::Minimize,
        criteria: luthier::core::Criteria::default(),
        seed: 0,
        slots,
        steps: Some(10),
        file: None,
        data: None,
        program: "bench".to_owned(),
    };
    let study = storage.create_study(&definition)?;
    let mut children: Vec<Child> = (0..processes)
        .map(|_| {
            Command::new(std::env::current_exe()?)
                .args(["bench", "storage-worker", url, &seconds.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
        })
        .collect::<Result<_, _>>()?;
    let mut says: Vec<_> =
        children.iter_mut().filter_map(|child| child.stdout.take().map(BufReader::new)).collect();
    for line in &mut says {
        let mut word = String::new();
        line.read_line(&mut word)?;
        ensure!(word.trim() == "ready", "a worker did not begin");
    }
    let started = Instant::now();
    for child in &mut children {
        child.stdin.take().context("its stdin")?.write_all(b"go\n")?;
    }
    let (mut errors, mut longest) = (0, 0.0_f64);
    for (child, says) in children.iter_mut().zip(&mut says) {
        let mut word = String::new();
        says.read_line(&mut word)?;
        errors += u64::from(!child.wait()?.success());
        longest = longest.max(word.trim().parse().unwrap_or(f64::INFINITY));
    }
    let took = started.elapsed().as_secs_f64();
    let history = read_history(&*storage, &study)?;
    let complete = |trial: &&luthier::core::Trial| {
        matches!(trial.end(), Some(Outcome::Complete { .. }))
            && trial.last_report().is_some_and(|last| last.step == 10)
    };
    let complete = history.trials().iter().filter(complete).count();
    Ok(Go { rate: complete as f64 / took, errors, longest })
}

fn optuna(python: &Path, script: &Path, url: &str, processes: usize, seconds: f64) -> Result<Go> {
    let output = Command::new(python)
        .arg(script)
        .args([url, "bench", &processes.to_string(), &seconds.to_string()])
        .stderr(Stdio::null())
        .output()
        .context("Optuna could not be started")?;
    ensure!(output.status.success(), "Optuna failed: name a Python that has it with LUTHIER_PYTHON");
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let number = |key: &str| found[key].as_f64().context("a number");
    Ok(Go {
        rate: number("complete")? / number("seconds")?,
        errors: number("errors")? as u64,
        longest: number("longest")?,
    })
}

/// Where a go is stored: a new file, or a new database on `$LUTHIER_POSTGRES`.
struct Places {
    folder: PathBuf,
    server: Option<String>,
    number: usize,
}

impl Places {
    fn next(&mut self, postgres: bool) -> Result<(String, String)> {
        self.number += 1;
        let server = self.server.as_ref().filter(|_| postgres);
        let Some(server) = server else {
            let path = self.folder.join(format!("{}.db", self.number)).display().to_string();
            return Ok((path.clone(), format!("sqlite:///{path}")));
        };
        let (host, _) = server.rsplit_once('/').context("LUTHIER_POSTGRES")?;
        let name = format!("luthier_bench_{}_{}", std::process::id(), self.number);
        let made = Command::new("psql").args([server, "-qc", &format!("CREATE DATABASE {name}")]).status()?;
        ensure!(made.success(), "a database could not be made");
        let url = format!("{host}/{name}");
        Ok((url.clone(), url.replace("postgres://", "postgresql+psycopg2://")))
    }
}

/// `cargo xtask bench storage`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bench = Bench::without_program()?;
    let python = std::env::var_os("LUTHIER_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let script = bench.root().join("bench/storage/optuna_trials.py");
    let server = std::env::var("LUTHIER_POSTGRES").ok();
    if server.is_none() {
        println!("without PostgreSQL: LUTHIER_POSTGRES is not set");
    }
    let mut places = Places { folder: bench.path(""), server, number: 0 };
    let kinds: &[bool] = if places.server.is_some() { &[false, true] } else { &[false] };
    let mut text = format!(
        "Trials a second, medians of {} goes of {} s (least to most). Longest: the most that any process waited for \\\n\
         its next trial, in seconds.\n\n| storage | processes | Luthier, free | Luthier, in order | Optuna | \\\n\
         ratio free | ratio in order | longest: free, in order, Optuna | errors: Luthier, Optuna |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        options.repeats, options.seconds
    )
    .replace("\\\n", "");
    for postgres in kinds {
        for processes in &options.processes {
            let mut goes: [Vec<Go>; 3] = Default::default();
            for _ in 0..options.repeats {
                let seconds = options.seconds;
                goes[0].push(ours(&places.next(*postgres)?.0, None, *processes, seconds)?);
                goes[1].push(ours(&places.next(*postgres)?.0, Some(*processes as u32), *processes, seconds)?);
                goes[2].push(optuna(&python, &script, &places.next(*postgres)?.1, *processes, seconds)?);
            }
            let rate = |k: usize| Figures(goes[k].iter().map(|go| go.rate).collect());
            let longest = |k: usize| goes[k].iter().map(|go| go.longest).fold(0.0, f64::max);
            let errors = |k: usize| goes[k].iter().map(|go| go.errors).sum::<u64>();
            let line = format!(
                "| {} | {processes} | {} | {} | {} | {:.1} | {:.1} | {:.2}, {:.2}, {:.2} | {}, {} |\n",
                if *postgres { "PostgreSQL" } else { "SQLite" },
                rate(0).text(),
                rate(1).text(),
                rate(2).text(),
                rate(0).median() / rate(2).median(),
                rate(1).median() / rate(2).median(),
                longest(0),
                longest(1),
                longest(2),
                errors(0) + errors(1),
                errors(2),
            );
            print!("{line}");
            text += &line;
        }
    }
    text += &late(&mut places, kinds, options.pairs)?;
    if options.write {
        put(&bench.root().join("docs/execution.md"), "storage", &text)?;
    }
    Ok(())
}

/// Whether a trial costs more after ten thousand than after a hundred: a long study and new ones, in turns.
fn late(places: &mut Places, kinds: &[bool], pairs: usize) -> Result<String> {
    let mut text = String::new();
    for postgres in kinds {
        for slots in [None, Some(1)] {
            let long = places.next(*postgres)?.0;
            ours(&long, slots, 1, FILL_SECONDS)?;
            let mut stored = starts(&long)?.len();
            while stored < 10_000 {
                work_on(&long, FILL_SECONDS)?;
                let now = starts(&long)?.len();
                ensure!(now > stored, "nothing is stored any more");
                stored = now;
            }
            let (mut early, mut late) = (Vec::new(), Vec::new());
            for _ in 0..pairs {
                let new = places.next(*postgres)?.0;
                ours(&new, slots, 1, LATE_SECONDS)?;
                early.push(each(&starts(&new)?, 100).context("too few trials in the time")?);
                let from = starts(&long)?.len() + 100;
                work_on(&long, LATE_SECONDS)?;
                late.push(each(&starts(&long)?, from).context("too few trials in the time")?);
            }
            let ratios = early.iter().zip(&late).map(|(early, late)| late / early).collect();
            let (early, late, ratios) = (Figures(early), Figures(late), Figures(ratios));
            let line = format!(
                "\n{}, {}, one process: {} ms a trial from the 100th on, {} ms after the 10,000th, {} times as long, in {pairs} \
                 pairs.\n",
                if *postgres { "PostgreSQL" } else { "SQLite" },
                if slots.is_some() { "in order" } else { "free" },
                early.text(),
                late.text(),
                ratios.text(),
            );
            print!("{line}");
            text += &line;
        }
    }
    Ok(text)
}

/// Lets one process work on the study at `url`, which is there already.
fn work_on(url: &str, seconds: f64) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["bench", "storage-worker", url, &seconds.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    child.stdin.take().context("its stdin")?.write_all(b"go\n")?;
    ensure!(child.wait()?.success(), "a worker failed");
    Ok(())
}

/// When each trial of the study at `url` began, in microseconds.
fn starts(url: &str) -> Result<Vec<i64>> {
    let storage = luthier::storage::open(url)?;
    let study = storage.study("bench")?.context("the study")?;
    Ok(read_history(&*storage, &study)?.trials().iter().filter_map(|trial| trial.started_us).collect())
}

/// Milliseconds a trial, the median over hundreds of them, at most ten from the one numbered `from` on; none if there are
/// not even three.
fn each(starts: &[i64], from: usize) -> Option<f64> {
    let hundreds = starts.get(from..)?.chunks_exact(100).take(10);
    let times: Vec<f64> = hundreds.map(|w| (w[99] - w[0]) as f64 / 99e3).collect();
    (times.len() >= 3).then(|| Figures(times).median())
}
