//! What a study is: the definition that is fixed when it is created.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{Constraint, Metrics};

/// The key of a study within its storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StudyId(pub i64);

/// Whether large or small values of the objective are good.
///
/// It is applied once, where values enter the [`History`](crate::History): inside, losses are
/// minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Small is good.
    Minimize,
    /// Large is good.
    Maximize,
}

impl Direction {
    /// The loss of an objective's value, and the value of a loss: the map is its own inverse.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }

    /// Whether value `a` is better than `b`; nothing is better than NaN is to be beaten by.
    pub fn better(self, a: f64, b: f64) -> bool {
        !a.is_nan() && (b.is_nan() || self.loss(a) < self.loss(b))
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Minimize => "minimize",
            Self::Maximize => "maximize",
        })
    }
}

/// An objective behind the first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// The metric, as reports call it.
    pub name: String,
    /// Which way it is tuned.
    pub direction: Direction,
}

/// What counts of a trial beside its first objective, measured at the step that counts: the best one by the first
/// objective, or the last one where nothing says which is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// The objectives behind the first one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<Goal>,
    /// What has to hold of the metrics, each a [limit](Constraint::is_limit). A trial that misses one cannot win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
}

impl Criteria {
    /// Whether there is none: one objective, and nothing that has to hold.
    pub fn is_empty(&self) -> bool {
        self.objectives.is_empty() && self.constraints.is_empty()
    }

    /// The metrics that are needed, each once.
    pub fn metrics(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let needed = self.objectives.iter().map(|goal| goal.name.as_str());
        for name in needed.chain(self.constraints.iter().flat_map(Constraint::names)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The losses of the objectives behind the first one; NaN where a metric is missing.
    pub fn losses(&self, metrics: &Metrics) -> Vec<f64> {
        let loss = |goal: &Goal| goal.direction.loss(metrics.get(&goal.name).unwrap_or(f64::NAN));
        self.objectives.iter().map(loss).collect()
    }

    /// By how much each constraint is missed, 0 where it holds.
    pub fn violations(&self, metrics: &Metrics) -> Vec<f64> {
        self.constraints.iter().map(|constraint| constraint.violation(|name| metrics.get(name))).collect()
    }
}

/// Whether losses `a` are at least as good as `b` everywhere, and better somewhere.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// What is fixed about a study when it is created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyDefinition {
    /// Its name, unique in the storage.
    pub name: String,
    /// The metric that is tuned.
    pub objective: String,
    /// Which way it is tuned.
    pub direction: Direction,
    /// Further objectives and constraints.
    #[serde(default, skip_serializing_if = "Criteria::is_empty")]
    pub criteria: Criteria,
    /// The seed of every draw.
    pub seed: u64,
    /// The slots of its logical clock; nothing in free order, where whatever comes first counts first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// The reports of a trial that runs its whole length, where that is known and the same for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The study file's text, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The fingerprint of the data that the study is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The program and its version.
    pub program: String,
}

impl StudyDefinition {
    /// The names of all objectives, the first one first.
    pub fn objectives(&self) -> impl Iterator<Item = &str> {
        let further = self.criteria.objectives.iter().map(|goal| goal.name.as_str());
        std::iter::once(self.objective.as_str()).chain(further)
    }
}

/// A study as its storage knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Study {
    /// Its key.
    pub id: StudyId,
    /// When it was created, in milliseconds since 1970 (UTC).
    pub created_ms: i64,
    /// What it is.
    #[serde(flatten)]
    pub definition: StudyDefinition,
}

/// What another program keeps of a study or a trial, by name, each as the JSON text that it wrote. Luthier hands it back
/// and makes no use of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// What its users wrote.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub user: IndexMap<String, String>,
    /// What the program itself wrote.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub system: IndexMap<String, String>,
}

impl Attributes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty() && self.system.is_empty()
    }
}
