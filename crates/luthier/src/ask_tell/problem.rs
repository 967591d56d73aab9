//! From the parameters of a message to a space.

use luthier_core::{Condition, Direction, Distribution, Parameter, Space, Value};

use super::message::{Param, Problem};

/// The space and the direction of a problem.
///
/// # Errors
///
/// Which parameter makes no sense, and why.
pub(super) fn read(problem: &Problem) -> Result<(Space, Direction), String> {
    let direction = match problem.direction.as_deref() {
        None | Some("minimize") => Direction::Minimize,
        Some("maximize") => Direction::Maximize,
        Some(other) => {
            return Err(format!("problem.direction: expected minimize or maximize, found {other:?}"));
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
    Ok((space, direction))
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
