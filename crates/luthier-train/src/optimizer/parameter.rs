//! What an optimizer knows of each tensor of a network.

use crate::model::Network;

/// A tensor of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Its name in a PyTorch state dict.
    pub name: String,
    /// Its shape here. Matrices are `[inputs, outputs]`, the transpose of PyTorch's.
    pub shape: Vec<usize>,
    /// What it is.
    pub role: Role,
    /// The stage that it belongs to.
    pub stage: usize,
    /// Whether it is a matrix that PyTorch keeps as `[out, in]`, and that is `[in, out]` here.
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

/// A tensor of two or more dimensions as a matrix: one row or column for each unit that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Matrix {
    /// Units, or filters.
    pub outputs: usize,
    /// Weights that lead to each of them.
    pub inputs: usize,
    /// Whether it is kept as `[inputs, outputs]`; else as `[outputs, inputs]`.
    pub transposed: bool,
}

impl Parameter {
    /// The number of its values.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// It as a matrix, if it has two or more dimensions.
    pub(crate) fn matrix(&self) -> Option<Matrix> {
        match self.shape[..] {
            [inputs, outputs] if self.transposed => Some(Matrix { outputs, inputs, transposed: true }),
            [outputs, ref rest @ ..] if !rest.is_empty() => {
                Some(Matrix { outputs, inputs: rest.iter().product(), transposed: false })
            }
            _ => None,
        }
    }

    /// Whether it multiplies what flows through the network: matrices, filters and embeddings, but no
    /// biases and no scales.
    pub(crate) fn is_weight(&self) -> bool {
        matches!(self.role, Role::Weight | Role::Embedding)
    }
}

/// The tensors of a network, in the order in which they are visited.
pub(crate) fn parameters(network: &Network) -> Vec<Parameter> {
    let parameter = |mut weights: crate::model::Weights| {
        let weight = weights.name.ends_with("weight");
        let transposed = weight && weights.shape.len() == 2;
        if transposed {
            weights.shape.reverse();
        }
        Parameter {
            role: if weight { Role::Weight } else { Role::Bias },
            stage: weights.name.split('.').next().and_then(|stage| stage.parse().ok()).unwrap_or(0),
            transposed,
            name: weights.name,
            shape: weights.shape,
        }
    };
    network.weights().into_iter().map(parameter).collect()
}
