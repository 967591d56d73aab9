//! Studies that find their space as they go: trials ask for their parameters one by one, and get what was proposed for all
//! of them together.
//!
//! The space is what the last [`RECENT`] trials have asked for, in the order in which it first came, each parameter with the
//! range and the belief of the last question. When a trial begins, the sampler proposes a whole configuration in it; the trial takes
//! its values from there, so that samplers see how parameters go together, as they do where the space is known beforehand.
//!
//! | a trial asks for | its value |
//! | --- | --- |
//! | a parameter with the range that it had last | that of the configuration |
//! | a new one, one with another range, or one that was not expected beside the others | the sampler's in the space with that parameter, of which only this value is taken |
//!
//! A value of the second kind stands at its own place of the space, which is its dimension of a quasi-random sequence and its
//! place in a stream of draws: the parameters of the first trial, of which nothing was known, are those that would have been
//! proposed together.
//!
//! **Parameters that only some trials have.** If the trials with a parameter differ from those without by the value of one
//! that was asked for before (`optimizer` is `sgd`, there are 2 layers or more), that is taken for its condition, until a
//! trial says otherwise. Else it is [optional](Parameter::optional): it is always proposed, and samplers that cannot do
//! without a parameter learn nothing of it. Only trials with a loss say something here: others may have ended before they
//! could ask. A value outside the range of today counts as none.
//!
//! Complexity: O(r d) look-ups for the last r trials of d parameters, and O(r d) more at most for each parameter that some of
//! them lack.

use indexmap::IndexMap;
use luthier_core::{
    Condition, Distribution, Parameter, Params, Prior, Rng, Sampler, SearchError, Space, SpaceError, TrialId,
    Tried, Value, View,
};

/// Trials by which the space of a proposal is told.
const RECENT: usize = 256;

/// What is proposed for a trial that asks for its parameters while it runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Proposal {
    space: Space,
    params: Params,
}

impl Proposal {
    /// The proposal for the trial that is to begin; `rng` is the stream of its number.
    ///
    /// # Errors
    ///
    /// Those of the sampler.
    pub fn new(sampler: &dyn Sampler, view: &View<'_>, rng: &mut Rng) -> Result<Self, SearchError> {
        let space = found(view, RECENT, None).map_err(|error| damaged(&error))?;
        let params = if space.is_empty() { Params::new() } else { sampler.propose(view, &space, rng)? };
        Ok(Self { space, params })
    }

    /// The whole configuration. The trial may ask for less, and for more.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The value of a parameter that `trial` asks for; `rng` is the stream of its number, from its beginning. A value that
    /// the proposal does not have is chosen by what is known of the trials before it.
    ///
    /// # Errors
    ///
    /// Those of the sampler.
    pub fn value(
        &self,
        sampler: &dyn Sampler,
        view: &View<'_>,
        trial: TrialId,
        parameter: &Parameter,
        rng: &mut Rng,
    ) -> Result<Value, SearchError> {
        let is_the_same = |known: &Parameter| {
            known.distribution == parameter.distribution && known.prior == parameter.prior
        };
        if self.space.get(&parameter.name).is_some_and(is_the_same)
            && let Some(value) = self.params.get(&parameter.name)
        {
            return Ok(value.clone());
        }
        // What the trial itself has asked for takes its places in the space, and is no observation.
        let space = found(&view.before(TrialId(trial.0 + 1)), RECENT, Some(parameter))
            .map_err(|error| damaged(&error))?;
        let mut params = sampler.propose(&view.before(trial), &space, rng)?;
        params.swap_remove(&parameter.name).ok_or_else(|| SearchError {
            message: format!("the sampler proposed no value for `{}`", parameter.name),
        })
    }
}

fn damaged(error: &SpaceError) -> SearchError {
    SearchError { message: format!("what trials have asked for makes no space: {error}") }
}

/// The space of a study that finds it as it goes: each parameter with the last range under which it was asked for, and with
/// the condition under which trials have it, where that can be seen.
pub fn suggested_space(view: &View<'_>) -> Space {
    // Each range was checked when it was asked for.
    found(view, usize::MAX, None).unwrap_or_default()
}

/// The same by so many of the last trials, with a parameter that is asked for just now, and so exists.
fn found(view: &View<'_>, recent: usize, asked: Option<&Parameter>) -> Result<Space, SpaceError> {
    // By number the newest first, until they are turned round.
    let mut newest: Vec<Tried<'_>> = view.tried().rev().take(recent).collect();
    newest.reverse();
    let since = newest.first().map_or(TrialId(0), Tried::id);
    // The first ones only say in which order parameters came.
    let first = view.tried().take_while(|trial| trial.id() < since).take(recent);
    let mut last: IndexMap<&str, (TrialId, &Distribution, Option<&Prior>)> = IndexMap::new();
    for trial in first.chain(newest.iter().copied()) {
        last.extend(trial.suggested().map(|(name, range, prior)| (name, (trial.id(), range, prior))));
    }
    last.retain(|_, (id, ..)| *id >= since);
    if let Some(asked) = asked {
        last.insert(&asked.name, (since, &asked.distribution, asked.prior.as_ref()));
    }
    let said = newest.iter().filter(|trial| trial.is_complete() || trial.is_stopped());
    let trials: Vec<&Params> = said.map(Tried::params).collect();
    let mut space = Space::default();
    for (name, (_, range, prior)) in last {
        let has = |params: &Params| params.get(name).is_some_and(|value| range.contains(value));
        let mut parameter = Parameter { prior: prior.cloned(), ..Parameter::new(name, range.clone()) };
        let is_asked = asked.is_some_and(|asked| asked.name == name);
        if !trials.iter().all(|params| has(params)) {
            let with: Vec<&Params> = trials.iter().copied().filter(|params| has(params)).collect();
            let condition =
                if is_asked || with.is_empty() { None } else { condition(&space, &trials, &with, has) };
            // A sampler that knows nothing at all of a parameter is not to make believe that it does.
            parameter.optional = condition.is_none() && !(is_asked && with.is_empty());
            parameter.conditions.extend(condition);
        }
        space.push(parameter)?;
    }
    Ok(space)
}

/// What tells the trials that have a parameter from those that lack it: the value of one parameter of `space`, the first
/// that does.
fn condition(
    space: &Space,
    trials: &[&Params],
    with: &[&Params],
    has: impl Fn(&Params) -> bool,
) -> Option<Condition> {
    let mut guesses = space.iter().filter_map(|parent| {
        let values = || with.iter().map(|params| params.get(&parent.name));
        match &parent.distribution {
            Distribution::Choice { options } => {
                let seen = options.iter().filter(|option| values().any(|value| value == Some(option)));
                Some(Condition::In { param: parent.name.clone(), values: seen.cloned().collect() })
            }
            Distribution::Int { .. } => {
                let least = values().filter_map(|value| value?.as_i64()).min()?;
                Some(Condition::AtLeast { param: parent.name.clone(), value: least })
            }
            Distribution::Float { .. } => None,
        }
    });
    guesses.find(|guess| trials.iter().all(|params| guess.holds(params) == has(params)))
}

#[cfg(test)]
mod tests;
