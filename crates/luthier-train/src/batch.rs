//! What a step trains on.

/// Encoded examples with their targets, on the host.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Batch {
    /// The inputs, example after example, each as many numbers as its shape holds, row-major.
    pub inputs: Vec<f32>,
    /// One an example: the position of its class, or the (standardised) number.
    pub targets: Vec<f32>,
    /// The second targets, where pairs of examples were mixed.
    pub mixed: Option<Mixed>,
}

/// The second targets of examples that were mixed in pairs: the loss of an example is
/// `share * loss(targets) + (1 - share) * loss(mixed targets)` (Zhang et al. 2018).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mixed {
    /// The target of each example's partner.
    pub targets: Vec<f32>,
    /// The weight of each example's own target, from 0 to 1.
    pub share: Vec<f32>,
}

impl Batch {
    /// Examples as they are, none mixed.
    pub(crate) fn new(inputs: Vec<f32>, targets: Vec<f32>) -> Self {
        Self { inputs, targets, mixed: None }
    }

    /// The number of examples.
    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }
}
