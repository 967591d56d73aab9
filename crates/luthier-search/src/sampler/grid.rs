//! Grid search: every combination of values, one after the other.
//!
//! Symbols: parameters are in the space's order; the last one that is active varies fastest. The configuration of
//! number k is found without those before it: below each value of a parameter there are as many configurations as the
//! parameters behind it have, and k says which value's share it falls into. Only parameters on which others depend
//! have to be counted value by value, once for each combination of values that the parameters behind them see.
//!
//! Of a space with constraints the configurations that keep them are numbered, in the same order: by a walk from parameter to
//! parameter, which turns back where a constraint on those so far is broken ([`Walk`]).
//!
//! Complexity: O(d² v p) for d parameters of which others depend on some with v values, at most p combinations of which
//! are seen by those that come later; with constraints O(k) for k values that are visited.

use std::collections::BTreeMap;

use luthier_core::config::{bounds, defaults};
use luthier_core::{
    Constraint, Distribution, Parameter, Params, Rng, Sampler, SearchError, Space, Value, View,
};

luthier_core::settings! {
    /// Every combination of values: all options, all whole numbers, all steps, and of a range of floats without a step so
    /// many [`points`](Self::points), evenly spaced on its scale with both ends among them.
    ///
    /// The configuration of a trial is that of its number. After the last one the sampler is
    /// [exhausted](Sampler::is_exhausted).
    ///
    /// ```
    /// use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Sampler, Space, Streams};
    /// use luthier_search::sampler::Grid;
    ///
    /// let space = Space::new([
    ///     Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
    ///     Parameter::new("rate", Distribution::log_float(1e-4, 1e-2)),
    /// ])?;
    /// let grid = Grid { points: 3 };
    /// let history = History::new(Direction::Minimize);
    /// let params = grid.propose(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, 5))?;
    /// assert_eq!((params["optimizer"].as_str(), params["rate"].as_f64()), (Some("sgd"), Some(1e-2)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Grid {
        /// Values of a range of floats that has no step.
        points: u64 = 5, bounds::COUNT;
    }
}

impl Default for Grid {
    fn default() -> Self {
        defaults()
    }
}

impl Sampler for Grid {
    fn propose(&self, _: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        let parameters: Vec<&Parameter> = space.iter().collect();
        let mut counts = Counts::new();
        if let Some(parameter) = self.too_many(&parameters) {
            let message = format!(
                "sampler grid: `{}` has more than {PARENT_VALUES} values, and other parameters depend on it; give it \
                 fewer, or take another sampler",
                parameter.name
            );
            return Err(SearchError { message });
        }
        // Where a person asks for trials, their numbers outrun the grid, which then begins anew.
        if space.constraints().is_empty() {
            let all = self.count(&parameters, &mut Params::new(), &mut counts);
            return Ok(self.configuration(&parameters, u128::from(rng.position()) % all, &mut counts));
        }
        let mut number = rng.position();
        loop {
            let (found, params) = Walk::new(*self, space).to(number)?;
            match params {
                Some(params) => return Ok(params),
                None if found == 0 => {
                    let message = "sampler grid: no point of the grid keeps the constraints; give ranges other points by a \
                                   step or by `points`, or take another sampler";
                    return Err(SearchError { message: message.to_owned() });
                }
                None => number %= found,
            }
        }
    }

    fn is_exhausted(&self, view: &View<'_>, space: &Space) -> bool {
        let parameters: Vec<&Parameter> = space.iter().collect();
        if self.too_many(&parameters).is_some() {
            return false;
        }
        if space.constraints().is_empty() {
            let all = self.count(&parameters, &mut Params::new(), &mut Counts::new());
            return view.len() as u128 >= all;
        }
        // Where no point keeps the constraints, or they cannot be found, a proposal says so.
        let found = Walk::new(*self, space).to(view.len() as u64);
        found.is_ok_and(|(found, params)| params.is_none() && found > 0)
    }
}

/// Values that a walk visits at most.
const VISITED: u64 = 1_000_000;

