//! Population based training: configurations that change while they train.
//!
//! Jaderberg et al. 2017, "Population based training of neural networks" (arXiv 1711.09846), and with the bandit of
//! Parker-Holder, Nguyen and Roberts 2020, "Provably efficient online hyperparameter optimization with population-based
//! bandits" (PB2, `NeurIPS` 33). Symbols: P members train side by side; R the steps of a whole trial; every I steps all of
//! them pause, which ends a generation; q the share of the members that is replaced. Members are ordered by their latest
//! loss at the end of a generation, infinite where it is no number, equal ones by their trials' numbers. Each of
//! the ⌊qP⌋ last (at least one) **exploits**: it goes on from the checkpoint of one of the ⌊qP⌋ first, drawn at random,
//! and **explores**: its parameters are those of the other one, changed ([`Explore`]). All others go on as they are. A member
//! that has ended before its time (it failed, diverged, or stopped early) is replaced first. In the last generation all
//! run to their ends, and the study is done.
//!
//! A member that goes on is a trial that is paused and resumed; one that is replaced is a new trial, forked from
//! the other one's checkpoint, and the trial before it stays paused for good. So all there is to know is in the history: who the
//! members are follows from the trials, the origins of forks and their losses ([`Generation`]).
//!
//! Configurations keep the constraints on parameters: members of the first generation, and what is explored, are drawn until
//! they do; where none is found, a fork keeps the values of the member that it goes on from. Members that miss a constraint on
//! results at the end of a generation stand behind all that keep them, the more they miss the farther (Deb 2000).
//!
//! All members wait for each other at the end of a generation, unlike in the paper, where each compares itself with
//! whatever the others have come to: then losses of different numbers of steps would be compared, and a slow
//! trial would be judged by the speed of others.
//!
//! Parameters that cannot change while training (widths, numbers of layers) are inherited as they are; so a population tries no
//! more than P of them.
//!
//! Complexity: O(n + G P log P) for n trials and G generations, and that of the exploration.

mod bandit;
mod explore;
mod generation;

use luthier_core::config::{bounds, defaults};
use luthier_core::{
    Criteria, Decision, Next, Origin, Parameter, Params, Rng, Role, Sampler, Search, SearchError, Space,
    Unfinished, View,
};
use thiserror::Error;

use crate::sampler::Sobol;
use generation::{Generation, Stage};

/// Draws of what is explored until the constraints hold.
const DRAWS: usize = 1000;

/// How the parameters of a member change that goes on from another one's checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explore {
    /// Each is drawn anew (one time in four) or multiplied by 0.8 or 1.2; choices are drawn anew or stay.
    Perturb,
    /// Numbers are those of the largest upper bound on the improvement that a Gaussian process of time, loss and
    /// parameters expects, whole numbers rounded; choices as in [`Explore::Perturb`]. From the second generation on: the
    /// first has no improvement to learn from.
    Bandit,
}

/// What a population can do nothing with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Misfit {
    /// Several objectives.
    #[error("a population has one objective: its members are ranked by it")]
    Objectives,
    /// The prior of this parameter.
    #[error("`{0}`: a population makes no use of priors")]
    Prior(String),
    /// No parameter is called so, or stands below it.
    #[error("inherit: expected the name of a parameter, or of what parameters stand below, found {0:?}")]
    Inherited(String),
    /// This scientific parameter.
    #[error("`{0}`: a population compares no scientific parameters: its values change while a trial runs")]
    Role(String),
}

luthier_core::settings! {
    /// How a population is trained.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Population {
        /// Members that train side by side, P.
        size: u64 = 10, bounds::AT_LEAST_TWO;
        /// Steps (epochs, reports) after which members are compared and replaced, I; a tenth of a trial, rounded up, if
        /// left out.
        interval: Option<u64> = None, bounds::COUNT;
        /// The share that is replaced each time, q.
        quantile: f64 = 0.25, bounds::AT_MOST_HALF;
        /// Parameters that stay as they are while training, with all below them: "model", or "model.layers.dense1". Of a
        /// training by a study file those of [model] stay anyway but for dropout rates, those of [data] but for
        /// augmentation, and those of the loss.
        inherit: Vec<String> = Vec::new();
    }
}

impl Default for Population {
    fn default() -> Self {
        defaults()
    }
}

/// Population based training.
///
/// ```
/// use luthier_core::{Direction, Distribution, History, Next, Parameter, Purpose, Search, Space, Streams};
/// use luthier_search::Pbt;
/// let space = Space::new([Parameter::new("rate", Distribution::log_float(1e-4, 1e-1))])?;
/// let history = History::new(Direction::Minimize).with_steps(Some(40));
/// let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
/// // A tenth of 40 steps is a generation.
/// let Next::New { from: None, until: Some(4), .. } = Pbt::perturbed().next(&history.view(), &space, &mut rng)? else {
///     panic!("a first member")
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pbt {
    /// How many members there are, and when they are compared.
    pub settings: Population,
    /// How parameters change that are not inherited.
    pub explore: Explore,
}

