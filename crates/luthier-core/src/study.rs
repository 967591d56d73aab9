//! What a study is: the definition that is fixed when it is created.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

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

/// What is fixed about a study when it is created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyDefinition {
    /// Its name, unique in the storage.
    pub name: String,
    /// The metric that is tuned.
    pub objective: String,
    /// Which way it is tuned.
    pub direction: Direction,
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
