//! What a line may say.

use luthier_core::{Direction, Metrics, Params, Prior, Role, Value, number};
use serde_json::Value as Json;

use super::keys::{self, Keys, count, finite, flag, list, measured, text, whole, word, written};

/// A line.
pub(super) enum Message {
    Start(Box<Start>),
    Ask,
    Enqueue(Params),
    Report(Reported),
    Tell(Tell),
}

/// `{"start": …}`
#[derive(Debug)]
pub(super) struct Start {
    pub(super) problem: Problem,
    pub(super) seed: u64,
    /// Keys that mean nothing.
    pub(super) ignored: Vec<String>,
    /// The trials that are to be had in all. They do not end the search.
    pub(super) trials: Option<u64>,
    /// The same in steps.
    pub(super) epochs: Option<u64>,
    /// A name, or an object with `kind` and settings.
    pub(super) sampler: Option<Json>,
    /// The same.
    pub(super) pruner: Option<Json>,
    /// Configurations to begin with.
    pub(super) enqueue: Vec<Params>,
}

/// What is to be optimised.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) direction: Option<Direction>,
    /// Of several objectives, in the place of `direction`.
    pub(super) directions: Option<Vec<Direction>>,
    /// What has to hold of parameters, or of metrics that are told.
    pub(super) constraints: Vec<String>,
    /// The steps of a whole trial.
    pub(super) max_fidelity: Option<u64>,
    pub(super) params: Vec<Param>,
}

/// A parameter.
#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) low: Option<serde_json::Number>,
    pub(super) high: Option<serde_json::Number>,
    pub(super) log: bool,
    pub(super) step: Option<serde_json::Number>,
    pub(super) choices: Option<Vec<Value>>,
    pub(super) conditions: Vec<When>,
    pub(super) prior: Option<Prior>,
    pub(super) part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Float,
    Int,
    Cat,
}

/// What part a parameter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Searched(Role),
    /// It is the value of its prior.
    Fixed,
}

/// A parameter exists where another one has one of some values.
#[derive(Debug)]
pub(super) struct When {
    pub(super) param: String,
    pub(super) values: Vec<Value>,
}

/// `{"tell": …}`
#[derive(Debug)]
pub(super) struct Tell {
    pub(super) id: u64,
    pub(super) value: Option<f64>,
    /// Of several objectives, in the place of `value`.
    pub(super) values: Option<Vec<f64>>,
    /// What constraints are on.
    pub(super) metrics: Metrics,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Complete,
    Pruned,
    Paused,
    Failed,
}

/// `{"report": …}`
pub(super) struct Reported {
    pub(super) id: u64,
    pub(super) step: u64,
    pub(super) value: Option<f64>,
    /// Of several objectives, in the place of `value`.
    pub(super) values: Option<Vec<f64>>,
    pub(super) metrics: Metrics,
}

/// A line that is no message.
pub(super) struct Unreadable {
    pub(super) reason: String,
    /// Whether its sender waits for a reply.
    pub(super) due: bool,
}

impl Message {
    /// Reads a line.
    pub(super) fn read(line: &str) -> Result<Self, Unreadable> {
        // Who tells waits for nothing; who says what cannot be read most likely waits.
        let unreadable = |reason: String, due: bool| Unreadable { reason, due };
        let mut message: serde_json::Map<String, Json> = serde_json::from_str(&number::quoted(line))
            .map_err(|error| unreadable(format!("not a JSON object: {error}"), !line.contains("\"tell\"")))?;
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
            "start" => Start::read(&value).map(|start| Self::Start(Box::new(start))),
            "ask" => Ok(Self::Ask),
            "enqueue" => keys::params(&value, key).map(Self::Enqueue),
            "report" => Reported::read(&value).map(Self::Report),
            _ => Tell::read(&value).map(Self::Tell),
        };
        read.map_err(|reason| unreadable(reason, key != "tell"))
    }
}

