//! What a fork has otherwise than the trial that it goes on from.

use indexmap::IndexMap;
use luthier_core::config::{Kind, Node};
use luthier_core::{Distribution, Params, Value};

use super::Branching;
use crate::cli::Failure;

/// The parameters of the other trial with what is set, and the values beside them.
pub(super) fn changed(
    branching: &Branching,
    sets: &[String],
) -> Result<(Params, IndexMap<String, String>), Failure> {
    let (space, parent) = (branching.file.space(), &branching.parent);
    let mut values = branching.values();
    values.shift_remove("train.horizon");
    let mut chosen = Params::new();
    for set in sets {
        let Some((path, text)) = set.split_once('=') else {
            return Err(Failure::usage(format!("--set {set}: expected PATH=VALUE, found no `=`")));
        };
        let (path, text) = (path.trim(), text.trim());
        let parameter = space.get(path).or_else(|| space.get(&format!("params.{path}")));
        if let Some(parameter) = parameter {
            let value = value_of(&parameter.distribution, &Node::parse_value(text))
                .map_err(|reason| Failure::usage(format!("--set {path}: {reason}")))?;
            chosen.insert(parameter.name.clone(), value);
            continue;
        }
        let open = ["train.", "model.", "data.augment", "params."];
        if !open.iter().any(|open| path.starts_with(open)) {
            let names: Vec<&str> = parent.params.keys().map(String::as_str).collect();
            return Err(Failure::usage(format!(
                "--set {path}: expected a parameter of trial {} ({}), or a value of [train], [model] or data.augment",
                parent.id,
                names.join(", ")
            )));
        }
        values.insert(path.to_owned(), text.to_owned());
    }
    let mut missing = Vec::new();
    let params = space.build(|parameter, _| {
        let value = chosen.get(&parameter.name).or_else(|| parent.params.get(&parameter.name));
        value.cloned().unwrap_or_else(|| {
            missing.push(parameter.name.clone());
            parameter.distribution.first()
        })
    });
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Failure::usage(format!("with these values there is also {missing}: set it, too")));
    }
    if let Some((name, _)) = chosen.iter().find(|(name, _)| !params.contains_key(*name)) {
        return Err(Failure::usage(format!(
            "--set {name}: there is no such parameter beside the other values of trial {}",
            parent.id
        )));
    }
    Ok((params, values))
}

/// A value for a parameter. A number may lie outside the range that the search keeps to.
fn value_of(range: &Distribution, node: &Node) -> Result<Value, String> {
    let found = || node.describe();
    match (range, &node.kind) {
        (Distribution::Float { .. }, Kind::Float(x)) if x.is_finite() => Ok(Value::Float(*x)),
        (Distribution::Float { .. }, Kind::Int(i)) => Ok(Value::Float(*i as f64)),
        (Distribution::Float { .. }, _) => Err(format!("expected a number, found {}", found())),
        (Distribution::Int { .. }, Kind::Int(i)) => Ok(Value::Int(*i)),
        (Distribution::Int { .. }, _) => Err(format!("expected a whole number, found {}", found())),
        (Distribution::Choice { options }, _) => {
            let value = node.as_value().filter(|value| options.contains(value));
            let names: Vec<String> = options.iter().map(ToString::to_string).collect();
            value.ok_or_else(|| format!("expected one of {}, found {}", names.join(", "), found()))
        }
    }
}
