//! Where a trial begins that does not begin anew: with the checkpoint of another one.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::TrialId;

/// A trial at a step that it has reported: the place of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The trial.
    pub trial: TrialId,
    /// The step; for a training the epoch.
    pub step: u64,
}

/// What a trial goes on from, and on whose wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The checkpoint that it begins with.
    #[serde(flatten)]
    pub origin: Origin,
    /// What a person asked for; nothing where the search forked a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
}

/// A trial that a person asked for: a trial that is lengthened, or branched under other values.
///
/// It takes no slot of the logical clock and the search does not see it, because it is of another length than
/// the trials of the study, or outside its space. It may win all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Whether it goes on as the other trial would have: with the same random streams, and with what the other one had
    /// reached by then. Else it is a fork, with streams of its own.
    pub extends: bool,
    /// Values of the filled-in study file that are no parameters of the space: TOML by path.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub values: IndexMap<String, String>,
}

impl From<Origin> for Lineage {
    fn from(origin: Origin) -> Self {
        Self { origin, request: None }
    }
}

impl Lineage {
    /// Whether it continues the other trial with the same streams.
    pub fn extends(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.extends)
    }

    /// The values that it has beside its parameters, as `PATH=TOML`: what `--set` takes.
    pub fn sets(&self) -> Vec<String> {
        let values = self.request.iter().flat_map(|request| &request.values);
        values.map(|(path, value)| format!("{path}={value}")).collect()
    }
}

impl std::fmt::Display for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.extends() { "extends" } else { "forked from" };
        write!(f, "{what} trial {} at step {}", self.origin.trial, self.origin.step)?;
        match &self.sets()[..] {
            [] => Ok(()),
            sets => write!(f, " with {}", sets.join(" ")),
        }
    }
}
