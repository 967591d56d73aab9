//! Ranges of parameters, in Optuna's JSON and here.
//!
//! Optuna keeps the value of a parameter as one number: of a choice it is the option's index.

use luthier_core::{Distribution, Value};
use serde_json::{Value as Json, json};

use super::json;

/// A range that was read, and the values that its indices stand for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    pub(super) distribution: Distribution,
    /// Of a choice, the option of each index.
    options: Vec<Value>,
}

impl Range {
    /// Reads a range as any version of Optuna wrote it: the classes of today, those of before version 3
    /// (`UniformDistribution` and others), and the short form.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let read = json::parse(text)?;
        // The short form has its attributes beside the type.
        let (name, attributes) = match (&read["name"], &read["type"]) {
            (Json::String(name), _) => (name.as_str(), &read["attributes"]),
            (_, Json::String(kind)) => (kind.as_str(), &read),
            _ => return Err(format!("expected a range with its name and attributes, found {text}")),
        };
        let key = |key: &str| &attributes[key];
        let float = |name: &str| json::float(key(name)).ok_or_else(|| expected("a number", name, key(name)));
        let whole =
            |name: &str| json::whole(key(name)).ok_or_else(|| expected("a whole number", name, key(name)));
        let log = key("log").as_bool().unwrap_or(false);
        let distribution = match name {
            "FloatDistribution" | "float" => {
                let step = (!key("step").is_null()).then(|| float("step")).transpose()?;
                Distribution::Float { low: float("low")?, high: float("high")?, log, step }
            }
            "UniformDistribution" => Distribution::float(float("low")?, float("high")?),
            "LogUniformDistribution" => Distribution::log_float(float("low")?, float("high")?),
            "DiscreteUniformDistribution" => {
                let (low, high, step) = (float("low")?, float("high")?, Some(float("q")?));
                Distribution::Float { low, high, log: false, step }
            }
            "IntDistribution" | "IntUniformDistribution" | "int" => {
                let step = if key("step").is_null() { 1 } else { whole("step")? };
                Distribution::Int { low: whole("low")?, high: whole("high")?, log, step }
            }
            "IntLogUniformDistribution" => Distribution::log_int(whole("low")?, whole("high")?),
            "CategoricalDistribution" | "categorical" => return Self::choice(key("choices")),
            other => return Err(format!("`{other}` is no kind of range that is known")),
        };
        distribution.check().map_err(|error| error.to_string())?;
        Ok(Self { distribution, options: Vec::new() })
    }

    fn choice(choices: &Json) -> Result<Self, String> {
        let list = choices.as_array().ok_or_else(|| expected("a list", "choices", choices))?;
        // There is no null: it becomes text that no other option has.
        let null = ["none", "null", "None"].into_iter().find(|word| !list.contains(&json!(word)));
        let null = null.ok_or("null, \"none\", \"null\" and \"None\" are all options; rename one")?;
        let options = list
            .iter()
            .map(|option| match option {
                Json::Null => Ok(Value::from(null)),
                Json::Bool(option) => Ok(Value::Bool(*option)),
                Json::String(option) => Ok(Value::Text(option.clone())),
                Json::Number(number) => {
                    let number =
                        number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::Float));
                    number.ok_or_else(|| expected("a number", "choices", option))
                }
                _ => Err(expected("text, a number, true, false or null", "choices", option)),
            })
            .collect::<Result<Vec<Value>, String>>()?;
        if options.is_empty() {
            return Err("a choice has at least one option".to_owned());
        }
        let mut different: Vec<Value> = Vec::new();
        for option in &options {
            if !different.contains(option) {
                different.push(option.clone());
            }
        }
        Ok(Self { distribution: Distribution::Choice { options: different }, options })
    }

    /// The value that Optuna keeps as this number.
    ///
    /// # Errors
    ///
    /// That no option has this index.
    pub(super) fn value(&self, kept: f64) -> Result<Value, String> {
        match self.distribution {
            Distribution::Float { .. } => Ok(Value::Float(kept)),
            Distribution::Int { .. } => Ok(Value::Int(kept as i64)),
            Distribution::Choice { .. } => {
                let option = (kept >= 0.0).then(|| self.options.get(kept as usize)).flatten();
                option.cloned().ok_or_else(|| {
                    format!("expected the index of one of {} options, found {kept}", self.options.len())
                })
            }
        }
    }
}

fn expected(what: &str, name: &str, found: &Json) -> String {
    format!("expected {what} as `{name}`, found {found}")
}

/// The number that Optuna keeps for a value, if the range has it.
pub(super) fn kept(distribution: &Distribution, value: &Value) -> Option<f64> {
    match distribution {
        Distribution::Choice { options } => {
            options.iter().position(|option| option == value).map(|index| index as f64)
        }
        Distribution::Float { .. } | Distribution::Int { .. } => value.as_f64(),
    }
}

