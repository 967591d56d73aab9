//! What the constraints on parameters leave of a space.

use super::{Space, SpaceError};
use crate::{Constraint, ConstraintError, Parameter, Params, Rng};

/// Draws until the constraints hold.
const DRAWS: usize = 10_000;

impl Space {
    /// The same space with constraints on its parameters.
    ///
    /// # Errors
    ///
    /// [`SpaceError::Constraint`] where one names something that is no parameter, or compares what cannot be compared.
    pub fn with_constraints(
        mut self,
        constraints: impl IntoIterator<Item = Constraint>,
    ) -> Result<Self, SpaceError> {
        let constraints: Vec<Constraint> = constraints.into_iter().collect();
        let corners = if constraints.is_empty() { Vec::new() } else { self.corners() };
        for constraint in constraints {
            let wrong = |source| SpaceError::Constraint { constraint: constraint.text().to_owned(), source };
            if let Some(name) =
                constraint.names().into_iter().find(|name| !self.parameters.contains_key(*name))
            {
                return Err(wrong(ConstraintError { reason: format!("there is no parameter `{name}`") }));
            }
            corners.iter().try_for_each(|corner| constraint.check(corner)).map_err(wrong)?;
            self.constraints.push(constraint);
        }
        Ok(self)
    }

    /// The same space with narrower ranges: each parameter as `narrow` gives it back, under its own name. What constraints
    /// say of the wider ones they say of these.
    ///
    /// # Errors
    ///
    /// If a range cannot be used.
    pub fn narrowed(&self, narrow: impl Fn(&Parameter) -> Parameter) -> Result<Self, SpaceError> {
        let space = Self::new(self.iter().map(narrow))?;
        Ok(Self { constraints: self.constraints.clone(), ..space })
    }

    /// The constraints on its parameters.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Whether the constraints hold of `params`.
    pub fn allows(&self, params: &Params) -> bool {
        self.constraints.iter().all(|constraint| constraint.holds(params))
    }

    /// A configuration with every value (on its scale) equally likely, among those that the constraints allow. Where
    /// 10,000 draws find none of these, it is the last of them.
    pub fn sample(&self, rng: &mut Rng) -> Params {
        self.first_allowed(|| self.build(|parameter, _| parameter.distribution.sample(rng)))
    }

    /// The first of 10,000 draws that the constraints allow; where they allow none, the last one.
    pub(crate) fn first_allowed(&self, mut draw: impl FnMut() -> Params) -> Params {
        let mut params = draw();
        for _ in 1..DRAWS {
            if self.allows(&params) {
                break;
            }
            params = draw();
        }
        params
    }

    /// The same as [`Space::sample`], but never one that the constraints do not allow.
    ///
    /// # Errors
    ///
    /// [`SpaceError::Forbidden`] where 10,000 draws find none.
    ///
    /// ```
    /// use luthier_core::{Constraint, Distribution, Parameter, Purpose, Space, Streams};
    /// let free = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))])?;
    /// let draw = |constraint| {
    ///     let space = free.clone().with_constraints([Constraint::parse(constraint).unwrap()]).unwrap();
    ///     space.sample_allowed(&mut Streams::new(0).at(Purpose::Sampler, 0))
    /// };
    /// assert!(draw("x > 0.9")?["x"].as_f64() > Some(0.9));
    /// assert!(draw("x > 2").is_err());
    /// # Ok::<(), luthier_core::SpaceError>(())
    /// ```
    pub fn sample_allowed(&self, rng: &mut Rng) -> Result<Params, SpaceError> {
        let params = self.sample(rng);
        if self.allows(&params) {
            Ok(params)
        } else {
            Err(SpaceError::Forbidden { constraints: self.named() })
        }
    }

    /// The constraints, as an error message names them.
    pub(crate) fn named(&self) -> String {
        let each: Vec<String> = self.constraints.iter().map(|constraint| format!("`{constraint}`")).collect();
        each.join(", ")
    }
}
