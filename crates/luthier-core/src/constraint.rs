//! Constraints: what has to hold of the parameters of a trial, or of what was measured of it.
//!
//! ```text
//! constraint = and { "or" and }          and  = not { "and" not }        not = [ "not" ] relation
//! relation   = sum [ ("<=" | "<" | ">=" | ">" | "==" | "!=") sum ]
//! sum        = term { ("+" | "-") term }  term = factor { ("*" | "/") factor }
//! factor     = number | 'text' | name | true | false | "-" factor | "(" constraint ")"
//! ```
//!
//! A name is that of a parameter or of a metric: letters, digits, `_` and `.`; any other stands in backticks.

mod parse;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Params, Value};

/// Something that has to hold.
///
/// ```
/// use luthier_core::{Constraint, Params};
///
/// let params = Params::from_iter([("low".into(), 0.2.into()), ("high".into(), 0.1.into())]);
/// assert!(!Constraint::parse("low <= high")?.holds(&params));
/// assert!(Constraint::parse("low + high < 1 and not (low > 0.5)")?.holds(&params));
/// let limit = Constraint::parse("parameters <= 1000")?;
/// assert_eq!(limit.violation(|_| Some(1200.0)), 200.0);
/// # Ok::<(), luthier_core::ConstraintError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Constraint {
    text: String,
    root: Term,
}

/// Why a text is no constraint, or none on what it names.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct ConstraintError {
    /// What is wrong.
    pub reason: String,
}

/// A part of a constraint.
#[derive(Debug, Clone, PartialEq)]
enum Term {
    Name(String),
    Constant(Value),
    Negative(Box<Term>),
    Not(Box<Term>),
    Pair(Operator, Box<Term>, Box<Term>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    Different,
    Plus,
    Minus,
    Times,
    Over,
}

impl Constraint {
    /// Reads a constraint.
    ///
    /// # Errors
    ///
    /// [`ConstraintError`] with the place where it is none.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let root = parse::parse(text)?;
        let is_relation = match &root {
            Term::Not(_) => true,
            Term::Pair(operator, ..) => !operator.is_arithmetic(),
            _ => false,
        };
        if !is_relation {
            return Err(ConstraintError {
                reason: "it compares nothing: write `a < b` or the like".to_owned(),
            });
        }
        Ok(Self { text: text.trim().to_owned(), root })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names in it, each once.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.root.collect(&mut names);
        names
    }

    /// The same with values in the places of the names that `constant` knows.
    #[must_use]
    pub fn with(&self, constant: impl Fn(&str) -> Option<Value>) -> Self {
        Self { text: self.text.clone(), root: self.root.with(&constant) }
    }

    /// Whether it holds for these parameters. It does where it names one that does not exist beside the others, and
    /// where it compares what cannot be compared, which [`Constraint::check`] finds out.
    pub fn holds(&self, params: &Params) -> bool {
        if self.names().iter().any(|name| !params.contains_key(*name)) {
            return true;
        }
        self.evaluate(params).unwrap_or(true)
    }

    fn evaluate(&self, params: &Params) -> Result<bool, ConstraintError> {
        match self.root.value(&|name| params.get(name).cloned())? {
            Value::Bool(holds) => Ok(holds),
            other => {
                Err(ConstraintError { reason: format!("it says {other}, which is neither true nor false") })
            }
        }
    }

    /// Whether its parts go together for such parameters.
    ///
    /// # Errors
    ///
    /// [`ConstraintError`] where numbers are compared with texts, or options are added.
    pub fn check(&self, params: &Params) -> Result<(), ConstraintError> {
        if self.names().iter().any(|name| !params.contains_key(*name)) {
            Ok(())
        } else {
            self.evaluate(params).map(drop)
        }
    }

    /// Whether it is a limit, `a <= b` or `a >= b` of numbers, so that it can be said by how much it is missed.
    pub fn is_limit(&self) -> bool {
        matches!(&self.root, Term::Pair(Operator::AtMost | Operator::AtLeast, a, b)
            if a.is_arithmetic() && b.is_arithmetic())
    }

