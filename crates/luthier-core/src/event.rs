//! Events: the only thing that a study stores.
//!
//! A study is the list of what happened in it. Everything else ([`History`](crate::History), the
//! tables that a user sees) is derived by reading that list from its start, so there is one truth,
//! a reader that knows it up to a revision needs only what came later, and a crash can lose nothing
//! but the tail that was never acknowledged.

use serde::{Deserialize, Serialize};

use crate::{
    Attributes, Distribution, Lineage, Metrics, Moment, Outcome, Params, Prior, Report, TrialId, Value,
};

/// The place of an event in its study, from 1. Revision 0 is the empty study.
pub type Revision = u64;

/// A session of work on a study, by the revision of the event with which it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Revision);

/// Something that happened in a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A trial began.
    TrialStarted {
        /// Its number.
        trial: TrialId,
        /// Its parameters, as far as they are known.
        params: Params,
        /// The seed of its streams.
        seed: u64,
        /// The step at which it is to pause, where the search set one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
        /// When a slot asked for it, in a study with a logical clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Moment>,
        /// The checkpoint that it begins with, where it does not begin anew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Lineage>,
    },
    /// A session took a trial in hand. What another one still says of it does not count.
    TrialTaken {
        /// Its number.
        trial: TrialId,
        /// Who.
        session: SessionId,
    },
    /// A trial that has just begun in this list ran elsewhere: the study was imported.
    TrialImported {
        /// Its number.
        trial: TrialId,
        /// When it began there, in microseconds since 1970 (UTC), where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_us: Option<i64>,
        /// What else the other program keeps of it.
        #[serde(default, skip_serializing_if = "Attributes::is_empty")]
        attributes: Attributes,
    },
    /// The study was imported.
    StudyImported {
        /// The program that it comes from, and the version of its format.
        from: String,
        /// What else the other program keeps of it.
        #[serde(default, skip_serializing_if = "Attributes::is_empty")]
        attributes: Attributes,
    },
    /// The search proposed values for a trial that asks for its parameters while it runs. It may ask for other ones.
    ParamsProposed {
        /// Its number.
        trial: TrialId,
        /// Values of parameters that earlier trials have asked for.
        params: Params,
    },
    /// A running trial asked for a parameter.
    ParamSuggested {
        /// Its number.
        trial: TrialId,
        /// The parameter's name.
        name: String,
        /// Its range.
        distribution: Distribution,
        /// The value that it got.
        value: Value,
        /// Where good values are believed to be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prior: Option<Prior>,
    },
    /// A running trial reported.
    Reported {
        /// Its number.
        trial: TrialId,
        /// What it said.
        report: Report,
    },
    /// A session laid a trial out of its hands; it goes on later from its last checkpoint.
    TrialPaused {
        /// Its number.
        trial: TrialId,
        /// What set it aside.
        cause: Stop,
    },
    /// A trial that the search has paused goes on.
    TrialResumed {
        /// Its number.
        trial: TrialId,
        /// The step at which it is to pause next, where the search set one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
        /// When a slot asked for it, in a study with a logical clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Moment>,
    },
    /// The search stopped a trial in a study with a logical clock. What the trial has said since does not
    /// count, its end included.
    TrialStopped {
        /// Its number.
        trial: TrialId,
        /// How it ended.
        outcome: Outcome,
        /// When it reported what it was stopped for.
        at: Moment,
    },
    /// A trial ended. In a study with a logical clock that counts when its time has come.
    TrialFinished {
        /// Its number.
        trial: TrialId,
        /// How.
        outcome: Outcome,
        /// Wall-clock seconds that the session spent on it that had it in hand.
        seconds: f64,
    },
    /// The winner was evaluated on the test set.
    Tested {
        /// Its number.
        trial: TrialId,
        /// What was measured.
        metrics: Metrics,
    },
    /// A session of work on the study began.
    SessionStarted {
        /// The program and version that works.
        program: String,
        /// The machine and the process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker: Option<String>,
        /// The study file that it works by, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// The fingerprint of the data that it works on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
        /// The class of machines that computes the same bits, where that matters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<String>,
        /// The number of trials asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trials: Option<u64>,
        /// The last moment that counted before, in a study with a logical clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Moment>,
    },
    /// A session of work ended.
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Why.
        cause: Stop,
        /// The last moment that counted, in a study with a logical clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Moment>,
    },
}

impl Event {
    /// Whether it is at a moment of the logical clock: all that comes before the moment counts for who reads it.
    pub fn is_decision(&self) -> bool {
        match self {
            Self::TrialStarted { at, .. }
            | Self::TrialResumed { at, .. }
            | Self::SessionStarted { at, .. }
            | Self::SessionEnded { at, .. } => at.is_some(),
            Self::TrialStopped { .. } => true,
            _ => false,
        }
    }

    /// The trial that the event is about.
    pub fn trial(&self) -> Option<TrialId> {
        match self {
            Self::TrialStarted { trial, .. }
            | Self::TrialTaken { trial, .. }
            | Self::TrialImported { trial, .. }
            | Self::ParamsProposed { trial, .. }
            | Self::ParamSuggested { trial, .. }
            | Self::Reported { trial, .. }
            | Self::TrialPaused { trial, .. }
            | Self::TrialResumed { trial, .. }
            | Self::TrialStopped { trial, .. }
            | Self::TrialFinished { trial, .. }
            | Self::Tested { trial, .. } => Some(*trial),
            Self::StudyImported { .. } | Self::SessionStarted { .. } | Self::SessionEnded { .. } => None,
        }
    }
}

/// Why work stopped, on a trial or on a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// All trials that were asked for are done.
    Finished,
    /// The target was reached.
    Target,
    /// The time was up.
    Timeout,
    /// The user asked for it.
    Interrupted,
    /// The search paused the trial.
    Search,
    /// The search has nothing more to propose.
    Exhausted,
    /// Too many trials failed in a row.
    Failing,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Finished => "all trials are done",
            Self::Target => "the target was reached",
            Self::Timeout => "the time was up",
            Self::Interrupted => "interrupted",
            Self::Search => "paused by the search",
            Self::Exhausted => "the search has nothing more to propose",
            Self::Failing => "too many trials failed in a row",
        })
    }
}

/// An event as its storage holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recorded {
    /// Its place in the study.
    pub revision: Revision,
    /// When it was stored, in milliseconds since 1970 (UTC), by the storage's clock.
    pub at_ms: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
