//! Asynchronous successive halving (ASHA): most trials get few steps, the best of them more and more.
//!
//! Li et al. 2020, "A system for massively parallel hyperparameter tuning". Symbols: r the steps of the first rung,
//! η the reduction factor, R the steps of a whole trial; rung k is at step r η^k, as long as r η^(k+1) is no more
//! than R, and behind the last rung a trial runs to its end. A trial's loss at a rung is its best finite loss up to
//! that step, infinite if it has none. Of the n trials that have reached a rung the best ⌊n / η⌋ go on, equal
//! ones in the order of their numbers.
//!
//! Where the paper promotes whoever is among the best, here no more than ⌊n / η⌋ have ever left a rung. With a sampler
//! that learns, most new trials are among the best of those so far; all of them would go on, and the steps would be spent
//! on long trainings of early guesses (`docs/search.md` has what it is worth).
//!
//! **The first rung rises.** In the form that promotes, and where it is not the number of trials that is limited, new
//! trials begin at rung k once k times [`ENDED`] trials have come to their end, and behind the last rung they run as a
//! whole. What rungs have to say is said by then: who is behind for other reasons than the first steps show would
//! never be found, and for ever more short trials most of the steps would be spent. So a study goes from many short
//! trials to few long ones, as Hyperband's brackets do, but by its own pace.
//!
//! In the form that **promotes**, each trial pauses at its rung. Whenever there is room, the highest rung that has a
//! paused trial among its best is looked for, and that trial goes on to the next rung; without one, a new trial
//! begins. Where none may begin and no trial that has come to its end can win, the best at the highest rung runs to it
//! (of those that keep the constraints on results, if any do), so that every study has a winner. In the form that
//! **stops**, nothing pauses: at each rung a trial goes on if it is among the best of those that have been there,
//! itself included, or the first of them. That wastes less where trials cannot pause, but a trial that was stopped
//! early by good company does not come back.
//!
//! A paused trial is **given up** when it can never be among the best of its rung: of the trials that have reached the
//! rung none leaves it, so that its rank r (from 0) only grows, while their number n grows by u at most: the trials that
//! may still begin, those that run below the rung, and those that wait below it and are not given up there. It goes on at
//! some time only if r < ⌊(n + u) / η⌋, and if fewer than that have gone on. As long as no trial has come to its end
//! with a value, none is given up, since any may be the one that is to have one.
//!
//! With several objectives, or where results have to keep constraints, trials are sorted front by front
//! ([`standing`](super::standing)), and none is given up.
//!
//! Both take O(n) for n trials, sorted once for each rung that is looked at.

use std::cmp::Ordering;

use luthier_core::{
    Admission, Budget, Decision, FinishedTrial, Outcome, Pruner, Rng, StopReason, TrialId, Tried, Unfinished,
    View,
};

use super::rungs::{Rungs, last_step};
use super::standing::{best_first, by_one_loss, is_needed, may_keep};

/// Trials that come to their end before the first rung rises by one.
const ENDED: usize = 8;

/// What happens to a trial at a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Promote,
    Stop,
}

/// Asynchronous successive halving.
///
/// ```
/// use luthier_core::{Admission, Budget, Direction, History, Pruner};
/// use luthier_search::pruner::Asha;
/// let history = History::new(Direction::Minimize);
/// // Each trial begins with a single step.
/// assert_eq!(Asha::promoting().admit(&history.view()), Admission::New(Budget::Until(1)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asha {
    /// The rungs: r and η.
    pub rungs: Rungs,
    form: Form,
}

/// A trial at a rung.
struct Entry<'a> {
    trial: Tried<'a>,
    /// Whether it waits at this very rung.
    waits: bool,
    /// Whether it has gone on from here.
    gone: bool,
}

impl Asha {
    /// The form that pauses trials, and lets the best of them go on.
    pub fn promoting() -> Self {
        Self { rungs: Rungs::default(), form: Form::Promote }
    }

    /// The form that stops trials for good.
    pub fn stopping() -> Self {
        Self { form: Form::Stop, ..Self::promoting() }
    }

    /// The same form with other rungs.
    #[must_use]
    pub fn with_rungs(mut self, rungs: Rungs) -> Self {
        self.rungs = rungs;
        self
    }
}

/// The trials that have reached the rung at this step, best first.
fn at_rung<'a>(view: &View<'a>, rung: u64, next: u64) -> Vec<Entry<'a>> {
    let last = |trial: &Tried<'_>| trial.losses().last().map_or(0, |last| last.0);
    let here = view.tried().filter(|trial| last(trial) >= rung).collect();
    let entry = |trial: Tried<'a>| {
        let step = last(&trial);
        if trial.has_ended() {
            return Entry { trial, waits: false, gone: step > rung };
        }
        let is_here = step < next;
        // One that has come as far as it was to, and is about to pause, has not gone on.
        let runs_on = trial.until().is_none_or(|until| step < until);
        let gone = !is_here || !trial.is_paused() && runs_on;
        Entry { trial, waits: is_here && trial.is_paused(), gone }
    };
    best_first(view, here, rung).into_iter().map(entry).collect()
}

