//! How good samplers and pruners are on small analytic problems, in less than a minute: for whoever changes one.
//!
//! ```text
//! cargo xtask regret [--sampler NAME]… [--pruner NAME]… [--seeds N] [--trials N]
//! ```
//!
//! A figure is the loss of what looks best after so many trials (with curves: after as many reports as such trials make,
//! 27 each), above the best there is: the median over seeds, and the standard error of the mean. Problems without reports
//! are searched once by each sampler, those with curves with each pruner: by the samplers that are named, or by `auto`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example talks to the person who started it")]

#[path = "../tests/problems/mod.rs"]
mod problems;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use luthier_core::SamplerAndPruner;
use luthier_search::PrunerConfig;
use problems::{Problem, curve_problems, noisy_problems, problems, regret};

/// What is asked for.
struct Options {
    samplers: Vec<String>,
    /// Those that are shown beside each pruner.
    with_pruners: Vec<String>,
    pruners: Vec<String>,
    seeds: u64,
    trials: u64,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let samplers: Vec<String> = luthier_search::samplers().map(|(name, _)| name.to_owned()).collect();
        // Those that need no setting.
        let pruners = PrunerConfig::KINDS.iter().filter(|kind| PrunerConfig::parse(kind).is_ok());
        let pruners: Vec<String> = pruners.map(ToString::to_string).collect();
        let mut found = Self {
            samplers: Vec::new(),
            with_pruners: Vec::new(),
            pruners: Vec::new(),
            seeds: 8,
            trials: 40,
        };
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{option} needs a value"));
            let count = |text: String| {
                text.parse()
                    .ok()
                    .filter(|n| *n > 0)
                    .ok_or(format!("expected a number above 0, found {text:?}"))
            };
            // A name, or a table with settings as in a study file.
            let known = |text: String, is_known: bool, names: &[String]| {
                if is_known { Ok(text) } else { Err(format!("no {text:?}; there is {}", names.join(", "))) }
            };
            match option.as_str() {
                "--sampler" => {
                    let text = value()?;
                    let is_known = luthier_search::sampler(&text).is_some();
                    found.samplers.push(known(text, is_known, &samplers)?);
                }
                "--pruner" => {
                    let text = value()?;
                    let is_known = PrunerConfig::parse(&text).is_ok();
                    found.pruners.push(known(text, is_known, &pruners)?);
                }
                "--seeds" => found.seeds = count(value()?)?,
                "--trials" => found.trials = count(value()?)?,
                _ => {
                    return Err(format!(
                        "expected --sampler, --pruner, --seeds or --trials, found {option:?}"
                    ));
                }
            }
        }
        found.with_pruners.clone_from(&found.samplers);
        if found.samplers.is_empty() {
            found.with_pruners.push("auto".to_owned());
            found.samplers = samplers;
        }
        if found.pruners.is_empty() {
            found.pruners = pruners;
        }
        Ok(found)
    }
}

/// A cell of a table.
struct Cell<'a> {
    sampler: &'a str,
    pruner: &'a str,
    problem: &'a Problem,
}

/// The regret of each seed for each cell, computed on all cores.
fn fill(cells: &[Cell<'_>], options: &Options) -> Vec<Vec<f64>> {
    let found = Mutex::new(vec![vec![0.0; options.seeds as usize]; cells.len()]);
    let next = AtomicUsize::new(0);
    let work = || loop {
        let job = next.fetch_add(1, Ordering::Relaxed);
        let (cell, seed) = (job / options.seeds as usize, job % options.seeds as usize);
        let Some(Cell { sampler, pruner, problem }) = cells.get(cell) else { return };
        let pruner = PrunerConfig::parse(pruner).unwrap().create();
        let search = SamplerAndPruner::new(luthier_search::sampler(sampler).unwrap(), pruner);
        let value = regret(problem, &search, seed as u64, options.trials);
        found.lock().unwrap()[cell][seed] = value;
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap()
}

/// Median, and standard error of the mean.
fn summary(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let median = f64::midpoint(values[(n - 1) / 2], values[n / 2]);
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (median, (squares / (n.max(2) - 1) as f64 / n as f64).sqrt())
}

fn table(rows: &[(&str, &str)], problems: &[Problem], options: &Options, by_pruner: bool) {
    let cells: Vec<Cell<'_>> = rows
        .iter()
        .flat_map(|(sampler, pruner)| problems.iter().map(|problem| Cell { sampler, pruner, problem }))
        .collect();
    let found = fill(&cells, options);
    let names: Vec<&str> = problems.iter().map(|problem| problem.name).collect();
    let pruner_head = if by_pruner { " pruner |" } else { "" };
    println!("| sampler |{pruner_head} {} |", names.join(" | "));
    println!("| --- |{}{}", if by_pruner { " --- |" } else { "" }, " --- |".repeat(names.len()));
    for ((sampler, pruner), figures) in rows.iter().zip(found.chunks(problems.len())) {
        let shown: Vec<String> = figures
            .iter()
            .map(|values| {
                let (median, error) = summary(&mut values.clone());
                format!("{median:.4} ± {error:.4}")
            })
            .collect();
        let pruner = if by_pruner { format!(" `{pruner}` |") } else { String::new() };
        println!("| `{sampler}` |{pruner} {} |", shown.join(" | "));
    }
}

fn main() {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            println!("error: {message}");
            std::process::exit(2);
        }
    };
    let start = Instant::now();
    println!("{} trials, {} seeds: median ± standard error of the mean\n", options.trials, options.seeds);
    let flat: Vec<Problem> = problems().into_iter().chain(noisy_problems()).collect();
    let rows: Vec<(&str, &str)> = options.samplers.iter().map(|name| (name.as_str(), "none")).collect();
    table(&rows, &flat, &options, false);
    println!();
    let pairs: Vec<(&str, &str)> = options
        .with_pruners
        .iter()
        .flat_map(|sampler| options.pruners.iter().map(|pruner| (sampler.as_str(), pruner.as_str())))
        .collect();
    table(&pairs, &curve_problems(), &options, true);
    println!("\n{:.0} s", start.elapsed().as_secs_f64());
}
