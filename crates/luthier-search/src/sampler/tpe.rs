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
//! - old observations count like new ones. To let them count less ([`Tpe::recent`]; "linear forgetting" in hyperopt, the
//!   weights of Optuna) finds nothing better where the objective stays the same: docs/search.md has the figures;
//! - of long histories g keeps [`BAD_LIMIT`] kernels, each standing for as many observations as it weighs, so a
//!   proposal takes bounded time.
//!
//! Where there are several objectives, the good observations are those of the first fronts (MOTPE): [`several`].
//!
//! Trials without a loss (failed, infeasible, running) are bad: their regions are avoided, and proposals made side
//! by side differ ("constant liar"). What each trial counts as: [`observation`](super::observation).
//!
//! Complexity: O(c k d) for c candidates, at most k = 25 + 2 [`BAD_LIMIT`] kernels and d parameters, and O(n) to
//! find the good of n losses.

mod normal;
mod parzen;
mod several;

use luthier_core::config::{Bound, bounds, defaults};
use luthier_core::{Params, Rng, Sampler, SearchError, Space, View};

use super::belief;
use super::observation::{Observation, enough, observations, single};
use super::several::Several;
pub(super) use normal::TruncatedNormal;
pub(crate) use normal::log_mass;
use parzen::{Bandwidth, Cube, Parzen, Point};

pub(super) use parzen::Axis;

/// At most so many observations are good, whatever their share, so that l stays narrow in long studies.
const GOOD_LIMIT: usize = 25;

/// At most so many observations with a loss that is not good make kernels of g, and at most so many without a loss.
const BAD_LIMIT: usize = 200;

/// More would take longer than a trial.
const CANDIDATES: Bound<usize> =
    Bound { expected: "a whole number from 1 to 100,000", holds: |n| (1..=100_000).contains(n) };

/// Random points of which the first trials take the one that is farthest from the others.
const SPREAD: usize = 24;

/// Draws of a candidate until the constraints on parameters hold.
const DRAWS: usize = 20;

/// The weight of the prior kernel, where an observation weighs 1 on average.
const PRIOR_WEIGHT: f64 = 1.0;

luthier_core::settings! {
    /// The TPE sampler.
    ///
    /// The first [`startup_trials`](Self::startup_trials) are spread evenly over the space, by taking of some random
    /// configurations the one that is farthest from the trials so far (Mitchell 1991).
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
        /// Trials that have to end before the history is used.
        startup_trials: usize = 10;
        /// Candidates for each proposal: more of them search the good trials' surroundings more greedily.
        candidates: usize = 24, CANDIDATES;
        /// The share of the observations that is good, rounded up to a whole observation.
        good_share: f64 = 0.15, bounds::SHARE;
        /// So many of the latest trials count in full, older ones the less the older they are: for objectives that drift.
        /// 25 is usual. All count alike if left out.
        recent: Option<u64> = None;
    }
}

impl Default for Tpe {
    fn default() -> Self {
        defaults()
    }
}

impl Sampler for Tpe {
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        let cube = Cube::new(space);
        if !enough(view, self.startup_trials) {
            if let Some(params) = belief::opening(view, space, rng) {
                return Ok(params);
            }
            let others: Vec<Point> = observations(view).map(|seen| cube.point(seen.params)).collect();
            return Ok(best_of(SPREAD, || {
                let params = space.sample(rng);
                let point = cube.point(&params);
                let distances = others.iter().filter(|other| is_known(other));
                let nearest =
                    distances.map(|other| cube.distance(other, &point)).fold(f64::INFINITY, f64::min);
                (nearest, params)
            }));
        }
        let Split { good, bad } = Split::new(view, &cube, self, rng);
        let l = Parzen::new(&cube, &good, PRIOR_WEIGHT, Bandwidth::Fixed);
        let g = Parzen::new(&cube, &bad, PRIOR_WEIGHT, Bandwidth::Scott);
        Ok(best_of(self.candidates, || {
            let mut params = l.sample(rng);
            for _ in 1..DRAWS {
                if space.allows(&params) {
                    break;
                }
                params = l.sample(rng);
            }
            let point = cube.point(&params);
            let score = l.log_density(&point) - g.log_density(&point);
            (if space.allows(&params) { score } else { f64::NEG_INFINITY }, params)
        }))
    }
}

