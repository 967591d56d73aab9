//! Penalties on the size of weights: L1, L2 and both (elastic net, Zou and Hastie 2005).
//!
//! ```text
//! penalty  = s (l1 Σ|w| + l2 Σ w²)
//! gradient = s (l1 sign(w) + 2 l2 w)          sign(0) = 0
//! ```
//!
//! as the regularizers of Keras have it, with a strength s that a schedule, `start` and `react` change. Under
//! plain gradient descent `l2` acts as a coupled weight decay of `2 l2`. Optimizers that scale gradients, such as
//! Adam, scale the penalty's with them, which a decoupled weight decay avoids.

mod max_norm;
mod pattern;

use burn::tensor::Tensor;
use luthier_core::config::{Bound, Decode, Kind, Node, Problem, Problems, bounds};
use serde::{Deserialize, Serialize};

use crate::optimizer::gradients::sums;
use crate::optimizer::parameter::{Parameter, Role};

pub(crate) use max_norm::MaxNorm;
pub use pattern::Patterns;

luthier_core::settings! {
    /// A penalty on the weights of some layers, or of all of them.
    #[derive(Debug, Clone, PartialEq)]
    pub struct PenaltyConfig {
        /// Strength of L1, the sum of sizes: it makes weights exactly small; 1e-7 to 1e-3.
        l1: Option<f64> = None, bounds::NOT_NEGATIVE;
        /// Strength of L2, the sum of squares: it keeps weights from growing; 1e-7 to 1e-2.
        l2: Option<f64> = None, bounds::NOT_NEGATIVE;
        /// The layers or parameters that it applies to, by names with `*` and `?`, such as "features.*" or
        /// ["0", "3.weight"]: of those the weights, or whatever they are if there is no weight among them. The
        /// weights of all layers if left out.
        layers: Option<Patterns> = None;
        /// "given" takes l1 and l2 as they are; "auto" divides them by the number of weights that they apply to,
        /// so that they are strengths on the mean of |w| and of w² and fit a model of any size. With "auto"
        /// l1 and l2 may both be left out, which is `l2 = 1`.
        start: Start = Start::Given;
        /// Make the penalty stronger where the validation loss is worse than the training loss.
        react: Option<React> = None;
    } check Self::check
}

luthier_core::kinds! {
    /// What the strengths of a penalty are to begin with.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Start ("\"given\" or \"auto\"") {
        /// Those that are written down.
        "given" => Given,
        /// Those that are written down, divided by the number of weights.
        "auto" => Auto,
    }
}

luthier_core::settings! {
    /// A strength that follows the gap between validation and training loss, `val_loss - train_loss`.
    ///
    /// After each validation a gap above `gap` multiplies the strength by `factor`, and a gap below half of
    /// `gap` divides it, within `min` and `max` times where it began.
    #[derive(Debug, Clone, PartialEq)]
    pub struct React {
        /// The gap that is still good, in the unit of the loss; 0.01 to 0.5 for cross-entropy.
        gap: f64 = 0.05, bounds::POSITIVE;
        /// What the strength is multiplied or divided by; 1.1 to 3.
        factor: f64 = 1.5, ABOVE_ONE;
        /// The least that the strength may be, as a share of where it began.
        min: f64 = 0.1, bounds::POSITIVE;
        /// The most that the strength may be, as a multiple of where it began.
        max: f64 = 100.0, bounds::POSITIVE;
    } check Self::check
}

const ABOVE_ONE: Bound<f64> = Bound { expected: "a number above 1", holds: |x| *x > 1.0 };

impl React {
    fn check(&self, node: &Node, path: &str, problems: &mut Problems) {
        if self.min > 1.0 || self.max < 1.0 {
            let found = format!("min {} and max {}", self.min, self.max);
            problems.add(node.line, path, "a min of 1 or less and a max of 1 or more", found);
        }
    }
}

