//! Where the trials of a study in Rust have their parameters from, and who decides whether they go on.

use luthier_core::{
    Decision, Next, Params, Pruner, Rng, Sampler, Search, SearchError, Space, Unfinished, View,
};
use luthier_search::{Proposal, PrunerConfig, Queue, SamplerConfig, suggested_space};

use super::{Start, StudyError};

/// Where parameters come from.
pub(super) enum Source {
    /// Trials ask for them one by one.
    Asked { sampler: Box<dyn Sampler>, pruner: Box<dyn Pruner>, priors: Result<(), &'static str> },
    /// All of them are known beforehand.
    Known { space: Space, starts: Result<(), &'static str>, search: Queue, judge: Queue },
}

impl Source {
    /// What is asked for; with `space`, all parameters are known.
    ///
    /// # Errors
    ///
    /// What does not go together.
    pub(super) fn new(
        sampler: &SamplerConfig,
        pruner: &PrunerConfig,
        space: Option<Space>,
    ) -> Result<Self, StudyError> {
        let Some(made) = sampler.create() else {
            return Err(StudyError::Population { name: sampler.kind().to_owned() });
        };
        let Some(space) = space else {
            if let SamplerConfig::Grid(_) = sampler {
                return Err(StudyError::Grid);
            }
            let priors = sampler.for_priors();
            return Ok(Self::Asked { sampler: made, pruner: pruner.create(), priors });
        };
        let believed = space.iter().find(|parameter| parameter.prior.is_some());
        if let (Some(parameter), Err(expected)) = (believed, sampler.for_priors()) {
            let reason = format!("it has a prior: expected {expected}, found {:?}", sampler.kind());
            return Err(StudyError::Parameter { name: parameter.name.clone(), reason });
        }
        // Code between `ask` and `tell` cannot pause, so the pruner judges, and is not asked who goes on.
        let search = sampler.search(&PrunerConfig::None, &space, [])?;
        let judge = sampler.search(pruner, &space, [])?;
        Ok(Self::Known { space, starts: sampler.for_starts(), search, judge })
    }

    /// What the trial begins with that begins now: its parameters if they are known, and what is proposed for those that it
    /// will ask for. `rng` is the stream of its number, `start` what is known of it beforehand.
    ///
    /// # Errors
    ///
    /// [`StudyError::Exhausted`] where everything has been tried, and those of the search.
    pub(super) fn begin(
        &self,
        view: &View<'_>,
        start: Option<&Start>,
        rng: &mut Rng,
    ) -> Result<(Params, Proposal), StudyError> {
        let (space, starts, search) = match self {
            Self::Asked { sampler, .. } => {
                return Ok((Params::new(), Proposal::new(&**sampler, view, rng)?));
            }
            Self::Known { space, starts, search, .. } => (space, starts, search),
        };
        let Next::New { mut params, .. } = search.next(view, space, rng)? else {
            return Err(StudyError::Exhausted);
        };
        if let Some(start) = start {
            let wrong = |message: String| SearchError { message };
            starts.map_err(|expected| wrong(format!("starting points: expected {expected}")))?;
            let given = space.start(&start.params).map_err(|error| wrong(error.to_string()))?;
            let complete = space.complete(&given, &params, rng);
            params = complete.map_err(|error| wrong(error.to_string()))?;
        }
        Ok((params, Proposal::default()))
    }

    /// Whether trials ask for their parameters.
    pub(super) fn asks(&self) -> bool {
        matches!(self, Self::Asked { .. })
    }

    /// Whether a trial that has reported goes on.
    pub(super) fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, rng: &mut Rng) -> Decision {
        match self {
            Self::Asked { pruner, .. } => pruner.decide(view, trial, rng),
            Self::Known { judge, .. } => judge.decide(view, trial, rng),
        }
    }

    /// The space, as far as it is known.
    pub(super) fn space(&self, view: &View<'_>) -> Space {
        match self {
            Self::Asked { .. } => suggested_space(view),
            Self::Known { space, .. } => space.clone(),
        }
    }
}
