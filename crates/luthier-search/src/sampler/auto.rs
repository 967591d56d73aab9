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
//! **A search that is stuck gives way to another one.** Both build on what they have found, and where that is the wrong valley
//! they stay in it: two studies of half the length are better than one. So once [`STRETCH`] trials are complete, and the last half
//! as many have lowered the best loss by less than [`PROGRESS`] of its distance to the median of the first ones, a search begins that
//! sees its own trials alone; and when that one is stuck, the one that sees all goes on, and so by turns.
//!
//! With several objectives the process has three turns of four, each on a weighing of them that is drawn (`ParEGO`), and TPE
//! one, on the fronts (MOTPE): drawn weighings keep the process from staying where it once was right, and one search sees
//! all trials to the end. What misses a constraint on results counts as worse than all that keep them.
//!
//! Complexity: that of the sampler whose turn it is.

use luthier_core::{Outcome, Params, Rng, Sampler, SearchError, Space, TrialId, View};

use super::{Sobol, Tpe, belief, gp, observation};

/// Trials that have to end, or pause, before the history is used.
const STARTUP: usize = 10;

/// The least correlation at which the Gaussian process is listened to.
const TRUSTED: f64 = 0.6;

/// The most parameters that the Gaussian process is given: more take too long, and have too many length scales for
/// the trials that there are.
const COLUMNS: usize = 60;

/// Trials that are complete before a search can be stuck.
const STRETCH: usize = 100;

/// Trials after which it is looked at again.
const LOOK: usize = 25;

/// The least share of the way from the best loss to the median that is progress.
const PROGRESS: f64 = 0.01;

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
        let begun = begun(view);
        let view = &begun.map_or(*view, |first| view.since(first));
        if !observation::enough(view, STARTUP) {
            if begun.is_none()
                && let Some(params) = belief::opening(view, space, rng)
            {
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

/// The first trial of the search that is at work; `None` if that is the one that sees all.
fn begun(view: &View<'_>) -> Option<TrialId> {
    if view.objectives() > 1 {
        return None;
    }
    let mut begun = None;
    // The best loss after each trial: of all, and of those of the search that is at work.
    let (mut all, mut own) = (Vec::new(), Vec::new());
    let (mut first, mut count) = (Vec::with_capacity(STRETCH), 0);
    let complete = view.finished().filter(|trial| matches!(trial.outcome(), Outcome::Complete { .. }));
    for trial in complete {
        let loss = trial.loss().filter(|loss| trial.keeps_constraints() && loss.is_finite());
        let loss = loss.unwrap_or(f64::INFINITY);
        for bests in [&mut all, &mut own] {
            bests.push(bests.last().map_or(loss, |best: &f64| best.min(loss)));
        }
        if first.len() < STRETCH && loss.is_finite() {
            first.push(loss);
        }
        count += 1;
        if count < STRETCH || count % LOOK > 0 {
            continue;
        }
        let bests = if begun.is_none() { &all } else { &own };
        let progress = bests[bests.len() - 1 - STRETCH / 2] - bests[bests.len() - 1];
        // Without any loss there is no progress.
        if progress > PROGRESS * (median(&first) - all[all.len() - 1]) {
            continue;
        }
        begun = if begun.is_none() { Some(TrialId(trial.id().0 + 1)) } else { None };
        own.clear();
        count = 0;
    }
    begun
}

fn median(losses: &[f64]) -> f64 {
    let mut losses = losses.to_vec();
    let middle = losses.len() / 2;
    if losses.is_empty() { f64::NAN } else { *losses.select_nth_unstable_by(middle, f64::total_cmp).1 }
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
        history_of(40, loss)
    }

    fn history_of(trials: u64, loss: impl Fn(u64, f64) -> f64) -> History {
        let trials = (0..trials).map(|n| {
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

    /// A history in which the trial of this number has this loss.
    fn losses(trials: u64, loss: impl Fn(u64) -> f64) -> History {
        history_of(trials, |n, _| loss(n))
    }

    #[test]
    fn a_search_that_is_stuck_gives_way_to_another_and_that_one_to_the_first() {
        let first = |history: &History| begun(&history.view()).map(|trial| trial.0);
        // Random losses above 0.5, and nothing better behind the 30th.
        let draw = |n: u64| 0.5 + Streams::new(9).at(Purpose::Data, n).uniform();
        let stuck = |n: u64| if n == 30 { 0.4 } else { draw(n) };
        assert_eq!(first(&losses(99, stuck)), None);
        assert_eq!(first(&losses(100, stuck)), Some(100));
        // The new one goes on as long as it gets better, although it is behind the first, and not longer.
        let better = |n: u64| if n < 100 { stuck(n) } else { 10.0 - 0.01 * n as f64 };
        assert_eq!(first(&losses(350, better)), Some(100));
        let ended = |n: u64| if n < 150 { better(n) } else { 20.0 };
        assert_eq!(first(&losses(199, ended)), Some(100));
        assert_eq!(first(&losses(200, ended)), None);
        assert_eq!(first(&losses(300, ended)), Some(300));
        // Who gets better all the time sees all.
        assert_eq!(first(&losses(400, |n| 10.0 - 0.01 * n as f64)), None);
    }

    #[test]
    fn another_search_begins_as_the_first_did_and_sees_its_own_trials_alone() {
        let stuck = losses(104, |_| 1.0);
        assert!(is(&Sobol, &stuck, 104));
        let other = history_of(130, |n, x| if n < 100 { 1.0 } else { (x - 0.3) * (x - 0.3) });
        let own = other.view().since(TrialId(100));
        let mut rng = Streams::new(1).at(Purpose::Sampler, 130);
        let alone = Gp::default().propose(&own, &square(), &mut rng).unwrap();
        let mut rng = Streams::new(1).at(Purpose::Sampler, 130);
        assert_eq!(Auto.propose(&other.view(), &square(), &mut rng).unwrap(), alone);
    }

    #[test]
    fn the_first_trials_are_points_of_a_sequence() {
        assert!(is(&Sobol, &History::new(Direction::Minimize), 3));
    }
}