impl PenaltyConfig {
    fn check(&self, node: &Node, path: &str, problems: &mut Problems) {
        if self.l1.is_none() && self.l2.is_none() && self.start == Start::Given {
            problems.push(Problem {
                line: (node.line > 0).then_some(node.line),
                path: path.to_owned(),
                expected: "a strength: `l1`, `l2` or both".to_owned(),
                found: "neither".to_owned(),
                help: Some("write `l2 = 1e-4`, or `start = \"auto\"`".to_owned()),
            });
        }
    }
}

/// The key `regularize`: one penalty or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Regularize(pub Vec<PenaltyConfig>);

impl Decode for Regularize {
    const EXPECTED: &'static str = "a penalty such as { l2 = 1e-4 }, or a list of them";

    fn schema() -> luthier_core::config::Schema {
        luthier_core::config::Schema::words(Self::EXPECTED, vec![PenaltyConfig::schema()])
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Array(_) => Vec::decode(node, path, problems).map(Self),
            Kind::Table(_) => PenaltyConfig::decode(node, path, problems).map(|one| Self(vec![one])),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

/// The penalties of a network at work.
#[derive(Debug, Clone)]
pub(crate) struct Penalties {
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
struct Term {
    l1: f64,
    l2: f64,
    /// The parameters that it applies to.
    indices: Vec<usize>,
    react: Option<React>,
    /// What the reaction has made of the strength; 1 to begin with.
    factor: f64,
}

/// What the penalties have come to: the factor on the strength of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PenaltyState {
    /// In the order of the study file.
    pub factors: Vec<f64>,
}

impl Penalties {
    /// The penalties of a network with these parameters.
    ///
    /// # Errors
    ///
    /// The pattern that no parameter answers to, and what there is.
    pub(crate) fn new(config: &Regularize, parameters: &[Parameter]) -> Result<Self, String> {
        let terms = config.0.iter().map(|config| Term::new(config, parameters));
        Ok(Self { terms: terms.collect::<Result<_, _>>()? })
    }

    /// Adds the gradient of the penalty. `strength` is the factor of a schedule, 1 if there is none. What has no
    /// gradient, because it is frozen, gets none.
    pub(crate) fn add_gradient(
        &self,
        strength: f64,
        weights: &[Tensor<1>],
        gradients: &mut [Option<Tensor<1>>],
    ) {
        for term in &self.terms {
            let (l1, l2) = term.strengths(strength);
            for index in &term.indices {
                let Some(gradient) = &mut gradients[*index] else { continue };
                let weights = &weights[*index];
                if l1 != 0.0 {
                    *gradient = weights.clone().sign().mul_scalar(l1) + gradient.clone();
                }
                if l2 != 0.0 {
                    *gradient = weights.clone().mul_scalar(2.0 * l2) + gradient.clone();
                }
            }
        }
    }

    /// [`Penalties::add_gradient`] with weights and gradients on the host; an empty gradient is none.
    pub(crate) fn add_gradient_on_host(
        &self,
        strength: f64,
        weights: &[Vec<f32>],
        gradients: &mut [Vec<f32>],
    ) {
        for term in &self.terms {
            let (l1, l2) = term.strengths(strength);
            for index in &term.indices {
                for (gradient, weight) in gradients[*index].iter_mut().zip(&weights[*index]) {
                    if l1 != 0.0 && *weight != 0.0 {
                        *gradient += weight.signum() * l1 as f32;
                    }
                    *gradient += weight * (2.0 * l2) as f32;
                }
            }
        }
    }

    /// [`Penalties::value`] of weights on the host.
    pub(crate) fn value_on_host(&self, strength: f64, weights: &[Vec<f32>]) -> f64 {
        let of = |term: &Term| {
            let (l1, l2) = term.strengths(strength);
            let weights = term.indices.iter().flat_map(|index| &weights[*index]);
            let sums = weights.fold((0.0, 0.0), |(sizes, squares), weight| {
                let weight = f64::from(*weight);
                (sizes + weight.abs(), squares + weight * weight)
            });
            l1 * sums.0 + l2 * sums.1
        };
        self.terms.iter().map(of).sum()
    }

    /// The penalty itself, to be shown beside the loss.
    pub(crate) fn value(&self, strength: f64, weights: &[Tensor<1>]) -> f64 {
        let (mut factors, mut summands) = (Vec::new(), Vec::new());
        for term in &self.terms {
            let (l1, l2) = term.strengths(strength);
            for index in &term.indices {
                factors.extend([l1, l2]);
                summands.extend([weights[*index].clone().abs(), weights[*index].clone().square()]);
            }
        }
        factors.iter().zip(sums(summands)).map(|(factor, sum)| factor * sum).sum()
    }

    /// Reacts to a validation. Both losses are without penalties.
    pub(crate) fn observe(&mut self, train_loss: f64, val_loss: f64) {
        let gap = val_loss - train_loss;
        for term in &mut self.terms {
            let Some(react) = &term.react else { continue };
            if gap > react.gap {
                term.factor = (term.factor * react.factor).min(react.max);
            } else if gap < react.gap / 2.0 {
                term.factor = (term.factor / react.factor).max(react.min);
            }
        }
    }

    /// What the reactions have come to.
    pub(crate) fn state(&self) -> PenaltyState {
        PenaltyState { factors: self.terms.iter().map(|term| term.factor).collect() }
    }

    /// Takes up what [`Penalties::state`] gave.
    ///
    /// # Errors
    ///
    /// If it is of another number of penalties, or holds what is no strength.
    pub(crate) fn restore(&mut self, state: &PenaltyState) -> Result<(), String> {
        let (found, expected) = (state.factors.len(), self.terms.len());
        if found != expected {
            return Err(format!("the state is of {found} penalties, expected {expected}"));
        }
        if let Some(wrong) = state.factors.iter().find(|factor| !factor.is_finite() || **factor <= 0.0) {
            return Err(format!("the strength of a penalty is {wrong}, expected a number above 0"));
        }
        for (term, factor) in self.terms.iter_mut().zip(&state.factors) {
            term.factor = *factor;
        }
        Ok(())
    }
}

impl Term {
    fn new(config: &PenaltyConfig, parameters: &[Parameter]) -> Result<Self, String> {
        let trained = parameters.iter().enumerate().filter(|(_, parameter)| parameter.role != Role::Running);
        let named: Vec<(usize, &Parameter)> = match &config.layers {
            None => trained.filter(|(_, parameter)| parameter.is_weight()).collect(),
            Some(patterns) => trained.filter(|(_, parameter)| patterns.matches(&parameter.name)).collect(),
        };
        if let (Some(patterns), true) = (&config.layers, named.is_empty()) {
            let names: Vec<&str> = parameters.iter().map(|parameter| &*parameter.name).collect();
            return Err(format!(
                "regularize: no layer answers to {patterns}; the parameters are {}",
                names.join(", ")
            ));
        }
        let weights: Vec<_> = named.iter().copied().filter(|(_, parameter)| parameter.is_weight()).collect();
        let chosen = if weights.is_empty() { named } else { weights };
        let count: usize = chosen.iter().map(|(_, parameter)| parameter.len()).sum();
        let (l1, l2, divisor) = match (config.start, config.l1, config.l2) {
            (Start::Auto, None, None) => (0.0, 1.0, count.max(1) as f64),
            (Start::Auto, l1, l2) => (l1.unwrap_or(0.0), l2.unwrap_or(0.0), count.max(1) as f64),
            (Start::Given, l1, l2) => (l1.unwrap_or(0.0), l2.unwrap_or(0.0), 1.0),
        };
        Ok(Self {
            l1: l1 / divisor,
            l2: l2 / divisor,
            indices: chosen.into_iter().map(|(index, _)| index).collect(),
            react: config.react.clone(),
            factor: 1.0,
        })
    }

    /// The strengths of L1 and L2 now.
    fn strengths(&self, schedule: f64) -> (f64, f64) {
        let factor = schedule * self.factor;
        (self.l1 * factor, self.l2 * factor)
    }
}

#[cfg(test)]
mod tests;
