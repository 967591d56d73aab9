//! What it is worth to know something beforehand, and what it costs where it is wrong: priors and warm starts.
//!
//! ```text
//! cargo run --release -p luthier-search --example knowledge [SEEDS]
//! ```
//!
//! A figure is the mean over the problems of tests/problems of a regret, relative to that of `auto` with nothing known after
//! as many trials (geometric mean over problems of means over seeds).
//!
//! - Priors: the best configuration of a long search, each value moved by a tenth of its range, with a deviation of a tenth
//!   (good); moved by half a range (wrong). Options: the best one, or another, with the usual weight.
//! - Warm starts: from 30 random trials of the same problem (the same); of the next problem with the same names (other);
//!   of the same problem with the sign of its losses changed (opposite).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example talks to the person who started it")]

#[path = "../tests/problems/mod.rs"]
mod problems;

use luthier_core::{
    Direction, Distribution, Ending, Event, History, Outcome, Parameter, Params, Prior, Purpose, Recorded,
    SamplerAndPruner, Search, Space, Streams, TrialId, Value,
};
use luthier_search::{Queue, warm_start};
use problems::{Problem, problems, regret};

const TRIALS: [u64; 4] = [5, 10, 20, 40];

fn search(sampler: &str) -> Box<dyn Search> {
    let (sampler, pruner) =
        (luthier_search::sampler(sampler).unwrap(), luthier_search::PrunerConfig::None.create());
    Box::new(SamplerAndPruner::new(sampler, pruner))
}

fn history(problem: &Problem, sampler: &str, trials: u64, sign: f64) -> History {
    let sampler = luthier_search::sampler(sampler).unwrap();
    let mut history = History::new(Direction::Minimize);
    for n in 0..trials {
        let mut rng = Streams::new(1000).at(Purpose::Sampler, n);
        let params = sampler.propose(&history.view(), &problem.space, &mut rng).unwrap();
        let value = sign * (problem.loss)(&params);
        let trial = TrialId(n);
        let outcome = Outcome::Complete { value, step: None, ending: Ending::Full };
        let started = Event::TrialStarted { trial, params, seed: 0, until: None, at: None, from: None };
        for event in [started, Event::TrialFinished { trial, outcome, seconds: 0.0 }] {
            let revision = history.revision() + 1;
            history.apply(&Recorded { revision, at_ms: 0, event }).unwrap();
        }
    }
    history
}

/// The space with a prior on each parameter that the best configuration has, moved by so much of its range.
fn believed(space: &Space, best: &Params, moved: f64) -> Space {
    let prior = |(i, parameter): (usize, &Parameter)| -> Option<Prior> {
        let range = &parameter.distribution;
        let value = best.get(&parameter.name)?;
        if let Distribution::Choice { options } = range {
            let at = options.iter().position(|option| option == value)?;
            let other = (at + usize::from(moved >= 0.5)) % options.len();
            return Some(Prior::around(options[other].clone()));
        }
        let unit = range.to_unit(value)?;
        let by = if i % 2 == 0 { moved } else { -moved };
        let unit = if moved >= 0.5 { (unit + by).rem_euclid(1.0) } else { (unit + by).clamp(0.0, 1.0) };
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

fn mean(problem: &Problem, seeds: u64, trials: u64, make: &dyn Fn() -> Box<dyn Search>) -> f64 {
    let search = make();
    (0..seeds).map(|seed| regret(problem, &*search, seed, trials)).sum::<f64>() / seeds as f64
}

/// What a problem says of each line of the table, after each number of trials.
fn lines(index: usize, seeds: u64) -> Vec<(String, [f64; 4])> {
    let problem = &problems()[index];
    let best = history(problem, "auto", 200, 1.0);
    let best = &best.best().unwrap().params;
    let with = |space: Space| Problem { space, ..problems().swap_remove(index) };
    let (good, wrong) =
        (with(believed(&problem.space, best, 0.1)), with(believed(&problem.space, best, 0.5)));
    let base = TRIALS.map(|trials| mean(problem, seeds, trials, &|| search("auto")));
    let relative = |problem: &Problem, make: &dyn Fn() -> Box<dyn Search>| {
        let mut i = 0;
        TRIALS.map(|trials| {
            i += 1;
            mean(problem, seeds, trials, make) / base[i - 1]
        })
    };
    let mut found = Vec::new();
    for sampler in ["auto", "tpe", "gp"] {
        for (name, problem) in [("none", problem), ("good", &good), ("wrong", &wrong)] {
            let line = format!("`{sampler}`, prior: {name}");
            found.push((line, relative(problem, &|| search(sampler))));
        }
    }
    let all = problems();
    let other = &all[(index + 1) % all.len()];
    let values = |params: &Params| -> Vec<Value> { params.values().cloned().collect() };
    for (name, earlier) in [
        ("the same", history(problem, "random", 30, 1.0)),
        ("other", renamed(&history(other, "random", 30, 1.0), &problem.space, &values)),
        ("opposite", history(problem, "random", 30, -1.0)),
    ] {
        let starts = warm_start([earlier.view()], &problem.space);
        let make = || -> Box<dyn Search> { Box::new(Queue::new(search("auto"), starts.clone())) };
        found.push((format!("`auto`, warm start: {name}"), relative(problem, &make)));
    }
    found
}

/// The history of another problem as if its parameters were those of this space, in order, by their places on their ranges.
fn renamed(history: &History, space: &Space, values: &dyn Fn(&Params) -> Vec<Value>) -> History {
    let mut found = History::new(Direction::Minimize);
    for trial in history.trials() {
        let mut units = values(&trial.params).into_iter().map(|value| {
            let x = value.as_f64().unwrap_or(0.5);
            (x * 7.31).rem_euclid(1.0)
        });
        let params =
            space.build(|parameter, _| parameter.distribution.from_unit(units.next().unwrap_or(0.5)));
        let started =
            Event::TrialStarted { trial: trial.id, params, seed: 0, until: None, at: None, from: None };
        let outcome = trial.outcome.clone().unwrap();
        for event in [started, Event::TrialFinished { trial: trial.id, outcome, seconds: 0.0 }] {
            let revision = found.revision() + 1;
            found.apply(&Recorded { revision, at_ms: 0, event }).unwrap();
        }
    }
    found
}

fn main() {
    let seeds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    let found: Vec<Vec<(String, [f64; 4])>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..problems().len()).map(|index| scope.spawn(move || lines(index, seeds))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("| what is known | after 5 trials | 10 | 20 | 40 |\n| --- | --- | --- | --- | --- |");
    for (i, (line, _)) in found[0].iter().enumerate() {
        let geometric = |t: usize| {
            let logs = found.iter().map(|lines| libm::log(lines[i].1[t].max(1e-6))).sum::<f64>();
            format!("{:.2}", libm::exp(logs / found.len() as f64))
        };
        let figures: Vec<String> = (0..TRIALS.len()).map(geometric).collect();
        println!("| {line} | {} |", figures.join(" | "));
    }
}
