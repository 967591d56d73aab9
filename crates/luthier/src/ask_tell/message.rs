//! What a line may say.

use luthier_core::{Metrics, Params, Prior, Role, Value, number};
use serde::Deserialize;

/// A line.
pub(super) enum Message {
    Start(Box<Start>),
    Ask,
    Enqueue(Params),
    Report(Reported),
    Tell(Tell),
}

/// `{"start": …}`: keys that are not known are ignored, here and everywhere.
#[derive(Debug, Deserialize)]
pub(super) struct Start {
    pub(super) problem: Problem,
    #[serde(default)]
    pub(super) seed: u64,
    /// The trials that are to be had in all. They do not end the search.
    pub(super) trials: Option<u64>,
    /// The same in steps.
    pub(super) epochs: Option<u64>,
    pub(super) sampler: Option<String>,
    /// A name, or an object with `kind` and settings.
    pub(super) pruner: Option<serde_json::Value>,
    /// Configurations to begin with.
    #[serde(default)]
    pub(super) enqueue: Vec<Params>,
    /// Of the samplers "pbt" and "pb2".
    pub(super) population: Option<Population>,
}

/// A population: what is left out is as in a study file.
#[derive(Debug, Deserialize)]
pub(super) struct Population {
    pub(super) size: Option<u64>,
    pub(super) interval: Option<u64>,
    pub(super) quantile: Option<f64>,
    /// Parameters that stay as they are while a trial runs.
    #[serde(default)]
    pub(super) inherit: Vec<String>,
}

/// What is to be optimised.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) direction: Option<String>,
    /// Of several objectives, in the place of `direction`.
    pub(super) directions: Option<Vec<String>>,
    /// What has to hold of parameters, or of metrics that are told.
    #[serde(default)]
    pub(super) constraints: Vec<String>,
    /// The steps of a whole trial.
    pub(super) max_fidelity: Option<u64>,
    pub(super) params: Vec<Param>,
}

/// A parameter.
#[derive(Debug, Deserialize)]
pub(super) struct Param {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) low: Option<serde_json::Number>,
    pub(super) high: Option<serde_json::Number>,
    #[serde(default)]
    pub(super) log: bool,
    pub(super) step: Option<serde_json::Number>,
    pub(super) choices: Option<Vec<Value>>,
    #[serde(default, rename = "if")]
    pub(super) conditions: Vec<When>,
    pub(super) prior: Option<Prior>,
    #[serde(default)]
    pub(super) role: Role,
}

/// A parameter exists where another one has one of some values.
#[derive(Debug, Deserialize)]
pub(super) struct When {
    pub(super) param: String,
    #[serde(rename = "in")]
    pub(super) values: Vec<Value>,
}

/// `{"tell": …}`
#[derive(Debug, Deserialize)]
pub(super) struct Tell {
    pub(super) id: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) value: Option<f64>,
    /// Of several objectives, in the place of `value`.
    pub(super) values: Option<Vec<Number>>,
    /// What constraints are on.
    #[serde(default)]
    pub(super) metrics: Metrics,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Complete,
    Pruned,
    Paused,
    Failed,
}

/// `{"report": …}`
#[derive(Deserialize)]
pub(super) struct Reported {
    pub(super) id: u64,
    pub(super) step: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) value: Option<f64>,
    /// Of several objectives, in the place of `value`.
    pub(super) values: Option<Vec<Number>>,
    #[serde(default)]
    pub(super) metrics: Metrics,
}

/// A number that may be NaN or infinite.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(super) struct Number(#[serde(with = "luthier_core::number")] pub(super) f64);

/// A line that is no message.
pub(super) struct Unreadable {
    pub(super) reason: String,
    /// Whether its sender waits for a reply.
    pub(super) due: bool,
}

/// A number; null is none, and NaN and the infinities are text by now.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Option::<Number>::deserialize(deserializer)?.map(|written| written.0))
}

impl Message {
    /// Reads a line.
    pub(super) fn read(line: &str) -> Result<Self, Unreadable> {
        // Who tells waits for nothing; who says what cannot be read most likely waits.
        let unreadable = |reason: String, due: bool| Unreadable { reason, due };
        let mut message: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&number::quoted(line)).map_err(|error| {
                unreadable(format!("not a JSON object: {error}"), !line.contains("\"tell\""))
            })?;
        let found = ["start", "ask", "enqueue", "report", "tell"].iter().find_map(|key| {
            let value = message.remove(*key)?;
            Some((*key, value))
        });
        let Some((key, value)) = found else {
            let keys: Vec<&String> = message.keys().collect();
            let reason = format!("expected one of start, ask, enqueue, report and tell, found {keys:?}");
            return Err(unreadable(reason, true));
        };
        let read = match key {
            "start" => serde_json::from_value(value).map(|start| Self::Start(Box::new(start))),
            "ask" => Ok(Self::Ask),
            "enqueue" => serde_json::from_value(value).map(Self::Enqueue),
            "report" => serde_json::from_value(value).map(Self::Report),
            _ => serde_json::from_value(value).map(Self::Tell),
        };
        read.map_err(|error| unreadable(format!("{key}: {error}"), key != "tell"))
    }
}
