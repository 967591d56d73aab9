//! The contracts of a search: what is run next, and what is stopped.
//!
//! [`Search`] is the kernel that every loop is built on. Most algorithms are a [`Sampler`] (which
//! configuration next) or a [`Pruner`] (which running trial is hopeless), and [`SamplerAndPruner`]
//! makes a search of the two. All of them are functions of the history, the space and a random
//! stream; what they cache may change their speed, never their answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Decision, Origin, Params, Rng, Space, TrialId, Unfinished, View};

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Start a trial.
    New {
        /// Its parameters.
        params: Params,
        /// The checkpoint that it begins with: of a trial at the step at which it has paused. `None` begins anew.
        from: Option<Origin>,
        /// The step at which it pauses; `None` runs it to its end.
        until: Option<u64>,
    },
    /// Let a trial go on that the search has paused.
    Resume {
        /// The trial.
        trial: TrialId,
        /// The step at which it pauses next; `None` runs it to its end.
        until: Option<u64>,
    },
    /// Nothing until another trial reports or ends.
    Wait,
    /// Nothing more at all.
    Done,
}

/// Why the search stopped a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum StopReason {
    /// Its best loss so far is above a percentile of what others had reached at that step.
    BehindPercentile {
        /// The step.
        step: u64,
        /// The percentile, 50 for the median.
        percentile: f64,
        /// Its best value so far, as a loss.
        #[serde(with = "crate::trial::number")]
        loss: f64,
        /// The percentile's value, as a loss.
        #[serde(with = "crate::trial::number")]
        threshold: f64,
    },
    /// It is not among the best trials that have reached a rung of successive halving.
    BehindRung {
        /// The step of the rung.
        step: u64,
        /// Its rank there, from 1.
        rank: u64,
        /// How many of them go on.
        kept: u64,
        /// How many have reached the rung, this one included.
        of: u64,
    },
    /// Of several objectives, or where results have to keep constraints: too many are on better fronts.
    BehindFronts {
        /// The step.
        step: u64,
        /// How many complete trials are on better fronts at that step.
        before: u64,
        /// Of how many.
        of: u64,
    },
    /// Its value is worse than a limit, or not finite.
    BeyondThreshold {
        /// The step.
        step: u64,
        /// Its value there, as a loss.
        #[serde(with = "crate::trial::number")]
        loss: f64,
        /// The limit, as a loss.
        #[serde(with = "crate::trial::number")]
        threshold: f64,
    },
    /// Step by step it is significantly worse than the best trial.
    WorseThanBest {
        /// The last step that was compared.
        step: u64,
        /// The best trial.
        best: TrialId,
        /// The chance of such a difference between two that are equally good.
        #[serde(with = "crate::trial::number")]
        p: f64,
    },
    /// The user's own program asked for it.
    Requested,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BehindPercentile { step, percentile, .. } if *percentile == 50.0 => {
                write!(f, "behind the median at step {step}")
            }
            Self::BehindPercentile { step, percentile, .. } => {
                write!(f, "behind the {percentile}th percentile at step {step}")
            }
            Self::BehindRung { step, rank, kept, of } => {
                write!(f, "behind the rung at step {step}: number {rank} of {of}, of which {kept} go on")
            }
            Self::BehindFronts { step, before, of } => {
                write!(f, "behind the fronts of {before} of {of} trials at step {step}")
            }
            Self::BeyondThreshold { step, .. } => write!(f, "worse than the limit at step {step}"),
            Self::WorseThanBest { step, best, p } => {
                write!(f, "worse than trial {best} by step {step} (Wilcoxon's test, p = {p:.3})")
            }
            Self::Requested => write!(f, "stopped on request"),
        }
    }
}

/// Why a search cannot go on.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{message}")]
pub struct SearchError {
    /// What is wrong, and what to do.
    pub message: String,
}

/// The kernel that every loop is built on.
pub trait Search: Send + Sync {
    /// What to run next, given what `view` shows. The stream `rng` is that of the next trial's number.
    ///
    /// # Errors
    ///
    /// [`SearchError`] where the algorithm cannot work on this space.
    fn next(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Next, SearchError>;

    /// Whether a running trial goes on after its latest report.
    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, rng: &mut Rng) -> Decision;

    /// Paused trials that [`Search::next`] will never let go on, whatever else happens up to the study's limit: their
    /// checkpoints are of no use. Leaving one out is always right.
    fn given_up(&self, view: &View<'_>) -> Vec<TrialId> {
        let _ = view;
        Vec::new()
    }