impl Pruner for Asha {
    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, _: &mut Rng) -> Decision {
        let Some(&(step, _)) = trial.losses().last() else { return Decision::Continue };
        let rungs = self.rungs.steps(view, step);
        // Steps may be further apart than rungs: the highest rung that this report has reached counts.
        let before = trial.losses().iter().rev().nth(1).map_or(0, |report| report.0);
        let Some(&rung) = rungs.iter().rev().find(|rung| before < **rung && **rung <= step) else {
            return Decision::Continue;
        };
        if self.form == Form::Promote {
            return Decision::Continue;
        }
        let entries = at_rung(view, rung, rung);
        let kept = (entries.len() as u64 / self.rungs.factor.max(2)).max(1);
        let rank = 1 + entries.iter().position(|entry| entry.trial.id() == trial.id()).unwrap_or(0) as u64;
        match rank.cmp(&kept) {
            Ordering::Greater => {
                Decision::Stop(StopReason::BehindRung { step: rung, rank, kept, of: entries.len() as u64 })
            }
            _ => Decision::Continue,
        }
    }

    fn admit(&self, view: &View<'_>) -> Admission {
        if self.form == Form::Stop {
            return Admission::New(Budget::Full);
        }
        let rungs = self.rungs.steps(view, last_step(view));
        let keeps = |trial: Tried<'_>| may_keep(view, trial);
        let mut highest: Option<Tried<'_>> = None;
        for (k, rung) in rungs.iter().enumerate().rev() {
            let next = rungs.get(k + 1).copied();
            let budget = next.map_or(Budget::Full, Budget::Until);
            let entries = at_rung(view, *rung, next.unwrap_or(u64::MAX));
            let kept = entries.len() / self.rungs.factor.max(2) as usize;
            let gone = entries.iter().filter(|entry| entry.gone).count();
            // Without R, nobody has reached the last of them.
            let next = entries[..kept].iter().find(|entry| entry.waits && gone < kept);
            if let Some(entry) = next {
                return Admission::Resume(entry.trial.id(), budget);
            }
            let mut waiting = entries.iter().filter(|entry| entry.waits);
            // One that keeps the constraints on results stands before those at its rung that miss them, not before those
            // at higher ones.
            let first = waiting.next().map(|entry| entry.trial);
            if highest.is_none_or(|highest| !keeps(highest) && first.is_some_and(keeps)) {
                highest = first.or(highest);
            }
        }
        if let Some(trial) = highest.filter(|trial| is_needed(view, *trial)) {
            return Admission::Resume(trial.id(), Budget::Full);
        }
        let is_whole = |trial: &FinishedTrial<'_>| matches!(trial.outcome(), Outcome::Complete { .. });
        // So many trials are to be had for little, where their number is given.
        let whole = if view.is_limited() { 0 } else { view.finished().filter(is_whole).count() };
        Admission::New(rungs.get(whole / ENDED).map_or(Budget::Full, |rung| Budget::Until(*rung)))
    }

    fn given_up(&self, view: &View<'_>) -> Vec<TrialId> {
        let mut given_up = Vec::new();
        // Among fronts a rank may also fall: a new trial takes several of those before from their front.
        if !by_one_loss(view) {
            return given_up;
        }
        let Some(left) = view.left().filter(|_| view.finished().any(|trial| trial.loss().is_some())) else {
            return given_up;
        };
        let rungs = self.rungs.steps(view, last_step(view));
        let last = |trial: &Unfinished<'_>| trial.losses().last().map_or(0, |last| last.0);
        // Those that wait below and may go on.
        let mut hopeful = 0;
        for (k, rung) in rungs.iter().enumerate() {
            let entries = at_rung(view, *rung, rungs.get(k + 1).copied().unwrap_or(u64::MAX));
            let running = view.unfinished().filter(|trial| !trial.is_paused() && last(trial) < *rung).count();
            let most = (entries.len() + running + hopeful) as u64 + left;
            let kept = most / self.rungs.factor.max(2);
            let gone = entries.iter().filter(|entry| entry.gone).count() as u64;
            for (rank, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.waits) {
                if gone < kept && (rank as u64) < kept {
                    hopeful += 1;
                } else {
                    given_up.push(entry.trial.id());
                }
            }
        }
        given_up
    }

    fn decides(&self) -> bool {
        self.form == Form::Stop
    }
}

#[cfg(test)]
mod tests;
