//! How good TPE is: against random search and against Optuna's TPE, on problems with a known best.
//!
//! The constants of TPE were chosen on these problems too, with other seeds: the test guards against a loss, and is
//! no measure of how TPE does elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops where something is missing, and shows figures"
)]

mod problems;

use luthier_core::{Sampler, SamplerAndPruner};
use luthier_search::pruner::NoPruner;
use luthier_search::sampler::Random;
use problems::regret;

/// On a single problem the mean best loss may be this much of Optuna's: two standard errors of either mean are
/// about a third of it.
const WORST_OF_OPTUNA: f64 = 1.35;

/// Over the problems, the geometric mean of those ratios is at most this.
const MEAN_OF_OPTUNA: f64 = 0.8;

/// On a single problem the mean best loss is at most this share of random search's.
const WORST_OF_RANDOM: f64 = 0.5;

#[test]
fn tpe_is_better_than_random_and_no_worse_than_optuna() {
    let text = include_str!("fixtures/optuna.json");
    let optuna: serde_json::Value = serde_json::from_str(text).unwrap();
    let (seeds, trials) = (optuna["seeds"].as_u64().unwrap(), optuna["trials"].as_u64().unwrap());
    let problems = problems::problems();
    let figures: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let run = |problem| {
            scope.spawn(move || {
                let mean = |sampler: Box<dyn Sampler>| {
                    let search = SamplerAndPruner::new(sampler, Box::new(NoPruner));
                    (0..seeds).map(|seed| regret(problem, &search, seed, trials)).sum::<f64>() / seeds as f64
                };
                (mean(luthier_search::sampler("tpe").unwrap()), mean(Box::new(Random)))
            })
        };
        let threads: Vec<_> = problems.iter().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let mut log_ratios = 0.0;
    for (problem, (tpe, random)) in problems.iter().zip(&figures) {
        let theirs = optuna["problems"][problem.name]["tpe"]["mean"].as_f64().unwrap();
        let line = format!("{}: TPE {tpe:.4}, Optuna's {theirs:.4}, random {random:.4}", problem.name);
        // Shown by `cargo test -- --nocapture`.
        eprintln!("{line}");
        assert!(tpe / theirs < WORST_OF_OPTUNA, "{line}");
        assert!(tpe / random < WORST_OF_RANDOM, "{line}");
        log_ratios += libm::log(tpe / theirs);
    }
    let ratio = libm::exp(log_ratios / problems.len() as f64);
    eprintln!("TPE / Optuna's TPE, geometric mean: {ratio:.3}");
    assert!(ratio < MEAN_OF_OPTUNA, "{ratio}");
}
