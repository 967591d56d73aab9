//! What a trial goes through: its number, its reports and how it ended.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::StopReason;

/// The number of a trial in its study, from 0, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub u64);

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Measured values by name. They may be NaN or infinite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics(IndexMap<String, Number>);

impl Metrics {
    /// Sets the value of `name`.
    pub fn insert(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), Number(value));
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|number| number.0)
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) -> Option<f64> {
        self.0.shift_remove(name).map(|number| number.0)
    }

    /// Names and values in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, number)| (name.as_str(), number.0))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: Into<String>> FromIterator<(S, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (S, f64)>>(items: I) -> Self {
        Self(items.into_iter().map(|(name, value)| (name.into(), Number(value))).collect())
    }
}

/// A number that JSON may not be able to hold; NaN and the infinities are written as text.
#[derive(Debug, Clone, Copy)]
struct Number(f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number::deserialize(deserializer).map(Number)
    }
}

/// Serialisation of numbers that may be NaN or infinite, for serde's `with`: these are written as text.
pub mod number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Word(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` passes a reference")]
    /// Writes a number.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else if value.is_nan() {
            serializer.serialize_str("nan")
        } else {
            serializer.serialize_str(if *value > 0.0 { "inf" } else { "-inf" })
        }
    }

    /// Reads a number.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, and text that is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(value),
            Written::Word(word) => word.parse().map_err(|_| {
                D::Error::custom(format!("expected a number, nan, inf or -inf, found {word:?}"))
            }),
        }
    }

    /// JSON with the bare words NaN and Infinity, which JSON does not have and Python writes, as text.
    pub fn quoted(json: &str) -> String {
        let mut text = String::with_capacity(json.len());
        let mut rest = json;
        let mut inside = false;
        while let Some(next) = rest.chars().next() {
            let word =
                ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !inside && rest.starts_with(word));
            if let Some(word) = word {
                text += match word {
                    "NaN" => "\"nan\"",
                    "Infinity" => "\"inf\"",
                    _ => "\"-inf\"",
                };
                rest = &rest[word.len()..];
                continue;
            }
            text.push(next);
            rest = &rest[next.len_utf8()..];
            if next == '"' {
                inside = !inside;
            } else if next == '\\'
                && inside
                && let Some(escaped) = rest.chars().next()
            {
                text.push(escaped);
                rest = &rest[escaped.len_utf8()..];
            }
        }
        text
    }
}

/// What a trial tells at a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The step, from 1; for a training the epoch. Steps rise within a trial. One that was imported may begin with 0.
    pub step: u64,
    /// The objective at that step, in the study's own direction.
    #[serde(with = "number")]
    pub value: f64,
    /// Whatever else was measured.
    #[serde(default, skip_serializing_if = "Metrics::is_empty")]
    pub metrics: Metrics,
}

/// How a trial ended. It never changes afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outcome {
    /// It has a value that counts.
    Complete {
        /// The objective, in the study's own direction: that of the best step.
        value: f64,
        /// The step with that value, where there are steps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        /// How it came to its end.
        ending: Ending,
    },
    /// The search stopped it: it could no longer win.
    Stopped {
        /// Why.
        reason: StopReason,
        /// The best value until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<f64>,
    },
    /// The configuration makes no sense (a shape that does not fit); nothing was run.
    Infeasible {
        /// Why.
        reason: String,
    },
    /// It has no value.
    Failed {
        /// Why.
        cause: FailCause,
    },
}

impl Outcome {
    /// The state in one word: `complete`, `stopped`, `infeasible`, `failed`.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "complete",
            Self::Stopped { .. } => "stopped",
            Self::Infeasible { .. } => "infeasible",
            Self::Failed { .. } => "failed",
        }
    }

    /// The value that counts, of a complete trial.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Complete { value, .. } => Some(*value),
            _ => None,
        }
    }

    /// A sentence on how it ended, where there is more to say than the state.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Complete { ending: Ending::Full, .. } => None,
            Self::Complete { ending, .. } => Some(ending.to_string()),
            Self::Stopped { reason, .. } => Some(reason.to_string()),
            Self::Infeasible { reason } => Some(reason.clone()),
            Self::Failed { cause } => Some(cause.to_string()),
        }
    }
}

/// How a complete trial came to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    /// It ran its whole length.
    Full,
    /// Early stopping ended it.
    EarlyStopped {
        /// Epochs that were done.
        epoch: u64,
        /// Why, in words.
        cause: String,
    },
    /// The loss became NaN or infinite; the best epoch before that counts.
    Diverged {
        /// The epoch in which it happened.
        epoch: u64,
        /// The optimizer step, counted from 1 over the whole training.
        step: u64,
    },
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "ran its whole length"),
            Self::EarlyStopped { epoch, cause } => write!(f, "stopped early after epoch {epoch}: {cause}"),
            Self::Diverged { epoch, step } => {
                write!(f, "diverged at step {step} (epoch {epoch}); the best epoch before that counts")
            }
        }
    }
}

/// Why a trial has no value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FailCause {
    /// The loss became NaN or infinite before there was any finite value.
    Diverged {
        /// The epoch in which it happened.
        epoch: u64,
        /// The optimizer step, counted from 1 over the whole training.
        step: u64,
    },
    /// The objective's value is NaN or infinite.
    NotFinite,
    /// It took longer than a trial may.
    TimeLimit {
        /// The limit.
        seconds: f64,
    },
    /// It took more memory than a trial may.
    MemoryLimit {
        /// The limit, in bytes.
        limit: u64,
        /// What was measured, in bytes.
        bytes: u64,
    },
    /// The processes that had it in hand ended without a word, one after the other.
    Lost {
        /// How many.
        times: u64,
    },
    /// The objective returned an error.
    Error {
        /// What it said.
        message: String,
    },
    /// The objective panicked.
    Panicked {
        /// What it said.
        message: String,
    },
}

impl fmt::Display for FailCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diverged { epoch, step } => {
                write!(f, "diverged at step {step} (epoch {epoch}), before the first finite value")
            }
            Self::NotFinite => write!(f, "the objective's value is not a finite number"),
            Self::TimeLimit { seconds } => write!(f, "took longer than its time limit of {seconds} s"),
            Self::MemoryLimit { limit, bytes } => {
                let [limit, bytes] = [limit, bytes].map(|size| *size as f64 / 1e6);
                write!(f, "took {bytes:.0} MB of memory, more than its limit of {limit:.0} MB")
            }
            Self::Lost { times } => write!(
                f,
                "{times} processes that ran it ended without a word before its next report: were they killed, or out of \
                 memory?"
            ),
            Self::Error { message } => f.write_str(message),
            Self::Panicked { message } => write!(f, "panicked: {message}"),
        }
    }
}
