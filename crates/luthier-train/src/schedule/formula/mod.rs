//! Formulas of a value: `0.1 * 0.95^epoch`.
//!
//! Grammar, loosest first: comparisons (`<`, `<=`, `>`, `>=`, `==`, `!=`, 1 if they hold and else 0), `+` and
//! `-`, `*`, `/` and `%`, a sign, `^` (or `**`, from right to left, so `-2^2` is -4); numbers, names, calls of
//! functions, parentheses. Functions are computed with `libm`, so that they give the same bits everywhere.

mod parse;

use std::fmt;

use luthier_core::config::{Decode, Node, Problem, Problems, nearest};

use super::clock::Time;

pub use parse::FormulaError;

luthier_core::settings! {
    /// A formula.
    #[derive(Debug, Clone, PartialEq)]
    pub struct FormulaCurve {
        /// The formula, such as "0.1 * 0.95^epoch". It may use `epoch` (epochs that are done), `step` (steps
        /// that are done), `progress` (the share of the training that is done, from 0 to 1), `base` (the value
        /// as it was set), `pi`, `e`, and metrics of the last report, such as `val_loss`; + - * / % ^, comparisons
        /// (1 or 0), and abs, ceil, cos, exp, floor, if(condition, then, else), log, log10, log2, max, min, round,
        /// sin, sqrt, tanh. Where it gives no finite number (as with a metric before the first report), the
        /// value as it was set holds.
        formula: Formula;
    }
}

impl FormulaCurve {
    pub(super) fn value(&self, base: f64, time: &Time<'_>) -> f64 {
        let clock = &time.clock;
        let last = (clock.horizon * clock.per_epoch).ceil() - 1.0;
        let position = clock.position.min(last.max(0.0));
        let variables = Variables {
            epoch: (position / clock.per_epoch).floor(),
            step: clock.step - (clock.position - position),
            progress: position / (clock.horizon * clock.per_epoch).max(1.0),
            base,
        };
        let metric = |name: &str| clock.metrics.and_then(|metrics| metrics.get(name)).unwrap_or(f64::NAN);
        let value = self.formula.root.value(&variables, &metric);
        if value.is_finite() { value } else { base }
    }
}

/// A formula that has been read. Two are equal if they are written in the same way.
#[derive(Debug, Clone)]
pub struct Formula {
    text: String,
    root: Expression,
}

/// The values that a formula starts from.
struct Variables {
    epoch: f64,
    step: f64,
    progress: f64,
    base: f64,
}

#[derive(Debug, Clone)]
enum Expression {
    Number(f64),
    Variable(Variable),
    Metric(String),
    Negative(Box<Expression>),
    Binary(Operator, Box<[Expression; 2]>),
    Call(Function, Vec<Expression>),
}

#[derive(Debug, Clone, Copy)]
enum Variable {
    Epoch,
    Step,
    Progress,
    Base,
}

const VARIABLES: [(&str, Variable); 4] = [
    ("epoch", Variable::Epoch),
    ("step", Variable::Step),
    ("progress", Variable::Progress),
    ("base", Variable::Base),
];

const CONSTANTS: [(&str, f64); 2] = [("pi", std::f64::consts::PI), ("e", std::f64::consts::E)];

/// Metrics beside those of the training and validation data, `train_…` and `val_…`.
const OTHER_METRICS: [&str; 2] = ["gradient_norm", "update_ratio"];

#[derive(Debug, Clone, Copy)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

#[derive(Debug, Clone, Copy)]
enum Function {
    One(fn(f64) -> f64),
    Min,
    Max,
    If,
}

const FUNCTIONS: [(&str, Function); 15] = [
    ("abs", Function::One(libm::fabs)),
    ("ceil", Function::One(libm::ceil)),
    ("cos", Function::One(libm::cos)),
    ("exp", Function::One(libm::exp)),
    ("floor", Function::One(libm::floor)),
    ("if", Function::If),
    ("log", Function::One(libm::log)),
    ("log10", Function::One(libm::log10)),
    ("log2", Function::One(libm::log2)),
    ("max", Function::Max),
    ("min", Function::Min),
    ("round", Function::One(libm::round)),
    ("sin", Function::One(libm::sin)),
    ("sqrt", Function::One(libm::sqrt)),
    ("tanh", Function::One(libm::tanh)),
];

