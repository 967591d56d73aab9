//! Distributions: the ranges that a parameter's values are taken from.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Rng, Value};

/// The range of a parameter, and the scale on which values in it are equally likely beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Distribution {
    /// Numbers in `low..=high`.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Even on the logarithmic scale; then `low` is above 0.
        #[serde(default)]
        log: bool,
        /// Only `low`, `low + step`, `low + 2 step`, …; not with `log`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<f64>,
    },
    /// Whole numbers in `low..=high`.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Even on the logarithmic scale; then `low` is at least 1.
        #[serde(default)]
        log: bool,
        /// Only `low`, `low + step`, …; 1 with `log`.
        #[serde(default = "one")]
        step: i64,
    },
    /// One of several options without an order.
    Choice {
        /// The options, all different.
        options: Vec<Value>,
    },
}

const fn one() -> i64 {
    1
}

/// A range of steps has fewer values, 2^53.
const MOST_VALUES: f64 = 9_007_199_254_740_992.0;

/// How many steps a width has.
fn steps(width: f64, step: f64) -> f64 {
    (width / step + 1e-9).floor()
}

/// The logarithm of `x / y`, also where the ratio itself is larger than any number.
pub(crate) fn log_ratio(x: f64, y: f64) -> f64 {
    if (x / y).is_finite() { libm::log(x / y) } else { libm::log(x) - libm::log(y) }
}

/// Why a range cannot be used.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum DistributionError {
    /// An end of the range is NaN or infinite.
    #[error("the ends of a range are finite numbers, found {0} and {1}")]
    NotFinite(f64, f64),
    /// The ends are too far apart to be computed with.
    #[error(
        "the range from {0} to {1} is too wide: expected less than 2^53 whole numbers, or a width that is finite"
    )]
    TooWide(Value, Value),
    /// The ends are in the wrong order.
    #[error("the low end {0} is above the high end {1}")]
    Empty(Value, Value),
    /// A logarithmic scale that includes zero or less.
    #[error("a logarithmic range starts above 0, found {0}")]
    LogOfZero(Value),
    /// A step that is not positive, or one on a logarithmic scale.
    #[error("{0}")]
    Step(&'static str),
    /// A step that leaves the low end alone.
    #[error("the step {step} is wider than the range, {width}; expected one that fits, or none")]
    WideStep {
        /// The step.
        step: Value,
        /// The high end without the low end.
        width: Value,
    },
    /// A step that is too small for the values of the range to be told apart.
    #[error("the step {0} makes more than 2^53 values of the range; expected a larger one, or none")]
    FineStep(Value),
    /// A choice without options.
    #[error("a choice has at least one option")]
    NoOptions,
    /// The same option twice; 1 and 1.0 are the same number.
    #[error("the option {0} appears twice")]
    Duplicate(Value),
}

impl Distribution {
    /// Numbers from `low` to `high`.
    pub const fn float(low: f64, high: f64) -> Self {
        Self::Float { low, high, log: false, step: None }
    }

    /// Numbers from `low` to `high`, even on the logarithmic scale.
    pub const fn log_float(low: f64, high: f64) -> Self {
        Self::Float { low, high, log: true, step: None }
    }

    /// Whole numbers from `low` to `high`.
    pub const fn int(low: i64, high: i64) -> Self {
        Self::Int { low, high, log: false, step: 1 }
    }

    /// Whole numbers from `low` to `high`, even on the logarithmic scale.
    pub const fn log_int(low: i64, high: i64) -> Self {
        Self::Int { low, high, log: true, step: 1 }
    }

    /// One of `options`.
    pub fn choice<V: Into<Value>>(options: impl IntoIterator<Item = V>) -> Self {
        Self::Choice { options: options.into_iter().map(Into::into).collect() }
    }

