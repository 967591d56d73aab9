//! Fair comparisons: every combination of the scientific parameters' values gets as many trials, and a search of its own.
//!
//! Symbols: m is the number of combinations of scientific values, n that of trials. A new trial belongs to the combination
//! that has the fewest (of equal ones the first). Sampler and pruner see the trials of that combination alone, in a space
//! in which its values are constants; so each is tuned by what was learnt of it, none is judged against another, and after
//! n trials each has had n / m, but for one. The k-th trials of all combinations draw from the same stream, so where a
//! sequence is begun with (`auto`, `gp`, `sobol`, `halton`), comparisons begin with the same points.
//!
//! A floating-point range without a step has [`POINTS`] values, evenly spaced on its scale, its ends included.
//!
//! Godbole, Dahl, Gilmer, Shallue and Nado 2023, "Deep learning tuning playbook", "Designing the next round of
//! experiments": to know which value of a scientific parameter is best, the nuisance parameters have to be searched equally
//! well for each.
//!
//! Complexity: O(n) copies of trials beside what the search itself takes.

use luthier_core::{
    Decision, Distribution, History, Next, Parameter, Params, Purpose, Rng, Role, Sampler, Search,
    SearchError, Space, Streams, Unfinished, Value, View,
};

use crate::pareto::{self, Losses};
use crate::sampler::Grid;

/// Values of a scientific range of floats without a step.
const POINTS: u64 = 5;

/// The most combinations of scientific values.
const MOST: usize = 100;

/// A search that treats all combinations of scientific values alike.
pub struct ByRole {
    search: Box<dyn Search>,
    /// The scientific parameters.
    names: Vec<String>,
    combinations: Vec<Params>,
}

impl ByRole {
    /// The search, for each combination of the scientific parameters of `space` by itself; the search as it is where there
    /// is none.
    ///
    /// # Errors
    ///
    /// If a scientific parameter exists only beside a value of one that is not scientific, there are more than 100
    /// combinations, or the constraints allow none of them.
    pub fn wrap(search: Box<dyn Search>, space: &Space) -> Result<Box<dyn Search>, SearchError> {
        let combinations = combinations(space)?;
        if combinations.is_empty() {
            return Ok(search);
        }
        Ok(Box::new(Self {
            search,
            names: scientific(space).map(|p| p.name.clone()).collect(),
            combinations,
        }))
    }

    /// The scientific values of a trial.
    fn of(&self, params: &Params) -> Params {
        chosen(&self.names, params)
    }
}

fn chosen(names: &[String], params: &Params) -> Params {
    let value = |name: &String| Some((name.clone(), params.get(name)?.clone()));
    names.iter().filter_map(value).collect()
}

fn scientific(space: &Space) -> impl Iterator<Item = &Parameter> {
    space.iter().filter(|parameter| parameter.role == Role::Scientific)
}

/// Every combination of the scientific parameters' values beside which the constraints can be kept, in the order of a grid;
/// none where there are no such parameters.
///
/// # Errors
///
/// As [`ByRole::wrap`].
pub fn combinations(space: &Space) -> Result<Vec<Params>, SearchError> {
    let wrong = |message: String| Err(SearchError { message });
    let mut alone = Space::default();
    for parameter in scientific(space) {
        if let Err(error) = alone.push(parameter.clone()) {
            return wrong(format!("{error}: what a scientific parameter depends on is scientific too"));
        }
    }
    if alone.is_empty() {
        return Ok(Vec::new());
    }
    // Numbers of a grid, until it begins anew.
    let (grid, history) = (Grid { points: POINTS }, History::new(luthier_core::Direction::Minimize));
    let mut found: Vec<Params> = Vec::new();
    loop {
        let mut rng = Streams::new(0).at(Purpose::Sampler, found.len() as u64);
        let next = grid.propose(&history.view(), &alone, &mut rng)?;
        if found.first() == Some(&next) {
            break;
        }
        found.push(next);
        if found.len() > MOST {
            return wrong(format!(
                "the scientific parameters have more than {MOST} combinations of values; give them fewer values \
                 (choices, or ranges with a step)"
            ));
        }
    }
    let mut allowed = Vec::new();
    for values in found {
        if can_be(space, &values)? {
            allowed.push(values);
        }
    }
    if allowed.is_empty() {
        return wrong("the constraints allow no combination of the scientific parameters' values".to_owned());
    }
    Ok(allowed)
}