/// A range as Optuna 5 writes it. An end that no step leads to is moved to the last step below, as Optuna does.
pub(super) fn write(distribution: &Distribution) -> String {
    let (name, attributes) = match distribution {
        Distribution::Float { low, high, log, step } => {
            let high = step.map_or(*high, |step| last_step(*low, *high, step));
            ("FloatDistribution", json!({"step": step, "low": low, "high": high, "log": log}))
        }
        Distribution::Int { low, high, log, step } => {
            let high = high - (high - low) % step;
            ("IntDistribution", json!({"log": log, "step": step, "low": low, "high": high}))
        }
        Distribution::Choice { options } => ("CategoricalDistribution", json!({ "choices": options })),
    };
    json!({"name": name, "attributes": attributes}).to_string()
}

/// The largest of `low`, `low + step`, … that is not above `high`, rounded to what is written of it.
fn last_step(low: f64, high: f64, step: f64) -> f64 {
    let last = low + ((high - low) / step + 1e-9).floor() * step;
    let scale = high.abs().max(low.abs());
    if (high - last).abs() <= 1e-9 * scale.max(step) {
        return high;
    }
    format!("{last:.12e}").parse().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, attributes: &Json) -> Distribution {
        let text = json!({"name": name, "attributes": attributes}).to_string();
        Range::read(&text).unwrap().distribution
    }

    #[test]
    fn classes_of_before_version_3_are_read() {
        let ends = json!({"low": 1, "high": 9.0});
        assert_eq!(read("UniformDistribution", &ends), Distribution::float(1.0, 9.0));
        assert_eq!(read("LogUniformDistribution", &ends), Distribution::log_float(1.0, 9.0));
        assert_eq!(read("IntLogUniformDistribution", &ends), Distribution::log_int(1, 9));
        assert_eq!(
            read("IntUniformDistribution", &json!({"low": 1, "high": 9, "step": 2})),
            Distribution::Int { low: 1, high: 9, log: false, step: 2 }
        );
        assert_eq!(
            read("DiscreteUniformDistribution", &json!({"low": 0.0, "high": 1.0, "q": 0.25})),
            Distribution::Float { low: 0.0, high: 1.0, log: false, step: Some(0.25) }
        );
    }

    #[test]
    fn the_short_form_is_read() {
        let read = |text| Range::read(text).unwrap().distribution;
        assert_eq!(read(r#"{"type": "int", "low": 1, "high": 5}"#), Distribution::int(1, 5));
        assert_eq!(
            read(r#"{"type": "float", "low": 1e-5, "high": 1, "log": true}"#),
            Distribution::log_float(1e-5, 1.0)
        );
        assert_eq!(read(r#"{"type": "categorical", "choices": ["a"]}"#), Distribution::choice(["a"]));
    }

    #[test]
    fn options_keep_their_kind_and_null_becomes_text() {
        let text = r#"{"name": "CategoricalDistribution", "attributes": {"choices": [null, 1, 1.0, true, "none", NaN, 1]}}"#;
        let range = Range::read(text).unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let options = vec![
            text("null"),
            Value::Int(1),
            Value::Float(1.0),
            Value::Bool(true),
            text("none"),
            text("nan"),
        ];
        assert_eq!(range.distribution, Distribution::Choice { options });
        assert_eq!(range.value(0.0), Ok(text("null")));
        assert_eq!(range.value(6.0), Ok(Value::Int(1)));
        assert_eq!(range.value(7.0), Err("expected the index of one of 7 options, found 7".to_owned()));
        assert!(range.value(-1.0).is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let choice = Distribution::Choice {
            options: vec![Value::Text("a".to_owned()), Value::Int(1), Value::Float(2.0), Value::Bool(false)],
        };
        let steps = Distribution::Float { low: 0.1, high: 0.7, log: false, step: Some(0.2) };
        for range in [choice, steps, Distribution::float(-1.0, 1e300), Distribution::log_int(1, 1 << 40)] {
            assert_eq!(Range::read(&write(&range)).unwrap().distribution, range);
        }
        // Optuna would change these ends, and warn.
        let steps = Distribution::Float { low: 0.0, high: 1.0, log: false, step: Some(0.3) };
        let moved = Distribution::Float { low: 0.0, high: 0.9, log: false, step: Some(0.3) };
        assert_eq!(Range::read(&write(&steps)).unwrap().distribution, moved);
        let steps = Distribution::Int { low: 1, high: 10, log: false, step: 4 };
        let moved = Distribution::Int { low: 1, high: 9, log: false, step: 4 };
        assert_eq!(Range::read(&write(&steps)).unwrap().distribution, moved);
    }

    #[test]
    fn ranges_that_make_no_sense_are_named() {
        for (text, reason) in [
            ("{", "it is no JSON"),
            ("[]", "expected a range with its name and attributes, found []"),
            (r#"{"name": "NewDistribution"}"#, "`NewDistribution` is no kind of range that is known"),
            (r#"{"type": "int", "low": 0.5, "high": 2}"#, "expected a whole number as `low`, found 0.5"),
            (r#"{"type": "float", "low": 2, "high": 1}"#, "the low end 2.0 is above the high end 1.0"),
            (r#"{"type": "categorical", "choices": []}"#, "at least one option"),
            (r#"{"type": "categorical", "choices": [[1]]}"#, "found [1]"),
        ] {
            let error = Range::read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
