//! Starting points: configurations that are tried before, or between, those that a search proposes.

use std::collections::BTreeMap;

use luthier_core::{
    Decision, Next, Origin, Params, Rng, Search, SearchError, Space, TrialId, Unfinished, View,
};

/// A search whose trials of some numbers have configurations that are given. What a configuration leaves out has the values
/// that the search proposes for that trial, or, where constraints do not allow these beside it, random ones.
///
/// A configuration belongs to the number of a trial, so the same history leads to the same trials.
pub struct Queue {
    search: Box<dyn Search>,
    starts: BTreeMap<u64, Params>,
    /// The trials that begin anew, where those behind them go on from the checkpoints of others.
    founders: Option<u64>,
}

impl Queue {
    /// The search, beginning with these configurations, which are those of [`Space::start`].
    pub fn new(search: Box<dyn Search>, starts: impl IntoIterator<Item = Params>) -> Self {
        Self { search, starts: (0..).zip(starts).collect(), founders: None }
    }

    /// The same of a population with so many members: a configuration is one of those that the first of them begin with.
    #[must_use]
    pub fn of_population(self, members: u64) -> Self {
        Self { founders: Some(members), ..self }
    }

    /// Adds a configuration behind those that wait, for a study in which so many trials have begun. Returns the number of
    /// its trial.
    ///
    /// # Errors
    ///
    /// If all members of a population have theirs.
    pub fn push(&mut self, begun: u64, start: Params) -> Result<u64, SearchError> {
        let number = self.starts.last_key_value().map_or(0, |(last, _)| last + 1).max(begun);
        if let Some(members) = self.founders.filter(|members| number >= *members) {
            let message = format!(
                "a population begins with {members} configurations, and all of them are taken: the trials behind them \
                 go on from the checkpoints of others"
            );
            return Err(SearchError { message });
        }
        self.starts.insert(number, start);
        Ok(number)
    }
}

impl Search for Queue {
    fn next(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Next, SearchError> {
        let mut next = self.search.next(view, space, rng)?;
        if let Next::New { params, from: None, .. } = &mut next
            && let Some(start) = self.starts.get(&(view.len() as u64))
        {
            let complete = space.complete(start, params, rng);
            *params = complete.map_err(|error| SearchError { message: error.to_string() })?;
        }
        Ok(next)
    }

    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, rng: &mut Rng) -> Decision {
        self.search.decide(view, trial, rng)
    }

    fn given_up(&self, view: &View<'_>) -> Vec<TrialId> {
        self.search.given_up(view)
    }

    fn decides(&self) -> bool {
        self.search.decides()
    }

    fn forks(&self) -> bool {
        self.search.forks()
    }

    fn may_fork(&self, view: &View<'_>, origin: Origin) -> bool {
        self.search.may_fork(view, origin)
    }
}
