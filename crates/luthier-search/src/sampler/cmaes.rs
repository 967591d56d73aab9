//! CMA-ES: a normal distribution that follows what was good, for numbers that every trial has.
//!
//! Symbols: d is the number of coordinates, lambda the size of a population, n the number of trials; the distribution has
//! the mean m, the step size sigma and the covariance C (Hansen 2016, "The CMA evolution strategy: a tutorial",
//! arXiv:1604.00772): [`Distribution`](distribution::Distribution). Coordinates are places in `[0, 1]`, on the scale of
//! each range. The parts:
//!
//! - whole numbers and steps keep a probability of at least `1 / (d lambda)` to leave their cell (Hamano, Saito, Nomura
//!   and Shirakawa 2022, "CMA-ES with margin", arXiv:2205.13482): [`margin`]
//! - the first distribution is that of the best trials that were imported (Nomura, Watanabe, Akimoto, Ozaki and Onishi
//!   2021, "Warm starting CMA-ES for hyperparameter optimization", arXiv:2012.06932), or stands in the middle
//! - where it has come to its end, a new one begins: with twice the population (IPOP; Auger and Hansen 2005), or by turns
//!   with a small one and a small step (BIPOP; Hansen 2009)
//! - parameters that are choices, or that not every trial has, for which there is no such distribution, come from TPE; in a space
//!   that has no others, all do.
//!
//! Nothing is kept: the distributions are made again at each proposal, from the results in the history and the draws of
//! its trials, which their numbers repeat. A trial whose values are not those that its number draws (one that was
//! imported, or was proposed while others of its population ran) counts with the values that it has. A population that is
//! not complete moves nothing yet. Trials without a loss are the last of their population. With several objectives trials
//! are ordered by front and crowding distance, as in NSGA-II.
//!
//! Complexity: O(n / lambda d³) for the eigenvectors of each population; beyond [`FULL`] coordinates C is diagonal (Ros
//! and Hansen 2008), and it is O(n d).

mod distribution;
mod eigen;
mod margin;
mod replay;

use luthier_core::config::{Bound, defaults};
use luthier_core::{Distribution as Range, Parameter, Params, Rng, Sampler, SearchError, Space, View};

use super::Tpe;
use super::tpe::Axis;
use replay::Replay;

/// Coordinates up to which covariances are learnt; beyond, variances alone.
const FULL: usize = 60;

/// Fewer than 4 are no population, and more than this are never complete.
const TRIALS: Bound<usize> =
    Bound { expected: "a whole number from 4 to 100,000", holds: |n| (4..=100_000).contains(n) };

/// A step may be as long as a range.
const STEP: Bound<f64> = Bound { expected: "a number above 0, up to 1", holds: |x| *x > 0.0 && *x <= 1.0 };

luthier_core::kinds! {
    /// What begins when a distribution has come to its end.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Restart ("what begins when a distribution has come to its end") {
        /// Nothing: the same distribution goes on.
        "never" => Never,
        /// One with twice the population.
        "ipop" => Ipop,
        /// By turns one with twice the population, and a small one, each for as many trials as the other had.
        "bipop" => Bipop,
    }
}

luthier_core::settings! {
    /// The sampler of CMA-ES.
    ///
    /// ```
    /// use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Sampler, Space, Streams};
    /// use luthier_search::sampler::CmaEs;
    ///
    /// let space = Space::new([Parameter::new("rate", Distribution::log_float(1e-5, 1e-1))])?;
    /// let history = History::new(Direction::Minimize);
    /// let sampler = CmaEs { population: Some(8), ..CmaEs::default() };
    /// let params = sampler.propose(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, 0))?;
    /// assert!(space.contains(&params));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Debug, Clone, PartialEq)]
    pub struct CmaEs {
        /// Trials of a population; `4 + 3 ln d` of d numbers, rounded down, if left out.
        population: Option<usize> = None, TRIALS;
        /// The first step size, as a share of each range.
        sigma: f64 = 0.2, STEP;
        /// What begins when a distribution has come to its end.
        restart: Restart = Restart::Bipop;
    }
}

impl Default for CmaEs {
    fn default() -> Self {
        defaults()
    }
}

/// Draws of a point until it lies in the space.
const DRAWS: usize = 100;

/// What marks the stream of all but the coordinates.
const OTHERS: u64 = 1 << 63;

/// The parameters that the distribution is over.
struct Coordinates<'a> {
    parameters: Vec<&'a Parameter>,
    axes: Vec<Axis>,
}

impl<'a> Coordinates<'a> {
    fn new(space: &'a Space) -> Self {
        let is_number = |parameter: &&Parameter| {
            !matches!(parameter.distribution, Range::Choice { .. })
                && parameter.is_always_there()
                && parameter.distribution.cardinality() != Some(1)
        };
        let parameters: Vec<&Parameter> = space.iter().filter(is_number).collect();
        let axes = parameters.iter().map(|parameter| Axis::of(&parameter.distribution)).collect();
        Self { parameters, axes }
    }

    /// Where a configuration stands; nothing if it lacks a coordinate, or has a value in no range of today.
    fn place(&self, params: &Params) -> Option<Vec<f64>> {
        self.parameters.iter().map(|one| one.distribution.to_unit(params.get(&one.name)?)).collect()
    }

    /// Whether a point stands for the values of a configuration.
    fn is_at(&self, point: &[f64], params: &Params) -> bool {
        self.parameters
            .iter()
            .zip(point)
            .all(|(one, unit)| params.get(&one.name) == Some(&one.distribution.from_unit(*unit)))
    }

    /// Whether a point has no cells in this coordinate.
    fn is_continuous(&self, j: usize) -> bool {
        matches!(self.axes[j], Axis::Continuous)
    }
}

impl Sampler for CmaEs {
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        let coordinates = Coordinates::new(space);
        let number = rng.position();
        if coordinates.parameters.is_empty() {
            return Tpe::default().propose(view, space, rng);
        }
        let replay = Replay::new(self, view, &coordinates, rng);
        let mut draws = rng.at(number);
        let mut point = replay.draw(&mut draws);
        // All but the coordinates come from TPE, by draws of their own, so that these repeat by the number of the trial.
        let others = if coordinates.parameters.len() < space.len() {
            Tpe::default().propose(view, space, &mut rng.at(number | OTHERS))?
        } else {
            Params::new()
        };
        let mut params = Params::new();
        for _ in 0..DRAWS {
            params = space.build(|parameter, _| {
                let place = coordinates.parameters.iter().position(|one| one.name == parameter.name);
                match (place, others.get(&parameter.name)) {
                    (Some(j), _) => parameter.distribution.from_unit(point.encoded[j]),
                    (None, Some(value)) => value.clone(),
                    (None, None) => parameter.distribution.from_unit(0.5),
                }
            });
            if space.allows(&params) {
                break;
            }
            point = replay.draw(&mut draws);
        }
        Ok(params)
    }
}

#[cfg(test)]
mod tests;
