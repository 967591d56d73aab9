//! Where the acquisition function is largest.
//!
//! Candidates are random configurations and neighbours of the best trials; from the best few of them, coordinates
//! without steps follow the gradient ([`minimize`](super::lbfgs)), and the others are changed one at a time as long as
//! that gains.

use luthier_core::{Distribution, Parameter, Params, Rng, Space, Value};

use super::acquisition::{log_improvement, log_improvement_with_slopes};
use super::features::{Features, Kind, coordinate, varies};
use super::lbfgs::minimize;
use super::posterior::Posterior;

/// Random configurations.
const RANDOM: usize = 160;

/// Neighbours of the best trials.
const NEAR: usize = 160;

/// Candidates that are improved.
const STARTS: usize = 3;

/// Evaluations on the way of each of them along the gradient.
const EVALUATIONS: usize = 25;

/// Single changes that are tried between two ways along the gradient: enough for several rounds in spaces of some tens of
/// parameters, and a bound for those of hundreds.
const CHANGES: usize = 300;

/// A configuration with its row and its score.
#[derive(Clone)]
struct Candidate {
    params: Params,
    row: Vec<f64>,
    score: f64,
}

/// The posterior with what it is compared to.
pub(super) struct Acquisition<'a> {
    pub(super) features: &'a Features<'a>,
    pub(super) posterior: &'a Posterior<'a>,
    /// The least loss so far, on the posterior's scale.
    pub(super) best: f64,
}

impl Acquisition<'_> {
    fn candidate(&self, params: Params) -> Option<Candidate> {
        if !self.features.space.allows(&params) {
            return None;
        }
        let row = self.features.row(&params)?;
        let score = log_improvement(self.best, self.posterior.predict(&row));
        score.is_finite().then_some(Candidate { params, row, score })
    }

    /// The best configuration that is found that is none of `taken`; `leaders` are the parameters of the best trials.
    pub(super) fn maximize(&self, leaders: &[&Params], taken: &[Vec<f64>], rng: &mut Rng) -> Option<Params> {
        let space = self.features.space;
        let mut candidates: Vec<Candidate> = Vec::with_capacity(RANDOM + NEAR);
        for _ in 0..RANDOM {
            candidates.extend(self.candidate(space.sample(rng)));
        }
        for i in 0..NEAR {
            if let Some(leader) = leaders.get(i % leaders.len().max(1)) {
                // Widths from a quarter of a range to a thousandth.
                let width = 0.25 * libm::exp(-5.5 * rng.uniform());
                candidates.extend(self.candidate(neighbour(space, leader, width, rng)));
            }
        }
        let mut best: Vec<Candidate> = Vec::new();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        candidates.retain(|candidate| !taken.contains(&candidate.row));
        for candidate in candidates.into_iter().take(STARTS) {
            best.push(self.climb(candidate, taken));
        }
        best.sort_by(|a, b| b.score.total_cmp(&a.score));
        best.into_iter().next().map(|candidate| candidate.params)
    }

    /// Improves a candidate by turns: along the gradient, and by single changes of what has no gradient.
    fn climb(&self, mut candidate: Candidate, taken: &[Vec<f64>]) -> Candidate {
        for _ in 0..2 {
            let before = candidate.score;
            candidate = self.slide(candidate, taken);
            candidate = self.step(candidate, taken);
            if candidate.score <= before + 1e-9 {
                break;
            }
        }
        candidate
    }

    /// Along the gradient, with all that has steps or options held.
    fn slide(&self, candidate: Candidate, taken: &[Vec<f64>]) -> Candidate {
        // The columns that move, with the names of their parameters.
        let mut moving: Vec<(usize, &str)> = Vec::new();
        let mut c = 0;
        for parameter in self.features.space.iter().filter(|parameter| varies(parameter)) {
            let continuous = matches!(parameter.distribution, Distribution::Float { step: None, .. });
            if continuous && parameter.is_active(&candidate.params) {
                debug_assert!(matches!(self.features.columns[c].kind, Kind::Scale { .. }));
                moving.push((c, &parameter.name));
            }
            c += if parameter.is_always_there() { 1 } else { 2 };
        }
        if moving.is_empty() {
            return candidate;
        }
        let evaluate = |x: &[f64]| {
            let mut row = candidate.row.clone();
            for ((c, _), x) in moving.iter().zip(x) {
                row[*c] = *x;
            }
            let (prediction, by_mean, by_deviation) = self.posterior.predict_with_slopes(&row);
            let (value, mean, deviation) = log_improvement_with_slopes(self.best, prediction);
            let slope = moving.iter().map(|(c, _)| -(mean * by_mean[*c] + deviation * by_deviation[*c]));
            (-value, slope.collect())
        };
        let start: Vec<f64> = moving.iter().map(|(c, _)| candidate.row[*c]).collect();
        let (x, _) = minimize(evaluate, start, &vec![(0.0, 1.0); moving.len()], EVALUATIONS, 1e-4);
        let mut params = candidate.params.clone();
        for ((_, name), x) in moving.iter().zip(x) {
            if let Some(parameter) = self.features.space.get(name) {
                params.insert((*name).to_owned(), parameter.distribution.from_unit(x));
            }
        }
        let found = self.candidate(params).filter(|found| !taken.contains(&found.row));
        found.filter(|found| found.score > candidate.score).unwrap_or(candidate)
    }

    /// The best change of one value that has steps or options, again and again while it gains.
    fn step(&self, mut candidate: Candidate, taken: &[Vec<f64>]) -> Candidate {
        let space = self.features.space;
        let mut left = CHANGES;
        for _ in 0..4 {
            let images = self.posterior.images(&candidate.row);
            let mut best: Option<(f64, &Parameter, Value)> = None;
            let parameters = space.iter().filter(|parameter| varies(parameter));
            for (parameter, (column, is_alone)) in parameters.zip(&self.features.places) {
                let Some(value) = candidate.params.get(&parameter.name) else { continue };
                for other in others(&parameter.distribution, value).into_iter().take(left) {
                    left -= 1;
                    let found = if *is_alone {
                        self.changed(
                            &candidate.row,
                            &images,
                            *column,
                            coordinate(&parameter.distribution, &other),
                        )
                    } else {
                        let changed = self.candidate(with(space, &candidate.params, &parameter.name, &other));
                        changed.map(|changed| (changed.row, changed.score))
                    };
                    let Some((_, score)) = found.filter(|(row, _)| !taken.contains(row)) else { continue };
                    if best.as_ref().is_none_or(|best| score > best.0) {
                        best = Some((score, parameter, other));
                    }
                }
            }
            let better = best.filter(|best| best.0 > candidate.score + 1e-9);
            let Some((_, parameter, value)) = better else { break };
            let changed = with(space, &candidate.params, &parameter.name, &value);
            let Some(changed) = self.candidate(changed) else { break };
            candidate = changed;
        }
        candidate
    }

    /// A row with another value in one column, and its score: what a [`candidate`](Self::candidate) with that value would have,
    /// without the time that it takes to make one.
    fn changed(&self, row: &[f64], images: &[f64], c: usize, x: Option<f64>) -> Option<(Vec<f64>, f64)> {
        let (mut row, mut images, x) = (row.to_vec(), images.to_vec(), x?);
        (row[c], images[c]) = (x, self.posterior.image(c, x));
        let score = log_improvement(self.best, self.posterior.predict_by_images(&images));
        score.is_finite().then_some((row, score))
    }
}

