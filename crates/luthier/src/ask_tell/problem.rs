//! From the problem of a message to a space and what counts in it.

use luthier_core::{Condition, Constraint, Criteria, Direction, Distribution, Goal, Parameter, Space, Value};

use super::message::{Param, Problem};

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
    let read = |key: &str, text: &str| match text {
        "minimize" => Ok(Direction::Minimize),
        "maximize" => Ok(Direction::Maximize),
        other => Err(format!("problem.{key}: expected minimize or maximize, found {other:?}")),
    };
    let (direction, further) = match (&problem.direction, &problem.directions) {
        (Some(_), Some(_)) => {
            return Err(
                "problem: give `direction`, or `directions` of several objectives, not both".to_owned()
            );
        }
        (direction, None) => (read("direction", direction.as_deref().unwrap_or("minimize"))?, Vec::new()),
        (None, Some(directions)) => {
            let mut all = directions.iter().map(|text| read("directions", text));
            let first =
                all.next().ok_or("problem.directions: expected one for each objective, found none")??;
            let goal = |(number, direction)| Ok(Goal { name: objective(number), direction: direction? });
            (first, (1..).zip(all).map(goal).collect::<Result<_, String>>()?)
        }
    };
    if problem.max_fidelity == Some(0) {
        return Err("problem.max_fidelity: expected null or a number of steps above 0, found 0".to_owned());
    }
    let mut space = Space::default();
    for param in &problem.params {
        let distribution =
            distribution(param).map_err(|reason| format!("param {:?}: {reason}", param.name))?;
        let mut parameter = Parameter {
            prior: param.prior.clone(),
            role: param.role,
            ..Parameter::new(&param.name, distribution)
        };
        for when in &param.conditions {
            let other = space.get(&when.param).map(|other| &other.distribution);
            let values = when.values.iter().map(|value| like(other, value)).collect();
            parameter = parameter.when(Condition::In { param: when.param.clone(), values });
        }
        space.push(parameter).map_err(|error| error.to_string())?;
    }
    let mut criteria = Criteria { objectives: further, constraints: Vec::new() };
    let mut on_parameters = Vec::new();
    for text in &problem.constraints {
        let wrong = |reason: String| format!("problem.constraints, `{text}`: {reason}");
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

fn distribution(param: &Param) -> Result<Distribution, String> {
    let (low, high) = (param.low.as_ref(), param.high.as_ref());
    let missing = |key: &str| format!("a parameter of type {:?} needs {key:?}", param.kind);
    match param.kind.as_str() {
        "float" => {
            let end = |end: Option<&serde_json::Number>, key| {
                end.and_then(serde_json::Number::as_f64).ok_or_else(|| missing(key))
            };
            let step = param.step.as_ref().and_then(serde_json::Number::as_f64);
            Ok(Distribution::Float { low: end(low, "low")?, high: end(high, "high")?, log: param.log, step })
        }
        "int" => {
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
        "cat" => {
            let options = param.choices.clone().ok_or_else(|| missing("choices"))?;
            Ok(Distribution::Choice { options })
        }
        other => Err(format!("expected the type float, int or cat, found {other:?}")),
    }
}

/// A value as the other parameter has it: 1 and 1.0 are the same number to who writes JSON.
fn like(distribution: Option<&Distribution>, value: &Value) -> Value {
    match (distribution, value) {
        (Some(Distribution::Float { .. }), Value::Int(i)) => Value::Float(*i as f64),
        (Some(Distribution::Int { .. }), Value::Float(x)) if x.fract() == 0.0 => Value::Int(*x as i64),
        _ => value.clone(),
    }
}

/// A JSON value as it is written in a study file.
pub(super) fn inline(value: &serde_json::Value) -> String {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => text.clone(),
        Json::Object(keys) => {
            let keys = keys.iter().map(|(key, value)| match value {
                Json::String(text) => format!("{key:?} = {text:?}"),
                other => format!("{key:?} = {}", inline(other)),
            });
            format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
