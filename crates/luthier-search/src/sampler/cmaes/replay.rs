//! The distributions of a study, made again from its history: population after population, with restarts.

use luthier_core::{Rng, View};

use super::distribution::Distribution;
use super::margin::corrected;
use super::{CmaEs, Coordinates, Restart};
use crate::pareto::crowding;
use crate::sampler::observation::single;
use crate::sampler::several::Several;
use crate::sampler::sobol::OF_STUDY;

/// A width in every coordinate, as a share of its range, below which a distribution is at its end.
const LEAST: f64 = 1e-9;

/// The share of earlier trials that is good, and the width that is given to each of these, by Nomura et al.
const GOOD: f64 = 0.1;
const WIDTH: f64 = 0.1;

/// Draws of a point until its coordinates lie in their ranges.
const DRAWS: usize = 100;

/// A draw.
#[derive(Debug, Clone)]
pub(super) struct Point {
    /// What moves the distribution.
    pub(super) raw: Vec<f64>,
    /// What is tried.
    pub(super) encoded: Vec<f64>,
}

/// Where the search stands.
pub(super) struct Replay<'a> {
    coordinates: &'a Coordinates<'a>,
    distribution: Distribution,
    /// The corrections of coordinates with cells.
    margins: Vec<f64>,
}

/// A trial with a result: where it stands, and how good it is beside others; smaller is better.
struct Ended {
    place: Vec<f64>,
    loss: f64,
}

/// What restarts go by.
struct Regime {
    first: usize,
    /// The population of the large distributions.
    large: usize,
    restarts: u64,
    /// Trials of large and of small distributions.
    spent: [u64; 2],
    small: bool,
}

impl<'a> Replay<'a> {
    /// Goes through the history up to what is known.
    pub(super) fn new(
        settings: &CmaEs,
        view: &View<'_>,
        coordinates: &'a Coordinates<'a>,
        rng: &Rng,
    ) -> Self {
        let d = coordinates.parameters.len();
        let usual = 4 + (3.0 * libm::log(d as f64)).floor() as usize;
        let lambda = settings.population.unwrap_or(usual).max(4);
        let (trials, params) = ended(view, coordinates, rng);
        let imported = view.finished().take_while(luthier_core::FinishedTrial::is_imported).count();
        let source: Vec<&Ended> = trials.iter().take(imported).flatten().collect();
        let distribution = warm(&source, lambda)
            .unwrap_or_else(|| Distribution::new(vec![0.5; d], settings.sigma, None, lambda));
        let mut replay = Self { coordinates, distribution, margins: vec![1.0; d] };
        let mut regime = Regime { first: lambda, large: lambda, restarts: 0, spent: [0, 0], small: false };
        let mut next = imported;
        let mut record: Vec<f64> = Vec::new();
        loop {
            let lambda = replay.distribution.lambda();
            let Some(population) = trials.get(next..next + lambda) else { return replay };
            if population.iter().any(Option::is_none) {
                return replay;
            }
            let mut ranked: Vec<(f64, usize, Vec<f64>)> = Vec::with_capacity(lambda);
            for (i, trial) in
                population.iter().enumerate().filter_map(|(i, trial)| Some((i, trial.as_ref()?)))
            {
                let number = (next + i) as u64;
                let drawn = replay.draw(&mut rng.at(number));
                let is_its_own =
                    params[next + i].is_some_and(|params| coordinates.is_at(&drawn.encoded, params));
                let place = if is_its_own { drawn.raw } else { trial.place.clone() };
                ranked.push((trial.loss, i, place));
            }
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            record.extend([ranked[0].0, ranked[lambda - 1].0]);
            let population: Vec<Vec<f64>> = ranked.into_iter().map(|(_, _, place)| place).collect();
            replay.distribution.tell(&population);
            replay.keep_in_motion();
            next += lambda;
            regime.spent[usize::from(regime.small)] += lambda as u64;
            let flat = 2 * (10 + (30 * d).div_ceil(lambda));
            let is_flat = record.len() >= flat && {
                let last = &record[record.len() - flat..];
                last.iter().all(|loss| (loss - last[0]).abs() <= 1e-12 * last[0].abs())
            };
            if settings.restart != Restart::Never && (is_flat || replay.distribution.is_spent(LEAST)) {
                replay.begin_again(settings, &mut regime, rng);
                record.clear();
            }
        }
    }

    /// The margin of coordinates with cells; and a mean in the space.
    fn keep_in_motion(&mut self) {
        let d = self.margins.len();
        let alpha = 1.0 / (d * self.distribution.lambda()) as f64;
        for j in 0..d {
            if self.coordinates.is_continuous(j) {
                continue;
            }
            let mean = self.distribution.mean[j];
            let inside = mean.clamp(0.0, 1.0);
            let (low, high) = self.coordinates.axes[j].cell(inside);
            // At either end of a range there is one threshold only.
            let ends = match (low <= 0.0, high >= 1.0) {
                (true, _) => (high, high),
                (false, true) => (low, low),
                (false, false) => (low, high),
            };
            let deviation = self.distribution.deviation(j);
            let (mean, margin) = corrected((mean, deviation, self.margins[j]), ends, alpha);
            if mean.is_finite() && margin.is_finite() && margin > 0.0 {
                (self.distribution.mean[j], self.margins[j]) = (mean, margin);
            }
        }
    }

