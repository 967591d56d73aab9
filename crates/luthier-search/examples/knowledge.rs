//! What it is worth to know something beforehand, and what it costs where it is wrong: priors and warm starts.
//!
//! ```text
//! cargo run --release -p luthier-search --example knowledge [SEEDS] [WORD]
//! ```
//!
//! A figure is the regret after so many trials on the problems of tests/problems, relative to that of the same sampler with
//! nothing known: the geometric mean over problems and seeds, with its standard error. Regrets below a thousandth of the mean after ten trials with
//! nothing known count as that. A word behind the number of seeds keeps the lines that have it, and those without any knowledge.
//!
//! - Priors on every parameter: around the best configuration of a long search, each value moved by a tenth of its range,
//!   with a deviation of a tenth (right); moved by half a range (wrong). Options: the best one, or another one, with the usual
//!   weight.
//! - Warm starts: from 30 random trials of the same problem (the same); of the next problem with the same names (other);
//!   of the same problem with the sign of its losses changed (opposite).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example talks to the person who started it")]

#[path = "../tests/problems/mod.rs"]
mod problems;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use luthier_core::testing::Played;
use luthier_core::{
    Distribution, History, Parameter, Params, Prior, Purpose, SamplerAndPruner, Search, Space, Streams,
};
use luthier_search::{Queue, warm_start};
use problems::{Problem, problems, regrets};

const TRIALS: [u64; 4] = [10, 20, 40, 100];

fn search(sampler: &str) -> Box<dyn Search> {
    let (sampler, pruner) =
        (luthier_search::sampler(sampler).unwrap(), luthier_search::PrunerConfig::None.create());
    Box::new(SamplerAndPruner::new(sampler, pruner))
}

fn history(problem: &Problem, sampler: &str, trials: u64, sign: f64) -> History {
    let sampler = luthier_search::sampler(sampler).unwrap();
    let mut played = Played::new();
    for n in 0..trials {
        let mut rng = Streams::new(1000).at(Purpose::Sampler, n);
        let params = sampler.propose(&played.0.view(), &problem.space, &mut rng).unwrap();
        let value = sign * (problem.loss)(&params);
        let trial = played.begin(params, None);
        played.complete(trial, value);
    }
    played.0
}

/// The space with a prior on each parameter that the best configuration has, moved by a tenth of its range, or by half of
/// it where it is to be wrong.
fn believed(space: &Space, best: &Params, wrong: impl Fn(usize) -> bool) -> Space {
    let prior = |(i, parameter): (usize, &Parameter)| -> Option<Prior> {
        let range = &parameter.distribution;
        let value = best.get(&parameter.name)?;
        let wrong = wrong(i);
        if let Distribution::Choice { options } = range {
            let at = options.iter().position(|option| option == value)?;
            let other = (at + usize::from(wrong)) % options.len();
            return Some(Prior::around(options[other].clone()));
        }
        let unit = range.to_unit(value)?;
        let near = unit + if i % 2 == 0 { 0.1 } else { -0.1 };
        let unit = if wrong { (unit + 0.5).rem_euclid(1.0) } else { near.clamp(0.0, 1.0) };
        let spread = match range {
            Distribution::Float { low, high, log: true, .. } => libm::pow(high / low, 0.1),
            Distribution::Int { low, high, log: true, .. } => libm::pow(*high as f64 / *low as f64, 0.1),
            Distribution::Float { low, high, .. } => 0.1 * (high - low),
            Distribution::Int { low, high, .. } => 0.1 * (high - low) as f64,
            Distribution::Choice { .. } => return None,
        };
        Some(Prior::around(range.from_unit(unit)).within(spread))
    };
    let parameters: Vec<&Parameter> = space.iter().collect();
    let with = parameters
        .into_iter()
        .enumerate()
        .map(|(i, parameter)| Parameter { prior: prior((i, parameter)), ..parameter.clone() });
    Space::new(with).unwrap()
}

/// What a problem says of each line of the table: the study, and the search that it is made with.
struct Case {
    sampler: &'static str,
    line: String,
    problem: Problem,
    make: Box<dyn Fn() -> Box<dyn Search> + Send + Sync>,
}

