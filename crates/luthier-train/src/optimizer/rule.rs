//! What the optimizers share: the shape of a rule and what it remembers of a tensor.

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use burn::tensor::{Device, Tensor};

use super::number::Number;
use super::parameter::Parameter;
use super::parts::{HostPart, HostParts, Walk};
use super::values::Values;
use crate::model::host;

/// A rule that changes each parameter by itself, as a flat list of numbers.
///
/// [`Optimizer`](super::Optimizer) knows two ways to follow it, on the host and on a device; a rule that
/// treats all numbers alike is an [`ElementRule`] and has both from one text.
pub(super) trait Rule: Send + Sync {
    /// What it keeps for a parameter, in the order in which [`Memory`] holds it.
    fn slots(&self, place: &Place) -> Vec<Slot>;

    /// A factor on the learning rate of a parameter.
    fn rate_factor(&self, _: &Place) -> f64 {
        1.0
    }

    /// What [`Memory::product`] is multiplied with at the step of this time.
    fn product(&self, _time: u64) -> f64 {
        1.0
    }

    /// The weights after a step along `gradient`.
    fn on_device(
        &self,
        now: &Now<'_>,
        memory: &mut [Tensor<1>],
        weights: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Tensor<1>;

    /// Takes a step of all parameters, weight decay included.
    fn on_host(&self, parts: HostParts<'_>);

    /// [`Rule::on_host`] of one parameter by [`Rule::on_device`].
    fn by_tensors(&self, part: HostPart<'_>) {
        let HostPart { now, memory, weights, gradient } = part;
        let device = Device::flex();
        let tensor = |values: &[f32]| Tensor::from_data(values, &device);
        let (old, gradient) = now.decay.apply(tensor(weights), tensor(gradient));
        let new = self.on_device(&now, memory.on_device(&device), old, gradient);
        weights.copy_from_slice(&host(new));
    }
}

/// A rule that treats all numbers of a tensor alike.
pub(super) trait ElementRule: Send + Sync {
    /// The numbers of a step that are the same for all weights.
    type Step: Copy + Send + Sync;

    /// What it keeps for each weight: at most three numbers.
    fn slots(&self) -> Vec<Slot>;

    /// As [`Rule::product`].
    fn product(&self, _time: u64) -> f64 {
        1.0
    }

    /// What the step at `now` has in common for all weights, wherever they are.
    fn prepare(&self, now: &Now<'_>) -> Self::Step;

    /// The weight after a step along `gradient`. Mark it `#[inline(always)]`.
    fn element<N: Number>(step: &Self::Step, slots: &mut [N], weight: N, gradient: N) -> N;
}

impl<R: ElementRule> Rule for R {
    fn slots(&self, _: &Place) -> Vec<Slot> {
        ElementRule::slots(self)
    }

    fn product(&self, time: u64) -> f64 {
        ElementRule::product(self, time)
    }

    fn on_device(
        &self,
        now: &Now<'_>,
        memory: &mut [Tensor<1>],
        weights: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Tensor<1> {
        R::element(&self.prepare(now), memory, weights, gradient)
    }

    fn on_host(&self, parts: HostParts<'_>) {
        let mut walk = Walk::new(self);
        parts.each(self, |part| walk.step(part));
    }
}

/// Weight decay of a parameter in a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Decay {
    None,
    /// `gradient + λ weights`
    Coupled(f64),
    /// `weights - γ λ weights`, with γ λ here.
    Decoupled(f64),
}

impl Decay {
    /// Weights and gradient with the decay in the one or the other.
    #[inline(always)]
    pub(super) fn apply<N: Number>(self, weights: N, gradient: N) -> (N, N) {
        match self {
            Self::None => (weights, gradient),
            Self::Coupled(decay) => (weights.clone(), weights.times(decay) + gradient),
            // 1 - γ λ itself would be rounded by as much as a part in 300 of γ λ = 1e-5.
            Self::Decoupled(share) => (weights.clone() - weights.times(share), gradient),
        }
    }
}

/// `base` to a whole power, by squaring: far quicker than the power to any number.
pub(super) fn power(base: f64, exponent: u64) -> f64 {
    let [result] = powers([base], exponent);
    result
}

/// [`power`] of several numbers, in about the time of one.
pub(super) fn powers<const N: usize>(bases: [f64; N], exponent: u64) -> [f64; N] {
    let (mut results, mut squares, mut rest) = ([1.0; N], bases, exponent);
    while rest > 0 {
        for (result, square) in results.iter_mut().zip(&mut squares) {
            // By selection, as nobody can foresee a branch.
            *result *= if rest & 1 == 1 { *square } else { 1.0 };
            *square *= *square;
        }
        rest >>= 1;
    }
    results
}

/// A number that a rule keeps for each weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Its name in a checkpoint.
    pub name: &'static str,
    /// What it is before the first step.
    pub initial: f64,
}

impl Slot {
    /// A slot that begins with zeros.
    pub(super) const fn zeros(name: &'static str) -> Self {
        Self { name, initial: 0.0 }
    }
}

/// A parameter and its place in the network.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub parameter: Parameter,
    /// Whether it belongs to the last stage, which gives the outputs.
    pub output: bool,
}

/// What a rule is told of the step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    /// The learning rate of this parameter in this step.
    pub rate: f64,
    /// Its weight decay.
    pub decay: Decay,
    /// The steps of this parameter, this one included: 1 in the first.
    pub time: u64,
    /// The product of [`Rule::product`] over its steps, this one included.
    pub product: f64,
    /// Which parameter it is.
    pub place: &'a Place,
}

impl<'a> Now<'a> {
    /// What `rule` is told of the step of a parameter, whose time has been counted up.
    #[inline]
    pub(super) fn of(
        rule: &(impl Rule + ?Sized),
        learning_rate: f64,
        (decay, decoupled): (f64, bool),
        memory: &mut Memory,
        place: &'a Place,
    ) -> Self {
        let rate = learning_rate * rule.rate_factor(place);
        memory.product *= rule.product(memory.time);
        let decay = match decoupled {
            _ if decay == 0.0 => Decay::None,
            true => Decay::Decoupled(rate * decay),
            false => Decay::Coupled(decay),
        };
        Now { rate, decay, time: memory.time, product: memory.product, place }
    }

    /// Whether rate and time are the same.
    pub(super) fn is_like(&self, other: &Now<'_>) -> bool {
        let name = |now: &Now<'_>| (now.rate.to_bits(), now.product.to_bits(), now.time);
        name(self) == name(other)
    }
}

/// What a rule keeps for one parameter.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// Steps that are done.
    pub time: u64,
    /// A running product that begins with 1 (`NAdam`).
    pub product: f64,
    /// The values, one list for each slot.
    pub slots: Values,
}

impl Memory {
    /// Before the first step, for a parameter with so many weights.
    pub(super) fn new(slots: &[Slot], count: usize) -> Self {
        let values = slots.iter().map(|slot| vec![slot.initial as f32; count]).collect();
        Self { time: 0, product: 1.0, slots: Values::Host(values) }
    }
}
