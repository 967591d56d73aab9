//! From a `start` to a search.

use luthier_core::{Criteria, History, Params, Purpose, SamplerAndPruner, Search, Space, Streams};
use luthier_search::{ByRole, Pbt, PrunerConfig, Queue};

use super::Asked;
use super::message::{Population, Start};
use super::problem;

impl Asked {
    /// The study that a conversation begins with.
    ///
    /// # Errors
    ///
    /// What of it makes no sense.
    pub(super) fn new(start: &Start) -> Result<Self, String> {
        let (space, direction, criteria) = problem::read(&start.problem)?;
        let steps = start.problem.max_fidelity;
        let mut search = match population(start, &space, &criteria)? {
            Some(pbt) => {
                let members = pbt.population;
                Queue::new(Box::new(pbt), []).of_population(members)
            }
            None => Queue::new(sampled(start, &space, &criteria)?, []),
        };
        for (given, place) in start.enqueue.iter().zip(0..) {
            let wrong = |error: String| format!("start.enqueue[{place}]: {error}");
            let begins: Params = space.start(given).map_err(|error| wrong(error.to_string()))?;
            search.push(0, begins).map_err(|error| wrong(error.to_string()))?;
        }
        let history = History::new(direction).with_steps(steps).with_criteria(criteria);
        let sampler = start.sampler.clone().unwrap_or_default();
        let asked = Self { history, space, search, sampler, seed: start.seed, steps, reasons: Vec::new() };
        asked.rehearse().map(|()| asked)
    }

    /// Makes sure that there is something to try beside constraints on parameters.
    fn rehearse(&self) -> Result<(), String> {
        if self.space.constraints().is_empty() {
            return Ok(());
        }
        let mut rng = Streams::new(self.seed).at(Purpose::Sampler, 0);
        let next = self.search.next(&self.history.view(), &self.space, &mut rng);
        next.map(drop).map_err(|error| format!("start.problem.constraints: {error}"))
    }
}

/// The search by a sampler and a pruner.
fn sampled(start: &Start, space: &Space, criteria: &Criteria) -> Result<Box<dyn Search>, String> {
    let name = start.sampler.as_deref().unwrap_or("auto");
    let sampler = luthier_search::sampler(name).ok_or_else(|| {
        format!("there is no sampler {name:?}; there is {}", luthier_search::sampler_names().join(", "))
    })?;
    if start.population.is_some() {
        return Err(format!(
            "start.population: expected nothing, or the sampler \"pbt\" or \"pb2\", found the sampler {name:?}"
        ));
    }
    let believed = space.iter().find(|parameter| parameter.prior.is_some());
    if let Some(parameter) = believed.filter(|_| !luthier_search::uses_priors(name)) {
        return Err(format!(
            "param {:?}.prior: expected a sampler that makes use of priors: {}, found the sampler {name:?}",
            parameter.name,
            luthier_search::users_of_priors().join(", ")
        ));
    }
    if name == "grid" && !start.enqueue.is_empty() {
        return Err(format!("start.enqueue: {GRID}"));
    }
    // For a number of steps, stopping early matters more than anything else; for a number of trials, it is that many
    // chances to be had.
    let default = match (start.problem.max_fidelity, start.trials, start.epochs) {
        (None, ..) => "none",
        (Some(_), Some(_), None) => "median",
        (Some(_), ..) => "asha",
    };
    let pruner = start.pruner.as_ref().map_or_else(|| default.to_owned(), problem::inline);
    let config = PrunerConfig::parse(&pruner).map_err(|problems| problems.to_string())?;
    if !criteria.objectives.is_empty()
        && let Err(expected) = config.for_several_objectives()
    {
        return Err(format!("start.pruner: expected {expected}, found {pruner:?}"));
    }
    let search = SamplerAndPruner::new(sampler, config.create());
    ByRole::wrap(Box::new(search), space).map_err(|error| error.to_string())
}

/// Why a grid takes no starting points.
pub(super) const GRID: &str =
    "expected nothing with the sampler \"grid\", which tries every combination by itself";

/// The population that is asked for, if one is.
fn population(start: &Start, space: &Space, criteria: &Criteria) -> Result<Option<Pbt>, String> {
    let name = start.sampler.as_deref().unwrap_or_default();
    let Some(mut pbt) = luthier_search::population(name) else { return Ok(None) };
    if start.problem.max_fidelity.is_none() {
        return Err(format!(
            "the sampler {name:?} needs trials with reports: give start.problem.max_fidelity"
        ));
    }
    if let Some(pruner) = start.pruner.as_ref().filter(|pruner| *pruner != "none") {
        return Err(format!("the sampler {name:?} takes no pruner, found {pruner}: leave it out"));
    }
    if let Some(Population { size, interval, quantile, inherit }) = &start.population {
        pbt.population = size.unwrap_or(pbt.population);
        pbt.interval = *interval;
        pbt.quantile = quantile.unwrap_or(pbt.quantile);
        pbt.inherited.clone_from(inherit);
    }
    if pbt.population < 2 || !(pbt.quantile > 0.0 && pbt.quantile <= 0.5) {
        return Err(
            "start.population: expected a size of 2 or more and a quantile above 0, up to 0.5".to_owned()
        );
    }
    pbt.check(space, criteria).map_err(|misfit| format!("the sampler {name:?}: {misfit}"))?;
    Ok(Some(pbt))
}
