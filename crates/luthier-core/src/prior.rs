//! What a user believes about a parameter, and what part it has in a study.

use serde::{Deserialize, Serialize};

use crate::distribution::log_ratio;
use crate::{Distribution, Value};

/// Where good values are believed to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The value that is believed to be good.
    pub around: Value,
    /// How far from it: two thirds of the belief lie within it. A factor above 1 where the range is logarithmic (3: from a
    /// third to three times the value), else a difference above 0. A seventh of the range on its scale if left out. Not of
    /// choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// Of choices: the probability that the option is the best, between 0 and 1; 0.5 if left out. The others share the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// The deviation of a prior without a spread, as a share of the range on its scale.
const SPREAD: f64 = 1.0 / 7.0;

/// The probability of an option without a weight.
const WEIGHT: f64 = 0.5;

impl Prior {
    /// A belief in values around this one.
    pub fn around(value: impl Into<Value>) -> Self {
        Self { around: value.into(), spread: None, weight: None }
    }

    /// The same, within a spread.
    #[must_use]
    pub fn within(self, spread: f64) -> Self {
        Self { spread: Some(spread), ..self }
    }

    /// The prior for values of this range, with its value as one of them.
    ///
    /// # Errors
    ///
    /// A message if it does not fit the range.
    pub fn of(&self, distribution: &Distribution) -> Result<Self, String> {
        let around = distribution
            .adopt(&self.around)
            .ok_or_else(|| format!("a prior around a value of {distribution}, found {}", self.around))?;
        let log = matches!(
            distribution,
            Distribution::Float { log: true, .. } | Distribution::Int { log: true, .. }
        );
        let choice = matches!(distribution, Distribution::Choice { .. });
        match (self.spread, self.weight) {
            (Some(_), _) if choice => {
                Err("a weight beside `around`, not a spread: options have no distance".into())
            }
            (_, Some(_)) if !choice => Err("a spread beside `around`: a weight is for choices".into()),
            (Some(x), _) if log && !(x > 1.0 && x.is_finite()) => {
                Err(format!("a spread above 1, which is a factor on a logarithmic range, found {x}"))
            }
            (Some(x), _) if !(x > 0.0 && x.is_finite()) => Err(format!("a spread above 0, found {x}")),
            (_, Some(x)) if !(x > 0.0 && x < 1.0) => Err(format!("a weight between 0 and 1, found {x}")),
            _ => Ok(Self { around, ..self.clone() }),
        }
    }

    /// The deviation of the belief on the range's own scale, where the range goes from 0 to 1.
    pub fn deviation(&self, distribution: &Distribution) -> f64 {
        let Some(spread) = self.spread else { return SPREAD };
        let log = |low: f64, high: f64| libm::log(spread) / log_ratio(high, low);
        let deviation = match distribution {
            Distribution::Float { low, high, log: true, .. } => log(*low, *high),
            Distribution::Int { low, high, log: true, .. } => log(*low as f64 - 0.5, *high as f64 + 0.5),
            Distribution::Float { low, high, .. } => spread / (high - low),
            Distribution::Int { low, high, .. } => spread / (*high as f64 - *low as f64 + 1.0),
            Distribution::Choice { .. } => SPREAD,
        };
        // Of a range of one value everything is believed.
        if deviation.is_finite() { deviation } else { SPREAD }
    }

    /// Of choices: the probability of the option.
    pub fn probability(&self) -> f64 {
        self.weight.unwrap_or(WEIGHT)
    }
}

/// What part a parameter has in a study (Godbole et al. 2023, "Deep learning tuning playbook").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its best value has to be found, so that others can be compared fairly.
    #[default]
    Nuisance,
    /// Its values are what is compared: each is given as many trials.
    Scientific,
}

impl Role {
    /// Whether it is the usual one.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::Nuisance
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use super::*;

    #[test]
    fn a_spread_is_a_factor_or_a_difference() {
        let rate = Distribution::log_float(1e-4, 1e-2);
        let prior = Prior::around(1e-3).within(10.0).of(&rate).unwrap();
        assert!((prior.deviation(&rate) - 0.5).abs() < 1e-12);
        let share = Distribution::float(0.0, 0.5);
        assert_eq!(Prior::around(0.1).within(0.1).of(&share).unwrap().deviation(&share), 0.2);
        let whole = Distribution::int(1, 4);
        assert_eq!(Prior::around(2.0).of(&whole).unwrap().around, Value::Int(2));
    }

    #[test]
    fn what_does_not_fit_the_range_is_said() {
        let rate = Distribution::log_float(1e-4, 1e-2);
        let kind = Distribution::choice(["a", "b"]);
        let weighed = Prior { weight: Some(1.5), ..Prior::around("a") };
        for (prior, range, message) in [
            (Prior::around(1.0), &rate, "a prior around a value of 1e-4 … 0.01, log, found 1.0"),
            (Prior::around(1e-3).within(0.5), &rate, "a spread above 1, which is a factor"),
            (Prior::around("a").within(0.5), &kind, "a weight beside `around`, not a spread"),
            (weighed, &kind, "a weight between 0 and 1, found 1.5"),
            (Prior { weight: Some(0.5), ..Prior::around(1e-3) }, &rate, "a spread beside `around`"),
        ] {
            let error = prior.of(range).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
