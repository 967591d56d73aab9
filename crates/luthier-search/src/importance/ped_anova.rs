//! PED-ANOVA: how much the values of the best trials differ from those of all trials.
//!
//! Symbols: n is the number of trials, q = 0.1 the target quantile, T the set of the best ceil(q n) trials (and those
//! equal to the last of them), A the set of all; for one parameter p and r are densities of its values in T and in A, on a
//! grid of at most [`GRID`] cells. The measure of a parameter that always exists is `(|T| / |A|)^2 D`, with the Pearson
//! divergence `D = sum_x r(x) (p(x) / r(x) - 1)^2`. For one that exists in some trials only, D is that of those trials,
//! times `alpha^2 / beta`, where alpha is the share of T that has the parameter and beta that of A; fewer than two trials
//! of A, or none of T, make 0.
//!
//! Densities are Parzen estimators with normal kernels, truncated to the grid, whose width is Scott's rule with the smaller
//! of deviation and interquartile range, and at least 0.3 cells, beside one kernel of the whole range with weight 1.
//!
//! Watanabe, Bansal and Hutter 2023, "PED-ANOVA: Efficiently quantifying hyperparameter importance in arbitrary
//! subspaces", arXiv:2304.10255; the conditional form "Conditional PED-ANOVA", arXiv:2601.20800. Grid, kernels and the
//! treatment of conditions are those of Optuna 5's `PedAnovaImportanceEvaluator`, to which the tests compare it.
//!
//! Complexity: O(n log n + d (n + GRID^2)) for d parameters.

use luthier_core::{Distribution, Parameter};

use super::{Data, FEWEST, Importance};
use crate::sampler::log_mass;

/// The target quantile.
const QUANTILE: f64 = 0.1;

/// The most cells of a grid.
const GRID: usize = 50;

/// What is added to each density, against divisions by zero.
const LEAST: f64 = 1e-12;

/// The measure of every parameter.
pub(super) fn measure(data: &Data<'_>) -> Vec<Importance> {
    let n = data.losses.len();
    let mut sorted = data.losses.clone();
    sorted.sort_by(f64::total_cmp);
    let edge = sorted[((QUANTILE * n as f64).ceil() as usize).max(1) - 1];
    let best: Vec<bool> = data.losses.iter().map(|loss| *loss <= edge).collect();
    let count = best.iter().filter(|best| **best).count() as f64;
    let quantile = count / n as f64;
    let measures: Vec<(f64, usize)> = data
        .parameters
        .iter()
        .map(|parameter| {
            let cells = cells(data, parameter);
            let all = histogram(&cells, parameter, |_| true);
            let top = histogram(&cells, parameter, |i| best[i]);
            let having = |counts: &[f64]| counts.iter().sum::<f64>();
            let (of_all, of_top) = (having(&all), having(&top));
            if of_all < 2.0 || of_top == 0.0 {
                return (0.0, of_all as usize);
            }
            let (alpha, beta) = (of_top / count, of_all / n as f64);
            let options = matches!(parameter.distribution, Distribution::Choice { .. });
            let divergence: f64 = density(&all, options)
                .iter()
                .zip(density(&top, options))
                .map(|(r, p)| {
                    let ratio = (p + LEAST) / (r + LEAST) - 1.0;
                    (r + LEAST) * ratio * ratio
                })
                .sum();
            (quantile * quantile * alpha * alpha / beta * divergence, of_all as usize)
        })
        .collect();
    let total: f64 = measures.iter().filter(|(_, trials)| *trials >= FEWEST).map(|(m, _)| m).sum();
    let of = |(parameter, (measure, trials)): (&&Parameter, &(f64, usize))| {
        let known = *trials >= FEWEST;
        Importance {
            name: parameter.name.clone(),
            share: known.then(|| if total > 0.0 { measure / total } else { 0.0 }),
            measure: known.then_some(*measure),
            trials: *trials,
        }
    };
    data.parameters.iter().zip(&measures).map(of).collect()
}

/// The number of cells of a parameter's grid.
fn grid(distribution: &Distribution) -> usize {
    match distribution {
        Distribution::Choice { options } => options.len(),
        Distribution::Int { low, high, log: true, .. } => {
            let doublings = libm::ceil(libm::log((high - low + 1) as f64) / libm::log(2.0)) as usize;
            (doublings + 1).min(GRID)
        }
        Distribution::Float { low, high, step: Some(step), .. } => {
            (((high - low) / step).round() as usize + 1).min(GRID)
        }
        Distribution::Int { low, high, step, .. } => (((high - low) / step) as usize + 1).min(GRID),
        Distribution::Float { .. } => GRID,
    }
}

