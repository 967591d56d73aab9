//! From configurations to rows of numbers, on which a kernel is defined.
//!
//! Each parameter that can vary has a column: a coordinate in `[0, 1]` (whole numbers and steps at the middle of their
//! cells, so that the kernel sees what is evaluated: Garrido-Merchán and Hernández-Lobato 2020), or the number of an
//! option. A parameter that does not always exist has a second column that says whether it does; where it does not,
//! its own column has the middle of the range, or no option.

use std::collections::HashSet;

use luthier_core::{Condition, Distribution, Parameter, Params, Space, Value};

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
    /// Of each parameter that can vary its own column, and whether nothing else changes with its value.
    pub(super) places: Vec<(usize, bool)>,
    /// Number of parameters that can vary.
    pub(super) lengths: usize,
    /// Number of columns with a scale.
    pub(super) warps: usize,
}

/// Whether a parameter can vary.
pub(super) fn varies(parameter: &Parameter) -> bool {
    parameter.distribution.cardinality() != Some(1)
}

/// What stands in the column of a parameter with this value; `None` if it is in no range of today.
pub(super) fn coordinate(distribution: &Distribution, value: &Value) -> Option<f64> {
    let unit = distribution.to_unit(value)?;
    Some(match distribution {
        Distribution::Choice { options } => (unit * options.len() as f64).floor(),
        _ => unit,
    })
}

impl<'a> Features<'a> {
    pub(super) fn new(space: &'a Space) -> Self {
        let mut features = Self { space, columns: Vec::new(), places: Vec::new(), lengths: 0, warps: 0 };
        let parents: HashSet<&str> =
            space.iter().flat_map(|parameter| &parameter.conditions).map(Condition::param).collect();
        for parameter in space.iter().filter(|parameter| varies(parameter)) {
            let length = features.lengths;
            features.lengths += 1;
            let kind = if matches!(parameter.distribution, Distribution::Choice { .. }) {
                Kind::Options
            } else {
                features.warps += 1;
                Kind::Scale { warp: features.warps - 1 }
            };
            let is_alone = space.constraints().is_empty() && !parents.contains(parameter.name.as_str());
            features.places.push((features.columns.len(), is_alone));
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
            let value = params.get(&parameter.name).filter(|_| parameter.is_active(params));
            let coordinate = value.and_then(|value| coordinate(&parameter.distribution, value));
            if coordinate.is_none() && !parameter.optional && parameter.is_active(params) {
                return None;
            }
            if !varies(parameter) {
                continue;
            }
            let is_choice = matches!(parameter.distribution, Distribution::Choice { .. });
            row.push(coordinate.unwrap_or(if is_choice { -1.0 } else { 0.5 }));
            if !parameter.is_always_there() {
                row.push(if coordinate.is_some() { 1.0 } else { 0.0 });
            }
        }
        Some(row)
    }
}
