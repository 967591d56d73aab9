//! From configurations to rows of numbers, on which a kernel is defined.
//!
//! Each parameter that can vary has a column: a coordinate in `[0, 1]` (whole numbers and steps at the middle of their
//! cells, so that the kernel sees what is evaluated: Garrido-Merchán and Hernández-Lobato 2020), or the number of an
//! option. A parameter that does not always exist has a second column that says whether it does; where it does not,
//! its own column has the middle of the range, or no option.

use luthier_core::{Distribution, Parameter, Params, Space};

/// How two values of a column differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By the square of their distance, after the warp of this number.
    Scale { warp: usize },
    /// By 1 if they are different.
    Options,
    /// By a quarter if they are different: half a range apart from all that exist.
    Exists,
}

/// A column of the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) kind: Kind,
    /// The number of the length scale that it shares with the other column of its parameter.
    pub(super) length: usize,
}

/// The columns of a space.
pub(super) struct Features<'a> {
    pub(super) space: &'a Space,
    pub(super) columns: Vec<Column>,
    /// Number of parameters that can vary.
    pub(super) lengths: usize,
    /// Number of columns with a scale.
    pub(super) warps: usize,
}

/// Whether a parameter can vary.
pub(super) fn varies(parameter: &Parameter) -> bool {
    parameter.distribution.cardinality() != Some(1)
}

impl<'a> Features<'a> {
    pub(super) fn new(space: &'a Space) -> Self {
        let mut features = Self { space, columns: Vec::new(), lengths: 0, warps: 0 };
        for parameter in space.iter().filter(|parameter| varies(parameter)) {
            let length = features.lengths;
            features.lengths += 1;
            let kind = if matches!(parameter.distribution, Distribution::Choice { .. }) {
                Kind::Options
            } else {
                features.warps += 1;
                Kind::Scale { warp: features.warps - 1 }
            };
            features.columns.push(Column { kind, length });
            if !parameter.is_always_there() {
                features.columns.push(Column { kind: Kind::Exists, length });
            }
        }
        features
    }

    /// The row of a configuration; `None` if it lacks a parameter that exists beside its others, or has a value that
    /// is in no range of today.
    pub(super) fn row(&self, params: &Params) -> Option<Vec<f64>> {
        let mut row = Vec::with_capacity(self.columns.len());
        for parameter in self.space.iter() {
            let unit = params.get(&parameter.name).and_then(|value| parameter.distribution.to_unit(value));
            let unit = unit.filter(|_| parameter.is_active(params));
            if unit.is_none() && !parameter.optional && parameter.is_active(params) {
                return None;
            }
            if !varies(parameter) {
                continue;
            }
            row.push(match &parameter.distribution {
                Distribution::Choice { options } => {
                    unit.map_or(-1.0, |unit| (unit * options.len() as f64).floor())
                }
                _ => unit.unwrap_or(0.5),
            });
            if !parameter.is_always_there() {
                row.push(if unit.is_some() { 1.0 } else { 0.0 });
            }
        }
        Some(row)
    }
}
