//! What an optimizer knows of each tensor of a network.

use crate::model::Network;

/// A tensor of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Its name in a PyTorch state dict.
    pub name: String,
    /// Its shape in PyTorch's layout.
    pub shape: Vec<usize>,
    /// What it is.
    pub role: Role,
    /// The stage that it belongs to.
    pub stage: usize,
    /// Whether it is a matrix that is kept as `[in, out]` here, where PyTorch has `[out, in]`. `shape`
    /// is PyTorch's; the values are in the order of the matrix that is kept.
    pub transposed: bool,
}

/// What a tensor of a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A matrix or filters.
    Weight,
    /// Biases.
    Bias,
    /// Scale or shift of a normalisation.
    #[allow(dead_code, reason = "the first networks have none")]
    Norm,
    /// A table of vectors.
    #[allow(dead_code, reason = "the first networks have none")]
    Embedding,
    /// Running statistics, which are not trained.
    #[allow(dead_code, reason = "the first networks have none")]
    Running,
}

impl Parameter {
    /// The number of its values.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it multiplies what flows through the network: matrices, filters and embeddings, but no
    /// biases and no scales.
    pub(crate) fn is_weight(&self) -> bool {
        matches!(self.role, Role::Weight | Role::Embedding)
    }
}

/// The tensors of a network, in the order in which they are visited.
pub(crate) fn parameters(network: &Network) -> Vec<Parameter> {
    let parameter = |weights: crate::model::Weights| {
        let weight = weights.name.ends_with("weight");
        Parameter {
            role: if weight { Role::Weight } else { Role::Bias },
            stage: weights.name.split('.').next().and_then(|stage| stage.parse().ok()).unwrap_or(0),
            transposed: weight && weights.shape.len() == 2,
            name: weights.name,
            shape: weights.shape,
        }
    };
    network.weights().into_iter().map(parameter).collect()
}
