//! The exploration of PB2: the values that promise the largest improvement until the next generation ends.
//!
//! Symbols: a row x is the loss with which a member began a generation (standardised) and its numeric parameters (as places
//! in their ranges, from 0 to 1); t the number of the generation; y by how much its loss sank in it, standardised. The
//! covariance of two rows is `exp(-|x - x'|² / 2l²) (1 - ε)^(|t - t'| / 2)`, a Gaussian process that forgets with time
//! (Bogunovic, Scarlett and Cevher 2016); σ² is the noise. l, ε and σ² are those of a grid with the largest marginal
//! likelihood. The value is the one of the candidates with the largest `m + √β s`, with mean m and deviation s of what is
//! expected, where s knows also of the members that already train in this generation, and
//! `β = 0.2 + max(0, log 0.4n)` for n rows, the constants of the authors' program.
//!
//! Complexity: O(36 n³ + 512 n²) for n rows, of which the latest 150 count.

use luthier_core::{Origin, Parameter, Params, Rng, Space, Tried, Value};

use super::generation::Generation;
use crate::sampler::linear::{Cholesky, dot};

/// Rows that count.
const ROWS: usize = 150;

/// Values that are compared.
const CANDIDATES: usize = 512;

const LENGTHS: [f64; 4] = [0.2, 0.5, 1.0, 2.0];
const FORGETTING: [f64; 3] = [0.0, 0.05, 0.25];
const NOISES: [f64; 3] = [0.01, 0.1, 0.5];

/// A member in a generation.
#[derive(Debug, Clone)]
struct Row {
    t: f64,
    x: Vec<f64>,
}

/// The process for one choice of its settings.
struct Process {
    weights: Vec<f64>,
    length: f64,
    forgetting: f64,
    likelihood: f64,
}

fn covariance(a: &Row, b: &Row, length: f64, forgetting: f64) -> f64 {
    let distance: f64 = a.x.iter().zip(&b.x).map(|(a, b)| (a - b) * (a - b)).sum();
    libm::exp(-0.5 * distance / (length * length)) * libm::pow(1.0 - forgetting, 0.5 * (a.t - b.t).abs())
}

fn factor(rows: &[Row], (length, forgetting, noise): (f64, f64, f64)) -> Option<Cholesky> {
    let mut factor = Cholesky::default();
    for (i, row) in rows.iter().enumerate() {
        let mut a: Vec<f64> =
            rows[..=i].iter().map(|other| covariance(row, other, length, forgetting)).collect();
        a[i] += noise;
        factor.push(&a)?;
    }
    Some(factor)
}

impl Process {
    fn fit(rows: &[Row], y: &[f64]) -> Option<(Self, f64)> {
        let mut best: Option<(Self, f64)> = None;
        for length in LENGTHS {
            for forgetting in FORGETTING {
                for noise in NOISES {
                    let Some(factor) = factor(rows, (length, forgetting, noise)) else { continue };
                    let weights = factor.solve(y);
                    let likelihood = -0.5 * dot(y, &weights) - 0.5 * factor.log_determinant();
                    if best.as_ref().is_none_or(|(best, _)| likelihood > best.likelihood) {
                        best = Some((Self { weights, length, forgetting, likelihood }, noise));
                    }
                }
            }
        }
        best
    }

    fn mean(&self, rows: &[Row], at: &Row) -> f64 {
        let k: Vec<f64> = rows.iter().map(|row| covariance(row, at, self.length, self.forgetting)).collect();
        dot(&k, &self.weights)
    }
}

/// Shifts and scales numbers to mean 0 and deviation 1; gives both.
fn standardise(numbers: &mut [f64]) -> (f64, f64) {
    let count = numbers.len().max(1) as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    for x in numbers {
        *x = (*x - mean) / deviation;
    }
    (mean, deviation)
}