impl Start {
    fn read(value: &Json) -> Result<Self, String> {
        let keys = Keys::open(value, "start")?;
        let start = Self {
            problem: keys.required("problem", Problem::read)?,
            seed: keys.optional("seed", whole)?.unwrap_or_default(),
            ignored: keys::ignored(value, "start", "start"),
            trials: keys.optional("trials", whole)?,
            epochs: keys.optional("epochs", whole)?,
            sampler: keys.optional("sampler", |value, _| Ok(value.clone()))?,
            pruner: keys.optional("pruner", |value, _| Ok(value.clone()))?,
            enqueue: keys
                .optional("enqueue", |value, path| list(value, path, keys::params))?
                .unwrap_or_default(),
        };
        let warm = keys.optional("warm_start", |_, path| {
            Err::<(), _>(format!(
                "{path}: expected nothing: a conversation knows of no other studies; give their best configurations as \
                 `enqueue`"
            ))
        });
        warm.map(|_| start)
    }
}

impl Problem {
    fn read(value: &Json, path: &str) -> Result<Self, String> {
        let direction = |value: &Json, path: &str| {
            word(value, path, &[("minimize", Direction::Minimize), ("maximize", Direction::Maximize)])
        };
        let keys = Keys::open(value, path)?;
        let constraints = keys.optional("constraints", |value, path| list(value, path, text))?;
        let problem = Self {
            direction: keys.optional("direction", direction)?,
            directions: keys.optional("directions", |value, path| list(value, path, direction))?,
            constraints: constraints.unwrap_or_default(),
            max_fidelity: keys.optional("max_fidelity", count)?,
            params: keys.required("params", |value, path| list(value, path, Param::read))?,
        };
        Ok(problem)
    }
}

impl Param {
    fn read(value: &Json, path: &str) -> Result<Self, String> {
        let mut keys = Keys::open(value, path)?;
        let name = keys.required("name", text)?;
        keys.call(format!("param {name:?}"));
        let kinds = [("float", Type::Float), ("int", Type::Int), ("cat", Type::Cat)];
        let parts = [
            ("nuisance", Part::Searched(Role::Nuisance)),
            ("scientific", Part::Searched(Role::Scientific)),
            ("fixed", Part::Fixed),
        ];
        let conditions = keys.optional("if", |value, path| list(value, path, When::read))?;
        let param = Self {
            name,
            kind: keys.required("type", |value, path| word(value, path, &kinds))?,
            low: keys.optional("low", written)?,
            high: keys.optional("high", written)?,
            log: keys.optional("log", flag)?.unwrap_or_default(),
            step: keys.optional("step", written)?,
            choices: keys.optional("choices", |value, path| list(value, path, keys::value))?,
            conditions: conditions.unwrap_or_default(),
            prior: keys.optional("prior", prior)?,
            part: keys.optional("role", |value, path| word(value, path, &parts))?.unwrap_or(parts[0].1),
        };
        Ok(param)
    }
}

fn prior(value: &Json, path: &str) -> Result<Prior, String> {
    let keys = Keys::open(value, path)?;
    let prior = Prior {
        around: keys.required("around", keys::value)?,
        spread: keys.optional("spread", finite)?,
        weight: keys.optional("weight", finite)?,
    };
    Ok(prior)
}

impl When {
    fn read(value: &Json, path: &str) -> Result<Self, String> {
        let keys = Keys::open(value, path)?;
        let when = Self {
            param: keys.required("param", text)?,
            values: keys.required("in", |value, path| list(value, path, keys::value))?,
        };
        if when.values.is_empty() {
            return Err(format!(
                "{}.in: expected the values of `{}` beside which it exists, found none",
                keys.path(),
                when.param
            ));
        }
        Ok(when)
    }
}

impl Tell {
    fn read(value: &Json) -> Result<Self, String> {
        let states = [
            ("complete", State::Complete),
            ("pruned", State::Pruned),
            ("paused", State::Paused),
            ("failed", State::Failed),
        ];
        let keys = Keys::open(value, "tell")?;
        Ok(Self {
            id: keys.required("id", whole)?,
            value: keys.optional("value", measured)?,
            values: keys.optional("values", |value, path| list(value, path, measured))?,
            metrics: keys.optional("metrics", keys::metrics)?.unwrap_or_default(),
            state: keys.required("state", |value, path| word(value, path, &states))?,
        })
    }
}

impl Reported {
    fn read(value: &Json) -> Result<Self, String> {
        let keys = Keys::open(value, "report")?;
        Ok(Self {
            id: keys.required("id", whole)?,
            step: keys.required("step", count)?,
            value: keys.optional("value", measured)?,
            values: keys.optional("values", |value, path| list(value, path, measured))?,
            metrics: keys.optional("metrics", keys::metrics)?.unwrap_or_default(),
        })
    }
}
