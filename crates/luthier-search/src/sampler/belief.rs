//! What a user believes of good values, and how long it is listened to.
//!
//! Symbols: pi is the belief, a density relative to the uniform distribution on the space; n the number of trials that
//! have ended or are paused. A parameter with a prior has a normal density on its range's own scale, truncated to it (an
//! option its probability), mixed with a share [`DOUBT`] of the uniform one; pi is the product over parameters.
//!
//! Of the trials at the start every other one is the belief's: the first of them its centre, the others drawn from it. What
//! comes between them, and after the start, is what would be there without it.
//!
//! **A belief has to earn its turns**, as in `PriorBand` (Mallik et al. 2023, "`PriorBand`: practical hyperparameter
//! optimization in the age of deep learning", arXiv:2306.12370): it has none any more once the best trial so far is less
//! likely by the belief than by the uniform distribution, `pi(x) < 1`. Half of the trials at the start came without it, so a
//! wrong belief is found out by the first of them that is better. Trials that the belief has brought are trials like any
//! other, so a right one goes on to count by its results, and there is nothing of a wrong one to forget. To multiply
//! acquisition functions by `pi(x)^(10 / n)` besides (piBO; Hvarfner et al. 2022, arXiv:2204.11051) was no better with right
//! beliefs and worse with wrong ones: `docs/search.md` has the figures.

use indexmap::IndexMap;
use luthier_core::{Distribution, Params, Rng, Space, View};

use super::observation::leader;
use super::tpe::TruncatedNormal;

/// The share of the uniform distribution in a belief.
const DOUBT: f64 = 0.05;

/// The belief about one parameter.
enum Kernel {
    Normal(TruncatedNormal),
    /// Options, and the density at the one that is believed in and at the others.
    Option {
        at: usize,
        options: usize,
        same: f64,
        other: f64,
    },
}

impl Kernel {
    /// The logarithm of the density at a place of the range, mixed with the uniform one.
    fn log_density(&self, unit: f64) -> f64 {
        let density = match self {
            Self::Normal(density) => libm::exp(density.log_density(unit)),
            Self::Option { at, options, same, other } => {
                if (unit * *options as f64) as usize == *at {
                    *same
                } else {
                    *other
                }
            }
        };
        libm::log((1.0 - DOUBT) * density + DOUBT)
    }
}

/// The belief about a space.
pub(super) struct Belief<'a> {
    space: &'a Space,
    kernels: IndexMap<&'a str, Kernel>,
}

impl<'a> Belief<'a> {
    /// The belief about a space; nothing where no parameter has a prior.
    fn of(space: &'a Space) -> Option<Self> {
        let mut kernels = IndexMap::new();
        for parameter in space.iter() {
            let (Some(prior), range) = (&parameter.prior, &parameter.distribution) else { continue };
            if let Distribution::Choice { options } = range {
                let Some(at) = options.iter().position(|option| *option == prior.around) else { continue };
                let (n, p) = (options.len() as f64, prior.probability());
                if n < 2.0 {
                    continue;
                }
                let (same, other) = (p * n, (1.0 - p) * n / (n - 1.0));
                let kernel = Kernel::Option { at, options: options.len(), same, other };
                kernels.insert(parameter.name.as_str(), kernel);
            } else if let Some(mu) = range.to_unit(&prior.around) {
                // Not narrower than what a value stands for.
                let cell = range.cardinality().map_or(0.0, |cells| 0.25 / cells as f64);
                let sigma = prior.deviation(range).clamp(cell.max(1e-3), 10.0);
                kernels.insert(parameter.name.as_str(), Kernel::Normal(TruncatedNormal::new(mu, sigma)));
            }
        }
        (!kernels.is_empty()).then_some(Self { space, kernels })
    }

    /// Whether the best trial so far, if there is one, is at least as likely by the belief as without it.
    fn holds(&self, view: &View<'_>) -> bool {
        leader(view).is_none_or(|params| self.log_density(params) >= 0.0)
    }

    /// A draw from the belief, without the doubt.
    fn draw(&self, rng: &mut Rng) -> Params {
        self.space.build(|parameter, _| {
            let unit = match self.kernels.get(parameter.name.as_str()) {
                None => rng.uniform(),
                Some(Kernel::Normal(density)) => density.sample(rng),
                Some(Kernel::Option { at, options, same, .. }) => {
                    let n = *options as f64;
                    let (p, u) = (same / n, rng.uniform());
                    // The others share what is above p.
                    let other = ((u - p) / (1.0 - p) * (n - 1.0)).floor().clamp(0.0, n - 2.0) as usize;
                    let chosen = if u < p { *at } else { other + usize::from(other >= *at) };
                    (chosen as f64 + 0.5) / n
                }
            };
            parameter.distribution.from_unit(unit)
        })
    }

    /// What the belief holds most likely; parameters without a prior are drawn.
    fn centre(&self, rng: &mut Rng) -> Params {
        self.space.build(|parameter, _| match &parameter.prior {
            Some(prior) if parameter.distribution.contains(&prior.around) => prior.around.clone(),
            _ => parameter.distribution.sample(rng),
        })
    }

    /// The logarithm of pi.
    fn log_density(&self, params: &Params) -> f64 {
        let each = self.kernels.iter().filter_map(|(name, kernel)| {
            let range = &self.space.get(name)?.distribution;
            Some(kernel.log_density(range.to_unit(params.get(*name)?)?))
        });
        each.sum()
    }
}

/// The configuration of a trial at the start that is the belief's; nothing where it is not its turn, it has lost its turns,
/// or there is none.
pub(super) fn opening(view: &View<'_>, space: &Space, rng: &mut Rng) -> Option<Params> {
    let turn = rng.position();
    if !turn.is_multiple_of(2) {
        return None;
    }
    let belief = Belief::of(space).filter(|belief| belief.holds(view))?;
    Some(if turn == 0 { belief.centre(rng) } else { belief.draw(rng) })
}

#[cfg(test)]
mod tests;
