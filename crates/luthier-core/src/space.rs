//! Search spaces: parameters, some of which exist only under a value of another.

mod allowed;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Constraint, ConstraintError, Distribution, DistributionError, Params, Prior, Role, Value};

/// When a parameter exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Only where the parameter has one of these values.
    In {
        /// Name of the other parameter.
        param: String,
        /// The values under which this one exists.
        values: Vec<Value>,
    },
    /// Only where the whole-number parameter is at least this.
    AtLeast {
        /// Name of the other parameter.
        param: String,
        /// The smallest value under which this one exists.
        value: i64,
    },
}

impl Condition {
    /// Only where `param` has this value.
    pub fn equals(param: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::In { param: param.into(), values: vec![value.into()] }
    }

    /// The parameter that the condition looks at.
    pub fn param(&self) -> &str {
        match self {
            Self::In { param, .. } | Self::AtLeast { param, .. } => param,
        }
    }

    /// Whether it holds of `params`.
    pub fn holds(&self, params: &Params) -> bool {
        match self {
            Self::In { param, values } => params.get(param).is_some_and(|found| values.contains(found)),
            Self::AtLeast { param, value } => {
                params.get(param).and_then(Value::as_i64).is_some_and(|found| found >= *value)
            }
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::In { param, values } => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "`{param}` = {}", values.join(" or "))
            }
            Self::AtLeast { param, value } => write!(f, "`{param}` of {value} or more"),
        }
    }
}

/// One parameter of a space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name: the path in the study file.
    pub name: String,
    /// Its range.
    pub distribution: Distribution,
    /// It exists where all of these hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Whether trials may lack it where its conditions hold, by something that is not known. It is always proposed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Where good values are believed to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Prior>,
    /// Whether its values are what is compared.
    #[serde(default, skip_serializing_if = "Role::is_usual")]
    pub role: Role,
}

impl Parameter {
    /// A parameter that always exists.
    pub fn new(name: impl Into<String>, distribution: Distribution) -> Self {
        Self {
            name: name.into(),
            distribution,
            conditions: Vec::new(),
            optional: false,
            prior: None,
            role: Role::default(),
        }
    }

    /// The same parameter, existing only where `condition` holds too.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// The same parameter with a belief about its good values.
    #[must_use]
    pub fn believed(self, prior: Prior) -> Self {
        Self { prior: Some(prior), ..self }
    }

    /// The same parameter in this role.
    #[must_use]
    pub fn in_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Whether every trial has it.
    pub fn is_always_there(&self) -> bool {
        self.conditions.is_empty() && !self.optional
    }

    /// Whether the parameter exists beside `params`.
    pub fn is_active(&self, params: &Params) -> bool {
        self.conditions.iter().all(|condition| condition.holds(params))
    }
}

/// Why a set of parameters is no space.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SpaceError {
    /// Two parameters of one name.
    #[error("there are two parameters named `{0}`")]
    Duplicate(String),
    /// A condition on a parameter that does not come before.
    #[error("`{name}` depends on `{on}`, which does not come before it")]
    Order {
        /// The parameter with the condition.
        name: String,
        /// The parameter that it names.
        on: String,
    },
    /// A constraint that cannot be judged by the parameters.
    #[error("the constraint `{constraint}`: {source}")]
    Constraint {
        /// The constraint.
        constraint: String,
        /// What is wrong with it.
        source: ConstraintError,
    },
    /// Constraints that nothing keeps.
    #[error(
        "of 10,000 random configurations none keeps the constraints {constraints}: they exclude each other, or leave too \
         little of the ranges"
    )]
    Forbidden {
        /// All of them.
        constraints: String,
    },
    /// A range that cannot be used.
    #[error("`{name}`: {source}")]
    Distribution {
        /// The parameter.
        name: String,
        /// What is wrong with its range.
        source: DistributionError,
    },
    /// A prior that does not fit the range.
    #[error("`{name}`: expected {expected}")]
    Prior {
        /// The parameter.
        name: String,
        /// What should be there, and what is.
        expected: String,
    },
}

/// The parameters that a search may set, parents before children.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Space {
    parameters: IndexMap<String, Parameter>,
    constraints: Vec<Constraint>,
}

impl Space {
    /// A space of these parameters.
    ///
    /// # Errors
    ///
    /// [`SpaceError`] if a name is taken twice, a range cannot be used, or a condition looks at a
    /// parameter that does not come before.
    ///
    /// ```
    /// use luthier_core::{Condition, Distribution, Parameter, Space};
    /// let space = Space::new([
    ///     Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
    ///     Parameter::new("momentum", Distribution::float(0.0, 0.99))
    ///         .when(Condition::equals("optimizer", "sgd")),
    /// ])?;
    /// assert_eq!(space.len(), 2);
    /// # Ok::<(), luthier_core::SpaceError>(())
    /// ```
    pub fn new(parameters: impl IntoIterator<Item = Parameter>) -> Result<Self, SpaceError> {
        let mut space = Self::default();
        for parameter in parameters {
            space.push(parameter)?;
        }
        Ok(space)
    }

