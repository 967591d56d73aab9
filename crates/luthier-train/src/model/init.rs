//! Initial weights.

use luthier_core::Rng;

use super::weights::Layout;

luthier_core::kinds! {
    /// How initial weights are drawn.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Init ("an initialisation") {
        /// PyTorch's default for each layer.
        "pytorch" => PyTorch,
    }
}

/// Where the values of one tensor come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fill {
    /// Even on `[-bound, bound)`.
    Uniform(f64),
    /// One value.
    Constant(f32),
}

impl Fill {
    /// The values of a tensor of these dimensions.
    pub(super) fn values(self, dims: &[usize], _layout: Layout, rng: &mut Rng) -> Vec<f32> {
        let count: usize = dims.iter().product();
        match self {
            Self::Uniform(bound) => {
                (0..count).map(|_| ((2.0 * rng.uniform() - 1.0) * bound) as f32).collect()
            }
            Self::Constant(value) => vec![value; count],
        }
    }
}
