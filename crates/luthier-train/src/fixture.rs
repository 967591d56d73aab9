//! What the parity tests share: reading fixtures, and comparing numbers with them.
//!
//! The fixtures come from `scripts/train/parity_fixtures.py`.

use luthier_core::config::{Decode, Node, Problems};
use serde_json::Value;

/// The cases of a fixture.
pub(crate) fn cases(fixture: &Value) -> &[Value] {
    fixture["cases"].as_array().expect("a list of cases")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

pub(crate) fn doubles(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

pub(crate) fn singles(value: &Value) -> Vec<f32> {
    doubles(value).into_iter().map(|number| number as f32).collect()
}

pub(crate) fn sizes(value: &Value) -> Vec<usize> {
    doubles(value).into_iter().map(|number| number as usize).collect()
}

/// The setting `value`, written as in a study file.
pub(crate) fn setting<T: Decode>(value: &str) -> T {
    let node = Node::parse(&format!("value = {value}"), "a fixture").expect("TOML");
    let mut problems = Problems::new("a fixture");
    let setting = T::decode(node.get("value").expect("the value"), "value", &mut problems);
    setting.unwrap_or_else(|| panic!("{problems}"))
}

/// What is wrong with a setting, written as in a study file, as a user reads it; nothing if it is right.
pub(crate) fn refusal<T: Decode + std::fmt::Debug>(value: &str) -> String {
    let node = Node::parse(&format!("value = {value}"), "file.toml").expect("TOML");
    let mut problems = Problems::new("file.toml");
    let setting = T::decode(node.get("value").expect("the value"), "value", &mut problems);
    assert_eq!(setting.is_some(), problems.is_empty(), "{setting:?} {problems}");
    problems.to_string()
}

/// The largest deviation of `found`, as a share of the largest number in `expected`.
pub(crate) fn deviation(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let off = found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
    // `f64::max` would hide a NaN.
    off.fold(0.0, |worst, off| if off <= worst { worst } else { off }) / largest
}

/// Asserts that `deviation` is at most `tolerance`, and prints it for `--nocapture`.
#[allow(clippy::print_stdout, reason = "the measured deviations are of interest")]
pub(crate) fn assert_within(deviation: f64, tolerance: f64, what: &str) {
    println!("{deviation:.1e} {what}");
    assert!(deviation <= tolerance, "{what}: {deviation:e} off, at most {tolerance:e} is allowed");
}
