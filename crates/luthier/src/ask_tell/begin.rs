//! From a `start` to a search.

use luthier_core::{Criteria, History, Params, Purpose, Search, Space, Streams};
use luthier_search::{PrunerConfig, SamplerConfig};

use super::Asked;
use super::message::Start;
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
        let sampler = sampler(start, &space, &criteria)?;
        let pruner = pruner(start, &sampler, &criteria)?;
        let mut search = sampler.search(&pruner, &space, []).map_err(|error| error.to_string())?;
        for (given, place) in start.enqueue.iter().zip(0..) {
            let wrong = |error: String| format!("start.enqueue[{place}]: {error}");
            let begins: Params = space.start(given).map_err(|error| wrong(error.to_string()))?;
            search.push(0, begins).map_err(|error| wrong(error.to_string()))?;
        }
        let history = History::new(direction).with_steps(steps).with_criteria(criteria);
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

/// The sampler that is asked for, `auto` where none is.
fn sampler(start: &Start, space: &Space, criteria: &Criteria) -> Result<SamplerConfig, String> {
    let Some(asked) = &start.sampler else { return Ok(SamplerConfig::Auto) };
    let sampler: SamplerConfig = problem::settings(asked, "start.sampler")?;
    let name = sampler.kind();
    let believed = space.iter().find(|parameter| parameter.prior.is_some());
    if let (Some(parameter), Err(expected)) = (believed, sampler.for_priors()) {
        return Err(format!(
            "param {:?}.prior: expected {expected}, found the sampler {name:?}",
            parameter.name
        ));
    }
    if !start.enqueue.is_empty() {
        sampler.for_starts().map_err(|expected| format!("start.enqueue: expected {expected}"))?;
    }
    if let Some(pbt) = sampler.population() {
        if start.problem.max_fidelity.is_none() {
            return Err(format!(
                "the sampler {name:?} needs trials with reports: give start.problem.max_fidelity"
            ));
        }
        pbt.check(space, criteria).map_err(|misfit| format!("the sampler {name:?}: {misfit}"))?;
    }
    Ok(sampler)
}

/// The pruner that is asked for, or the best for what there is to be had.
fn pruner(start: &Start, sampler: &SamplerConfig, criteria: &Criteria) -> Result<PrunerConfig, String> {
    if sampler.population().is_some() {
        return match start.pruner.as_ref().filter(|pruner| *pruner != "none") {
            Some(pruner) => {
                Err(format!("the sampler {:?} takes no pruner, found {pruner}: leave it out", sampler.kind()))
            }
            None => Ok(PrunerConfig::None),
        };
    }
    // For a number of steps, stopping early matters more than anything else; for a number of trials, it is that many
    // chances to be had.
    let default = match (start.problem.max_fidelity, start.trials, start.epochs) {
        (None, ..) => "none",
        (Some(_), Some(_), None) => "median",
        (Some(_), ..) => "asha",
    };
    let asked = start.pruner.clone().unwrap_or_else(|| default.into());
    let pruner: PrunerConfig = problem::settings(&asked, "start.pruner")?;
    if !criteria.objectives.is_empty()
        && let Err(expected) = pruner.for_several_objectives()
    {
        return Err(format!("start.pruner: expected {expected}, found {asked}"));
    }
    Ok(pruner)
}