/// A walk through the points of a grid that keep the constraints, in their order.
struct Walk<'a> {
    grid: Grid,
    parameters: Vec<&'a Parameter>,
    /// Of each parameter the constraints that can be judged once it has a value.
    due: Vec<Vec<&'a Constraint>>,
    visited: u64,
    found: u64,
}

impl<'a> Walk<'a> {
    fn new(grid: Grid, space: &'a Space) -> Self {
        let parameters: Vec<&Parameter> = space.iter().collect();
        let mut due = vec![Vec::new(); parameters.len()];
        for constraint in space.constraints() {
            let names = constraint.names();
            if let Some(last) =
                parameters.iter().rposition(|parameter| names.contains(parameter.name.as_str()))
            {
                due[last].push(constraint);
            }
        }
        Self { grid, parameters, due, visited: 0, found: 0 }
    }

    /// The point of this number, if there are so many, and how many there were before it.
    fn to(mut self, number: u64) -> Result<(u64, Option<Params>), SearchError> {
        let mut params = Params::new();
        let there = self.step(0, &mut params, number)?;
        Ok((self.found, there.then_some(params)))
    }

    /// Goes on from parameter `j`; whether the point has been reached, which is in `params` then.
    fn step(&mut self, j: usize, params: &mut Params, number: u64) -> Result<bool, SearchError> {
        let Some(parameter) = self.parameters.get(j).copied() else {
            if self.found == number {
                return Ok(true);
            }
            self.found += 1;
            return Ok(false);
        };
        let is_active = parameter.is_active(params);
        for i in 0..if is_active { self.grid.values(&parameter.distribution) } else { 1 } {
            self.visited += 1;
            if self.visited > VISITED {
                let message = format!(
                    "sampler grid: the points that keep the constraints are among more than {VISITED} values; give ranges \
                     fewer points, or take another sampler"
                );
                return Err(SearchError { message });
            }
            if is_active {
                params.insert(parameter.name.clone(), self.grid.value(&parameter.distribution, i));
            }
            if self.due[j].iter().all(|constraint| constraint.holds(params))
                && self.step(j + 1, params, number)?
            {
                return Ok(true);
            }
        }
        params.shift_remove(&parameter.name);
        Ok(false)
    }
}

impl Grid {
    /// The configuration of this number, below that of all.
    fn configuration(self, parameters: &[&Parameter], number: u128, counts: &mut Counts) -> Params {
        let mut params = Params::new();
        let mut left = number;
        for (j, parameter) in parameters.iter().enumerate() {
            if !parameter.is_active(&params) {
                continue;
            }
            for i in 0..self.values(&parameter.distribution) {
                params.insert(parameter.name.clone(), self.value(&parameter.distribution, i));
                let below = self.count(&parameters[j + 1..], &mut params, counts);
                if is_free(parameter, &parameters[j + 1..]) {
                    let i = (left / below) as u64;
                    params.insert(parameter.name.clone(), self.value(&parameter.distribution, i));
                    left %= below;
                    break;
                }
                if left < below {
                    break;
                }
                left -= below;
            }
        }
        params
    }
}

/// A parameter that others depend on has at most so many values.
const PARENT_VALUES: u64 = 10_000;

/// Numbers of configurations, by how many parameters are left and by what these see of those before.
type Counts = BTreeMap<(usize, String), u128>;

/// The values of `params` on which parameters of `parameters` depend, in words.
fn seen(parameters: &[&Parameter], params: &Params) -> String {
    let on = |name: &str| {
        parameters
            .iter()
            .any(|parameter| parameter.conditions.iter().any(|condition| condition.param() == name))
    };
    let mut words = String::new();
    for (name, value) in params.iter().filter(|(name, _)| on(name)) {
        words.push_str(&format!("{name} = {value:?};"));
    }
    words
}

/// Whether no parameter of `others` depends on this one.
fn is_free(parameter: &Parameter, others: &[&Parameter]) -> bool {
    !others.iter().any(|other| other.conditions.iter().any(|on| on.param() == parameter.name))
}

