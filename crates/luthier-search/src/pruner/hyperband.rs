//! Successive halving and Hyperband: trials in groups, of which the best go on together.
//!
//! Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization"; Li et al. 2018,
//! "Hyperband: a novel bandit-based approach to hyperparameter optimization". Symbols: r the steps of the first rung, η the
//! factor, R the steps of a whole trial, rungs `r_0` = r < `r_1` < … < `r_m` at r η^k up to R / η. A bracket of kind s begins ⌈η^(m-s)
//! (m+1) / (m-s+1)⌉ trials, each with `r_s` steps. Once all of them have paused (or ended), the best one in η goes on to
//! the next rung, and so on; behind the last rung they run to their end. Hyperband takes the kinds s = 0, 1, …, m by
//! turns, from many short trials to few whole ones, so that a task on which early steps mislead is not lost; successive
//! halving is the kind 0 again and again.
//!
//! Where a bracket waits for its own trials, the next one begins, so that nobody is idle. When no trial may begin any
//! more, a bracket that is not full is taken as it is. Without R, trials of 81 r steps are assumed.
//!
//! Which trial belongs to which bracket follows from its number. Who is the best where there are several objectives:
//! [`standing`](super::standing). Complexity: O(n log n) for n trials, O(m n²) with m objectives.

use luthier_core::{Admission, Budget, Decision, Pruner, Rng, TrialId, Tried, Unfinished, View};

use super::rungs::Rungs;
use super::standing::best_first;

/// Successive halving in brackets of one kind or of all.
///
/// ```
/// use luthier_core::{Admission, Budget, Direction, History, Pruner};
/// use luthier_search::pruner::{Hyperband, Rungs};
/// let history = History::new(Direction::Minimize).with_steps(Some(27));
/// assert_eq!(Hyperband::new(Rungs::default()).admit(&history.view()), Admission::New(Budget::Until(1)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hyperband {
    /// The rungs: r and η.
    pub rungs: Rungs,
    /// Whether all kinds of brackets have their turns.
    turns: bool,
}

/// A bracket: trials of consecutive numbers.
struct Bracket {
    kind: usize,
    first: usize,
    size: usize,
}

/// The last step of a trial.
fn last(trial: Tried<'_>) -> u64 {
    trial.losses().last().map_or(0, |last| last.0)
}

impl Hyperband {
    /// All kinds of brackets by turns.
    pub fn new(rungs: Rungs) -> Self {
        Self { rungs, turns: true }
    }

    /// Successive halving: only brackets of many short trials.
    pub fn single(rungs: Rungs) -> Self {
        Self { rungs, turns: false }
    }

    /// The steps of the rungs, none of them nearer than a factor to the end.
    fn steps(&self, view: &View<'_>) -> Vec<u64> {
        let assumed = || self.rungs.first.max(1).saturating_mul(self.rungs.factor.max(2).saturating_pow(4));
        self.rungs.below(view.steps().unwrap_or_else(assumed))
    }

    /// The bracket that begins with this trial.
    fn bracket(&self, number: usize, first: usize, rungs: usize) -> Bracket {
        // The last kind runs its trials to their end at once.
        let kinds = rungs + 1;
        let kind = if self.turns { number % kinds } else { 0 };
        let left = (kinds - kind) as u64;
        let many = self.rungs.factor.max(2).saturating_pow((left - 1) as u32);
        let size = many.saturating_mul(kinds as u64).div_ceil(left);
        Bracket { kind, first, size: usize::try_from(size).unwrap_or(usize::MAX) }
    }
}

impl Bracket {
    /// The trial of this bracket that may go on, and how far.
    fn next(
        &self,
        view: &View<'_>,
        trials: &[Tried<'_>],
        rungs: &[u64],
        factor: u64,
    ) -> Option<(TrialId, Budget)> {
        if trials.len() < self.size && !view.is_closed() {
            return None;
        }
        let mut here = trials.to_vec();
        for (k, rung) in rungs.iter().enumerate().skip(self.kind) {
            let arrived = |trial: &Tried<'_>| {
                trial.has_ended() || last(*trial) >= *rung && (trial.is_paused() || last(*trial) > *rung)
            };
            if !here.iter().all(arrived) {
                return None;
            }
            here = best_first(view, here, *rung);
            // One at least, or nobody would come to an end.
            here.truncate((here.len() as u64 / factor).max(1) as usize);
            let next = rungs.get(k + 1);
            let waits = |trial: &&Tried<'_>| {
                let last = last(**trial);
                trial.is_paused() && last >= *rung && next.is_none_or(|next| last < *next)
            };
            if let Some(trial) = here.iter().find(waits) {
                return Some((trial.id(), next.map_or(Budget::Full, |next| Budget::Until(*next))));
            }
        }
        None
    }
}

impl Pruner for Hyperband {
    fn decide(&self, _: &View<'_>, _: &Unfinished<'_>, _: &mut Rng) -> Decision {
        Decision::Continue
    }

