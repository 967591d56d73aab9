//! From the problem of a message to a space and what counts in it.

use std::collections::BTreeMap;

use luthier_core::config::{Decode, Node, Problems, nearest};
use luthier_core::{
    Condition, Constraint, Criteria, Direction, Distribution, Goal, Parameter, Role, Space, Value,
};

use super::message::{Param, Part, Problem, Type, When};

/// What a conversation calls the objective of this number, the first being 0.
pub(super) fn objective(number: usize) -> String {
    format!("value{number}")
}

/// The space of a problem, the direction of its first objective, and what else counts.
///
/// # Errors
///
/// Which parameter or which constraint makes no sense, and why.
pub(super) fn read(problem: &Problem) -> Result<(Space, Direction, Criteria), String> {
    let (direction, further) = match (problem.direction, &problem.directions) {
        (Some(_), Some(_)) => {
            return Err(
                "start.problem: give `direction`, or `directions` of several objectives, not both".to_owned()
            );
        }
        (direction, None) => (direction.unwrap_or(Direction::Minimize), Vec::new()),
        (None, Some(directions)) => {
            let (first, further) = directions
                .split_first()
                .ok_or("start.problem.directions: expected one for each objective, found none")?;
            let goal = |(number, direction): (_, &Direction)| Goal {
                name: objective(number),
                direction: *direction,
            };
            (*first, (1..).zip(further).map(goal).collect())
        }
    };
    let space = space(&problem.params)?;
    let mut criteria = Criteria { objectives: further, constraints: Vec::new() };
    let mut on_parameters = Vec::new();
    for text in &problem.constraints {
        let wrong = |reason: String| format!("start.problem.constraints, `{text}`: {reason}");
        let constraint = Constraint::parse(text).map_err(|error| wrong(error.to_string()))?;
        if constraint.names().iter().all(|name| space.get(name).is_some()) {
            on_parameters.push(constraint);
        } else if let Some(name) = constraint.names().into_iter().find(|name| space.get(name).is_some()) {
            return Err(wrong(format!(
                "`{name}` is a parameter, and other names in it are metrics; it is on either"
            )));
        } else if constraint.is_limit() {
            criteria.constraints.push(constraint);
        } else {
            return Err(wrong("a constraint on metrics is `a <= b` or `a >= b`".to_owned()));
        }
    }
    let space = space.with_constraints(on_parameters).map_err(|error| error.to_string())?;
    Ok((space, direction, criteria))
}

/// The parameters of a problem. A fixed one has one value, and what exists beside others only is left out with its own
/// children.
fn space(params: &[Param]) -> Result<Space, String> {
    let mut space = Space::default();
    // The ranges as they are given, of parameters that are left out, too.
    let mut given: BTreeMap<&str, Distribution> = BTreeMap::new();
    for param in params {
        let wrong = |reason: String| format!("param {:?}: {reason}", param.name);
        let mut distribution = distribution(param).map_err(wrong)?;
        distribution.check().map_err(|error| wrong(error.to_string()))?;
        let range = distribution.clone();
        let (mut prior, mut role) = (param.prior.clone(), Role::default());
        match param.part {
            Part::Searched(searched) => role = searched,
            Part::Fixed => {
                let prior = prior.take().ok_or_else(|| {
                    wrong(
                        "role: expected a value to keep to, prior = {\"around\": VALUE}, found no prior"
                            .to_owned(),
                    )
                })?;
                let fixed = prior.of(&distribution);
                let fixed = fixed.map_err(|reason| wrong(format!("expected {reason}")))?;
                distribution = alone(fixed.around, &distribution);
            }
        }
        let mut parameter = Parameter { prior, role, ..Parameter::new(&param.name, distribution) };
        let mut exists = true;
        for When { param: on, values } in &param.conditions {
            let parent = given.get(on.as_str()).ok_or_else(|| {
                let near = nearest(on, given.keys().copied());
                let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
                wrong(format!("if: expected a parameter that stands before it, found {on:?}{near}"))
            })?;
            let adopted = values.iter().map(|value| {
                let known = parent.adopt(value);
                known.ok_or_else(|| wrong(format!("if: expected values of {on:?}, {parent}, found {value}")))
            });
            let mut values = adopted.collect::<Result<Vec<_>, _>>()?;
            values.retain(|value| space.get(on).is_some_and(|parent| parent.distribution.contains(value)));
            exists &= !values.is_empty();
            parameter = parameter.when(Condition::In { param: on.clone(), values });
        }
        if given.insert(&param.name, range).is_some() {
            return Err(format!("there are two parameters named `{}`", param.name));
        }
        if exists {
            space.push(parameter).map_err(|error| error.to_string())?;
        }
    }
    Ok(space)
}

/// The part of a range that is one value of it.
fn alone(value: Value, range: &Distribution) -> Distribution {
    match (value, range) {
        (Value::Float(x), Distribution::Float { log, .. }) => {
            Distribution::Float { low: x, high: x, log: *log, step: None }
        }
        (Value::Int(i), Distribution::Int { .. }) => Distribution::int(i, i),
        (option, _) => Distribution::Choice { options: vec![option] },
    }
}

fn distribution(param: &Param) -> Result<Distribution, String> {
    let (low, high) = (param.low.as_ref(), param.high.as_ref());
    let missing = |key: &str| format!("a parameter of this type needs {key:?}");
    match param.kind {
        Type::Float => {
            let end = |end: Option<&serde_json::Number>, key| {
                end.and_then(serde_json::Number::as_f64).ok_or_else(|| missing(key))
            };
            let step = param.step.as_ref().and_then(serde_json::Number::as_f64);
            Ok(Distribution::Float { low: end(low, "low")?, high: end(high, "high")?, log: param.log, step })
        }
        Type::Int => {
            let whole = |number: &serde_json::Number| {
                let whole = number.as_i64().or_else(|| {
                    number.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| x as i64)
                });
                whole.ok_or_else(|| format!("expected a whole number, found {number}"))
            };
            let end = |end: Option<&serde_json::Number>, key| end.ok_or_else(|| missing(key)).and_then(whole);
            let step = param.step.as_ref().map_or(Ok(1), whole)?;
            Ok(Distribution::Int { low: end(low, "low")?, high: end(high, "high")?, log: param.log, step })
        }
        Type::Cat => {
            let options = param.choices.clone().ok_or_else(|| missing("choices"))?;
            Ok(Distribution::Choice { options })
        }
    }
}

/// An algorithm: its name, or an object with `kind` and settings, as in a study file.
///
/// # Errors
///
/// What is wrong with it, with its place.
pub(super) fn settings<T: Decode>(value: &serde_json::Value, path: &str) -> Result<T, String> {
    let mut problems = Problems::new("");
    let read = T::decode(&Node::parse_value(&inline(value)), path, &mut problems);
    problems.or(read).map_err(|problems| {
        let each = problems.iter().map(|problem| {
            let help = problem.help.iter().map(|help| format!("; {help}")).collect::<String>();
            format!("{}: expected {}, found {}{help}", problem.path, problem.expected, problem.found)
        });
        each.collect::<Vec<_>>().join("; ")
    })
}

/// A JSON value as it is written in a study file.
fn inline(value: &serde_json::Value) -> String {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => text.clone(),
        Json::Object(keys) => {
            let given = keys.iter().filter(|(_, value)| !value.is_null());
            let keys = given.map(|(key, value)| match value {
                Json::String(text) => format!("{key:?} = {text:?}"),
                other => format!("{key:?} = {}", inline(other)),
            });
            format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