impl Expression {
    fn value(&self, variables: &Variables, metric: &dyn Fn(&str) -> f64) -> f64 {
        let of = |expression: &Self| expression.value(variables, metric);
        match self {
            Self::Number(number) => *number,
            Self::Variable(Variable::Epoch) => variables.epoch,
            Self::Variable(Variable::Step) => variables.step,
            Self::Variable(Variable::Progress) => variables.progress,
            Self::Variable(Variable::Base) => variables.base,
            Self::Metric(name) => metric(name),
            Self::Negative(inner) => -of(inner),
            Self::Binary(operator, sides) => operator.of(of(&sides[0]), of(&sides[1])),
            Self::Call(function, arguments) => match function {
                Function::One(function) => function(of(&arguments[0])),
                // NaN wins, unlike with `f64::min`: a metric that is not there yet must not go unnoticed.
                Function::Min => arguments.iter().map(of).fold(f64::INFINITY, |a, b| pick(a, b, b < a)),
                Function::Max => arguments.iter().map(of).fold(f64::NEG_INFINITY, |a, b| pick(a, b, b > a)),
                Function::If => {
                    let condition = of(&arguments[0]);
                    if condition.is_nan() {
                        f64::NAN
                    } else {
                        of(&arguments[if condition == 0.0 { 2 } else { 1 }])
                    }
                }
            },
        }
    }

    fn metrics<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Self::Metric(name) if !into.contains(&name.as_str()) => into.push(name),
            Self::Number(_) | Self::Variable(_) | Self::Metric(_) => {}
            Self::Negative(inner) => inner.metrics(into),
            Self::Binary(_, sides) => sides.iter().for_each(|side| side.metrics(into)),
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.metrics(into)),
        }
    }
}

/// `b` if it is to be taken or is NaN, else `a`.
fn pick(a: f64, b: f64, take: bool) -> f64 {
    if take || b.is_nan() { b } else { a }
}

impl Operator {
    fn of(self, a: f64, b: f64) -> f64 {
        let truth =
            |holds: bool| if a.is_nan() || b.is_nan() { f64::NAN } else { f64::from(u8::from(holds)) };
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Remainder => a - b * (a / b).floor(),
            Self::Power => libm::pow(a, b),
            Self::Less => truth(a < b),
            Self::LessOrEqual => truth(a <= b),
            Self::Greater => truth(a > b),
            Self::GreaterOrEqual => truth(a >= b),
            Self::Equal => truth(a == b),
            Self::Unequal => truth(a != b),
        }
    }
}

impl Formula {
    /// Reads a formula.
    ///
    /// # Errors
    ///
    /// The first place where it is none.
    ///
    /// ```
    /// use luthier_train::schedule::Formula;
    /// assert_eq!(Formula::parse("base * 0.5^epoch + val_loss").unwrap().metrics(), ["val_loss"]);
    /// let error = Formula::parse("0.1 * 0.95^epohc").unwrap_err();
    /// assert_eq!((error.column, error.help.as_deref()), (12, Some("did you mean `epoch`?")));
    /// ```
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        Ok(Self { text: text.to_owned(), root: parse::parse(text)? })
    }

    /// The metrics that it uses.
    pub fn metrics(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.metrics(&mut names);
        names
    }

    /// Whether a formula may use this name for a value.
    pub(super) fn knows(name: &str) -> bool {
        VARIABLES.iter().any(|(known, _)| *known == name)
            || CONSTANTS.iter().any(|(known, _)| *known == name)
            || is_metric(name)
    }
}

/// Whether the name can be a metric's. Which metrics there are is only known with the data.
fn is_metric(name: &str) -> bool {
    name.starts_with("train_") || name.starts_with("val_") || OTHER_METRICS.contains(&name)
}

/// The names that a formula may use, for messages.
fn known_names() -> impl Iterator<Item = &'static str> {
    let values = VARIABLES.iter().map(|(name, _)| *name).chain(CONSTANTS.iter().map(|(name, _)| *name));
    values.chain(OTHER_METRICS).chain(["val_loss", "train_loss"])
}

fn near(word: &str, names: impl Iterator<Item = &'static str>) -> Option<String> {
    nearest(word, names).map(|near| format!("did you mean `{near}`?"))
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Decode for Formula {
    const EXPECTED: &'static str = "a formula such as \"0.1 * 0.95^epoch\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let Some(text) = node.as_str() else {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
            return None;
        };
        match Self::parse(text) {
            Ok(formula) => Some(formula),
            Err(error) => {
                problems.push(Problem {
                    line: (node.line > 0).then_some(node.line),
                    path: path.to_owned(),
                    expected: error.expected,
                    found: format!("{} at character {} of {text:?}", error.found, error.column),
                    help: error.help,
                });
                None
            }
        }
    }
}
