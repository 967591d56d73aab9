//! Who the members of a population are, and what is to be done next: both follow from the history.
//!
//! The first P trials are the members of the first generation. After a generation each member is succeeded by itself, or by
//! a trial that was forked at its end: the forks by number for the members that are replaced, in the order of the members.

use luthier_core::{Constraint, Criteria, Origin, TrialId, Tried, View};

use crate::sampler::shares;

/// The generation that is under way.
pub(super) struct Generation<'v> {
    pub(super) members: Vec<Tried<'v>>,
    /// The trials of the study, by number.
    pub(super) tried: Vec<Tried<'v>>,
    /// The step at which the generation ends that all members have to reach.
    pub(super) end: u64,
    pub(super) interval: u64,
    steps: u64,
    /// Members that are replaced at its end, by their places; known once all have reached it.
    losers: Vec<usize>,
    /// Those whose checkpoints others go on from, best first.
    winners: Vec<usize>,
    state: State,
}

/// Where the generation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There are not all members yet.
    Founding,
    /// Somebody has still to reach its end.
    Running,
    /// All have, and some have not gone on: the place of the first of them, and whether it is replaced.
    Ended { place: usize, replaced: bool },
    /// All have gone on to their ends.
    Last,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Begin another member of the first generation.
    Found,
    /// Let this member go on.
    Resume(TrialId),
    /// Begin a member with the checkpoint of another one.
    Fork,
    Wait,
    Done,
}

/// The last loss at or before a step; infinite where it is no number.
fn loss_at(trial: Tried<'_>, step: u64) -> f64 {
    let last = trial.losses().iter().rev().find(|report| report.0 <= step);
    last.map(|report| report.1).filter(|loss| loss.is_finite()).unwrap_or(f64::INFINITY)
}

/// By how much the report of that loss misses each constraint; 0 where a metric is not measured yet.
fn violations_at(trial: Tried<'_>, step: u64, criteria: &Criteria) -> Vec<f64> {
    let Some(report) = trial.last_report(step) else { return vec![0.0; criteria.constraints.len()] };
    let metric = |name: &str| report.metrics.get(name);
    let violation = |constraint: &Constraint| {
        let is_known = constraint.names().iter().all(|name| metric(name).is_some());
        if is_known { constraint.violation(metric) } else { 0.0 }
    };
    criteria.constraints.iter().map(violation).collect()
}

fn last_step(trial: Tried<'_>) -> u64 {
    trial.losses().last().map_or(0, |report| report.0)
}

/// Whether it has come to a step: else, at the end of the generation, it has ended before.
fn stands_at(trial: Tried<'_>, step: u64) -> bool {
    last_step(trial) >= step
}

impl<'v> Generation<'v> {
    /// The generation that the history has come to.
    pub(super) fn of(view: &View<'v>, population: usize, interval: u64, steps: u64, quantile: f64) -> Self {
        let tried: Vec<Tried<'v>> = view.tried().collect();
        let founders = tried.iter().take(population).copied();
        let mut generation = Self {
            members: founders.take_while(|trial| trial.origin().is_none()).collect(),
            tried,
            end: interval,
            interval,
            steps,
            losers: Vec::new(),
            winners: Vec::new(),
            state: State::Founding,
        };
        if generation.members.len() < population {
            return generation;
        }
        while generation.end < steps {
            if !generation
                .members
                .iter()
                .all(|trial| trial.has_ended() || last_step(*trial) >= generation.end)
            {
                generation.state = State::Running;
                return generation;
            }
            generation.rank(quantile, view.criteria());
            if let Some(state) = generation.succeed(view.is_closed()) {
                generation.state = state;
                return generation;
            }
            generation.end = generation.end.saturating_add(interval);
        }
        generation.state = State::Last;
        generation
    }