/// Whether constraints can be kept beside these scientific values.
fn can_be(space: &Space, values: &Params) -> Result<bool, SearchError> {
    if space.constraints().is_empty() {
        return Ok(true);
    }
    let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
    Ok(space.allows(values) && narrowed(space, values)?.sample_allowed(&mut rng).is_ok())
}

/// The space in which the scientific parameters have these values.
fn narrowed(space: &Space, values: &Params) -> Result<Space, SearchError> {
    let only = |parameter: &Parameter| {
        let distribution = match (values.get(&parameter.name), &parameter.distribution) {
            (Some(Value::Float(x)), Distribution::Float { log, .. }) => {
                Distribution::Float { low: *x, high: *x, log: *log, step: None }
            }
            (Some(Value::Int(i)), Distribution::Int { .. }) => Distribution::int(*i, *i),
            (Some(value), Distribution::Choice { .. }) => Distribution::choice([value.clone()]),
            _ => parameter.distribution.clone(),
        };
        let prior = if values.contains_key(&parameter.name) { None } else { parameter.prior.clone() };
        Parameter { distribution, prior, ..parameter.clone() }
    };
    space.narrowed(only).map_err(|error| SearchError { message: error.to_string() })
}

impl Search for ByRole {
    fn next(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Next, SearchError> {
        let mut order: Vec<(usize, usize)> = (self.combinations.iter().enumerate())
            .map(|(i, combination)| (view.count(|params| self.of(params) == *combination), i))
            .collect();
        order.sort_unstable();
        let (mut waits, mut errors) = (false, Vec::new());
        for (count, i) in order {
            let combination = &self.combinations[i];
            let trials = view.select(|params| self.of(params) == *combination);
            let space = narrowed(space, combination)?;
            match self.search.next(&view.only(&trials), &space, &mut rng.at(count as u64)) {
                // Where one has nothing to do, the next one may; so where there is nothing that could be tried.
                Ok(Next::Done) => {}
                Ok(Next::Wait) => waits = true,
                Ok(next) => return Ok(next),
                Err(error) => errors.push(error),
            }
        }
        match errors.pop() {
            Some(error) if errors.len() + 1 == self.combinations.len() => Err(error),
            _ => Ok(if waits { Next::Wait } else { Next::Done }),
        }
    }

    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, rng: &mut Rng) -> Decision {
        let combination = self.of(trial.params());
        let trials = view.select(|params| self.of(params) == combination);
        let view = view.only(&trials);
        match view.get_unfinished(trial.id()) {
            Some(trial) => self.search.decide(&view, &trial, rng),
            None => Decision::Continue,
        }
    }

    fn decides(&self) -> bool {
        self.search.decides()
    }
}

/// The best trial of a combination of scientific values, and how many there were.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The scientific values.
    pub values: Params,
    /// Trials that have ended.
    pub trials: usize,
    /// The best complete trial that keeps the constraints on results, and its loss; of several objectives the
    /// [knee](crate::pareto::knee) of the front, and its loss of the first one.
    pub best: Option<(luthier_core::TrialId, f64)>,
}

/// The best trial for each combination of scientific values, the best first, those without one last; nothing where no
/// parameter is scientific. A floating-point value counts for the combination with exactly that value.
pub fn compare(view: &View<'_>, space: &Space) -> Vec<Compared> {
    let names: Vec<String> = scientific(space).map(|parameter| parameter.name.clone()).collect();
    let mut found: Vec<Compared> = combinations(space)
        .unwrap_or_default()
        .into_iter()
        .map(|values| Compared { values, trials: 0, best: None })
        .collect();
    let mut losses: Vec<Vec<(luthier_core::TrialId, Losses)>> = vec![Vec::new(); found.len()];
    for trial in view.finished() {
        let values = chosen(&names, trial.params());
        let Some(place) = found.iter().position(|compared| compared.values == values) else { continue };
        found[place].trials += 1;
        if trial.keeps_constraints()
            && let Some(loss) = trial.loss_vector()
        {
            losses[place].push((trial.id(), loss));
        }
    }
    for (compared, trials) in found.iter_mut().zip(losses) {
        let points: Vec<Losses> = trials.iter().map(|(_, losses)| losses.clone()).collect();
        compared.best = pareto::best_first(&points).first().map(|i| (trials[*i].0, points[*i][0]));
    }
    let loss = |compared: &Compared| compared.best.map_or(f64::INFINITY, |best| best.1);
    found.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    found
}

#[cfg(test)]
mod tests;
