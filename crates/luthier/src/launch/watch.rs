//! When workers are submitted again, and when it is enough.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Worker, WorkerState};

/// The longest wait before workers are submitted again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How long to wait after an engine gave up finding a place for a worker.
const WAIT_FOR_A_PLACE: Duration = Duration::from_secs(10);

/// Keeps a number of workers alive as long as they have something to do.
///
/// A worker that is lost is replaced, after a wait that grows as long as the study gets no further. One that was
/// cancelled is not: somebody wanted that. When the first worker ends by itself, there is nothing left to do.
#[derive(Debug)]
pub struct Watch {
    wanted: u32,
    retries: u32,
    /// Workers that are ours, and how they were when last seen.
    ours: BTreeMap<String, Option<WorkerState>>,
    /// How far the study was when workers were last lost.
    progress: u64,
    /// How often workers were lost since the study got any further.
    losses: u32,
    not_before: Option<Instant>,
    done: bool,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// So many workers are to be submitted.
    Submit(u32),
    /// The workers have ended, or have nothing more to do.
    End,
    /// Workers die, and the study gets no further.
    GiveUp {
        /// The last of them.
        id: String,
        /// What it died of.
        cause: String,
    },
}

impl Watch {
    /// Wants so many workers, of which `active` are there already. It gives up when workers are lost more than
    /// `retries` times while the study gets no further.
    pub fn new(wanted: u32, retries: u32, active: impl IntoIterator<Item = String>) -> Self {
        let ours = active.into_iter().map(|id| (id, None)).collect();
        Self { wanted, retries, ours, progress: 0, losses: 0, not_before: None, done: false }
    }

    /// Workers have been submitted.
    pub fn submitted(&mut self, ids: impl IntoIterator<Item = String>) {
        self.ours.extend(ids.into_iter().map(|id| (id, None)));
    }

    /// Whether a worker is ours, not one of an earlier launch.
    pub fn is_ours(&self, id: &str) -> bool {
        self.ours.contains_key(id)
    }

    /// What is to be done, where the engine knows of `workers` and the study has got as far as `progress`, a number
    /// that grows with whatever workers achieve.
    pub fn step(&mut self, workers: &[Worker], progress: u64, now: Instant) -> Step {
        let mut lost = None;
        for (id, last) in &mut self.ours {
            let unended = last.as_ref().is_none_or(WorkerState::is_active);
            let state = match workers.iter().find(|worker| worker.id == *id) {
                Some(worker) => worker.state.clone(),
                // Engines forget what has ended a while ago.
                None if last.is_some() && unended => WorkerState::Gone {
                    cause: "the engine does not know it any more".to_owned(),
                    started: true,
                },
                // It was submitted a moment ago.
                None => continue,
            };
            if unended {
                match &state {
                    WorkerState::Done => self.done = true,
                    WorkerState::Cancelled => self.wanted = self.wanted.saturating_sub(1),
                    WorkerState::Gone { cause, started } => {
                        lost = Some((id.clone(), cause.clone(), *started));
                    }
                    WorkerState::Pending(_) | WorkerState::Running => {}
                }
            }
            *last = Some(state);
        }
        let is =
            |state: &Option<WorkerState>, wanted: fn(&WorkerState) -> bool| state.as_ref().is_none_or(wanted);
        let active = self.ours.values().filter(|state| is(state, WorkerState::is_active)).count() as u32;
        let running = self.ours.values().any(|state| *state == Some(WorkerState::Running));
        if self.wanted == 0 && active == 0 || self.done && !running {
            return Step::End;
        }
        if let Some((id, cause, started)) = lost {
            if progress > self.progress {
                self.losses = 0;
            }
            self.progress = progress;
            let wait = if started {
                self.losses += 1;
                // The first time at once.
                LONGEST_WAIT.min(Duration::from_secs((1 << self.losses.min(10)) - 2))
            } else {
                WAIT_FOR_A_PLACE
            };
            self.not_before = Some(now + wait);
            if self.losses > self.retries && !self.done {
                return Step::GiveUp { id, cause };
            }
        }
        let missing = self.wanted.saturating_sub(active);
        if self.done || missing == 0 || self.not_before.is_some_and(|moment| now < moment) {
            return Step::Wait;
        }
        Step::Submit(missing)
    }
}
