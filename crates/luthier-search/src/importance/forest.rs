//! Regression trees on bootstrap samples, as the boxes that their leaves are.
//!
//! Symbols: n is the number of rows, d that of columns. A tree parts the unit cube into boxes, each with the mean of the
//! rows in it (Breiman 2001, "Random forests"; all columns are candidates at each split, as is usual for regression, and
//! leaves hold one row). A split is that with the largest reduction of squared error; between columns that are equal a coin
//! decides. Options are ordered by their mean for each split, which finds the best of all ways to part them (Breiman et al.
//! 1984, section 4.2.2).
//!
//! Complexity: O(d n log^2 n) for a tree.

use luthier_core::Rng;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Coordinates in `[0, 1]`.
    Scale,
    /// Numbers of options, of so many.
    Options(usize),
}

/// The side of a box along a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Side {
    Scale(f64, f64),
    /// Which options are in it.
    Options(Vec<bool>),
}

impl Side {
    fn whole(column: Column) -> Self {
        match column {
            Column::Scale => Self::Scale(0.0, 1.0),
            Column::Options(n) => Self::Options(vec![true; n]),
        }
    }

    /// Its share of the column.
    pub(super) fn size(&self) -> f64 {
        match self {
            Self::Scale(low, high) => high - low,
            Self::Options(options) => {
                options.iter().filter(|inside| **inside).count() as f64 / options.len() as f64
            }
        }
    }
}

/// A leaf of a tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) sides: Vec<Side>,
    pub(super) value: f64,
}

/// Rows, column by column.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    /// `values[j][i]` is that of row i in column j.
    pub(super) values: Vec<Vec<f64>>,
    pub(super) targets: Vec<f64>,
}

/// Where a node is parted.
enum Split {
    Below(f64),
    /// These options go to the left.
    Options(Vec<bool>),
}

impl Split {
    fn left(&self, x: f64) -> bool {
        match self {
            Self::Below(edge) => x <= *edge,
            Self::Options(options) => options[x as usize],
        }
    }

    /// Parts a side.
    fn part(&self, side: &Side) -> (Side, Side) {
        match (self, side) {
            (Self::Below(edge), Side::Scale(low, high)) => {
                (Side::Scale(*low, *edge), Side::Scale(*edge, *high))
            }
            (Self::Options(left), Side::Options(all)) => {
                let pick =
                    |want: bool| all.iter().zip(left).map(|(all, left)| *all && *left == want).collect();
                (Side::Options(pick(true)), Side::Options(pick(false)))
            }
            // A split is of the kind of its column.
            _ => (side.clone(), side.clone()),
        }
    }
}

impl Table {
    /// The leaves of a tree on `rows` rows, drawn with replacement.
    pub(super) fn tree(&self, rows: usize, rng: &mut Rng) -> Vec<Leaf> {
        let n = self.targets.len();
        let drawn: Vec<usize> = (0..rows).map(|_| rng.below(n)).collect();
        let whole: Vec<Side> = self.columns.iter().map(|column| Side::whole(*column)).collect();
        let mut open = vec![(drawn, whole)];
        let mut leaves = Vec::new();
        while let Some((rows, sides)) = open.pop() {
            let Some((j, split)) = self.split(&rows, &sides, rng) else {
                let value = rows.iter().map(|i| self.targets[*i]).sum::<f64>() / rows.len() as f64;
                leaves.push(Leaf { sides, value });
                continue;
            };
            let (left, right): (Vec<usize>, Vec<usize>) =
                rows.into_iter().partition(|i| split.left(self.values[j][*i]));
            let mut others = sides.clone();
            let mut sides = sides;
            (sides[j], others[j]) = split.part(&sides[j]);
            open.push((left, sides));
            open.push((right, others));
        }
        leaves
    }

    /// The best split of rows, if any parts them.
    fn split(&self, rows: &[usize], sides: &[Side], rng: &mut Rng) -> Option<(usize, Split)> {
        if rows.iter().all(|i| self.targets[*i] == self.targets[rows[0]]) {
            return None;
        }
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        rng.shuffle(&mut order);
        let mut best: Option<(f64, usize, Split)> = None;
        for j in order {
            let found = match self.columns[j] {
                Column::Scale => self.split_scale(j, rows),
                Column::Options(n) => self.split_options(j, n, &sides[j], rows, rng),
            };
            if let Some((gain, split)) = found
                && best.as_ref().is_none_or(|best| gain > best.0)
            {
                best = Some((gain, j, split));
            }
        }
        best.map(|(_, j, split)| (j, split))
    }

    /// The best split of a column of coordinates, with its gain.
    fn split_scale(&self, j: usize, rows: &[usize]) -> Option<(f64, Split)> {
        let x = &self.values[j];
        let mut sorted: Vec<(f64, f64)> = rows.iter().map(|i| (x[*i], self.targets[*i])).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (gain, k) = best_cut(&sorted.iter().map(|(_, y)| (*y, 1.0)).collect::<Vec<_>>(), |k| {
            sorted[k].0 < sorted[k + 1].0
        })?;
        let (left, right) = (sorted[k].0, sorted[k + 1].0);
        let middle = f64::midpoint(left, right);
        // Between neighbouring floats there is no other one, and the edge itself goes left.
        Some((gain, Split::Below(if middle < right { middle } else { left })))
    }

    /// The best way to part options, with its gain. Options of the node that no row has go to a side by a coin.
    fn split_options(
        &self,
        j: usize,
        n: usize,
        side: &Side,
        rows: &[usize],
        rng: &mut Rng,
    ) -> Option<(f64, Split)> {
        let mut sums = vec![(0.0, 0.0); n];
        for i in rows {
            let sum = &mut sums[self.values[j][*i] as usize];
            sum.0 += self.targets[*i];
            sum.1 += 1.0;
        }
        let mut seen: Vec<usize> = (0..n).filter(|option| sums[*option].1 > 0.0).collect();
        seen.sort_by(|a, b| (sums[*a].0 / sums[*a].1).total_cmp(&(sums[*b].0 / sums[*b].1)));
        let (gain, k) = best_cut(&seen.iter().map(|option| sums[*option]).collect::<Vec<_>>(), |_| true)?;
        let inside = |option: usize| matches!(side, Side::Options(all) if all[option]);
        let left = (0..n).map(|option| match seen.iter().position(|other| *other == option) {
            Some(place) => place <= k,
            None => inside(option) && rng.uniform() < 0.5,
        });
        Some((gain, Split::Options(left.collect())))
    }
}

/// Between which neighbours (after number k) a list of groups, each with its sum and its count, is cut best, and what
/// that takes off the squared error (but for a constant). `allowed` says where a cut may be.
fn best_cut(groups: &[(f64, f64)], allowed: impl Fn(usize) -> bool) -> Option<(f64, usize)> {
    let (sum, count) = groups.iter().fold((0.0, 0.0), |all, group| (all.0 + group.0, all.1 + group.1));
    let mut left = (0.0, 0.0);
    let mut best: Option<(f64, usize)> = None;
    for (k, group) in groups.iter().enumerate().take(groups.len().saturating_sub(1)) {
        left = (left.0 + group.0, left.1 + group.1);
        if !allowed(k) {
            continue;
        }
        let right = (sum - left.0, count - left.1);
        let gain = left.0 * left.0 / left.1 + right.0 * right.0 / right.1;
        if best.is_none_or(|best| gain > best.0) {
            best = Some((gain, k));
        }
    }
    best
}