/// The lines that one problem has, the first of which the others are compared to.
fn cases(index: usize) -> Vec<Case> {
    let with = |space: Space| Problem { space, ..problems().swap_remove(index) };
    let space = problems().swap_remove(index).space;
    let plain = with(space.clone());
    let best = history(&plain, "auto", 200, 1.0);
    let best = &best.best().unwrap().params;
    let mut found = Vec::new();
    for sampler in ["auto", "tpe", "gp"] {
        let priors = [
            ("none", space.clone()),
            ("right", believed(&space, best, |_| false)),
            ("half of them wrong", believed(&space, best, |i| i % 2 == 0)),
            ("all wrong", believed(&space, best, |_| true)),
        ];
        for (name, space) in priors {
            let line = format!("`{sampler}`, priors: {name}");
            found.push(Case { sampler, line, problem: with(space), make: Box::new(move || search(sampler)) });
        }
    }
    let all = problems();
    let other = &all[(index + 1) % all.len()];
    for (name, earlier) in [
        ("the same", history(&plain, "random", 30, 1.0)),
        ("other", renamed(&history(other, "random", 30, 1.0), &space)),
        ("opposite", history(&plain, "random", 30, -1.0)),
    ] {
        let starts = warm_start([earlier.view()], &space);
        let make = move || -> Box<dyn Search> { Box::new(Queue::new(search("auto"), starts.clone())) };
        let line = format!("`auto`, warm start: {name}");
        found.push(Case { sampler: "auto", line, problem: with(space.clone()), make: Box::new(make) });
    }
    found
}

/// The history of another problem as if its parameters were those of this space, in order, by their places on their ranges.
fn renamed(history: &History, space: &Space) -> History {
    let mut played = Played::new();
    for trial in history.trials() {
        let mut units = trial.params.values().map(|value| {
            let x = value.as_f64().unwrap_or(0.5);
            (x * 7.31).rem_euclid(1.0)
        });
        let params =
            space.build(|parameter, _| parameter.distribution.from_unit(units.next().unwrap_or(0.5)));
        let begun = played.begin(params, None);
        played.finish(begun, trial.outcome.clone().unwrap());
    }
    played.0
}

/// The regrets of a line: by problem, by seed, after each number of trials.
type Regrets = Vec<Vec<[f64; TRIALS.len()]>>;

/// A line in comparison to another one: the geometric mean over problems and seeds, and its standard error. Regrets of less
/// than a thousandth of what the other one has after the first number of trials make no difference.
fn relative(regrets: &Regrets, base: &Regrets, t: usize) -> (f64, f64) {
    let (mut sum, mut variance) = (0.0, 0.0);
    for (regrets, base) in regrets.iter().zip(base) {
        let n = base.len() as f64;
        let floor = 1e-3 * base.iter().map(|found| found[0]).sum::<f64>() / n;
        // Each seed by itself: the first trials that came without a belief are those of the other line.
        let logs = regrets.iter().zip(base).map(|(a, b)| libm::log((a[t] + floor) / (b[t] + floor)));
        let mean = logs.clone().sum::<f64>() / n;
        sum += mean;
        variance += logs.map(|log| (log - mean) * (log - mean)).sum::<f64>() / (n - 1.0).max(1.0) / n;
    }
    let (problems, mean) = (base.len() as f64, libm::exp(sum / base.len() as f64));
    (mean, mean * variance.sqrt() / problems)
}

fn main() {
    let mut words = std::env::args().skip(1);
    let seeds: usize = words.next().map_or(20, |text| text.parse().expect("a number of seeds"));
    let only = words.next().unwrap_or_default();
    let is_shown = |case: &Case| case.line.contains(&only) || case.line.ends_with("priors: none");
    let problems: Vec<Vec<Case>> =
        (0..problems().len()).map(|index| cases(index).into_iter().filter(is_shown).collect()).collect();
    let lines = &problems[0];
    let found: Mutex<Vec<Regrets>> =
        Mutex::new(vec![vec![vec![[0.0; TRIALS.len()]; seeds]; problems.len()]; lines.len()]);
    let next = AtomicUsize::new(0);
    let work = || loop {
        let job = next.fetch_add(1, Ordering::Relaxed);
        let (line, index, seed) = (job / seeds % lines.len(), job / seeds / lines.len(), job % seeds);
        let Some(cases) = problems.get(index) else { return };
        let regrets = regrets(&cases[line].problem, &*(cases[line].make)(), seed as u64, TRIALS);
        found.lock().unwrap()[line][index][seed] = regrets;
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().unwrap();
    let numbers = TRIALS.map(|trials| trials.to_string()).join(" | ");
    println!("| what is known | after {numbers} trials |\n| --- |{}", " --- |".repeat(TRIALS.len()));
    for (case, regrets) in lines.iter().zip(&found) {
        let base = lines.iter().position(|other| other.sampler == case.sampler).unwrap();
        let figures: Vec<String> = (0..TRIALS.len())
            .map(|t| relative(regrets, &found[base], t))
            .map(|(mean, error)| format!("{mean:.2} ± {error:.2}"))
            .collect();
        println!("| {} | {} |", case.line, figures.join(" | "));
    }
}
