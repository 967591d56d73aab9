//! The Parzen estimator: a density over a conditional space, built of one kernel for each observation.
//!
//! Symbols: x is a configuration, `x_j` its coordinate on axis j in `[0, 1]`. The density is
//! `p(x) = sum_i w_i prod_j k_ij(x_j)`, relative to the uniform distribution on the space: the prior kernel,
//! and the factor of a parameter that an observation lacks, are 1, and parameters that x lacks drop out.
//!
//! The product over all axes under one sum (Falkner, Klein and Hutter 2018, "BOHB", section 3.2) is what
//! sees that two parameters belong together.

use luthier_core::{Distribution, Params, Rng, Space};

use super::normal::TruncatedNormal;

/// The shape of a parameter's range on the unit interval.
#[derive(Debug, Clone, Copy)]
pub(in crate::sampler) enum Axis {
    Continuous,
    /// This many cells of equal width.
    Cells(f64),
    /// Whole numbers on a logarithmic scale: log of the lower end of the first cell, and the whole width.
    LogCells {
        first: f64,
        width: f64,
    },
    /// This many options without an order, each a cell.
    Options(f64),
}

impl Axis {
    pub(in crate::sampler) fn of(distribution: &Distribution) -> Self {
        match distribution {
            Distribution::Choice { options } => Self::Options(options.len() as f64),
            Distribution::Int { low, high, log: true, .. } => {
                let first = libm::log(*low as f64 - 0.5);
                Self::LogCells { first, width: libm::log(*high as f64 + 0.5) - first }
            }
            range => range.cardinality().map_or(Self::Continuous, |cells| Self::Cells(cells as f64)),
        }
    }

    /// The cell around `unit`, empty on a continuous axis.
    pub(in crate::sampler) fn cell(self, unit: f64) -> (f64, f64) {
        match self {
            Self::Continuous => (unit, unit),
            Self::Cells(n) | Self::Options(n) => {
                let index = (unit * n).floor().min(n - 1.0);
                (index / n, (index + 1.0) / n)
            }
            Self::LogCells { first, width } => {
                let value = libm::exp(first + unit * width).round();
                let edge = |x: f64| ((libm::log(x) - first) / width).clamp(0.0, 1.0);
                (edge(value - 0.5), edge(value + 0.5))
            }
        }
    }
}

/// A coordinate of a configuration, with the cell that it stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coordinate {
    unit: f64,
    low: f64,
    high: f64,
}

/// A configuration on the unit cube: one entry for each parameter of the space, `None` where it is inactive or
/// its value lies outside today's range.
pub(super) type Point = Vec<Option<Coordinate>>;

/// A space with the shape of each axis.
pub(super) struct Cube<'a> {
    space: &'a Space,
    axes: Vec<Axis>,
}

impl<'a> Cube<'a> {
    pub(super) fn new(space: &'a Space) -> Self {
        Self { space, axes: space.iter().map(|parameter| Axis::of(&parameter.distribution)).collect() }
    }

    /// Where `params` stands.
    pub(super) fn point(&self, params: &Params) -> Point {
        self.space
            .iter()
            .zip(&self.axes)
            .map(|(parameter, axis)| {
                let value = params.get(&parameter.name)?;
                let unit = parameter.distribution.to_unit(value)?;
                let (low, high) = axis.cell(unit);
                Some(Coordinate { unit, low, high })
            })
            .collect()
    }

    /// How far apart two points are: the sum over the axes of the squared distance, each axis a ring.
    ///
    /// On a ring no place is special, so points that keep apart do not gather at the borders. Two options are
    /// as far apart as can be; so is a parameter that only one of the two has.
    pub(super) fn distance(&self, a: &Point, b: &Point) -> f64 {
        let squares = self.axes.iter().zip(a.iter().zip(b)).map(|(axis, pair)| match (axis, pair) {
            (_, (None, None)) => 0.0,
            (Axis::Options(_), (Some(a), Some(b))) if a.low == b.low => 0.0,
            (Axis::Options(_), _) | (_, (Some(_), None) | (None, Some(_))) => 0.25,
            (_, (Some(a), Some(b))) => {
                let apart = (a.unit - b.unit).abs();
                apart.min(1.0 - apart) * apart.min(1.0 - apart)
            }
        });
        squares.sum()
    }
}

/// One factor of a kernel.
#[derive(Debug, Clone, Copy)]
enum Factor {
    /// The uniform distribution.
    Prior,
    Normal(TruncatedNormal),
    /// Log of the density at the option whose cell begins at `low`, and at any other.
    Option {
        low: f64,
        same: f64,
        other: f64,
    },
}

impl Factor {
    fn log_density(&self, at: &Coordinate) -> f64 {
        match self {
            Self::Prior => 0.0,
            Self::Normal(normal) if at.low < at.high => normal.log_cell(at.low, at.high),
            Self::Normal(normal) => normal.log_density(at.unit),
            Self::Option { low, same, other } => {
                if *low == at.low {
                    *same
                } else {
                    *other
                }
            }
        }
    }
}

/// How wide the normal kernels are, with n observations of a parameter and d parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bandwidth {
    /// 0.12 n^(-1 / (d + 4)), wherever the observations lie.
    Fixed,
    /// Half of Scott's rule (1992), s n^(-1 / (d + 4)), where s is the deviation of the observations.
    Scott,
}