    /// By how much a [limit](Constraint::is_limit) is missed, 0 where it holds; infinite where a metric is missing or
    /// is no finite number, or where it is no limit.
    pub fn violation(&self, metric: impl Fn(&str) -> Option<f64>) -> f64 {
        let Term::Pair(operator, a, b) = &self.root else { return f64::INFINITY };
        let value = |name: &str| metric(name).map(Value::Float);
        let number = |term: &Term| term.value(&value).ok()?.as_f64().filter(|x| x.is_finite());
        match (operator, number(a), number(b)) {
            (Operator::AtMost, Some(a), Some(b)) => (a - b).max(0.0),
            (Operator::AtLeast, Some(a), Some(b)) => (b - a).max(0.0),
            _ => f64::INFINITY,
        }
    }
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Constraint {
    type Error = ConstraintError;

    fn try_from(text: String) -> Result<Self, ConstraintError> {
        Self::parse(&text)
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> Self {
        constraint.text
    }
}

impl Operator {
    fn is_arithmetic(self) -> bool {
        matches!(self, Self::Plus | Self::Minus | Self::Times | Self::Over)
    }
}

impl Term {
    fn with(&self, constant: &dyn Fn(&str) -> Option<Value>) -> Self {
        let inner = |term: &Self| Box::new(term.with(constant));
        match self {
            Self::Name(name) => constant(name).map_or_else(|| self.clone(), Self::Constant),
            Self::Constant(_) => self.clone(),
            Self::Negative(a) => Self::Negative(inner(a)),
            Self::Not(a) => Self::Not(inner(a)),
            Self::Pair(operator, a, b) => Self::Pair(*operator, inner(a), inner(b)),
        }
    }

    fn collect<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Self::Name(name) => {
                names.insert(name);
            }
            Self::Constant(_) => {}
            Self::Negative(a) | Self::Not(a) => a.collect(names),
            Self::Pair(_, a, b) => {
                a.collect(names);
                b.collect(names);
            }
        }
    }

    /// Whether it is a number wherever its names are.
    fn is_arithmetic(&self) -> bool {
        match self {
            Self::Name(_) => true,
            Self::Constant(value) => value.as_f64().is_some(),
            Self::Negative(a) => a.is_arithmetic(),
            Self::Not(_) => false,
            Self::Pair(operator, a, b) => operator.is_arithmetic() && a.is_arithmetic() && b.is_arithmetic(),
        }
    }

