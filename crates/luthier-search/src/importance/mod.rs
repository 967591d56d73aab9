//! Which parameters made a difference.
//!
//! Two measures, both over the complete trials of a study with a finite value:
//!
//! | method | what its figure says |
//! | --- | --- |
//! | [`Method::Fanova`] | the share of the variance of losses that a parameter explains over its whole range |
//! | [`Method::PedAnova`] | how much the values of the best tenth of trials differ from those of all trials |
//!
//! **Conditional parameters** are judged over the trials in which they exist, and their figure is scaled to the whole
//! study, so that figures can be compared: fANOVA's by the share of the study's variance that lies among those trials,
//! PED-ANOVA's by how often they are among the best. Whether the parameter exists at all is the doing of its parent.
//!
//! **Of several objectives** each has figures of its own, over the trials with a finite value of all of them, so that they can
//! be compared. PED-ANOVA besides has figures for the Pareto front ([`front_importance`]): the best trials are then the
//! first fronts. There are no such figures by fANOVA, because a front has no variance.
//!
//! ```
//! use luthier_core::testing::Played;
//! use luthier_core::{Direction, Distribution, Parameter, Purpose, Space, Streams};
//! use luthier_search::importance::{Method, importance};
//!
//! let space = Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0))))?;
//! let trials = (0..100).map(|n| {
//!     let params = space.sample(&mut Streams::new(0).at(Purpose::Data, n));
//!     let value = 3.0 * params["x"].as_f64().unwrap() + params["y"].as_f64().unwrap();
//!     (params, value)
//! });
//! let history = Played::completed(Direction::Minimize, trials);
//! let found = importance(Method::Fanova, 0, &history.view(), &space, 0)?;
//! // The variances of 3x and y are as 9 to 1.
//! assert_eq!(found.parameters[0].name, "x");
//! assert!((found.parameters[0].share.unwrap() - 0.9).abs() < 0.05);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fanova;
mod forest;
mod ped_anova;

use luthier_core::{Parameter, Params, Space, View};
use thiserror::Error;

use crate::sampler::Several;

/// Complete trials that are needed at least, of the study and of each parameter.
pub const FEWEST: usize = 4;

/// How importance is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Functional analysis of variance (Hutter, Hoos and Leyton-Brown 2014).
    Fanova,
    /// Analysis of variance by Pearson divergences (Watanabe, Bansal and Hutter 2023).
    PedAnova,
}

impl Method {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fanova => "fanova",
            Self::PedAnova => "ped-anova",
        }
    }
}

/// The importance of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// Its name.
    pub name: String,
    /// fANOVA: the share of the study's variance that it explains by itself, from 0 to 1. PED-ANOVA: its part of the sum
    /// over all parameters. Nothing where fewer than [`FEWEST`] complete trials have it.
    pub share: Option<f64>,
    /// The measure as its paper defines it, over the trials that have the parameter. fANOVA: the share of the variance
    /// among them. PED-ANOVA: the divergence, scaled as in the conditional form.
    pub measure: Option<f64>,
    /// Complete trials that have it.
    pub trials: usize,
}

/// What two parameters explain together, beyond what each explains by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Interaction {
    /// Their names.
    pub names: [String; 2],
    /// The share of the study's variance, from 0 to 1.
    pub share: f64,
}

/// The importance of all parameters of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Importances {
    /// Complete trials that were looked at.
    pub trials: usize,
    /// Every parameter, the most important first; of equal ones in the order of the space.
    pub parameters: Vec<Importance>,
    /// fANOVA: pairs of parameters that exist together, the most important first. Of more than
    /// [`MOST_PAIRED`](Self::MOST_PAIRED) parameters, those among the most important ones.
    pub interactions: Vec<Interaction>,
}

impl Importances {
    /// Parameters of which pairs are looked at.
    pub const MOST_PAIRED: usize = 12;

    fn new(data: &Data<'_>, mut parameters: Vec<Importance>, mut interactions: Vec<Interaction>) -> Self {
        // Stable: of equal ones the space's order stays.
        parameters.sort_by(|a, b| b.share.unwrap_or(-1.0).total_cmp(&a.share.unwrap_or(-1.0)));
        interactions.sort_by(|a, b| b.share.total_cmp(&a.share));
        Self { trials: data.losses.len(), parameters, interactions }
    }
}