    /// Whether the range can be used.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks, as a [`DistributionError`].
    pub fn check(&self) -> Result<(), DistributionError> {
        match self {
            Self::Float { low, high, log, step } => {
                if !(low.is_finite() && high.is_finite()) {
                    return Err(DistributionError::NotFinite(*low, *high));
                }
                if !(high - low).is_finite() {
                    return Err(DistributionError::TooWide(Value::Float(*low), Value::Float(*high)));
                }
                if low > high {
                    return Err(DistributionError::Empty(Value::Float(*low), Value::Float(*high)));
                }
                if *log && *low <= 0.0 {
                    return Err(DistributionError::LogOfZero(Value::Float(*low)));
                }
                match step {
                    Some(_) if *log => Err(DistributionError::Step("a logarithmic range takes no step")),
                    Some(step) if !(step.is_finite() && *step > 0.0) => {
                        Err(DistributionError::Step("a step is a number above 0"))
                    }
                    Some(step) if high > low && steps(high - low, *step) < 1.0 => {
                        let (step, width) = (Value::Float(*step), Value::Float(high - low));
                        Err(DistributionError::WideStep { step, width })
                    }
                    Some(step) if steps(high - low, *step) >= MOST_VALUES => {
                        Err(DistributionError::FineStep(Value::Float(*step)))
                    }
                    _ => Ok(()),
                }
            }
            Self::Int { low, high, log, step } => {
                if low > high {
                    return Err(DistributionError::Empty(Value::Int(*low), Value::Int(*high)));
                }
                if high.checked_sub(*low).is_none_or(|width| width > 1 << 53) {
                    return Err(DistributionError::TooWide(Value::Int(*low), Value::Int(*high)));
                }
                if *log && *low < 1 {
                    return Err(DistributionError::LogOfZero(Value::Int(*low)));
                }
                if *log && *step != 1 {
                    return Err(DistributionError::Step("a logarithmic range takes no step"));
                }
                if *step < 1 {
                    return Err(DistributionError::Step("a step of whole numbers is at least 1"));
                }
                if high > low && *step > high - low {
                    let (step, width) = (Value::Int(*step), Value::Int(high - low));
                    return Err(DistributionError::WideStep { step, width });
                }
                Ok(())
            }
            Self::Choice { options } => {
                if options.is_empty() {
                    return Err(DistributionError::NoOptions);
                }
                for (i, option) in options.iter().enumerate() {
                    let same = |other: &Value| {
                        other == option || option.as_f64().is_some() && other.as_f64() == option.as_f64()
                    };
                    if options[..i].iter().any(same) {
                        return Err(DistributionError::Duplicate(option.clone()));
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether `value` lies in the range (for a step: whether it is one of its values).
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Float { low, high, step, .. }, Value::Float(x)) => {
                (*low..=*high).contains(x)
                    && step.is_none_or(|step| {
                        let nearest = low + ((x - low) / step).round() * step;
                        // What a step is off by beside large ends of the range.
                        let rounding = 4.0 * f64::EPSILON * low.abs().max(high.abs());
                        (x - nearest).abs() <= 1e-6 * step + rounding
                    })
            }
            (Self::Int { low, high, step, .. }, Value::Int(i)) => {
                (*low..=*high).contains(i) && (i - low) % step == 0
            }
            (Self::Choice { options }, value) => options.contains(value),
            _ => false,
        }
    }

    /// The number of different values, or `None` for a continuum.
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Self::Float { low, high, step: Some(step), .. } => {
                Some((steps(high - low, *step) as u64).saturating_add(1))
            }
            Self::Float { low, high, step: None, .. } => (low == high).then_some(1),
            Self::Int { low, high, step, .. } => Some(((high - low) / step) as u64 + 1),
            Self::Choice { options } => Some(options.len() as u64),
        }
    }

    /// The smallest value, or the first option.
    pub fn first(&self) -> Value {
        self.from_unit(0.0)
    }

    /// The largest value, or the last option.
    pub fn last(&self) -> Value {
        self.from_unit(1.0)
    }

    /// A value with every one (on its scale) equally likely.
    pub fn sample(&self, rng: &mut Rng) -> Value {
        self.from_unit(rng.uniform())
    }

