//! What the optimizers share: the shape of a rule and what it remembers of a tensor.

use burn::tensor::Tensor;

use super::parameter::Parameter;

/// A rule that changes each tensor by itself. It is written for flat tensors, so one text serves vectors,
/// matrices and filters.
///
/// Weight decay is not its business: [`Optimizer`](super::Optimizer) adds the coupled form to the gradient
/// and shrinks the weights by the decoupled one before it asks the rule.
pub(super) trait Rule {
    /// The tensors it keeps for a parameter, in the order in which [`Memory`] holds them.
    fn slots(&self, place: &Place) -> Vec<Slot>;

    /// A factor on the learning rate of a parameter.
    fn rate_factor(&self, _: &Place) -> f64 {
        1.0
    }

    /// The weights after a step along `gradient`.
    fn step(&self, now: &Now<'_>, memory: &mut Memory, weights: Tensor<1>, gradient: Tensor<1>) -> Tensor<1>;
}

/// A tensor that a rule keeps for each parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Its name in a checkpoint.
    pub name: &'static str,
    /// What it is filled with before the first step.
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
    /// The steps of this parameter, this one included: 1 in the first.
    pub time: u64,
    /// Which parameter it is.
    pub place: &'a Place,
}

/// What a rule keeps for one parameter.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// Steps that are done.
    pub time: u64,
    /// A running product that begins with 1 (`NAdam`).
    pub product: f64,
    /// The tensors, one for each slot.
    pub tensors: Vec<Tensor<1>>,
}

impl Memory {
    /// Before the first step, for a tensor such as `weights`.
    pub(super) fn new(slots: &[Slot], weights: &Tensor<1>) -> Self {
        let tensors = slots.iter().map(|slot| weights.full_like(slot.initial)).collect();
        Self { time: 0, product: 1.0, tensors }
    }

    /// Moves the tensor at `slot` towards `target` by `share`, as an exponential moving average does, and
    /// gives it: `x ← x + share (target - x)`.
    pub(super) fn follow(&mut self, slot: usize, target: Tensor<1>, share: f64) -> Tensor<1> {
        let old = self.tensors[slot].clone();
        // In this form the two weights add up to 1 in single precision as well, which β x + (1 - β) y
        // misses by as much as a part in 30,000 of (1 - β).
        let new = (target - old.clone()).mul_scalar(share) + old;
        self.tensors[slot] = new.clone();
        new
    }
}
