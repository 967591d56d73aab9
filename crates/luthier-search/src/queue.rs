//! Starting points: configurations that are tried before, or between, those that a search proposes.

use std::collections::BTreeMap;

use luthier_core::{
    Decision, Next, Parameter, Params, Rng, Search, SearchError, Space, TrialId, Unfinished, Value, View,
};

/// A search whose trials of some numbers have configurations that are given. What a configuration leaves out has the values
/// that the search proposes for that trial, or random ones.
///
/// A configuration belongs to the number of a trial, so the same history leads to the same trials.
pub struct Queue {
    search: Box<dyn Search>,
    starts: BTreeMap<u64, Params>,
}

impl Queue {
    /// The search, beginning with these configurations, which are those of [`Space::start`].
    pub fn new(search: Box<dyn Search>, starts: impl IntoIterator<Item = Params>) -> Self {
        Self { search, starts: (0..).zip(starts).collect() }
    }

    /// Adds a configuration behind those that wait, for a study in which so many trials have begun. Returns the number of
    /// its trial.
    pub fn push(&mut self, begun: u64, start: Params) -> u64 {
        let number = self.starts.last_key_value().map_or(0, |(last, _)| last + 1).max(begun);
        self.starts.insert(number, start);
        number
    }
}

impl Search for Queue {
    fn next(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Next, SearchError> {
        let mut next = self.search.next(view, space, rng)?;
        if let Next::New { params, .. } = &mut next
            && let Some(start) = self.starts.get(&(view.len() as u64))
        {
            *params = space.fill(start, params, rng);
        }
        Ok(next)
    }

    fn suggest(&self, view: &View<'_>, parameter: &Parameter, rng: &mut Rng) -> Result<Value, SearchError> {
        self.search.suggest(view, parameter, rng)
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
}