    /// Where `value` stands in the range, as a number in `[0, 1]`, on the range's own scale.
    ///
    /// Whole numbers, steps and options each own a cell of the interval and stand in its middle.
    /// `None` if the value is not in the range.
    pub fn to_unit(&self, value: &Value) -> Option<f64> {
        if !self.contains(value) {
            return None;
        }
        let unit = match (self, value) {
            (Self::Float { low, high, .. }, Value::Float(_)) if low == high => 0.5,
            (Self::Float { low, high, log: true, .. }, Value::Float(x)) => {
                log_ratio(*x, *low) / log_ratio(*high, *low)
            }
            (Self::Float { low, high, step: None, .. }, Value::Float(x)) => (x - low) / (high - low),
            (Self::Float { low, step: Some(step), .. }, Value::Float(x)) => {
                (((x - low) / step).round() + 0.5) / self.cells()
            }
            (Self::Int { low, high, log: true, .. }, Value::Int(i)) => {
                let (a, b) = (*low as f64 - 0.5, *high as f64 + 0.5);
                libm::log(*i as f64 / a) / libm::log(b / a)
            }
            (Self::Int { low, step, .. }, Value::Int(i)) => (((i - low) / step) as f64 + 0.5) / self.cells(),
            (Self::Choice { options }, value) => {
                let index = options.iter().position(|option| option == value)?;
                (index as f64 + 0.5) / options.len() as f64
            }
            _ => return None,
        };
        Some(unit.clamp(0.0, 1.0))
    }

    /// The value that stands at `unit` in `[0, 1]`: the inverse of [`Distribution::to_unit`].
    ///
    /// ```
    /// use luthier_core::{Distribution, Value};
    /// let rate = Distribution::log_float(1e-4, 1e-2);
    /// assert_eq!(rate.from_unit(0.0), Value::Float(1e-4));
    /// let units = Distribution::int(1, 4);
    /// assert_eq!(units.from_unit(0.3), Value::Int(2));
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "the pair of to_unit; the range itself is the converter")]
    pub fn from_unit(&self, unit: f64) -> Value {
        let unit = unit.clamp(0.0, 1.0);
        match self {
            // Rounding is not to leave out the ends.
            Self::Float { low, step: None, .. } if unit <= 0.0 => Value::Float(*low),
            Self::Float { high, step: None, .. } if unit >= 1.0 => Value::Float(*high),
            Self::Float { low, high, log: true, .. } => {
                let width = unit * log_ratio(*high, *low);
                let x = if (high / low).is_finite() {
                    low * libm::exp(width)
                } else {
                    libm::exp(libm::log(*low) + width)
                };
                Value::Float(x.clamp(*low, *high))
            }
            Self::Float { low, high, step: None, .. } => {
                Value::Float((low + unit * (high - low)).clamp(*low, *high))
            }
            Self::Float { low, high, step: Some(step), .. } => {
                Value::Float((low + self.cell(unit) * step).clamp(*low, *high))
            }
            Self::Int { low, high, log: true, .. } => {
                let (a, b) = (*low as f64 - 0.5, *high as f64 + 0.5);
                let x = a * libm::exp(unit * libm::log(b / a));
                Value::Int((x.round() as i64).clamp(*low, *high))
            }
            Self::Int { low, step, .. } => Value::Int(low + self.cell(unit) as i64 * step),
            Self::Choice { options } => options[self.cell(unit) as usize].clone(),
        }
    }

    fn cells(&self) -> f64 {
        self.cardinality().unwrap_or(1) as f64
    }

    fn cell(&self, unit: f64) -> f64 {
        (unit * self.cells()).floor().min(self.cells() - 1.0)
    }
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float { low, high, log, step } => {
                write!(f, "{} … {}", Value::Float(*low), Value::Float(*high))?;
                if let Some(step) = step {
                    write!(f, ", step {}", Value::Float(*step))?;
                }
                if *log { write!(f, ", log") } else { Ok(()) }
            }
            Self::Int { low, high, log, step } => {
                write!(f, "{low} … {high}, whole")?;
                if *step != 1 {
                    write!(f, ", step {step}")?;
                }
                if *log { write!(f, ", log") } else { Ok(()) }
            }
            Self::Choice { options } => {
                let names: Vec<String> = options.iter().map(ToString::to_string).collect();
                f.write_str(&names.join(" | "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
