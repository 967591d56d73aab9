//! What the lines of a program say.

use luthier_core::Metrics;
use regex::Regex;
use serde_json::Value as Json;

use super::config::ReportConfig;

/// A report as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reported {
    pub(super) step: Option<u64>,
    pub(super) value: f64,
    pub(super) metrics: Metrics,
}

/// Finds reports among lines.
#[derive(Debug, Clone)]
pub(super) enum Reader {
    /// JSON objects with this key.
    Json(String),
    /// What an expression finds, under this name.
    Regex(Regex, String),
}

impl Reader {
    pub(super) fn new(config: &ReportConfig, objective: &str) -> Result<Self, String> {
        Ok(match config {
            ReportConfig::Json => Self::Json(objective.to_owned()),
            ReportConfig::Regex(config) => {
                let regex = Regex::new(&config.pattern).map_err(|error| error.to_string())?;
                Self::Regex(regex, objective.to_owned())
            }
        })
    }

    /// The report of a line, if it is one; why it is of no use if it is meant to be one.
    pub(super) fn read(&self, line: &str) -> Option<Result<Reported, String>> {
        let reported = match self {
            Self::Json(objective) => json(line, objective),
            Self::Regex(regex, objective) => found(line, regex, objective),
        };
        let shown: String = line.trim().chars().take(200).collect();
        reported.map(|reported| reported.map_err(|reason| format!("the program printed {shown:?}: {reason}")))
    }
}

/// The number that a value of JSON is; null and the words for NaN and infinity are.
fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Null => Some(f64::NAN),
        Json::Number(number) => number.as_f64(),
        Json::String(word) if matches!(word.as_str(), "nan" | "inf" | "-inf") => word.parse().ok(),
        _ => None,
    }
}

fn step(number: f64) -> Result<u64, String> {
    // Beyond 2^53 whole numbers have no digits of their own.
    if number.fract() == 0.0 && (1.0..9e15).contains(&number) {
        Ok(number as u64)
    } else {
        Err(format!("steps are whole numbers from 1, not {number}"))
    }
}

fn json(line: &str, objective: &str) -> Option<Result<Reported, String>> {
    if !line.trim_start().starts_with('{') {
        return None;
    }
    let object: serde_json::Map<String, Json> =
        serde_json::from_str(&luthier_core::number::quoted(line)).ok()?;
    let value = object.get(objective)?;
    let read = || {
        let value = number(value).ok_or_else(|| format!("`{objective}` is no number"))?;
        let step = match object.get("step") {
            None | Some(Json::Null) => None,
            Some(written) => {
                let number = number(written).ok_or_else(|| "`step` is no number".to_owned())?;
                Some(step(number)?)
            }
        };
        let other = object.iter().filter(|(key, value)| *key != "step" && !value.is_null());
        let metrics = other.filter_map(|(key, value)| Some((key.as_str(), number(value)?))).collect();
        Ok(Reported { step, value, metrics })
    };
    Some(read())
}

fn found(line: &str, regex: &Regex, objective: &str) -> Option<Result<Reported, String>> {
    let captures = regex.captures(line)?;
    let value = captures.name("value")?.as_str();
    let read = || {
        let parse = |text: &str| text.trim().parse::<f64>().ok();
        let value =
            parse(value).ok_or_else(|| format!("the group `value` found {value:?}, which is no number"))?;
        let step = match captures.name("step").map(|found| found.as_str()) {
            None => None,
            Some(text) => {
                let number = parse(text);
                let number =
                    number.ok_or_else(|| format!("the group `step` found {text:?}, which is no number"))?;
                Some(step(number)?)
            }
        };
        let mut metrics = Metrics::default();
        metrics.insert(objective, value);
        for name in regex.capture_names().flatten().filter(|name| !matches!(*name, "value" | "step")) {
            if let Some(number) = captures.name(name).and_then(|found| parse(found.as_str())) {
                metrics.insert(name, number);
            }
        }
        Ok(Reported { step, value, metrics })
    };
    Some(read())
}

#[cfg(test)]
mod tests {
    use super::super::config::RegexReport;
    use super::*;

    #[test]
    fn json_lines_with_the_objective_are_reports() {
        let reader = Reader::new(&ReportConfig::Json, "loss").unwrap();
        let report =
            reader.read(r#"  {"step": 3, "loss": 0.2, "acc": 1, "note": "x", "ok": true, "time": null}"#);
        let report = report.unwrap().unwrap();
        assert_eq!((report.step, report.value), (Some(3), 0.2));
        let names: Vec<_> = report.metrics.iter().collect();
        assert_eq!(names, [("loss", 0.2), ("acc", 1.0)]);
        for line in ["epoch 3: 0.2", "{\"step\": 3}", "{not json}", "[1]", "", "{\"loss\": "] {
            assert_eq!(reader.read(line), None, "{line}");
        }
        let value = |line: &str| reader.read(line).unwrap().unwrap().value;
        assert!(value(r#"{"loss": NaN}"#).is_nan());
        assert!(value(r#"{"loss": null}"#).is_nan());
        assert_eq!(value(r#"{"loss": -Infinity}"#), f64::NEG_INFINITY);
        assert_eq!(reader.read(r#"{"loss": 1, "step": 2.0}"#).unwrap().unwrap().step, Some(2));
    }

    #[test]
    fn reports_of_no_use_say_why() {
        let reader = Reader::new(&ReportConfig::Json, "loss").unwrap();
        let reason = |line: &str| reader.read(line).unwrap().unwrap_err();
        let printed = r#"the program printed "{\"loss\": \"low\"}": `loss` is no number"#;
        assert_eq!(reason(r#"{"loss": "low"}"#), printed);
        for step in ["0", "-1", "1.5", "NaN", "1e300"] {
            let reason = reason(&format!("{{\"loss\": 1, \"step\": {step}}}"));
            assert!(reason.contains("steps are whole numbers from 1"), "{reason}");
        }
    }

    #[test]
    fn an_expression_finds_reports() {
        let pattern = r"epoch (?P<step>\d+).* loss (?P<value>\S+)(?: acc (?P<accuracy>\S+))?".to_owned();
        let reader = Reader::new(&ReportConfig::Regex(RegexReport { pattern }), "loss").unwrap();
        let report = reader.read("[I] epoch 7 of 9: loss 1.5e-2 acc 0.75").unwrap().unwrap();
        assert_eq!((report.step, report.value), (Some(7), 0.015));
        assert_eq!(report.metrics.get("accuracy"), Some(0.75));
        assert!(reader.read("epoch 8 loss nan").unwrap().unwrap().value.is_nan());
        assert_eq!(reader.read("loss 3"), None);
        assert!(reader.read("epoch 1 loss low").unwrap().unwrap_err().contains("no number"));
    }
}
