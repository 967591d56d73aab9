//! Initial weights.
//!
//! A matrix is taken as PyTorch has it: rows are outputs and columns inputs, of a filter all that it
//! sees at one place. `fan_in` is the number of columns, `fan_out` that of rows times the places of a
//! filter. The gates of a recurrent layer, and queries, keys and values of attention, are matrices of
//! their own. With every kind but "pytorch", biases are 0.

use luthier_core::Rng;
use luthier_core::config::bounds;

use super::weights::{Layout, transposed};

luthier_core::kinds! {
    /// How initial weights are drawn.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Init ("an initialisation") {
        /// PyTorch's default for each layer.
        "pytorch" => PyTorch,
        /// Even on ±gain √(6 / (fan_in + fan_out)) (Glorot and Bengio 2010): for tanh and sigmoid.
        "glorot_uniform" => GlorotUniform(Glorot),
        /// Normal with the standard deviation gain √(2 / (fan_in + fan_out)) (Glorot and Bengio 2010).
        "glorot_normal" => GlorotNormal(Glorot),
        /// Even on ±gain √(3 / fan_in) (He et al. 2015): for ReLU and its kin.
        "he_uniform" => HeUniform(He),
        /// Normal with the standard deviation gain / √fan_in (He et al. 2015).
        "he_normal" => HeNormal(He),
        /// Rows or columns, whichever are fewer, are orthogonal and of length gain (Saxe et al. 2014):
        /// for recurrent and very deep networks.
        "orthogonal" => Orthogonal(Orthogonal),
        /// Normal, drawn again where it is beyond two standard deviations: usual for attention.
        "truncated_normal" => TruncatedNormal(TruncatedNormal),
        /// All 0. Layers whose units are to differ cannot learn from it.
        "zeros" => Zeros,
    }
}

luthier_core::settings! {
    /// Settings of Glorot's initialisation.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Glorot {
        /// A factor on all weights; 5/3 is usual before tanh.
        gain: f64 = 1.0, bounds::POSITIVE;
    }
}

luthier_core::settings! {
    /// Settings of He's initialisation.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct He {
        /// A factor on all weights: √2 before ReLU, 1 where no activation follows.
        gain: f64 = std::f64::consts::SQRT_2, bounds::POSITIVE;
    }
}

luthier_core::settings! {
    /// Settings of orthogonal initialisation.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Orthogonal {
        /// The length of the orthogonal rows or columns.
        gain: f64 = 1.0, bounds::POSITIVE;
    }
}

luthier_core::settings! {
    /// Settings of the truncated normal distribution.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct TruncatedNormal {
        /// Standard deviation of the normal distribution before it is cut.
        std: f64 = 0.02, bounds::POSITIVE;
    }
}

/// Where the values of one tensor come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fill {
    /// Even on `[-bound, bound)`.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// One value.
    Constant(f32),
    /// These, in the order of PyTorch's tensor.
    Given(Vec<f32>),
    /// As the settings say, for a tensor of so many matrices below each other.
    Scheme(Init, usize),
    /// As the other, the first row 0: that of padding.
    Padded(Box<Fill>),
}

impl Fill {
    /// The values of a tensor of these dimensions, in the order in which it is kept here.
    pub(super) fn values(self, dims: &[usize], layout: Layout, rng: &mut Rng) -> Vec<f32> {
        let count: usize = dims.iter().product();
        match self {
            Self::Uniform(bound) => even(count, bound, rng),
            Self::Normal(std) => (0..count).map(|_| (rng.normal() * std) as f32).collect(),
            Self::Constant(value) => vec![value; count],
            Self::Given(values) => match (layout, dims) {
                (Layout::Transposed, &[rows, columns]) => transposed(&values, columns, rows),
                _ => values,
            },
            Self::Scheme(init, blocks) => init.values(&layout.shape(dims), blocks, layout, rng),
            Self::Padded(fill) => {
                let mut values = fill.values(dims, layout, rng);
                values[..dims.last().copied().unwrap_or(0)].fill(0.0);
                values
            }
        }
    }
}

impl Init {
    /// The values of a tensor that PyTorch has in this shape, in the order in which it is kept here.
    fn values(self, shape: &[usize], blocks: usize, layout: Layout, rng: &mut Rng) -> Vec<f32> {
        let count: usize = shape.iter().product();
        let rows = shape.first().copied().unwrap_or(1) / blocks;
        let columns: usize = shape.iter().skip(1).product();
        let places: usize = shape.iter().skip(2).product();
        let (fan_in, fan_out) = (columns as f64, (rows * places) as f64);
        let normal = |std: f64, rng: &mut Rng| (0..count).map(|_| (rng.normal() * std) as f32).collect();
        match self {
            Self::PyTorch | Self::Zeros => vec![0.0; count],
            Self::GlorotUniform(Glorot { gain }) => {
                even(count, gain * libm::sqrt(6.0 / (fan_in + fan_out)), rng)
            }
            Self::GlorotNormal(Glorot { gain }) => normal(gain * libm::sqrt(2.0 / (fan_in + fan_out)), rng),
            Self::HeUniform(He { gain }) => even(count, gain * libm::sqrt(3.0 / fan_in), rng),
            Self::HeNormal(He { gain }) => normal(gain / libm::sqrt(fan_in), rng),
            Self::TruncatedNormal(TruncatedNormal { std }) => {
                (0..count).map(|_| (truncated(rng) * std) as f32).collect()
            }
            Self::Orthogonal(Orthogonal { gain }) => {
                let values: Vec<f32> = (0..blocks)
                    .flat_map(|_| orthogonal(rows, columns, rng))
                    .map(|x| (x * gain) as f32)
                    .collect();
                match layout {
                    Layout::Transposed => transposed(&values, rows * blocks, columns),
                    _ => values,
                }
            }
        }
    }
}

fn even(count: usize, bound: f64, rng: &mut Rng) -> Vec<f32> {
    (0..count).map(|_| ((2.0 * rng.uniform() - 1.0) * bound) as f32).collect()
}

/// A standard normal number within two standard deviations.
fn truncated(rng: &mut Rng) -> f64 {
    loop {
        let draw = rng.normal();
        if draw.abs() <= 2.0 {
            return draw;
        }
    }
}

/// A matrix of `rows` by `columns` whose rows (or columns, if they are fewer) are orthonormal, drawn
/// evenly from all such matrices: normal numbers, made orthonormal by the method of Gram and Schmidt.
/// Projecting twice keeps it exact to rounding (Giraud et al. 2005).
fn orthogonal(rows: usize, columns: usize, rng: &mut Rng) -> Vec<f64> {
    let (few, many) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(few);
    while basis.len() < few {
        let mut vector: Vec<f64> = (0..many).map(|_| rng.normal()).collect();
        for _ in 0..2 {
            for other in &basis {
                let share = dot(&vector, other);
                vector.iter_mut().zip(other).for_each(|(x, y)| *x -= share * y);
            }
        }
        let length = libm::sqrt(dot(&vector, &vector));
        // A draw that lies in the span of those before has no direction left; it is drawn again.
        if length > 1e-8 {
            for x in &mut vector {
                *x /= length;
            }
            basis.push(vector);
        }
    }
    if rows <= columns {
        return basis.concat();
    }
    (0..many).flat_map(|row| basis.iter().map(move |column| column[row])).collect()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    // Four sums beside each other, in a fixed order, are faster than one.
    let mut sums = [0.0; 4];
    let (ones, others) = (one.chunks_exact(4), other.chunks_exact(4));
    let rest: f64 = ones.remainder().iter().zip(others.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ones.zip(others) {
        for lane in 0..4 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests;