impl Tpe {
    /// How much trial `i` of `n` counts, the oldest being the first: 1 if it is recent, else from 1 / n on.
    fn weight_of_age(&self, i: usize, n: usize) -> f64 {
        let old = self.recent.map_or(0, |recent| n.saturating_sub(usize::try_from(recent).unwrap_or(n)));
        if i >= old {
            return 1.0;
        }
        let least = 1.0 / n as f64;
        least + (1.0 - least) * i as f64 / (old - 1).max(1) as f64
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

/// Whether a trial has anything to say about the space: trials that share no parameter with it are left out.
fn is_known(point: &Point) -> bool {
    point.iter().any(Option::is_some)
}

/// The points of both densities with their weights.
struct Split {
    good: Vec<(Point, f64)>,
    bad: Vec<(Point, f64)>,
}

impl Split {
    fn new(view: &View<'_>, cube: &Cube<'_>, tpe: &Tpe, rng: &mut Rng) -> Self {
        if view.objectives() > 1 {
            let mut several = Several::new(view);
            several.seen.retain(|seen| is_known(&cube.point(seen.params)));
            return Self::of_several(&several, cube, tpe);
        }
        let mut seen = single(view, rng);
        let split = Self::of(&seen, cube, tpe);
        if split.good.iter().chain(&split.bad).all(|(point, _)| is_known(point)) {
            return split;
        }
        // To look up the parameters of every trial takes longer than all the rest, so it is done only where a trial
        // that shares no parameter with the space has turned up.
        seen.retain(|seen| is_known(&cube.point(seen.params)));
        Self::of(&seen, cube, tpe)
    }

    fn of(seen: &[Observation<'_>], cube: &Cube<'_>, tpe: &Tpe) -> Self {
        let mut ranked: Vec<(f64, usize)> =
            seen.iter().zip(0..).filter_map(|(seen, i)| Some((seen.loss?, i))).collect();
        // Trials without a loss do not make more of the others good.
        let n = ranked.len();
        let count = ((tpe.good_share * n as f64).ceil() as usize).clamp(1, GOOD_LIMIT).min(n);
        // Best first; of equal ones the older. Only the good ones and the next need an order.
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        let edge = if count < n { Some(*ranked.select_nth_unstable_by(count, order).1) } else { None };
        ranked.truncate(count);
        ranked.sort_unstable_by(order);
        // A good one weighs by how far it is below the best loss that is not good, 1 on average.
        let worst = edge.or(ranked.last().copied()).map_or(0.0, |worst| worst.0);
        let mean = ranked.iter().map(|(loss, _)| worst - loss).sum::<f64>() / count as f64;
        let weigh = |loss: f64| if mean > 0.0 && mean.is_finite() { (worst - loss) / mean } else { 1.0 };
        let point =
            |i: usize, weight: f64| (cube.point(seen[i].params), weight * tpe.weight_of_age(i, seen.len()));
        let good = ranked.iter().map(|(loss, i)| point(*i, weigh(*loss))).collect();
        let is_bad = |i: usize, loss: f64| edge.is_some_and(|edge| order(&(loss, i), &edge).is_ge());
        let rest = (0..seen.len()).filter(|i| seen[*i].loss.is_some_and(|loss| is_bad(*i, loss)));
        let lost = (0..seen.len()).filter(|i| seen[*i].loss.is_none());
        let kept = [thinned(&rest.collect::<Vec<_>>()), thinned(&lost.collect::<Vec<_>>())].concat();
        let bad = kept.into_iter().map(|(i, weight)| point(i, weight)).collect();
        Self { good, bad }
    }
}

/// At most [`BAD_LIMIT`] of `all`, evenly spaced, each with the number of those that it stands for.
fn thinned(all: &[usize]) -> Vec<(usize, f64)> {
    let kept = all.len().min(BAD_LIMIT);
    // The middle one of each stretch.
    (0..kept).map(|i| (all[(2 * i + 1) * all.len() / (2 * kept)], all.len() as f64 / kept as f64)).collect()
}

#[cfg(test)]
mod tests;
