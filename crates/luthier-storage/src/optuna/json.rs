//! JSON as Python writes it, and numbers in it.

use luthier_core::number;
use serde_json::Value;

/// Reads JSON in which NaN and the infinities may stand as bare words; they become text.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(&number::quoted(text)).map_err(|error| format!("it is no JSON: {error}"))
}

/// A number; NaN and the infinities are text by now.
pub(super) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(word) if ["nan", "inf", "-inf"].contains(&word.as_str()) => word.parse().ok(),
        _ => None,
    }
}

/// A whole number, also where it was written with a fraction of zero.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let whole = |x: f64| (x.fract() == 0.0 && x.abs() < 9e15).then_some(x as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}