impl Bandwidth {
    /// The widths of the kernels over `units`; `d` is the number of parameters.
    fn sigma(self, units: &[f64], d: usize) -> f64 {
        let n = units.len() as f64;
        let shrink = libm::pow(n, -1.0 / (d as f64 + 4.0));
        let sigma = match self {
            Self::Fixed => 0.12 * shrink,
            Self::Scott => {
                let mean = units.iter().sum::<f64>() / n;
                let variance = units.iter().map(|unit| (unit - mean) * (unit - mean)).sum::<f64>() / n;
                // A few observations that coincide by chance do not make a spike: the prior's variance,
                // 1/12, counts as one of them.
                0.5 * libm::sqrt(variance + 1.0 / (12.0 * n)) * shrink
            }
        };
        // "Magic clipping" (Bergstra et al. 2011), at half its usual height.
        let floor = 0.5 * (1.0 / (2.0 + n)).max(0.01);
        sigma.clamp(floor, 1.0)
    }
}

/// The estimator.
pub(super) struct Parzen<'a> {
    cube: &'a Cube<'a>,
    /// Kernel by kernel, axis by axis; the prior kernel is not in it.
    factors: Vec<Factor>,
    /// Weights of the kernels, that of the prior last. They sum to 1.
    weights: Vec<f64>,
    log_weights: Vec<f64>,
}

impl<'a> Parzen<'a> {
    /// The density of points with their weights, beside a prior kernel of weight `prior`.
    pub(super) fn new(cube: &'a Cube<'a>, points: &[(Point, f64)], prior: f64, bandwidth: Bandwidth) -> Self {
        let columns: Vec<Vec<Factor>> =
            (0..cube.axes.len()).map(|j| factors(cube, j, points, bandwidth)).collect();
        let factors = (0..points.len()).flat_map(|i| columns.iter().map(move |column| column[i])).collect();
        let total: f64 = points.iter().map(|(_, weight)| weight).sum::<f64>() + prior;
        let weights = points.iter().map(|(_, weight)| *weight).chain([prior]);
        let weights: Vec<f64> = weights.map(|weight| weight / total).collect();
        let log_weights = weights.iter().map(|weight| libm::log(*weight)).collect();
        Self { cube, factors, weights, log_weights }
    }

    /// The logarithm of the density at `point`.
    pub(super) fn log_density(&self, point: &Point) -> f64 {
        let active: Vec<(usize, Coordinate)> =
            point.iter().enumerate().filter_map(|(j, at)| Some((j, (*at)?))).collect();
        let width = self.cube.axes.len();
        let mut terms = Vec::with_capacity(self.weights.len());
        for (i, log_weight) in self.log_weights.iter().enumerate() {
            let kernel = self.factors.get(i * width..(i + 1) * width);
            let log_kernel = kernel
                .map_or(0.0, |kernel| active.iter().map(|(j, at)| kernel[*j].log_density(at)).sum::<f64>());
            terms.push(log_weight + log_kernel);
        }
        log_sum_exp(&terms)
    }

    /// A draw: one kernel, then the space from parents to children with a draw from the kernel's factor.
    pub(super) fn sample(&self, rng: &mut Rng) -> Params {
        let width = self.cube.axes.len();
        let mut left = rng.uniform();
        let chosen = self.weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        let kernel = chosen.and_then(|i| self.factors.get(i * width..(i + 1) * width));
        let mut params = Params::new();
        for (j, parameter) in self.cube.space.iter().enumerate() {
            if !parameter.is_active(&params) {
                continue;
            }
            let unit = match kernel.map(|kernel| &kernel[j]) {
                None | Some(Factor::Prior) => rng.uniform(),
                Some(Factor::Normal(normal)) => normal.sample(rng),
                Some(Factor::Option { low, same, other }) => {
                    let n = match self.cube.axes[j] {
                        Axis::Options(n) => n,
                        _ => 1.0,
                    };
                    // What the others have in common with this one is a uniform draw.
                    if rng.uniform() < (libm::exp(*same) - libm::exp(*other)) / n {
                        low + 0.5 / n
                    } else {
                        rng.uniform()
                    }
                }
            };
            params.insert(parameter.name.clone(), parameter.distribution.from_unit(unit));
        }
        params
    }
}

/// The factors of axis `j`, one for each of `points`.
fn factors(cube: &Cube<'_>, j: usize, points: &[(Point, f64)], bandwidth: Bandwidth) -> Vec<Factor> {
    let axis = cube.axes[j];
    if let Axis::Options(n) = axis {
        // Every option is smoothed by the same share, smaller with more kernels, as in Optuna.
        let share = 1.0 / (points.len() + 1) as f64;
        let total = 1.0 + n * share;
        let (same, other) = (libm::log(n * (1.0 + share) / total), libm::log(n * share / total));
        let factor = |at: Coordinate| Factor::Option { low: at.low, same, other };
        return points.iter().map(|(point, _)| point[j].map_or(Factor::Prior, factor)).collect();
    }
    let units: Vec<f64> = points.iter().filter_map(|(point, _)| Some(point[j]?.unit)).collect();
    let sigma = bandwidth.sigma(&units, cube.axes.len());
    // A kernel narrower than half a cell would leave the neighbouring numbers to the prior.
    let sigma = if let Axis::Cells(cells) = axis { sigma.max(0.5 / cells) } else { sigma };
    let factor = |at: Coordinate| Factor::Normal(TruncatedNormal::new(at.unit, sigma));
    points.iter().map(|(point, _)| point[j].map_or(Factor::Prior, factor)).collect()
}

fn log_sum_exp(terms: &[f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + libm::log(terms.iter().map(|term| libm::exp(term - largest)).sum::<f64>())
}