    fn begin_again(&mut self, settings: &CmaEs, regime: &mut Regime, rng: &Rng) {
        regime.restarts += 1;
        // No trial has these numbers.
        let mut draws = rng.at(OF_STUDY - regime.restarts);
        let d = self.margins.len();
        let mean: Vec<f64> = (0..d).map(|_| draws.uniform()).collect();
        regime.small =
            settings.restart == Restart::Bipop && regime.restarts > 1 && regime.spent[1] < regime.spent[0];
        let (sigma, lambda) = if regime.small {
            let (u, v) = (draws.uniform(), draws.uniform());
            let first = regime.first as f64;
            let lambda = first * libm::pow(0.5 * regime.large as f64 / first, u * u);
            (settings.sigma * libm::pow(10.0, -2.0 * v), (lambda.floor() as usize).max(4))
        } else {
            regime.large = (2 * regime.large).min(1 << 12);
            (settings.sigma, regime.large)
        };
        self.distribution = Distribution::new(mean, sigma, None, lambda);
        self.margins = vec![1.0; d];
    }

    /// A point of the distribution. Coordinates without cells lie in their ranges, drawn again or, after some draws, set
    /// to the nearer end.
    pub(super) fn draw(&self, rng: &mut Rng) -> Point {
        let inside = |(j, x): (usize, &f64)| !self.coordinates.is_continuous(j) || (0.0..=1.0).contains(x);
        let mut raw = self.distribution.draw(rng);
        for _ in 1..DRAWS {
            if raw.iter().enumerate().all(inside) {
                break;
            }
            raw = self.distribution.draw(rng);
        }
        for (j, x) in raw.iter_mut().enumerate() {
            if self.coordinates.is_continuous(j) {
                *x = x.clamp(0.0, 1.0);
            }
        }
        let encoded = raw.iter().zip(&self.distribution.mean).zip(&self.margins);
        let encoded = encoded.map(|((x, m), a)| (m + a * (x - m)).clamp(0.0, 1.0)).collect();
        Point { raw, encoded }
    }
}

/// By their place in the view, the trials that have a result, ended or paused, with their parameters; nothing for one that
/// runs. One of another space, or without a loss, is the worst; the former stands in the middle.
fn ended<'a>(
    view: &View<'a>,
    coordinates: &Coordinates<'_>,
    rng: &Rng,
) -> (Vec<Option<Ended>>, Vec<Option<&'a luthier_core::Params>>) {
    let losses: Vec<Option<f64>> = if view.objectives() > 1 {
        preferences(view)
    } else {
        // With one objective nothing is drawn.
        single(view, &mut rng.clone()).into_iter().map(|seen| seen.loss).collect()
    };
    // Losses stand in the order of observations: of trials that have ended, then of the others.
    let (ended, others) = losses.split_at(view.finished().count());
    let (mut ended, mut others) = (ended.iter(), others.iter());
    view.tried()
        .map(|trial| {
            let of = if trial.has_ended() { &mut ended } else { &mut others };
            let loss = of.next().copied().flatten();
            if !trial.has_ended() && (!trial.is_paused() || loss.is_none()) {
                return (None, None);
            }
            let place = coordinates.place(trial.params());
            let loss = loss.filter(|_| place.is_some()).unwrap_or(f64::INFINITY);
            let place = place.unwrap_or_else(|| vec![0.5; coordinates.parameters.len()]);
            (Some(Ended { place, loss }), Some(trial.params()))
        })
        .unzip()
}

/// Of several objectives the places of trials in the order of fronts and crowding.
fn preferences(view: &View<'_>) -> Vec<Option<f64>> {
    let several = Several::new(view);
    let mut found = vec![None; several.seen.len()];
    let mut place = 0.0;
    for front in several.fronts() {
        let distances = crowding(&several.losses(&front));
        let mut order: Vec<(f64, usize)> = distances.into_iter().zip(front).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, i) in order {
            found[i] = Some(place);
            place += 1.0;
        }
    }
    found
}

/// The distribution that the best of some trials suggest: each of them a normal one, taken together.
fn warm(source: &[&Ended], lambda: usize) -> Option<Distribution> {
    let mut ranked: Vec<&&Ended> = source.iter().filter(|trial| trial.loss.is_finite()).collect();
    ranked.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    ranked.truncate((GOOD * ranked.len() as f64).ceil() as usize);
    let d = ranked.first()?.place.len();
    let n = ranked.len() as f64;
    let mean: Vec<f64> = (0..d).map(|j| ranked.iter().map(|trial| trial.place[j]).sum::<f64>() / n).collect();
    let entry = |i: usize, j: usize| {
        let product = |trial: &&&Ended| (trial.place[i] - mean[i]) * (trial.place[j] - mean[j]);
        let own = if i == j { WIDTH * WIDTH } else { 0.0 };
        own + ranked.iter().map(product).sum::<f64>() / n
    };
    let sum: Vec<Vec<f64>> = (0..d).map(|i| (0..d).map(|j| entry(i, j)).collect()).collect();
    // The step size is the geometric mean of the widths, so that the covariance has the determinant 1.
    let (values, _) = super::eigen::eigen(&sum);
    let log = values.iter().map(|value| libm::log(value.max(1e-16))).sum::<f64>() / (2.0 * d as f64);
    let sigma = libm::exp(log);
    let shape = sum.iter().map(|row| row.iter().map(|x| x / (sigma * sigma)).collect()).collect();
    Some(Distribution::new(mean, sigma, Some(shape), lambda))
}