/// Why nothing can be said of importance.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImportanceError {
    /// Too few trials.
    #[error(
        "importance needs at least {FEWEST} complete trials with a finite value, and there {} {found}; some twenty give \
         a first picture", if *.found == 1 { "is" } else { "are" }
    )]
    TooFew {
        /// Complete trials that there are.
        found: usize,
    },
    /// All trials have one value.
    #[error("all {trials} complete trials have the same value: no parameter made a difference")]
    Equal {
        /// Complete trials that there are.
        trials: usize,
    },
    /// No trial is better than another one.
    #[error(
        "all {trials} complete trials are on one front: none of them is better than another one in all objectives"
    )]
    OneFront {
        /// Complete trials that there are.
        trials: usize,
    },
    /// There is nothing to judge.
    #[error("there is no parameter with more than one value: nothing was searched")]
    NoParameters,
}

/// The importance of the parameters of `space` for an objective of `view`: 0 is the first one. `seed` is that of the study:
/// the forest of fANOVA is grown with streams of it.
///
/// # Errors
///
/// [`ImportanceError`] where there are too few trials, or nothing differs.
pub fn importance(
    method: Method,
    objective: usize,
    view: &View<'_>,
    space: &Space,
    seed: u64,
) -> Result<Importances, ImportanceError> {
    let complete = view.finished().filter_map(|trial| {
        let losses = trial.loss_vector()?;
        Some((trial.params(), *losses.get(objective)?))
    });
    let data = Data::new(complete, space)?;
    if data.losses.iter().all(|loss| *loss == data.losses[0]) {
        return Err(ImportanceError::Equal { trials: data.losses.len() });
    }
    Ok(match method {
        Method::Fanova => {
            let (parameters, interactions) = fanova::measure(&data, seed);
            Importances::new(&data, parameters, interactions)
        }
        Method::PedAnova => Importances::new(&data, ped_anova::measure(&data), Vec::new()),
    })
}

/// The importance of the parameters of `space` for being near the Pareto front, by PED-ANOVA: the best trials are the first
/// fronts, as many of them as hold a tenth of all trials together. Trials that miss a constraint on results come behind all
/// fronts. With one objective these are the figures of [`importance`], but for such trials.
///
/// # Errors
///
/// [`ImportanceError`] where there are too few trials, or all of them are on one front.
pub fn front_importance(view: &View<'_>, space: &Space) -> Result<Importances, ImportanceError> {
    let several = Several::complete(view);
    let fronts = several.fronts();
    let mut ranks = vec![None; several.seen.len()];
    for (rank, front) in fronts.iter().enumerate() {
        for i in front {
            ranks[*i] = Some(rank as f64);
        }
    }
    let ranked = several.seen.iter().zip(ranks).filter_map(|(seen, rank)| Some((seen.params, rank?)));
    let data = Data::new(ranked, space)?;
    if fronts.len() == 1 {
        return Err(ImportanceError::OneFront { trials: data.losses.len() });
    }
    Ok(Importances::new(&data, ped_anova::measure(&data), Vec::new()))
}

/// Trials as both methods see them.
struct Data<'a> {
    /// The parameters that can vary.
    parameters: Vec<&'a Parameter>,
    trials: Vec<&'a Params>,
    losses: Vec<f64>,
}

impl<'a> Data<'a> {
    fn new(
        complete: impl Iterator<Item = (&'a Params, f64)>,
        space: &'a Space,
    ) -> Result<Self, ImportanceError> {
        let parameters: Vec<&Parameter> =
            space.iter().filter(|parameter| parameter.distribution.cardinality() != Some(1)).collect();
        let (trials, losses): (Vec<&Params>, Vec<f64>) = complete.unzip();
        if losses.len() < FEWEST {
            return Err(ImportanceError::TooFew { found: losses.len() });
        }
        if parameters.is_empty() {
            return Err(ImportanceError::NoParameters);
        }
        Ok(Self { parameters, trials, losses })
    }

    /// Where each trial stands on the range of a parameter, in `[0, 1]`; nothing where it does not have it.
    fn units(&self, parameter: &Parameter) -> Vec<Option<f64>> {
        let unit = |params: &&Params| parameter.distribution.to_unit(params.get(&parameter.name)?);
        self.trials.iter().map(unit).collect()
    }
}

#[cfg(test)]
mod tests;