impl Grid {
    /// The number of values that a range has on the grid.
    fn values(self, distribution: &Distribution) -> u64 {
        distribution.cardinality().unwrap_or(self.points.max(1))
    }

    /// The value of number `i`.
    fn value(self, distribution: &Distribution, i: u64) -> Value {
        let values = self.values(distribution);
        match (distribution, distribution.cardinality()) {
            (_, None) if values > 1 => distribution.from_unit(i as f64 / (values - 1) as f64),
            (Distribution::Int { low, step, .. }, _) => Value::Int(low + i as i64 * step),
            _ => distribution.from_unit((i as f64 + 0.5) / values as f64),
        }
    }

    /// A parameter that others depend on and that has too many values to look at each.
    fn too_many<'a>(self, parameters: &[&'a Parameter]) -> Option<&'a Parameter> {
        let many = |parameter: &&Parameter| self.values(&parameter.distribution) > PARENT_VALUES;
        parameters.iter().copied().filter(many).find(|parameter| !is_free(parameter, parameters))
    }

    /// The number of configurations that `parameters` have beside `params`, at least 1. Numbers that do not fit are
    /// the largest that does.
    fn count(self, parameters: &[&Parameter], params: &mut Params, counts: &mut Counts) -> u128 {
        let Some((parameter, rest)) = parameters.split_first() else { return 1 };
        if !parameter.is_active(params) {
            return self.count(rest, params, counts);
        }
        let values = self.values(&parameter.distribution);
        if is_free(parameter, rest) {
            return self.count(rest, params, counts).saturating_mul(u128::from(values));
        }
        let key = (parameters.len(), seen(parameters, params));
        if let Some(known) = counts.get(&key) {
            return *known;
        }
        let mut total = 0_u128;
        for i in 0..values {
            params.insert(parameter.name.clone(), self.value(&parameter.distribution, i));
            total = total.saturating_add(self.count(rest, params, counts));
        }
        params.shift_remove(&parameter.name);
        counts.insert(key, total);
        total
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use luthier_core::testing::Played;
    use luthier_core::{Direction, History, Purpose, Streams};

    use super::*;

    fn configurations(grid: Grid, space: &Space) -> Vec<Params> {
        let mut played = Played::new();
        let mut all = Vec::new();
        loop {
            if grid.is_exhausted(&played.0.view(), space) {
                return all;
            }
            let n = all.len() as u64;
            let mut rng = Streams::new(0).at(Purpose::Sampler, n);
            let params = grid.propose(&played.0.view(), space, &mut rng).unwrap();
            assert!(space.contains(&params), "{params:?}");
            assert!(!all.contains(&params), "twice: {params:?}");
            all.push(params.clone());
            played.begin(params, None);
        }
    }

    #[test]
    fn every_combination_comes_once() {
        let space = Space::new([
            Parameter::new("kind", Distribution::choice(["a", "b", "c"])),
            Parameter::new("layers", Distribution::log_int(1, 4)),
            Parameter::new("share", Distribution::Float { low: 0.0, high: 1.0, log: false, step: Some(0.5) }),
            Parameter::new("rate", Distribution::float(0.0, 1.0)),
        ])
        .unwrap();
        let all = configurations(Grid { points: 2 }, &space);
        assert_eq!(all.len(), 3 * 4 * 3 * 2);
        assert!(all.iter().all(|params| [0.0, 1.0].contains(&params["rate"].as_f64().unwrap())));
    }

    #[test]
    fn a_conditional_space_has_the_combinations_that_exist() {
        use luthier_core::Condition;
        let space = Space::new([
            Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
            Parameter::new("momentum", Distribution::float(0.0, 0.9))
                .when(Condition::equals("optimizer", "sgd")),
            Parameter::new("layers", Distribution::int(1, 2)),
            Parameter::new("second", Distribution::int(1, 4))
                .when(Condition::AtLeast { param: "layers".into(), value: 2 }),
        ])
        .unwrap();
        // (adam + 3 of sgd) times (one layer + 4 of two).
        assert_eq!(configurations(Grid { points: 3 }, &space).len(), (1 + 3) * (1 + 4));
        assert_eq!(configurations(Grid::default(), &Space::default()), [Params::new()]);
    }

    #[test]
    fn points_that_break_a_constraint_are_left_out() {
        let constraint = |text: &str| luthier_core::Constraint::parse(text).unwrap();
        let free = Space::new(["a", "b"].map(|name| Parameter::new(name, Distribution::int(1, 4)))).unwrap();
        let space = free.clone().with_constraints([constraint("a < b")]).unwrap();
        let all = configurations(Grid::default(), &space);
        assert_eq!(all.len(), 6);
        let none = free.with_constraints([constraint("a + b > 9")]).unwrap();
        let history = History::new(Direction::Minimize);
        let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
        let error = Grid::default().propose(&history.view(), &none, &mut rng).unwrap_err();
        assert!(error.message.contains("no point of the grid keeps the constraints"), "{error}");
        // Among 125,000 points the few that keep constraints are found wherever they are.
        let wide =
            Space::new(["a", "b", "c"].map(|name| Parameter::new(name, Distribution::int(0, 49)))).unwrap();
        let far = wide.clone().with_constraints([constraint("a >= 39"), constraint("b + c == 3")]).unwrap();
        assert_eq!(configurations(Grid::default(), &far).len(), 11 * 4);
        let many =
            Space::new(["a", "b", "c"].map(|name| Parameter::new(name, Distribution::int(0, 999)))).unwrap();
        let hidden = many.with_constraints([constraint("a + b + c == 2997")]).unwrap();
        let error = Grid::default().propose(&history.view(), &hidden, &mut rng).unwrap_err();
        assert!(error.message.contains("more than 1000000 values"), "{error}");
        assert!(!Grid::default().is_exhausted(&history.view(), &hidden));
    }

    #[test]
    fn many_parents_are_counted_one_after_the_other() {
        // Thirty layers of four kinds, one of which has a parameter of its own: (3 + 5)^30 configurations.
        let layer = |i: usize| {
            let kind = Parameter::new(format!("kind{i}"), Distribution::choice(["a", "b", "c", "d"]));
            let own = Parameter::new(format!("own{i}"), Distribution::int(1, 5));
            [kind, own.when(luthier_core::Condition::equals(format!("kind{i}"), "d"))]
        };
        let space = Space::new((0..30).flat_map(layer)).unwrap();
        let parameters: Vec<&Parameter> = space.iter().collect();
        let count = Grid::default().count(&parameters, &mut Params::new(), &mut Counts::new());
        assert_eq!(count, 8_u128.pow(30));
    }

    #[test]
    fn a_parent_with_too_many_values_is_refused() {
        let space = Space::new([
            Parameter::new("n", Distribution::int(0, 1 << 40)),
            Parameter::new("x", Distribution::int(0, 1))
                .when(luthier_core::Condition::AtLeast { param: "n".into(), value: 3 }),
        ])
        .unwrap();
        let history = History::new(Direction::Minimize);
        let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
        let error = Grid::default().propose(&history.view(), &space, &mut rng).unwrap_err();
        assert!(error.message.contains("`n` has more than 10000 values"), "{error}");
        assert!(!Grid::default().is_exhausted(&history.view(), &space));
    }

    #[test]
    fn a_grid_of_any_size_is_counted_at_once() {
        let wide =
            Space::new((0..200).map(|i| Parameter::new(format!("x{i}"), Distribution::int(0, 1 << 40))));
        let space = wide.unwrap();
        let history = History::new(Direction::Minimize);
        assert!(!Grid::default().is_exhausted(&history.view(), &space));
        let mut rng = Streams::new(0).at(Purpose::Sampler, 7);
        let params = Grid::default().propose(&history.view(), &space, &mut rng).unwrap();
        assert_eq!((params["x0"].as_i64(), params["x199"].as_i64()), (Some(0), Some(7)));
    }
}