/// Whether a name is this one, or below it.
fn is_of(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Pbt {
    /// As in the paper of 2017: values are perturbed.
    pub fn perturbed() -> Self {
        Self { settings: Population::default(), explore: Explore::Perturb }
    }

    /// PB2: values are chosen by a bandit.
    pub fn by_bandit() -> Self {
        Self { explore: Explore::Bandit, ..Self::perturbed() }
    }

    /// Makes sure that there is nothing in a space, or in what counts of a trial, that populations make no use of.
    ///
    /// # Errors
    ///
    /// The first of these.
    pub fn check(&self, space: &Space, criteria: &Criteria) -> Result<(), Misfit> {
        if !criteria.objectives.is_empty() {
            return Err(Misfit::Objectives);
        }
        let find =
            |is: &dyn Fn(&Parameter) -> bool| space.iter().find(|one| is(one)).map(|one| one.name.clone());
        if let Some(name) = find(&|parameter| parameter.prior.is_some()) {
            return Err(Misfit::Prior(name));
        }
        if let Some(name) = find(&|parameter| parameter.role == Role::Scientific) {
            return Err(Misfit::Role(name));
        }
        let mut inherited = self.settings.inherit.iter();
        let unknown = inherited.find(|name| !space.iter().any(|parameter| is_of(&parameter.name, name)));
        unknown.map_or(Ok(()), |name| Err(Misfit::Inherited(name.clone())))
    }

    /// Whether a parameter stays as it is while training.
    fn is_inherited(&self, name: &str) -> bool {
        self.settings.inherit.iter().any(|inherited| is_of(name, inherited))
    }

    /// Members: one alone has nobody to learn from.
    pub fn size(&self) -> u64 {
        self.settings.size.max(2)
    }

    fn interval(&self, view: &View<'_>) -> Result<(u64, u64), SearchError> {
        let steps = view.steps().ok_or_else(|| SearchError {
            message: "population based training needs trials of a known number of reports, the same for all: a \
                      training whose epochs, folds or `validate_every` do not depend on parameters, or `steps` in \
                      [command]"
                .to_owned(),
        })?;
        let interval = self.settings.interval.unwrap_or(steps.div_ceil(10)).max(1);
        Ok((interval, steps))
    }

    fn generation<'v>(&self, view: &View<'v>) -> Result<Generation<'v>, SearchError> {
        let (interval, steps) = self.interval(view)?;
        Ok(Generation::of(view, self.size() as usize, interval, steps, self.settings.quantile))
    }

    /// The parameters of a member that goes on from the checkpoint of `parent`.
    fn explored(
        &self,
        parent: &Params,
        generation: &Generation<'_>,
        origin: Origin,
        space: &Space,
        rng: &mut Rng,
    ) -> Params {
        let changes = |parameter: &Parameter| !self.is_inherited(&parameter.name);
        let chosen = match self.explore {
            Explore::Perturb => None,
            Explore::Bandit => bandit::choose(generation, origin, parent, space, &changes, rng),
        }
        .unwrap_or_default();
        let mut explored = || {
            space.build(|parameter, _| {
                let range = &parameter.distribution;
                match parent.get(&parameter.name).filter(|value| range.contains(value)) {
                    // It exists beside another choice only.
                    None => range.sample(rng),
                    Some(value) if !changes(parameter) => value.clone(),
                    Some(value) => chosen
                        .get(&parameter.name)
                        .cloned()
                        .unwrap_or_else(|| explore::perturb(range, value, rng)),
                }
            })
        };
        let allowed = (0..DRAWS).map(|_| explored()).find(|params| space.allows(params));
        allowed.unwrap_or_else(|| parent.clone())
    }

    /// The parameters of a member of the first generation.
    fn founder(view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        let params = Sobol.propose(view, space, rng)?;
        if space.allows(&params) {
            return Ok(params);
        }
        space.sample_allowed(rng).map_err(|error| SearchError { message: error.to_string() })
    }
}

impl Search for Pbt {
    fn next(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Next, SearchError> {
        let generation = self.generation(view)?;
        let until = generation.until();
        Ok(match generation.stage(view.is_closed()) {
            Stage::Found if view.is_closed() => {
                let population = self.size();
                return Err(SearchError {
                    message: format!(
                        "a population of {population} needs at least {population} trials, and the study may begin {}",
                        view.len()
                    ),
                });
            }
            Stage::Found => Next::New { params: Self::founder(view, space, rng)?, from: None, until },
            Stage::Resume(trial) => Next::Resume { trial, until },
            Stage::Fork => {
                let parents = generation.parents();
                let parent = parents[rng.below(parents.len())];
                let origin = Origin { trial: parent.id(), step: generation.step_of(parent) };
                let params = self.explored(parent.params(), &generation, origin, space, rng);
                Next::New { params, from: Some(origin), until }
            }
            Stage::Wait => Next::Wait,
            Stage::Done => Next::Done,
        })
    }

    fn decide(&self, _: &View<'_>, _: &Unfinished<'_>, _: &mut Rng) -> Decision {
        Decision::Continue
    }

    fn decides(&self) -> bool {
        false
    }

    fn forks(&self) -> bool {
        true
    }

    fn may_fork(&self, view: &View<'_>, origin: Origin) -> bool {
        // What is of a generation that everybody has left is of no use.
        self.generation(view).is_ok_and(|generation| generation.may_fork(origin.step))
    }
}

#[cfg(test)]
mod tests;