/// The numeric values of a member that goes on from `origin`, whose parameters are `parent`; nothing where there is nothing to
/// learn from, or to choose, or constraints allow none of the candidates.
pub(super) fn choose(
    generation: &Generation<'_>,
    origin: Origin,
    parent: &Params,
    space: &Space,
    changes: &dyn Fn(&Parameter) -> bool,
    rng: &mut Rng,
) -> Option<Params> {
    let numeric = |parameter: &&Parameter| {
        let number = matches!(parent.get(&parameter.name), Some(Value::Float(_) | Value::Int(_)));
        number && changes(parameter) && parameter.distribution.cardinality() != Some(1)
    };
    let parameters: Vec<&Parameter> = space.iter().filter(numeric).collect();
    // A member without one of them stands in the middle of its range.
    let place = |params: &Params| -> Vec<f64> {
        let unit = |parameter: &&Parameter| {
            params.get(&parameter.name).and_then(|value| parameter.distribution.to_unit(value)).unwrap_or(0.5)
        };
        parameters.iter().map(unit).collect()
    };
    let (interval, end) = (generation.interval, generation.end);
    let (mut rows, mut before, mut y) = (Vec::new(), Vec::new(), Vec::new());
    let mut training = Vec::new();
    let row = |trial: Tried<'_>, step: u64| Row { t: (step / interval) as f64, x: place(trial.params()) };
    for step in (interval..=end).step_by(interval as usize) {
        for trial in &generation.tried {
            let began = trial.origin().map_or(0, |origin| origin.step);
            if began > step {
                continue;
            }
            let Some(start) = generation.loss(*trial, step) else { continue };
            let last = trial.losses().last().map_or(0, |report| report.0);
            if step < end && last >= step + interval {
                let Some(stop) = generation.loss(*trial, step + interval) else { continue };
                rows.push(row(*trial, step));
                before.push(start);
                y.push(start - stop);
            } else if step == end && !trial.has_ended() && !trial.is_paused() && last.max(began) >= end {
                training.push((row(*trial, step), start));
            }
        }
    }
    let old = rows.len().saturating_sub(ROWS);
    let (mut rows, mut before, mut y) = (rows.split_off(old), before.split_off(old), y.split_off(old));
    if rows.len() < 3 || parameters.is_empty() {
        return None;
    }
    standardise(&mut y);
    let (mean, deviation) = standardise(&mut before);
    for (row, before) in rows.iter_mut().zip(&before) {
        row.x.push(*before);
    }
    let (process, noise) = Process::fit(&rows, &y)?;
    let mut known = rows.clone();
    known.extend(training.into_iter().map(|(mut row, start)| {
        row.x.push((start - mean) / deviation);
        row
    }));
    let factor = factor(&known, (process.length, process.forgetting, noise))?;
    let beta = 0.2 + libm::log(0.4 * rows.len() as f64).max(0.0);
    let start = generation.tried.iter().find(|trial| trial.id() == origin.trial);
    let start =
        start.and_then(|trial| generation.loss(*trial, end)).map_or(0.0, |loss| (loss - mean) / deviation);
    let here = place(parent);
    let values = |x: &[f64]| -> Params {
        let value = |(parameter, x): (&&Parameter, &f64)| {
            (parameter.name.clone(), parameter.distribution.from_unit(*x))
        };
        parameters.iter().zip(x).map(value).collect()
    };
    let allowed = |x: &[f64]| {
        let mut params = parent.clone();
        params.extend(values(x));
        space.allows(&params)
    };
    let mut best: Option<(f64, Vec<f64>)> = None;
    for n in 0..CANDIDATES {
        // Half of them anywhere, half around the values that the other one had.
        let mut x: Vec<f64> = here
            .iter()
            .map(|x| if n % 2 == 0 { rng.uniform() } else { (x + 0.1 * rng.normal()).clamp(0.0, 1.0) })
            .collect();
        if !space.constraints().is_empty() && !allowed(&x) {
            continue;
        }
        x.push(start);
        let at = Row { t: (end / interval) as f64, x };
        let k: Vec<f64> =
            known.iter().map(|row| covariance(row, &at, process.length, process.forgetting)).collect();
        let v = factor.forward(&k);
        let bound = process.mean(&rows, &at) + (beta * (1.0 - dot(&v, &v)).max(0.0)).sqrt();
        if best.as_ref().is_none_or(|(best, _)| bound > *best) {
            best = Some((bound, at.x));
        }
    }
    best.map(|(_, x)| values(&x))
}
