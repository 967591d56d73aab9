//! What a user believes of good values, and how long it is listened to.
//!
//! Symbols: pi is the belief, a density relative to the uniform distribution on the space; n the number of trials that
//! have ended or are paused. A parameter with a prior has a normal density on its range's own scale, truncated to it (an
//! option its probability), mixed with a share [`DOUBT`] of the uniform one; pi is the product over parameters.
//!
//! - Of the trials at the start every other one is drawn from the belief, the first of them its centre; the others are
//!   those that would be there without it.
//! - After that, acquisition functions are multiplied by `pi(x)^(BETA / n)`, with [`BETA`] = 10: piBO (Hvarfner et al. 2022,
//!   "piBO: Augmenting acquisition functions with user beliefs for Bayesian optimization", arXiv:2204.11051). For TPE,
//!   whose acquisition function is l / g, some candidates are drawn from the belief too, a share that falls likewise.
//!
//! A wrong belief is forgotten: its power falls with n, and because of the doubt no value is ever less than a twentieth as
//! likely as without it.

use indexmap::IndexMap;
use luthier_core::{Distribution, Params, Rng, Space, View};

use super::observation::observations;
use super::tpe::TruncatedNormal;

/// The share of the uniform distribution in a belief.
const DOUBT: f64 = 0.05;

/// The exponent of the belief after one trial, as in the paper for some hundred trials.
const BETA: f64 = 10.0;

/// The belief about one parameter.
enum Kernel {
    Normal {
        density: TruncatedNormal,
        mu: f64,
        sigma: f64,
    },
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
            Self::Normal { density, .. } => libm::exp(density.log_density(unit)),
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
    /// BETA / n.
    pub(super) weight: f64,
}

impl<'a> Belief<'a> {
    /// The belief about a space with a history; nothing where no parameter has a prior.
    pub(super) fn of(view: &View<'_>, space: &'a Space) -> Option<Self> {
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
                let density = TruncatedNormal::new(mu, sigma);
                kernels.insert(parameter.name.as_str(), Kernel::Normal { density, mu, sigma });
            }
        }
        if kernels.is_empty() {
            return None;
        }
        let ended = observations(view).filter(|seen| !seen.running).count();
        Some(Self { space, kernels, weight: BETA / ended.max(1) as f64 })
    }

    /// The share of candidates that are drawn from the belief.
    pub(super) fn share(&self) -> f64 {
        0.5 * self.weight / (1.0 + self.weight)
    }

    /// A draw from the belief, without the doubt.
    pub(super) fn draw(&self, rng: &mut Rng) -> Params {
        self.space.build(|parameter, _| {
            let unit = match self.kernels.get(parameter.name.as_str()) {
                None => rng.uniform(),
                Some(Kernel::Normal { density, .. }) => density.sample(rng),
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

    /// What is added to the logarithm of an acquisition function: BETA / n times log pi.
    pub(super) fn favour(&self, params: &Params) -> f64 {
        let each = self.kernels.iter().filter_map(|(name, kernel)| {
            let range = &self.space.get(name)?.distribution;
            let unit = range.to_unit(params.get(*name)?)?;
            Some(self.weight * kernel.log_density(unit))
        });
        each.sum()
    }

    /// The part of the favour that a coordinate on a scale has, and its derivative.
    pub(super) fn slope(&self, name: &str, unit: f64) -> (f64, f64) {
        let Some(Kernel::Normal { density, mu, sigma }) = self.kernels.get(name) else { return (0.0, 0.0) };
        let p = (1.0 - DOUBT) * libm::exp(density.log_density(unit));
        // The derivative of log(p + DOUBT).
        let slope = -p * (unit - mu) / (sigma * sigma) / (p + DOUBT);
        (self.weight * libm::log(p + DOUBT), self.weight * slope)
    }
}

/// The configuration of a trial at the start that is the belief's; nothing where it is not its turn, or there is none.
pub(super) fn opening(view: &View<'_>, space: &Space, rng: &mut Rng) -> Option<Params> {
    let belief = Belief::of(view, space)?;
    match rng.position() {
        0 => Some(belief.centre(rng)),
        n if n.is_multiple_of(2) => Some(belief.draw(rng)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