    fn value(&self, of: &dyn Fn(&str) -> Option<Value>) -> Result<Value, ConstraintError> {
        let wrong = |reason: String| ConstraintError { reason };
        let number = |term: &Self| {
            let value = term.value(of)?;
            value.as_f64().ok_or_else(|| wrong(format!("expected a number, found {value}")))
        };
        let truth = |term: &Self| match term.value(of)? {
            Value::Bool(b) => Ok(b),
            other => Err(wrong(format!("expected something that is true or false, found {other}"))),
        };
        Ok(match self {
            Self::Name(name) => of(name).ok_or_else(|| wrong(format!("there is no `{name}`")))?,
            Self::Constant(value) => value.clone(),
            Self::Negative(a) => Value::Float(-number(a)?),
            Self::Not(a) => Value::Bool(!truth(a)?),
            Self::Pair(operator, a, b) => match operator {
                Operator::Or => Value::Bool(truth(a)? | truth(b)?),
                Operator::And => Value::Bool(truth(a)? & truth(b)?),
                Operator::Plus => Value::Float(number(a)? + number(b)?),
                Operator::Minus => Value::Float(number(a)? - number(b)?),
                Operator::Times => Value::Float(number(a)? * number(b)?),
                Operator::Over => Value::Float(number(a)? / number(b)?),
                Operator::AtMost => Value::Bool(number(a)? <= number(b)?),
                Operator::Below => Value::Bool(number(a)? < number(b)?),
                Operator::AtLeast => Value::Bool(number(a)? >= number(b)?),
                Operator::Above => Value::Bool(number(a)? > number(b)?),
                Operator::Equal | Operator::Different => {
                    let (a, b) = (a.value(of)?, b.value(of)?);
                    let same = match (a.as_f64(), b.as_f64()) {
                        (Some(a), Some(b)) => a == b,
                        _ => a == b,
                    };
                    Value::Bool(same == (*operator == Operator::Equal))
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use super::*;

    fn params() -> Params {
        Params::from_iter([
            ("a".to_owned(), Value::Int(3)),
            ("b".to_owned(), Value::Float(0.5)),
            ("train.optimizer".to_owned(), "sgd".into()),
            ("odd-name".to_owned(), Value::Int(2)),
            ("flag".to_owned(), true.into()),
        ])
    }

    #[test]
    fn operators_bind_as_in_arithmetic() {
        for (text, holds) in [
            ("a > b", true),
            ("1 + 2 * a == 7", true),
            ("(1 + 2) * a == 9", true),
            ("a - 1 - 1 == 1 and 8 / 2 / 2 == 2", true),
            ("-a < -b", true),
            ("a >= 3 and a <= 3 and a != 4", true),
            ("a < 1 or b < 1 and a < 1", false),
            ("not a < 1", true),
            ("not (train.optimizer == 'sgd' and b > 0.1)", false),
            ("train.optimizer != \"adam\"", true),
            ("`odd-name` * 2e0 == 4.0", true),
            ("flag == true", true),
            ("missing > 4", true),
        ] {
            assert_eq!(Constraint::parse(text).unwrap().holds(&params()), holds, "{text}");
        }
    }

    #[test]
    fn limits_say_by_how_much_they_are_missed() {
        let violation = |text: &str, value| Constraint::parse(text).unwrap().violation(|_| value);
        assert_eq!(violation("m <= 2", Some(5.0)), 3.0);
        assert_eq!(violation("m >= 2", Some(5.0)), 0.0);
        assert_eq!(violation("2 * m >= 12", Some(5.0)), 2.0);
        assert_eq!(violation("m <= 2", None), f64::INFINITY);
        assert_eq!(violation("m <= 2", Some(f64::NAN)), f64::INFINITY);
        for (text, is) in
            [("m < 2", false), ("m <= 2", true), ("m <= 2 and m >= 1", false), ("m <= 'x'", false)]
        {
            assert_eq!(Constraint::parse(text).unwrap().is_limit(), is, "{text}");
        }
    }

    #[test]
    fn what_is_none_says_where() {
        for (text, reason) in [
            ("", "expected a number, a text or a name, found the end"),
            ("a", "it compares nothing: write `a < b` or the like"),
            ("a + 1", "it compares nothing: write `a < b` or the like"),
            ("a <", "expected a number, a text or a name, found the end"),
            ("a < 1 2", "expected the end, found `2` at character 7"),
            ("a < (1", "expected `)`, found the end"),
            ("a = 1", "expected an operator or a value, found `=` at character 3; `==` compares"),
            ("a < 'x", "the text at character 5 has no end"),
            ("a < 1 < 2", "expected the end, found `<` at character 7"),
        ] {
            assert_eq!(Constraint::parse(text).unwrap_err().to_string(), reason, "{text}");
        }
        let wrong = |text: &str| Constraint::parse(text).unwrap().check(&params()).unwrap_err().to_string();
        assert_eq!(wrong("train.optimizer < 3"), "expected a number, found sgd");
        assert_eq!(wrong("a and b < 1"), "expected something that is true or false, found 3");
    }

    #[test]
    fn it_is_stored_as_it_was_written() {
        let constraint = Constraint::parse("a <= 2 * b").unwrap();
        let json = serde_json::to_string(&constraint).unwrap();
        assert_eq!(json, "\"a <= 2 * b\"");
        assert_eq!(serde_json::from_str::<Constraint>(&json).unwrap(), constraint);
    }
}
