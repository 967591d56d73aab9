//! The sampler for who does not want to choose one.
//!
//! Symbols: n is the number of trials that have ended, rho the correlation of losses with what a Gaussian process
//! expects of each of them from the others (on the process's scale of losses; Rasmussen and Williams 2006, section
//! 5.4.2).
//!
//! | where | what proposes |
//! | --- | --- |
//! | the first [`STARTUP`] trials | Sobol's sequence |
//! | rho at least [`TRUSTED`] | the Gaussian process and TPE by turns |
//! | rho below it, or more than [`COLUMNS`] parameters | TPE |
//!
//! The two err differently: a Gaussian process finds the bottom of a smooth valley in few trials and is led astray where
//! its picture is wrong, TPE stays among what was good. By turns they are better than either, because each builds on
//! what the other has found. Where losses cannot be predicted from neighbours (noise, rugged landscapes), the process's
//! turns are wasted, and rho tells. `docs/search.md` has the figures.
//!
//! With several objectives the process has three turns of four, each on a weighing of them that is drawn (`ParEGO`), and TPE
//! one, on the fronts (MOTPE): drawn weighings keep the process from staying where it once was right. What misses a constraint on results counts as worse than all that keep them.
//!
//! Complexity: that of the sampler whose turn it is.

use luthier_core::{Params, Rng, Sampler, SearchError, Space, View};

use super::{Sobol, Tpe, belief, gp, observation};

/// Trials that have to end, or pause, before the history is used.
const STARTUP: usize = 10;

/// The least correlation at which the Gaussian process is listened to.
const TRUSTED: f64 = 0.6;

/// The most parameters that the Gaussian process is given: more take too long, and have too many length scales for
/// the trials that there are.
const COLUMNS: usize = 40;

/// Chooses among Sobol's sequence, the Gaussian process and TPE, by what it sees.
///
/// ```
/// use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Sampler, Space, Streams};
/// use luthier_search::sampler::Auto;
///
/// let space = Space::new([Parameter::new("rate", Distribution::log_float(1e-5, 1e-1))])?;
/// let history = History::new(Direction::Minimize);
/// let params = Auto.propose(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, 0))?;
/// assert!(space.contains(&params));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Auto;

impl Sampler for Auto {
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        if !observation::enough(view, STARTUP) {
            if let Some(params) = belief::opening(view, space, rng) {
                return Ok(params);
            }
            return Sobol.propose(view, space, rng);
        }
        let turn = if view.objectives() > 1 {
            !rng.position().is_multiple_of(4)
        } else {
            rng.position().is_multiple_of(2)
        };
        let turn = turn && space.len() <= COLUMNS;
        if turn && let Some(params) = gp::propose(view, space, rng, Some(TRUSTED)) {
            return Ok(params);
        }
        Tpe { startup_trials: STARTUP, ..Tpe::default() }.propose(view, space, rng)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use luthier_core::testing::Played;
    use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Streams};

    use super::super::Gp;
    use super::*;

    fn square() -> Space {
        Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap()
    }

    fn history(loss: impl Fn(u64, f64) -> f64) -> History {
        let trials = (0..40).map(|n| {
            let params = square().sample(&mut Streams::new(2).at(Purpose::Data, n));
            let value = loss(n, params["x"].as_f64().unwrap());
            (params, value)
        });
        Played::completed(Direction::Minimize, trials)
    }

    /// Whether `auto` proposes for this trial what the sampler does.
    fn is(sampler: &dyn Sampler, history: &History, trial: u64) -> bool {
        let rng = || Streams::new(1).at(Purpose::Sampler, trial);
        let propose =
            |sampler: &dyn Sampler| sampler.propose(&history.view(), &square(), &mut rng()).unwrap();
        propose(&Auto) == propose(sampler)
    }

    #[test]
    fn where_losses_can_be_predicted_both_have_their_turns() {
        let smooth = history(|_, x| (x - 0.3) * (x - 0.3));
        assert!(is(&Gp::default(), &smooth, 40));
        assert!(is(&Tpe::default(), &smooth, 41));
    }

    #[test]
    fn where_they_cannot_tpe_has_all() {
        let noise = history(|n, _| Streams::new(9).at(Purpose::Data, n).uniform());
        assert!(is(&Tpe::default(), &noise, 40));
        assert!(is(&Tpe::default(), &noise, 41));
    }

    #[test]
    fn the_first_trials_are_points_of_a_sequence() {
        assert!(is(&Sobol, &History::new(Direction::Minimize), 3));
    }
}
