//! Bayesian optimisation: a Gaussian process predicts losses, and the configuration with the largest expected
//! improvement is proposed.
//!
//! Symbols: n is the number of observations, d that of parameters, c that of candidates. The parts, each in its file:
//!
//! - the process has a Matérn kernel of smoothness 5/2 with a length scale for each parameter, on coordinates that are
//!   warped (Kumaraswamy) and losses that are made normal (half of them by rank, then Yeo and Johnson): [`model`],
//!   [`warp`]. Conditional parameters, options, whole numbers: [`features`].
//! - The hyperparameters are those of the largest posterior density, found by L-BFGS from the priors' means at each
//!   proposal: [`lbfgs`]. Nothing is kept from one proposal to the next, so the same history gives the same proposal.
//! - The acquisition function is the logarithm of the expected improvement: [`acquisition`], maximised in [`search`].
//! - Where there are several objectives, each proposal is for one weighing of them, drawn anew (`ParEGO`):
//!   [`several`](super::several).
//! - Trials without a loss count as the worst there is; running ones as what is expected of them.
//! - Of long histories the process sees [`ROWS`] observations, and its hyperparameters are fitted to [`FITTED`].
//!
//! Mockus 1975; Jones, Schonlau and Welch 1998, "Efficient global optimization of expensive black-box functions";
//! Snoek, Larochelle and Adams 2012, "Practical Bayesian optimization of machine learning algorithms".
//!
//! Complexity: O(n log n) to choose what is seen, then O(FITTED³) for a fit and O(ROWS² c) for the search, whatever n.

mod acquisition;
mod features;
mod lbfgs;
pub(crate) mod linear;
mod model;
mod posterior;
mod quantile;
mod search;
mod warp;

use luthier_core::config::defaults;
use luthier_core::{Params, Rng, Sampler, SearchError, Space, View};

use super::belief;
use super::observation::{Observation, single};
use super::sobol;
use features::Features;
use posterior::Posterior;
use search::Acquisition;

pub(super) use quantile::normal_quantile;

/// Observations that the process is given at most.
const ROWS: usize = 128;

/// Observations that its hyperparameters are fitted to at most.
const FITTED: usize = 64;

/// Trials that a neighbourhood is searched of.
const LEADERS: usize = 5;

luthier_core::settings! {
    /// The sampler by a Gaussian process.
    ///
    /// The first [`startup_trials`](Self::startup_trials) are points of Sobol's sequence.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Gp {
        /// Trials that have to end before the history is used.
        startup_trials: usize = 10;
    }
}

impl Default for Gp {
    fn default() -> Self {
        defaults()
    }
}

impl Sampler for Gp {
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        if super::observation::enough(view, self.startup_trials)
            && let Some(params) = propose(view, space, rng, None)
        {
            return Ok(params);
        }
        if let Some(params) = belief::opening(view, space, rng) {
            return Ok(params);
        }
        sobol::Sobol.propose(view, space, rng)
    }
}

/// What the process is given.
struct Known<'a> {
    params: Vec<&'a Params>,
    rows: Vec<Vec<f64>>,
    losses: Vec<f64>,
}

impl<'a> Known<'a> {
    fn new(seen: &[Observation<'a>], features: &Features<'_>) -> Option<Self> {
        let kept = chosen(seen);
        let rows: Option<Vec<Vec<f64>>> = kept.iter().map(|(_, params)| features.row(params)).collect();
        Some(Self {
            rows: rows?,
            params: kept.iter().map(|(_, params)| *params).collect(),
            losses: kept.iter().map(|(loss, _)| *loss).collect(),
        })
    }
}

/// At most [`ROWS`] observations, best first: half of them the best ones, the others evenly spaced in rank. What has
/// no loss has the worst one.
fn chosen<'a>(seen: &[Observation<'a>]) -> Vec<(f64, &'a Params)> {
    let worst = seen.iter().filter_map(|seen| seen.loss).fold(f64::NEG_INFINITY, f64::max);
    let worst = if worst.is_finite() { worst } else { 0.0 };
    let ended = seen.iter().filter(|seen| !seen.running);
    let mut ranked: Vec<(f64, usize, &Params)> =
        ended.zip(0..).map(|(seen, i)| (seen.loss.unwrap_or(worst), i, seen.params)).collect();
    // Of equal ones the older first.
    ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let kept = thin(ranked.len(), ROWS);
    kept.into_iter().map(|i| (ranked[i].0, ranked[i].2)).collect()
}

/// At most `limit` of the first `n` numbers: the first half of them, then evenly spaced ones.
fn thin(n: usize, limit: usize) -> Vec<usize> {
    if n <= limit {
        return (0..n).collect();
    }
    let first = limit / 2;
    let rest = limit - first;
    (0..first).chain((0..rest).map(|i| first + (2 * i + 1) * (n - first) / (2 * rest))).collect()
}

/// A configuration by the process. `None` where there is nothing to predict from or for, and where losses correlate
/// with their predictions, each from the others, by less than `least`.
pub(super) fn propose(view: &View<'_>, space: &Space, rng: &mut Rng, least: Option<f64>) -> Option<Params> {
    let features = Features::new(space);
    let mut seen: Vec<Observation<'_>> = single(view, rng);
    let known = if let Some(known) = Known::new(&seen, &features) {
        known
    } else {
        // Trials of another space. To look at all of them takes long, and is rarely needed.
        seen.retain(|seen| features.row(seen.params).is_some());
        Known::new(&seen, &features)?
    };
    if features.lengths == 0 || known.rows.len() < 2 {
        return None;
    }
    let y = warp::standard_losses(&known.losses);
    let part = thin(y.len(), FITTED);
    let rows: Vec<Vec<f64>> = part.iter().map(|i| known.rows[*i].clone()).collect();
    let losses: Vec<f64> = part.iter().map(|i| y[*i]).collect();
    let theta = model::fit(&features, &rows, &losses);
    let mut posterior = Posterior::new(&features, theta, &known.rows, &y)?;
    if let Some(least) = least
        && correlation(&posterior.leave_one_out(&y), &y) < least
    {
        return None;
    }
    let best = known.rows.iter().take(ROWS / 2).map(|row| posterior.predict(row).mean);
    let best = best.fold(f64::INFINITY, f64::min);
    let mut taken = known.rows.clone();
    for running in seen.iter().filter(|seen| seen.running) {
        if let Some(row) = features.row(running.params) {
            posterior.believe(&row);
            taken.push(row);
        }
    }
    let leaders: Vec<&Params> = known.params.iter().copied().take(LEADERS).collect();
    Acquisition { features: &features, posterior: &posterior, best }.maximize(&leaders, &taken, rng)
}

/// Pearson's correlation; 0 where one of the two does not vary.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product = |x: &[f64], mean_x: f64, y: &[f64], mean_y: f64| {
        x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>()
    };
    let scale = (product(a, mean_a, a, mean_a) * product(b, mean_b, b, mean_b)).sqrt();
    if scale > 0.0 { product(a, mean_a, b, mean_b) / scale } else { 0.0 }
}

#[cfg(test)]
mod tests;
