//! What an optimizer knows of each tensor of a model.

pub(crate) use crate::model::{Layout, Parameter, Role};

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
            [inputs, outputs] if self.layout == Layout::Transposed => {
                Some(Matrix { outputs, inputs, transposed: true })
            }
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