    /// Who is replaced, and by whose successors.
    fn rank(&mut self, quantile: f64, criteria: &Criteria) {
        let mut places: Vec<usize> = (0..self.members.len()).collect();
        let missed = self.members.iter().map(|trial| violations_at(*trial, self.end, criteria));
        let missed = shares(&missed.collect::<Vec<_>>(), criteria.constraints.len());
        places.sort_by(|a, b| {
            let loss = |place: &usize| loss_at(self.members[*place], self.end);
            // Who has no loss is of no use, whatever it keeps.
            let lost =
                |place: &usize| (!stands_at(self.members[*place], self.end), loss(place).is_infinite());
            let id = |place: &usize| self.members[*place].id();
            lost(a)
                .cmp(&lost(b))
                .then(missed[*a].total_cmp(&missed[*b]))
                .then(loss(a).total_cmp(&loss(b)))
                .then(id(a).cmp(&id(b)))
        });
        let gone = places.iter().filter(|place| !stands_at(self.members[**place], self.end)).count();
        let alive = places.len() - gone;
        let share = ((quantile.clamp(0.0, 0.5) * places.len() as f64) as usize).max(1);
        // Somebody has to be left to go on from.
        let replaced = share.max(gone).min(places.len().saturating_sub(1).max(gone));
        self.winners = places[..share.min(alive)].to_vec();
        self.losers = places[places.len() - replaced..].to_vec();
        self.losers.sort_unstable();
    }

    /// Puts the successors in the members' places. If one has none yet: where it stands. Where no trial may begin, nobody
    /// succeeds those that have ended.
    fn succeed(&mut self, closed: bool) -> Option<State> {
        let forks = |trial: &&Tried<'v>| {
            trial.origin().is_some_and(|Origin { trial: parent, step }| {
                step >= self.end
                    && step < self.end.saturating_add(self.interval)
                    && self.winners.iter().any(|place| self.members[*place].id() == parent)
            })
        };
        let forks: Vec<Tried<'v>> = self.tried.iter().filter(forks).copied().collect();
        let mut forks = forks.into_iter();
        let mut first = None;
        for place in 0..self.members.len() {
            let member = self.members[place];
            // It has gone on by itself, also where it was to be replaced and no trial could begin any more.
            let waits = member.is_paused() && last_step(member) < self.end.saturating_add(self.interval);
            let gone = !stands_at(member, self.end);
            if !self.losers.contains(&place) || !waits && !gone {
                if waits {
                    first.get_or_insert(State::Ended { place, replaced: false });
                }
            } else if let Some(fork) = forks.next() {
                self.members[place] = fork;
            } else if !(self.winners.is_empty() || closed && gone) {
                first.get_or_insert(State::Ended { place, replaced: true });
            }
        }
        first
    }

    /// The step at which a trial pauses that begins or goes on now; nothing where it runs to its end.
    pub(super) fn until(&self) -> Option<u64> {
        let end = match self.state {
            State::Ended { .. } => self.end.saturating_add(self.interval),
            _ => self.end,
        };
        (end < self.steps).then_some(end)
    }

    /// What is to be done next; no trial may begin where the study is `closed`.
    pub(super) fn stage(&self, closed: bool) -> Stage {
        match self.state {
            State::Founding => Stage::Found,
            State::Running => Stage::Wait,
            State::Ended { replaced: true, .. } if !closed => Stage::Fork,
            State::Ended { .. } => {
                let waits =
                    |trial: &&Tried<'_>| trial.is_paused() && last_step(**trial) < self.end + self.interval;
                let first = self.members.iter().find(waits);
                first.map_or(self.wait(), |member| Stage::Resume(member.id()))
            }
            State::Last => self.wait(),
        }
    }

    fn wait(&self) -> Stage {
        let runs = self.tried.iter().any(|trial| !trial.has_ended() && !trial.is_paused());
        if runs { Stage::Wait } else { Stage::Done }
    }

    /// Those whose checkpoints others go on from, best first.
    pub(super) fn parents(&self) -> Vec<Tried<'v>> {
        self.winners.iter().map(|place| self.members[*place]).collect()
    }

    /// The step at which a member stands at the end of the generation: its first at or after that.
    pub(super) fn step_of(&self, member: Tried<'_>) -> u64 {
        let reached = member.losses().iter().map(|report| report.0).find(|step| *step >= self.end);
        reached.unwrap_or(self.end)
    }

    /// Whether a checkpoint at this step may be needed.
    pub(super) fn may_fork(&self, step: u64) -> bool {
        self.state != State::Last && step >= self.end
    }

    /// The loss of the trial with this number at a step, its own or what it has inherited.
    pub(super) fn loss(&self, trial: Tried<'v>, step: u64) -> Option<f64> {
        match trial.origin() {
            Some(origin) if origin.step >= step => {
                let parent = self.tried.iter().find(|other| other.id() == origin.trial)?;
                self.loss(*parent, step)
            }
            _ => Some(loss_at(trial, step)).filter(|loss| loss.is_finite()),
        }
    }
}