/// The cell of the grid that each trial's value is in.
fn cells(data: &Data<'_>, parameter: &Parameter) -> Vec<Option<usize>> {
    let distribution = &parameter.distribution;
    let last = grid(distribution) - 1;
    // Cells are centred on evenly spaced values from the lowest to the highest; a value between two is the lower one's.
    let place = |x: f64, low: f64, high: f64| {
        let width = (high - low) / last as f64;
        ((x - low) / width - 0.5).ceil().clamp(0.0, last as f64) as usize
    };
    data.trials
        .iter()
        .map(|params| {
            let value = params.get(&parameter.name).filter(|value| distribution.contains(value))?;
            match distribution {
                Distribution::Choice { options } => options.iter().position(|option| option == value),
                Distribution::Float { low, high, log: true, .. } => {
                    Some(place(libm::log(value.as_f64()?), libm::log(*low), libm::log(*high)))
                }
                Distribution::Int { low, high, log: true, .. } => {
                    let ends = (libm::log(*low as f64), libm::log(*high as f64));
                    Some(place(libm::log(value.as_f64()?), ends.0, ends.1))
                }
                Distribution::Float { low, high, .. } => Some(place(value.as_f64()?, *low, *high)),
                Distribution::Int { low, high, .. } => {
                    Some(place(value.as_f64()?, *low as f64, *high as f64))
                }
            }
        })
        .collect()
}

/// How many of the trials that `keep` keeps are in each cell.
fn histogram(cells: &[Option<usize>], parameter: &Parameter, keep: impl Fn(usize) -> bool) -> Vec<f64> {
    let mut counts = vec![0.0; grid(&parameter.distribution)];
    for (i, cell) in cells.iter().enumerate() {
        if let Some(cell) = cell
            && keep(i)
        {
            counts[*cell] += 1.0;
        }
    }
    counts
}

/// The Parzen estimator over a grid with these counts.
fn density(counts: &[f64], options: bool) -> Vec<f64> {
    let cells = counts.len();
    let total: f64 = counts.iter().sum::<f64>() + 1.0;
    let seen: Vec<(usize, f64)> =
        counts.iter().copied().enumerate().filter(|(_, count)| *count > 0.0).collect();
    if options {
        // Each option that was seen is a kernel, which gives every option a share of its own.
        let share = 1.0 / (seen.len() + 1) as f64;
        let rest: f64 = seen.iter().map(|(_, count)| count).sum::<f64>() * share;
        let of =
            |count: &f64| (count + rest) / (1.0 + cells as f64 * share) / total + 1.0 / cells as f64 / total;
        return counts.iter().map(of).collect();
    }
    let sigma = bandwidth(&seen);
    let middle = (cells - 1) as f64 / 2.0;
    let kernels = seen.iter().map(|(cell, count)| (*cell as f64, sigma, *count));
    let mut density = vec![0.0; cells];
    for (mu, sigma, weight) in kernels.chain([(middle, cells as f64, 1.0)]) {
        let at = |x: f64| (x - mu) / sigma;
        let whole = log_mass(at(-0.5), at(cells as f64 - 0.5));
        for (x, density) in density.iter_mut().enumerate() {
            let mass = log_mass(at(x as f64 - 0.5), at(x as f64 + 0.5));
            *density += weight / total * libm::exp(mass - whole);
        }
    }
    density
}

/// Scott's rule over cells with counts, cells rising.
fn bandwidth(seen: &[(usize, f64)]) -> f64 {
    let n: f64 = seen.iter().map(|(_, count)| count).sum();
    let mean = seen.iter().map(|(cell, count)| *cell as f64 * count).sum::<f64>() / n;
    let squares: f64 = seen.iter().map(|(cell, count)| (*cell as f64 - mean).powi(2) * count).sum();
    let deviation = libm::sqrt(squares / (n - 1.0).max(1.0));
    // The first cells up to which a quarter, and more than three quarters, of the trials have been counted.
    let mut below = 0.0;
    let cumulated: Vec<f64> = seen
        .iter()
        .map(|(_, count)| {
            below += count;
            below
        })
        .collect();
    let first = cumulated.iter().position(|sum| *sum >= (n / 4.0).floor()).unwrap_or(0);
    let third = cumulated.iter().position(|sum| *sum > (n * 3.0 / 4.0).floor()).unwrap_or(seen.len());
    let spread = seen[third.min(seen.len() - 1)].0 as f64 - seen[first].0 as f64;
    let sigma = 1.059 * (spread / 1.34).min(deviation) * libm::pow(n, -0.2);
    // A normal distribution of that width has nine tenths of its mass in a cell.
    sigma.max(0.5 / 1.64)
}
