//! The tree-structured Parzen estimator (TPE): proposes where good trials are denser than bad ones.
//!
//! Symbols: l is the density of the good observations, g that of all others, n their number. Candidates are
//! drawn from l, and the one with the largest log l(x) - log g(x) is proposed, which maximises the expected
//! improvement over the loss that parts the two (Bergstra, Bardenet, Bengio and Kégl 2011, "Algorithms for
//! hyper-parameter optimization"). The parts are named as by Watanabe 2023, "Tree-structured Parzen
//! estimator: understanding its algorithm components", arXiv:2304.11127. Those chosen here:
//!
//! - both densities are over the whole conditional space at once (see [`parzen`]), as in BOHB;
//! - the good ones are a fixed share of n, at most 25, and weigh by their improvement ("expected improvement"
//!   weights); the others weigh the same;
//! - the kernels of l have a width that depends on the number of observations alone, those of g follow Scott's
//!   rule. `tests/quality.rs` compares the whole with Optuna 5.
//!
//! What an observation is worth:
//!
//! | trial | counts as |
//! | --- | --- |
//! | complete, finite loss | its loss |
//! | stopped by the search, or paused, with a finite report | its best loss so far, which running on could only have improved |
//! | failed, infeasible, without any finite loss | bad: the region is avoided |
//! | running | bad ("constant liar"), so that proposals made side by side differ |

mod normal;
mod parzen;

use luthier_core::{Outcome, Params, Rng, Sampler, SearchError, Space, View};

use parzen::{Bandwidth, Cube, Parzen, Point};

/// At most so many observations are good, whatever their share, so that l stays narrow in long studies.
const GOOD_LIMIT: usize = 25;

/// Random points of which the first trials take the one that is farthest from the others.
const SPREAD: usize = 24;

/// The weight of the prior kernel, where an observation weighs 1 on average.
const PRIOR_WEIGHT: f64 = 1.0;

/// The TPE sampler.
///
/// The first [`startup_trials`](Self::startup_trials) are spread evenly over the space, by taking of some random
/// configurations the one that is farthest from the trials so far (Mitchell 1991).
///
/// A proposal takes O(n d) time for each candidate, with n trials and d parameters.
///
/// ```
/// use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Sampler, Space, Streams};
/// use luthier_search::sampler::Tpe;
///
/// let space = Space::new([
///     Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
///     Parameter::new("rate", Distribution::log_float(1e-5, 1e-1)),
/// ])?;
/// let tpe = Tpe { startup_trials: 20, ..Tpe::default() };
/// let history = History::new(Direction::Minimize);
/// let params = tpe.propose(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, 0))?;
/// assert!(space.contains(&params));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tpe {
    /// Trials that have to end before the history is used. 10 by default.
    pub startup_trials: usize,
    /// Candidates for each proposal; 0 means 1. 24 by default: more of them search l more greedily.
    pub candidates: usize,
    /// The share of the observations that is good, in `0.0..=1.0`, rounded up to a whole observation. 0.15 by
    /// default.
    pub good_share: f64,
}

impl Default for Tpe {
    fn default() -> Self {
        Self { startup_trials: 10, candidates: 24, good_share: 0.15 }
    }
}

impl Sampler for Tpe {
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        let cube = Cube::new(space);
        let observations = Observations::new(view, &cube);
        if view.finished().count() < self.startup_trials {
            let others: Vec<&Point> = observations.points().collect();
            return Ok(best_of(SPREAD, || {
                let params = space.sample(rng);
                let point = cube.point(&params);
                let distances = others.iter().map(|other| cube.distance(other, &point));
                (distances.fold(f64::INFINITY, f64::min), params)
            }));
        }
        let (good, bad, weights) = observations.split(self.good_share);
        let l = Parzen::new(&cube, &good, &weights, PRIOR_WEIGHT, Bandwidth::Fixed);
        let g = Parzen::new(&cube, &bad, &vec![1.0; bad.len()], PRIOR_WEIGHT, Bandwidth::Scott);
        Ok(best_of(self.candidates, || {
            let params = l.sample(rng);
            let point = cube.point(&params);
            (l.log_density(&point) - g.log_density(&point), params)
        }))
    }
}

/// Of `n` draws (of one, if that is 0) the one with the largest score; of equal ones the first.
fn best_of(n: usize, mut draw: impl FnMut() -> (f64, Params)) -> Params {
    let mut best = draw();
    for _ in 1..n {
        let next = draw();
        if next.0 > best.0 {
            best = next;
        }
    }
    best.1
}

/// What is known of the space. Trials that share no parameter with it are left out.
struct Observations {
    /// Finite losses with their points, best first; of equal ones the older.
    ranked: Vec<(f64, Point)>,
    /// Points without a loss.
    bad: Vec<Point>,
}

impl Observations {
    fn new(view: &View<'_>, cube: &Cube<'_>) -> Self {
        let finished = view.finished().map(|trial| {
            let loss = match trial.outcome() {
                Outcome::Complete { .. } => trial.loss().filter(|loss| loss.is_finite()),
                Outcome::Stopped { .. } => best_report(trial.losses()),
                Outcome::Failed { .. } | Outcome::Infeasible { .. } => None,
            };
            (loss, trial.params())
        });
        let unfinished = view
            .unfinished()
            .map(|trial| (trial.is_paused().then(|| best_report(trial.losses())).flatten(), trial.params()));
        let mut observations = Self { ranked: Vec::new(), bad: Vec::new() };
        for (loss, params) in finished.chain(unfinished) {
            let point = cube.point(params);
            match loss {
                _ if point.iter().all(Option::is_none) => {}
                Some(loss) => observations.ranked.push((loss, point)),
                None => observations.bad.push(point),
            }
        }
        observations.ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        observations
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.ranked.iter().map(|(_, point)| point).chain(&self.bad)
    }

    /// The good points, the bad ones, and the weights of the good: how far each is below the best loss that is
    /// not good, 1 on average.
    fn split(&self, share: f64) -> (Vec<&Point>, Vec<&Point>, Vec<f64>) {
        let n = self.ranked.len();
        // Trials without a loss do not make more of the others good.
        let count = ((share * n as f64).ceil() as usize).clamp(1, GOOD_LIMIT).min(n);
        let (good, rest) = self.ranked.split_at(count);
        let edge = rest.first().or(good.last()).map_or(0.0, |worst| worst.0);
        let mean = good.iter().map(|(loss, _)| edge - loss).sum::<f64>() / count as f64;
        let weigh = |loss: f64| if mean > 0.0 && mean.is_finite() { (edge - loss) / mean } else { 1.0 };
        let weights = good.iter().map(|(loss, _)| weigh(*loss)).collect();
        let bad = rest.iter().map(|(_, point)| point).chain(&self.bad).collect();
        (good.iter().map(|(_, point)| point).collect(), bad, weights)
    }
}

fn best_report(losses: &[(u64, f64)]) -> Option<f64> {
    losses.iter().map(|(_, loss)| *loss).filter(|loss| loss.is_finite()).reduce(f64::min)
}

#[cfg(test)]
mod tests;
