//! Starting points: configurations, whole or in part, with which a search begins.

use std::fmt;

use thiserror::Error;

use crate::config::nearest;
use crate::{Condition, Distribution, Params, Purpose, Rng, Role, Space, Streams, Value};

/// Why values are no starting point of a space.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct StartError {
    /// The parameter.
    pub name: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do about it, if there is more to say.
    pub help: Option<String>,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "starting point: `{}`: expected {}, found {}", self.name, self.expected, self.found)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl Distribution {
    /// `value` as one of the range, if it is in it: a whole number is a number too, and 3.0 is the whole number 3.
    pub fn adopt(&self, value: &Value) -> Option<Value> {
        let adopted = match (self, value) {
            (Self::Float { .. }, Value::Int(i)) => Value::Float(*i as f64),
            (Self::Int { .. }, Value::Float(x)) if x.fract() == 0.0 && x.abs() < 9e15 => {
                Value::Int(*x as i64)
            }
            (Self::Choice { options }, value) if !options.contains(value) => {
                let same = |option: &&Value| option.as_f64().is_some() && option.as_f64() == value.as_f64();
                options.iter().find(same)?.clone()
            }
            _ => value.clone(),
        };
        self.contains(&adopted).then_some(adopted)
    }
}

impl Space {
    /// A starting point: `given` as values of this space's ranges, with the values of parents without which they would
    /// not exist.
    ///
    /// # Errors
    ///
    /// The first value that is of no parameter, outside its range, or of a parameter that does not exist beside the others;
    /// or that breaks a constraint, whatever the values are that it leaves out.
    ///
    /// ```
    /// use luthier_core::{Condition, Distribution, Parameter, Params, Space, Value};
    /// let space = Space::new([
    ///     Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
    ///     Parameter::new("momentum", Distribution::float(0.0, 0.99))
    ///         .when(Condition::equals("optimizer", "sgd")),
    /// ])?;
    /// let start = space.start(&Params::from([("momentum".to_owned(), Value::Float(0.9))]))?;
    /// assert_eq!(start["optimizer"], "sgd".into());
    /// let error = space.start(&Params::from([("momentun".to_owned(), Value::Float(0.9))])).unwrap_err();
    /// assert_eq!(error.help.as_deref(), Some("did you mean `momentum`?"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(&self, given: &Params) -> Result<Params, StartError> {
        let mut start = Params::new();
        for (name, value) in given {
            let Some(parameter) = self.get(name) else {
                let names = || self.iter().map(|parameter| parameter.name.as_str());
                // A name without the section that it stands in.
                let within =
                    |known: &&str| known.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                let near = names().find(within).or_else(|| nearest(name, names()));
                return Err(StartError {
                    name: name.clone(),
                    expected: "a parameter of this study".to_owned(),
                    found: "no parameter of this name".to_owned(),
                    help: Some(near.map_or_else(
                        || "`luthier check` lists the parameters of a file".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    )),
                });
            };
            let adopted = parameter.distribution.adopt(value).ok_or_else(|| StartError {
                name: name.clone(),
                expected: format!("a value of {}", parameter.distribution),
                found: value.to_string(),
                help: None,
            })?;
            start.insert(name.clone(), adopted);
        }
        // Children before their parents, which may be children themselves.
        let parameters: Vec<_> = self.iter().collect();
        for parameter in parameters.into_iter().rev().filter(|parameter| given.contains_key(&parameter.name))
        {
            self.enable(&parameter.name, &mut start)?;
        }
        self.check_start(&start)?;
        Ok(start)
    }

    /// Puts the values of parents into `start` under which a parameter exists.
    fn enable(&self, name: &str, start: &mut Params) -> Result<(), StartError> {
        let Some(parameter) = self.get(name) else { return Ok(()) };
        for condition in &parameter.conditions {
            let parent = condition.param();
            if start.contains_key(parent) {
                if !condition.holds(start) {
                    return Err(StartError {
                        name: name.to_owned(),
                        expected: format!("it to be left out, or {condition}"),
                        found: format!("`{parent}` = {}", start[parent]),
                        help: None,
                    });
                }
                continue;
            }
            if let Some(value) = self.implied(condition, start) {
                start.insert(parent.to_owned(), value);
                self.enable(parent, start)?;
            }
        }
        Ok(())
    }

    /// The value of a parent under which all of `start` exist that depend on it, if there is one; else the first that
    /// `condition` asks for.
    fn implied(&self, condition: &Condition, start: &Params) -> Option<Value> {
        let parent = condition.param();
        let given = start.keys().filter_map(|name| self.get(name));
        let needs: Vec<&Condition> =
            given.flat_map(|child| &child.conditions).filter(|need| need.param() == parent).collect();
        let mut values = needs.iter().flat_map(|need| match need {
            Condition::In { values, .. } => values.clone(),
            Condition::AtLeast { .. } => self.least(need).into_iter().collect(),
        });
        let suits = |value: &Value| {
            let alone = Params::from([(parent.to_owned(), value.clone())]);
            needs.iter().all(|need| need.holds(&alone))
        };
        values.find(suits).or_else(|| self.least(condition))
    }

    /// A configuration with the values of `start`, and what it leaves out as the constraints allow: the values of `rest`, or
    /// random ones. Scientific values of `rest` stay as long as they can.
    ///
    /// # Errors
    ///
    /// If 10,000 draws find none that the constraints allow.
    pub fn complete(&self, start: &Params, rest: &Params, rng: &mut Rng) -> Result<Params, StartError> {
        let scientific =
            |name: &str| self.get(name).is_some_and(|parameter| parameter.role == Role::Scientific);
        let compared = rest.iter().filter(|(name, _)| scientific(name));
        let compared: Params = compared.map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut found = self.fill(start, rest, rng);
        for rest in [&compared, &Params::new()] {
            if self.allows(&found) {
                return Ok(found);
            }
            found = self.first_allowed(|| self.fill(start, rest, rng));
        }
        if self.allows(&found) {
            return Ok(found);
        }
        let given: Vec<String> = start.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        Err(StartError {
            name: start.keys().next().cloned().unwrap_or_default(),
            expected: format!("values beside which the others can keep the constraints {}", self.named()),
            found: if given.is_empty() {
                "10,000 draws that do not".to_owned()
            } else {
                format!("{}, and 10,000 draws of the others that do not", given.join(", "))
            },
            help: None,
        })
    }

    fn fill(&self, start: &Params, rest: &Params, rng: &mut Rng) -> Params {
        self.build(|parameter, _| {
            let distribution = &parameter.distribution;
            let known = [start, rest].into_iter().filter_map(|params| params.get(&parameter.name));
            let known = known.into_iter().find(|value| distribution.contains(value));
            known.cloned().unwrap_or_else(|| distribution.sample(rng))
        })
    }

    /// Makes sure that the constraints allow a starting point, and others beside what it leaves out.
    fn check_start(&self, start: &Params) -> Result<(), StartError> {
        if let Some(constraint) = self.constraints().iter().find(|constraint| !constraint.holds(start)) {
            let named = constraint.names();
            let given = start.iter().filter(|(name, _)| named.contains(name.as_str()));
            let given: Vec<String> = given.map(|(name, value)| format!("{name} = {value}")).collect();
            return Err(StartError {
                name: start.keys().find(|name| named.contains(name.as_str())).cloned().unwrap_or_default(),
                expected: format!("values that keep the constraint `{constraint}`"),
                found: given.join(", "),
                help: None,
            });
        }
        if self.constraints().is_empty() {
            return Ok(());
        }
        let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
        self.complete(start, &Params::new(), &mut rng).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use super::*;
    use crate::{Constraint, Parameter, testing};

    fn params(values: &[(&str, Value)]) -> Params {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let space = testing::conditional_space();
        let start =
            space.start(&params(&[("units3", Value::Float(64.0)), ("rate", Value::Float(1e-3))])).unwrap();
        assert_eq!(start, params(&[("units3", 64.into()), ("rate", 1e-3.into()), ("layers", 3.into())]));
        let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
        let rest = space.sample(&mut rng);
        let whole = space.complete(&start, &rest, &mut rng).unwrap();
        assert!(space.contains(&whole), "{whole:?}");
        assert_eq!((&whole["units3"], &whole["optimizer"]), (&Value::Int(64), &rest["optimizer"]));
    }

    #[test]
    fn an_implied_number_is_one_of_its_range() {
        let count = Distribution::Int { low: 1, high: 5, log: false, step: 2 };
        let least = |value| crate::Condition::AtLeast { param: "count".into(), value };
        let space = Space::new([
            Parameter::new("count", count),
            Parameter::new("second", Distribution::int(4, 8)).when(least(2)),
        ])
        .unwrap();
        let start = space.start(&params(&[("second", Value::Int(8))])).unwrap();
        assert_eq!(start["count"], Value::Int(3));
        assert!(space.corners().iter().all(|corner| space.contains(corner)));
    }

    #[test]
    fn a_parent_suits_all_that_depend_on_it() {
        let one_of = |kinds: [&str; 2]| crate::Condition::In {
            param: "kind".into(),
            values: kinds.map(Value::from).to_vec(),
        };
        let space = Space::new([
            Parameter::new("kind", Distribution::choice(["a", "b", "c"])),
            Parameter::new("x", Distribution::int(1, 9)).when(one_of(["a", "b"])),
            Parameter::new("y", Distribution::int(1, 9)).when(one_of(["c", "b"])),
        ])
        .unwrap();
        let start = space.start(&params(&[("x", 1.into()), ("y", 2.into())])).unwrap();
        assert_eq!(start["kind"], "b".into());
        assert_eq!(space.start(&params(&[("y", 2.into())])).unwrap()["kind"], "c".into());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let space = testing::conditional_space();
        for (given, message) in [
            (vec![("unit1", Value::Int(9))], "found no parameter of this name; did you mean `units1`?"),
            (vec![("rate", Value::Float(1.0))], "`rate`: expected a value of 1e-5 … 0.1, log, found 1.0"),
            (vec![("layers", Value::Float(1.5))], "`layers`: expected a value of 1 … 3, whole, found 1.5"),
            (
                vec![("momentum", Value::Float(0.5)), ("optimizer", "adam".into())],
                "`momentum`: expected it to be left out, or `optimizer` = sgd, found `optimizer` = adam",
            ),
            (
                vec![("units3", Value::Int(9)), ("layers", Value::Int(2))],
                "`units3`: expected it to be left out, or `layers` of 3 or more, found `layers` = 2",
            ),
        ] {
            let error = space.start(&params(&given)).unwrap_err().to_string();
            assert!(error.ends_with(message), "{error}");
        }
    }

    #[test]
    fn constraints_are_kept_by_what_is_given_and_by_what_is_filled_in() {
        let names = ["x", "y", "z"];
        let space =
            Space::new(names.map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap();
        let constraints = ["x < y", "y + z <= 1.5"].map(|text| Constraint::parse(text).unwrap());
        let space = space.with_constraints(constraints).unwrap();
        let start = space.start(&params(&[("x", Value::Float(0.8))])).unwrap();
        for n in 0..20 {
            let mut rng = Streams::new(0).at(Purpose::Sampler, n);
            // What the search proposes for the others does not go with it.
            let rest = params(&[("x", 0.1.into()), ("y", 0.2.into()), ("z", 0.9.into())]);
            let whole = space.complete(&start, &rest, &mut rng).unwrap();
            assert!(space.contains(&whole) && whole["x"] == Value::Float(0.8), "{whole:?}");
        }
        for (given, message) in [
            (
                vec![("z", 0.1.into()), ("x", 0.9.into()), ("y", 0.1.into())],
                "starting point: `x`: expected values that keep the constraint `x < y`, found x = 0.9, y = 0.1",
            ),
            (
                vec![("x", 1.0.into())],
                "starting point: `x`: expected values beside which the others can keep the constraints `x < y`, \
                 `y + z <= 1.5`, found x = 1.0, and 10,000 draws of the others that do not",
            ),
        ] {
            assert_eq!(space.start(&params(&given)).unwrap_err().to_string(), message);
        }
    }
}