    fn admit(&self, view: &View<'_>) -> Admission {
        let rungs = self.steps(view);
        let trials: Vec<Tried<'_>> = view.tried().collect();
        let (mut number, mut first) = (0, 0);
        loop {
            let bracket = self.bracket(number, first, rungs.len());
            let end = bracket.first.saturating_add(bracket.size);
            let own = &trials[bracket.first.min(trials.len())..end.min(trials.len())];
            if !own.is_empty()
                && let Some((trial, budget)) = bracket.next(view, own, &rungs, self.rungs.factor.max(2))
            {
                return Admission::Resume(trial, budget);
            }
            if end > trials.len() {
                return Admission::New(
                    rungs.get(bracket.kind).map_or(Budget::Full, |step| Budget::Until(*step)),
                );
            }
            (number, first) = (number + 1, end);
        }
    }

    fn decides(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use luthier_core::testing::Played;
    use luthier_core::{Direction, History};

    /// Plays until a trial is admitted that `stop` says yes to; each trial's loss is its number, from the worst.
    fn play(pruner: &Hyperband, played: &mut Played, trials: usize) {
        loop {
            let closed = played.0.trials().len() >= trials;
            let (trial, budget) = match pruner.admit(&played.0.view().closing(closed)) {
                Admission::New(_) if closed => return,
                Admission::New(budget) => (None, budget),
                Admission::Resume(trial, budget) => (Some(trial), budget),
                Admission::Wait => panic!("nobody runs"),
            };
            let until = if let Budget::Until(step) = budget { Some(step) } else { None };
            let trial = match trial {
                Some(trial) => {
                    played.resume(trial, until);
                    trial
                }
                None => played.start(until),
            };
            let from = played.0.trials()[trial.0 as usize].reports.last().map_or(0, |report| report.step);
            for step in from + 1..=until.unwrap_or(9) {
                played.report(trial, step, 100.0 - trial.0 as f64 - 0.01 * step as f64);
            }
            match until {
                Some(_) => played.pause(trial),
                None => played.complete(trial, 100.0 - trial.0 as f64),
            }
        }
    }

    fn steps(played: &Played) -> Vec<u64> {
        let last = |i: usize| played.0.trials()[i].reports.last().map_or(0, |report| report.step);
        (0..played.0.trials().len()).map(last).collect()
    }

    #[test]
    fn of_each_bracket_the_best_third_goes_on() {
        let mut played = Played::with_steps(9);
        play(&Hyperband::single(Rungs::default()), &mut played, 9);
        // 9 trials of one step, the last 3 of them (the best) with 3, the last of those with all 9.
        assert_eq!(steps(&played), [1, 1, 1, 1, 1, 1, 3, 3, 9]);
    }

    #[test]
    fn hyperband_has_brackets_from_many_short_trials_to_few_whole_ones() {
        let mut played = Played::with_steps(9);
        play(&Hyperband::new(Rungs::default()), &mut played, 9 + 5 + 3);
        let steps = steps(&played);
        assert_eq!(steps[..9], [1, 1, 1, 1, 1, 1, 3, 3, 9]);
        // ⌈3 · 3 / 2⌉ = 5 begin with three steps, one of them goes on; 3 run to their end at once.
        assert_eq!(steps[9..14], [3, 3, 3, 3, 9]);
        assert_eq!(steps[14..], [9, 9, 9]);
    }

    #[test]
    fn the_last_rung_is_a_factor_from_the_end() {
        for (end, rungs) in [(9, vec![1, 3]), (10, vec![1, 3]), (30, vec![1, 3, 9]), (100, vec![1, 3, 9, 27])]
        {
            assert_eq!(
                Hyperband::new(Rungs::default()).steps(&Played::with_steps(end).0.view()),
                rungs,
                "{end}"
            );
        }
        let unknown = History::new(Direction::Minimize);
        assert_eq!(Hyperband::new(Rungs::default()).steps(&unknown.view()), [1, 3, 9, 27]);
        let few = Played::with_steps(2);
        assert_eq!(Hyperband::new(Rungs::default()).steps(&few.0.view()), [1]);
    }

    #[test]
    fn while_a_bracket_waits_the_next_one_begins_and_a_part_of_one_has_a_winner_too() {
        let (pruner, mut played) = (Hyperband::single(Rungs::default()), Played::with_steps(9));
        for number in 0..9 {
            let trial = played.begun(Some(1), &[f64::from(number)]);
            if number > 0 {
                played.pause(trial);
            }
        }
        // The first one still runs.
        assert_eq!(pruner.admit(&played.0.view()), Admission::New(Budget::Until(1)));
        played.pause(TrialId(0));
        assert_eq!(pruner.admit(&played.0.view()), Admission::Resume(TrialId(0), Budget::Until(3)));
        let mut few = Played::with_steps(9);
        let only = few.begun(Some(1), &[0.5]);
        few.pause(only);
        assert_eq!(pruner.admit(&few.0.view()), Admission::New(Budget::Until(1)));
        assert_eq!(pruner.admit(&few.0.view().closing(true)), Admission::Resume(only, Budget::Until(3)));
    }
}