    /// Whether [`Search::decide`] can ever stop a trial. If not, a trial need not wait for it.
    fn decides(&self) -> bool {
        true
    }

    /// Whether [`Search::next`] ever begins a trial with the checkpoint of another one. Then checkpoints are kept where
    /// trials pause.
    fn forks(&self) -> bool {
        false
    }

    /// Whether a trial may yet be begun with this checkpoint, by what happens from `view` on. Once it may not, it
    /// never may again: then the checkpoint is removed.
    fn may_fork(&self, view: &View<'_>, origin: Origin) -> bool {
        let _ = (view, origin);
        self.forks()
    }
}

/// Chooses configurations.
pub trait Sampler: Send + Sync {
    /// A configuration in `space`. The position of `rng` is the number of trials in the view, so the place that the new
    /// trial will have among them.
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError>;

    /// Whether there is nothing left to propose in `space`. The default always has something.
    fn is_exhausted(&self, view: &View<'_>, space: &Space) -> bool {
        let _ = (view, space);
        false
    }
}

/// How far a new trial is to run at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// To its end.
    Full,
    /// To this step; then it pauses.
    Until(u64),
}

/// What a pruner lets in next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A new configuration.
    New(Budget),
    /// A paused trial goes on.
    Resume(TrialId, Budget),
    /// Nothing until something else has happened.
    Wait,
}

/// Stops trials that cannot win.
pub trait Pruner: Send + Sync {
    /// Whether `trial` goes on after its latest report.
    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, rng: &mut Rng) -> Decision;

    /// What may start next. The default lets every new configuration run to its end.
    fn admit(&self, view: &View<'_>) -> Admission {
        let _ = view;
        Admission::New(Budget::Full)
    }

    /// Paused trials that [`Pruner::admit`] will never let go on, whatever else happens up to the study's limit.
    fn given_up(&self, view: &View<'_>) -> Vec<TrialId> {
        let _ = view;
        Vec::new()
    }

    /// Whether it can stop a trial at all.
    fn decides(&self) -> bool {
        true
    }
}

/// Proposals of a sampler that may break the constraints on parameters before a random one takes their place.
const PROPOSALS: usize = 5;

/// A sampler and a pruner make a search.
pub struct SamplerAndPruner {
    sampler: Box<dyn Sampler>,
    pruner: Box<dyn Pruner>,
}

impl SamplerAndPruner {
    /// Puts the two together.
    pub fn new(sampler: Box<dyn Sampler>, pruner: Box<dyn Pruner>) -> Self {
        Self { sampler, pruner }
    }

    /// A configuration that the space's constraints allow: the sampler's, or after [`PROPOSALS`] that are none a random
    /// one.
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        for _ in 0..PROPOSALS {
            let params = self.sampler.propose(view, space, rng)?;
            if space.allows(&params) {
                return Ok(params);
            }
        }
        space.sample_allowed(rng).map_err(|error| SearchError { message: error.to_string() })
    }
}

impl Search for SamplerAndPruner {
    fn next(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Next, SearchError> {
        let step = |budget| match budget {
            Budget::Full => None,
            Budget::Until(step) => Some(step),
        };
        let mut admission = self.pruner.admit(view);
        let is_new = matches!(admission, Admission::New(_));
        let exhausted = is_new && !view.is_closed() && self.sampler.is_exhausted(view, space);
        if exhausted {
            // No new trial may begin, and the pruner is asked again who goes on then.
            admission = self.pruner.admit(&view.closing(true));
        }
        Ok(match admission {
            // What runs may make the pruner let a paused trial go on.
            Admission::New(_) if exhausted && view.unfinished().any(|trial| !trial.is_paused()) => Next::Wait,
            Admission::New(_) if exhausted || view.is_closed() => Next::Done,
            Admission::New(budget) => {
                // The place of the new trial among those that the search sees: their numbers may have gaps.
                let mut rng = rng.at(view.len() as u64);
                Next::New { params: self.propose(view, space, &mut rng)?, from: None, until: step(budget) }
            }
            Admission::Resume(trial, budget) => Next::Resume { trial, until: step(budget) },
            Admission::Wait => Next::Wait,
        })
    }

    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, rng: &mut Rng) -> Decision {
        self.pruner.decide(view, trial, rng)
    }

    fn given_up(&self, view: &View<'_>) -> Vec<TrialId> {
        self.pruner.given_up(view)
    }

    fn decides(&self) -> bool {
        self.pruner.decides()
    }
}
