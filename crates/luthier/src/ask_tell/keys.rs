//! Objects of a message, read key by key: what is wrong is said with its place, what was expected and what is there.

use luthier_core::config::nearest;
use luthier_core::{Metrics, Params, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// An object that is being read.
pub(super) struct Keys<'a> {
    path: String,
    all: &'a Map<String, Json>,
}

/// What is said of a value that cannot be read.
pub(super) fn wrong(path: &str, expected: &str, found: &Json) -> String {
    let text = found.to_string();
    let short: String = text.chars().take(60).collect();
    let found = if short.len() < text.len() { format!("{short}…") } else { text };
    format!("{path}: expected {expected}, found {found}")
}

impl<'a> Keys<'a> {
    /// The object at `path`.
    pub(super) fn open(value: &'a Json, path: &str) -> Result<Self, String> {
        match value {
            Json::Object(all) => Ok(Self { path: path.to_owned(), all }),
            other => Err(wrong(path, "an object", other)),
        }
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// From here on it is known by another name.
    pub(super) fn call(&mut self, path: String) {
        self.path = path;
    }

    /// The value of a key; null is none.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Json, &str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        match self.all.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => read(value, &format!("{}.{key}", self.path)).map(Some),
        }
    }

    /// The value of a key that has to be there.
    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Json, &str) -> Result<T, String>,
    ) -> Result<T, String> {
        let found = self.optional(key, read)?;
        found.ok_or_else(|| format!("{}.{key}: the key is missing", self.path))
    }
}

/// The keys of a start, and of the objects within it.
const KNOWN: [(&str, &[&str]); 5] = [
    ("start", &["problem", "seed", "trials", "epochs", "sampler", "pruner", "enqueue"]),
    ("problem", &["name", "noisy", "direction", "directions", "constraints", "max_fidelity", "params"]),
    ("params", &["name", "type", "low", "high", "log", "step", "choices", "if", "prior", "role"]),
    ("prior", &["around", "spread", "weight"]),
    ("if", &["param", "in"]),
];

/// The keys of the object called `name` that mean nothing, each with its place and a known key that is near.
pub(super) fn ignored(value: &Json, name: &str, path: &str) -> Vec<String> {
    let Some((_, known)) = KNOWN.iter().find(|(other, _)| *other == name) else { return Vec::new() };
    match value {
        Json::Array(all) => {
            let each = all.iter().enumerate().map(|(i, one)| ignored(one, name, &format!("{path}[{i}]")));
            each.flatten().collect()
        }
        Json::Object(all) => {
            let of = |(key, value): (&String, &Json)| {
                let path = format!("{path}.{key}");
                if value.is_null() {
                    return Vec::new();
                }
                if known.contains(&key.as_str()) {
                    return ignored(value, key, &path);
                }
                let near = nearest(key, known.iter().copied());
                vec![near.map_or_else(|| path.clone(), |near| format!("{path} (did you mean `{near}`?)"))]
            };
            all.iter().flat_map(of).collect()
        }
        _ => Vec::new(),
    }
}

/// Text.
pub(super) fn text(value: &Json, path: &str) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text.clone()),
        other => Err(wrong(path, "text", other)),
    }
}

/// One of several words.
pub(super) fn word<T: Copy>(value: &Json, path: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = value.as_str().unwrap_or_default();
    let known = words.iter().find(|(word, _)| *word == found);
    known.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = nearest(found, words.iter().copied()).filter(|_| !found.is_empty());
        let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        wrong(path, &format!("one of {}", words.join(", ")), value) + &near
    })
}

/// True or false.
pub(super) fn flag(value: &Json, path: &str) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| wrong(path, "true or false", value))
}

/// A whole number.
pub(super) fn whole(value: &Json, path: &str) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| wrong(path, "a whole number, 0 or more", value))
}

/// A whole number of 1 or more.
pub(super) fn count(value: &Json, path: &str) -> Result<u64, String> {
    value.as_u64().filter(|n| *n > 0).ok_or_else(|| wrong(path, "a whole number of 1 or more", value))
}

/// A number as it is written.
pub(super) fn written(value: &Json, path: &str) -> Result<serde_json::Number, String> {
    match value {
        Json::Number(number) => Ok(number.clone()),
        other => Err(wrong(path, "a number", other)),
    }
}

/// A finite number.
pub(super) fn finite(value: &Json, path: &str) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| wrong(path, "a number", value))
}

/// What was measured: a number, NaN or an infinity, which are text by now.
pub(super) fn measured(value: &Json, path: &str) -> Result<f64, String> {
    let read = match value {
        Json::Number(number) => number.as_f64(),
        Json::String(word) => word.parse().ok(),
        _ => None,
    };
    read.ok_or_else(|| wrong(path, "a number, NaN or Infinity", value))
}

/// The value of a parameter.
pub(super) fn value(value: &Json, path: &str) -> Result<Value, String> {
    let read = Value::deserialize(value);
    read.map_err(|_| wrong(path, "a number, text, true or false", value))
}

/// A list.
pub(super) fn list<T>(
    value: &Json,
    path: &str,
    each: impl Fn(&Json, &str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match value {
        Json::Array(items) => {
            items.iter().enumerate().map(|(i, item)| each(item, &format!("{path}[{i}]"))).collect()
        }
        other => Err(wrong(path, "a list", other)),
    }
}

/// Values of parameters by their names.
pub(super) fn params(value: &Json, path: &str) -> Result<Params, String> {
    let Json::Object(all) = value else { return Err(wrong(path, "an object of parameters", value)) };
    let each = all.iter().map(|(name, given)| {
        let read = self::value(given, &format!("{path}.{name}"))?;
        Ok((name.clone(), read))
    });
    each.collect()
}

/// Metrics by their names.
pub(super) fn metrics(value: &Json, path: &str) -> Result<Metrics, String> {
    let Json::Object(all) = value else { return Err(wrong(path, "an object of metrics", value)) };
    let mut metrics = Metrics::default();
    for (name, found) in all {
        let read = measured(found, &format!("{path}.{name}"))?;
        metrics.insert(name, read);
    }
    Ok(metrics)
}