/// `params` with another value of one parameter; what comes to exist thereby has the middle of its range.
fn with(space: &Space, params: &Params, name: &str, value: &Value) -> Params {
    space.build(|parameter, _| {
        if parameter.name == name {
            return value.clone();
        }
        params.get(&parameter.name).cloned().unwrap_or_else(|| parameter.distribution.from_unit(0.5))
    })
}

/// The values to try in the place of `value`: every other option (the 16 after it, if there are more), and of whole
/// numbers and steps the two next ones on each side.
fn others(distribution: &Distribution, value: &Value) -> Vec<Value> {
    match distribution {
        Distribution::Choice { options } => {
            let at = options.iter().position(|option| option == value).unwrap_or(0);
            (1..options.len().min(17)).map(|i| options[(at + i) % options.len()].clone()).collect()
        }
        Distribution::Float { step: None, .. } => Vec::new(),
        range => {
            let (Some(x), Some(unit)) = (value.as_f64(), range.to_unit(value)) else { return Vec::new() };
            let step = match range {
                Distribution::Int { step, .. } => *step as f64,
                Distribution::Float { step: Some(step), .. } => *step,
                _ => return Vec::new(),
            };
            // A far one on each side, beside the neighbours.
            let near = [-1.0, 1.0].into_iter().map(|i| match range {
                Distribution::Int { .. } => Value::Int((x + i * step) as i64),
                _ => range.from_unit(unit + i / range.cardinality().unwrap_or(1) as f64),
            });
            let far = [-0.15, 0.15].into_iter().map(|i| range.from_unit(unit + i));
            near.chain(far).filter(|other| range.contains(other) && other != value).collect()
        }
    }
}

/// A configuration near `params`: each value is drawn anew with a probability that leaves about two changes or all.
fn neighbour(space: &Space, params: &Params, width: f64, rng: &mut Rng) -> Params {
    let active = params.len().max(1) as f64;
    let share = if rng.uniform() < 0.5 { 1.0 } else { (2.0 / active).min(1.0) };
    space.build(|parameter, _| {
        let distribution = &parameter.distribution;
        let Some(value) = params.get(&parameter.name) else { return distribution.sample(rng) };
        if rng.uniform() >= share {
            return value.clone();
        }
        match (distribution, distribution.to_unit(value)) {
            (Distribution::Choice { .. }, _) => {
                if rng.uniform() < (2.0 / active).min(0.5) {
                    distribution.sample(rng)
                } else {
                    value.clone()
                }
            }
            (_, Some(unit)) => {
                // At least so wide that a neighbouring cell is reached.
                let cell = distribution.cardinality().map_or(0.0, |cells| 1.0 / cells as f64);
                distribution.from_unit(unit + width.max(cell) * rng.normal())
            }
            (_, None) => distribution.sample(rng),
        }
    })
}
