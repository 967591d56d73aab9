//! Several objectives: the points that samplers reach on ZDT1 to 3 and DTLZ2, for `bench/search/hypervolume.py`, which runs
//! Optuna on the same and compares.
//!
//! ```text
//! cargo run --release -p luthier-search --example hypervolume -- TRIALS SEEDS [SAMPLER…]
//! ```
//!
//! A line of JSON for each study: `{"sampler": …, "problem": …, "seed": …, "ms": …, "points": [[…], …]}`; `ms` is the
//! time of a proposal on average.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example talks to the person who started it")]

use std::f64::consts::{FRAC_PI_2, PI};
use std::time::Instant;

use luthier_core::testing::Played;
use luthier_core::{
    Criteria, Direction, Distribution, Ending, Event, Goal, History, Metrics, Outcome, Parameter, Params,
    Purpose, Report, Sampler, Space, Streams,
};

struct Problem {
    name: &'static str,
    parameters: usize,
    objectives: usize,
    losses: fn(&[f64], usize) -> Vec<f64>,
}

/// Zitzler, Deb and Thiele 2000: the first loss, g, and what h makes of them.
fn zdt(x: &[f64], h: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / (x.len() - 1) as f64;
    vec![x[0], g * h(x[0], g)]
}

fn zdt1(x: &[f64], _: usize) -> Vec<f64> {
    zdt(x, |f, g| 1.0 - libm::sqrt(f / g))
}

fn zdt2(x: &[f64], _: usize) -> Vec<f64> {
    zdt(x, |f, g| 1.0 - (f / g) * (f / g))
}

fn zdt3(x: &[f64], _: usize) -> Vec<f64> {
    zdt(x, |f, g| 1.0 - libm::sqrt(f / g) - f / g * libm::sin(10.0 * PI * f))
}

/// Deb, Thiele, Laumanns and Zitzler 2002.
fn dtlz2(x: &[f64], objectives: usize) -> Vec<f64> {
    let g: f64 = x[objectives - 1..].iter().map(|x| (x - 0.5) * (x - 0.5)).sum();
    let angles: Vec<f64> = x[..objectives - 1].iter().map(|x| x * FRAC_PI_2).collect();
    let loss = |k: usize| {
        let cosines: f64 = angles[..objectives - 1 - k].iter().map(|angle| libm::cos(*angle)).product();
        let sine = if k == 0 { 1.0 } else { libm::sin(angles[objectives - 1 - k]) };
        (1.0 + g) * cosines * sine
    };
    (0..objectives).map(loss).collect()
}

const PROBLEMS: [Problem; 5] = [
    Problem { name: "zdt1", parameters: 30, objectives: 2, losses: zdt1 },
    Problem { name: "zdt2", parameters: 30, objectives: 2, losses: zdt2 },
    Problem { name: "zdt3", parameters: 30, objectives: 2, losses: zdt3 },
    Problem { name: "dtlz2-2", parameters: 11, objectives: 2, losses: dtlz2 },
    Problem { name: "dtlz2-3", parameters: 12, objectives: 3, losses: dtlz2 },
];

/// The losses of all trials, and the seconds that the proposals took.
fn run(problem: &Problem, sampler: &dyn Sampler, seed: u64, trials: u64) -> (Vec<Vec<f64>>, f64) {
    let names: Vec<String> = (0..problem.parameters).map(|i| format!("x{i}")).collect();
    let space = names.iter().map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)));
    let space = Space::new(space).unwrap();
    let goal = |k: usize| Goal { name: format!("f{k}"), direction: Direction::Minimize };
    let criteria =
        Criteria { objectives: (1..problem.objectives).map(goal).collect(), ..Criteria::default() };
    let mut played = Played(History::new(Direction::Minimize).with_criteria(criteria));
    let (mut points, mut seconds) = (Vec::new(), 0.0);
    for n in 0..trials {
        let began = Instant::now();
        let mut rng = Streams::new(seed).at(Purpose::Sampler, n);
        let params: Params = sampler.propose(&played.0.view(), &space, &mut rng).unwrap();
        seconds += began.elapsed().as_secs_f64();
        let x: Vec<f64> = names.iter().map(|name| params[name].as_f64().unwrap()).collect();
        let losses = (problem.losses)(&x, problem.objectives);
        let metrics: Metrics = losses.iter().enumerate().map(|(k, loss)| (format!("f{k}"), *loss)).collect();
        let trial = played.begin(params, None);
        played.add(Event::Reported { trial, report: Report { step: 1, value: losses[0], metrics } });
        played.finish(trial, Outcome::Complete { value: losses[0], step: Some(1), ending: Ending::Full });
        points.push(losses);
    }
    (points, seconds)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (trials, seeds) = (number(200), number(10));
    let mut samplers: Vec<String> = args.collect();
    if samplers.is_empty() {
        samplers = ["auto", "tpe", "nsga2", "gp", "random"].map(str::to_owned).to_vec();
    }
    for name in samplers {
        let sampler = luthier_search::sampler(&name).expect("the name of a sampler");
        for problem in &PROBLEMS {
            for seed in 0..seeds {
                let (points, seconds) = run(problem, &*sampler, seed, trials);
                let ms = 1e3 * seconds / trials as f64;
                let line = serde_json::json!({
                    "sampler": name, "problem": problem.name, "seed": seed, "ms": ms, "points": points,
                });
                println!("{line}");
            }
        }
    }
}