    /// Adds a parameter. The errors are those of [`Space::new`].
    pub fn push(&mut self, mut parameter: Parameter) -> Result<(), SpaceError> {
        parameter
            .distribution
            .check()
            .map_err(|source| SpaceError::Distribution { name: parameter.name.clone(), source })?;
        if let Some(prior) = &parameter.prior {
            let fits = prior.of(&parameter.distribution);
            let wrong = |expected| SpaceError::Prior { name: parameter.name.clone(), expected };
            parameter.prior = Some(fits.map_err(wrong)?);
        }
        if self.parameters.contains_key(&parameter.name) {
            return Err(SpaceError::Duplicate(parameter.name));
        }
        for condition in &parameter.conditions {
            if !self.parameters.contains_key(condition.param()) {
                return Err(SpaceError::Order {
                    name: parameter.name.clone(),
                    on: condition.param().to_owned(),
                });
            }
        }
        self.parameters.insert(parameter.name.clone(), parameter);
        Ok(())
    }

    /// Number of parameters, inactive ones included.
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Whether there is nothing to search.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// The parameters, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.values()
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.parameters.get(name)
    }

    /// Builds a configuration from parents to children: `value` is asked for each parameter that is
    /// active beside those chosen so far.
    pub fn build(&self, mut value: impl FnMut(&Parameter, &Params) -> Value) -> Params {
        let mut params = Params::new();
        for parameter in self.iter() {
            if parameter.is_active(&params) {
                let chosen = value(parameter, &params);
                params.insert(parameter.name.clone(), chosen);
            }
        }
        params
    }

    /// Whether `params` sets exactly the active parameters, each within its range, as the constraints allow.
    pub fn contains(&self, params: &Params) -> bool {
        if !self.allows(params) {
            return false;
        }
        let active: Vec<&Parameter> = self.iter().filter(|p| p.is_active(params)).collect();
        active.len() == params.len()
            && active.iter().all(|p| params.get(&p.name).is_some_and(|value| p.distribution.contains(value)))
    }

    /// Configurations at the corners: everything low, everything high, and each parameter in turn at
    /// each of its ends (each option of a choice) with the others low.
    ///
    /// What holds at all of them (a shape that fits, a value that is accepted) holds for most of the
    /// space, and each part of a conditional space is seen at least once.
    pub fn corners(&self) -> Vec<Params> {
        let mut corners = vec![
            self.build(|parameter, _| parameter.distribution.first()),
            self.build(|parameter, _| parameter.distribution.last()),
        ];
        for parameter in self.iter() {
            let ends = match &parameter.distribution {
                Distribution::Choice { options } => options.clone(),
                range => vec![range.first(), range.last()],
            };
            for end in ends {
                let mut fixed = self.enabling(parameter);
                fixed.insert(parameter.name.clone(), end);
                let corner = self.build(|other, _| {
                    fixed.get(&other.name).cloned().unwrap_or_else(|| other.distribution.first())
                });
                if !corners.contains(&corner) {
                    corners.push(corner);
                }
            }
        }
        // What the constraints exclude is never tried.
        if corners.iter().any(|corner| self.allows(corner)) {
            corners.retain(|corner| self.allows(corner));
        }
        corners
    }

    /// Values of other parameters under which `parameter` exists.
    fn enabling(&self, parameter: &Parameter) -> Params {
        let mut fixed = Params::new();
        for condition in &parameter.conditions {
            if let Some(parent) = self.get(condition.param()) {
                fixed.extend(self.enabling(parent));
            }
            if let Some(value) = self.least(condition) {
                fixed.insert(condition.param().to_owned(), value);
            }
        }
        fixed
    }

    /// The first value of a parent under which a condition holds.
    pub(crate) fn least(&self, condition: &Condition) -> Option<Value> {
        match condition {
            Condition::In { values, .. } => values.first().cloned(),
            Condition::AtLeast { param, value } => match self.get(param).map(|parent| &parent.distribution) {
                Some(Distribution::Int { low, high, step, .. }) => {
                    let above = (value - low).max(0);
                    let steps = above / step + i64::from(above % step > 0);
                    low.checked_add(steps.checked_mul(*step)?).filter(|value| value <= high).map(Value::Int)
                }
                _ => Some(Value::Int(*value)),
            },
        }
    }
}

#[cfg(test)]
mod tests;
