//! Generated problems of classification, after scikit-learn's `make_classification`.
//!
//! Guyon, "Design of experiments of the NIPS 2003 variable selection benchmark" (2003). With k classes,
//! c clusters a class and d informative features, the k·c clusters sit on distinct vertices of a
//! hypercube in d dimensions with edges of length `2 * class_sep`. A cluster is standard normal noise
//! times a random matrix A (entries uniform in [-1, 1)) plus its vertex. Redundant features are random
//! combinations of the informative ones, repeated ones are copies of either, the rest is noise.
//!
//! The algorithm is scikit-learn's, the random numbers are ours: each part draws from a stream of its
//! own, so that more rows or more noise leave the vertices and the matrices as they are.

use std::collections::HashSet;

use luthier_core::{Purpose, Rng, Streams};

use super::{Column, ColumnValues, DataError, Dataset, Inputs, Table, Targets};

luthier_core::settings! {
    /// The parameters of a generated problem: those of scikit-learn's `make_classification`, and its defaults.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ClassificationSource {
        /// The number of rows.
        samples: usize = 100;
        /// The number of columns; those that are not informative, redundant or repeated are noise.
        features: usize = 20;
        /// Columns that carry the classes.
        informative: usize = 2;
        /// Columns that are random combinations of the informative ones.
        redundant: usize = 2;
        /// Columns that are copies of informative or redundant ones.
        repeated: usize = 0;
        /// The number of classes, at least 2.
        classes: usize = 2;
        /// Clusters a class, at least 1.
        clusters_per_class: usize = 2;
        /// The share of each class, in sum 1; the last may be left out. Equal shares if it is left out.
        weights: Option<Vec<f64>> = None;
        /// The share of rows whose class is drawn anew, from 0 to 1.
        flip_y: f64 = 0.01;
        /// Half the edge of the hypercube: the larger, the easier.
        class_sep: f64 = 1.0;
        /// Whether the clusters sit on a hypercube, else on a random polytope.
        hypercube: bool = true;
        /// What is added to every value.
        shift: f64 = 0.0;
        /// What every value is multiplied by, after the shift.
        scale: f64 = 1.0;
        /// Whether rows and columns are put in random order.
        shuffle: bool = true;
        /// The seed of all random numbers.
        seed: u64 = 0;
    }
}

impl Default for ClassificationSource {
    fn default() -> Self {
        luthier_core::config::defaults()
    }
}

/// The positions of the streams. A change changes every generated data set.
mod stream {
    pub(super) const VERTICES: u64 = 0;
    pub(super) const STRETCH: u64 = 1;
    pub(super) const MATRICES: u64 = 2;
    pub(super) const REDUNDANT: u64 = 3;
    pub(super) const REPEATED: u64 = 4;
    pub(super) const POINTS: u64 = 5;
    pub(super) const NOISE: u64 = 6;
    pub(super) const FLIPS: u64 = 7;
    pub(super) const ROWS: u64 = 8;
    pub(super) const COLUMNS: u64 = 9;
}

impl ClassificationSource {
    /// Generates the data: `features` numeric columns called `feature_0` and so on, and the classes `0`,
    /// `1` and so on.
    ///
    /// # Errors
    /// [`DataError::Setting`] for parameters that contradict each other.
    pub fn generate(&self) -> Result<Dataset, DataError> {
        self.check()?;
        let streams = Streams::new(self.seed);
        let (mut columns, mut labels) = self.clusters(streams);
        self.add_dependent_columns(streams, &mut columns);
        let mut noise = streams.at(Purpose::Data, stream::NOISE);
        columns.resize_with(self.features, || (0..self.samples).map(|_| noise.normal()).collect());
        let mut flips = streams.at(Purpose::Data, stream::FLIPS);
        for label in &mut labels {
            let (chance, other) = (flips.uniform(), flips.below(self.classes));
            if chance < self.flip_y {
                *label = other as u32;
            }
        }
        for value in columns.iter_mut().flatten() {
            *value = (*value + self.shift) * self.scale;
        }
        if self.shuffle {
            let mut order: Vec<usize> = (0..self.samples).collect();
            streams.at(Purpose::Data, stream::ROWS).shuffle(&mut order);
            labels = order.iter().map(|row| labels[*row]).collect();
            for column in &mut columns {
                *column = order.iter().map(|row| column[*row]).collect();
            }
            streams.at(Purpose::Data, stream::COLUMNS).shuffle(&mut columns);
        }
        let named = columns.into_iter().enumerate().map(|(i, values)| Column {
            name: format!("feature_{i}"),
            values: ColumnValues::Numeric(values),
        });
        let inputs = Inputs::Table(Table { columns: named.collect(), rows: self.samples });
        let names = (0..self.classes).map(|class| class.to_string()).collect();
        Ok(Dataset::new("classification", inputs, Targets::Classes { labels, names, column: None }))
    }

    fn check(&self) -> Result<(), DataError> {
        let fail = |key: &str, problem: String| Err(DataError::setting(key, problem));
        for (key, value, least) in [
            ("samples", self.samples, 1),
            ("informative", self.informative, 1),
            ("classes", self.classes, 2),
            ("clusters_per_class", self.clusters_per_class, 1),
        ] {
            if value < least {
                return fail(key, format!("must be at least {least}, found {value}"));
            }
        }
        for (key, value) in
            [("samples", self.samples), ("features", self.features), ("classes", self.classes)]
        {
            if value > 1 << 32 {
                return fail(key, format!("must be at most 2^32, found {value}"));
            }
        }
        let used = self.informative.saturating_add(self.redundant).saturating_add(self.repeated);
        if used > self.features {
            let (i, r, c) = (self.informative, self.redundant, self.repeated);
            return fail(
                "features",
                format!(
                    "must be at least informative + redundant + repeated = {i} + {r} + {c}, found {}",
                    self.features
                ),
            );
        }
        let clusters = self.classes.saturating_mul(self.clusters_per_class);
        if self.informative < 64 && clusters as u64 > 1 << self.informative {
            let (k, c) = (self.classes, self.clusters_per_class);
            let needed = (clusters as u64).next_power_of_two().trailing_zeros();
            return fail(
                "informative",
                format!(
                    "must be at least {needed} so that classes * clusters_per_class = {k} * {c} clusters have a \
                     vertex each, found {}",
                    self.informative
                ),
            );
        }
        if !(0.0..=1.0).contains(&self.flip_y) {
            return fail("flip_y", format!("must be from 0 to 1, found {}", self.flip_y));
        }
        for (key, value) in [("class_sep", self.class_sep), ("shift", self.shift), ("scale", self.scale)] {
            if !value.is_finite() {
                return fail(key, format!("must be a finite number, found {value}"));
            }
        }
        self.shares().map(|_| ())
    }

    /// The share of each class.
    fn shares(&self) -> Result<Vec<f64>, DataError> {
        let fail = |problem: String| Err(DataError::setting("weights", problem));
        let k = self.classes;
        let Some(weights) = &self.weights else { return Ok(vec![1.0 / k as f64; k]) };
        if weights.len() != k && weights.len() + 1 != k {
            return fail(format!(
                "must have {k} shares, one a class, or {} without the last, found {}",
                k - 1,
                weights.len()
            ));
        }
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|share| !(0.0..=1.0).contains(share)) || sum > 1.0 + 1e-6 {
            return fail(format!("must be shares from 0 to 1 that sum to 1, found {weights:?}"));
        }
        let mut shares = weights.clone();
        if shares.len() < k {
            shares.push((1.0 - sum).max(0.0));
        } else if sum < 1.0 - 1e-6 {
            return fail(format!(
                "must sum to 1, found the sum {sum}; leave out the last share to have it filled in"
            ));
        }
        if sum > 1.0 {
            for share in &mut shares {
                *share /= sum;
            }
        }
        Ok(shares)
    }

    /// The informative columns and the label of each row, cluster after cluster.
    fn clusters(&self, streams: Streams) -> (Vec<Vec<f64>>, Vec<u32>) {
        let (d, n) = (self.informative, self.classes * self.clusters_per_class);
        let mut centres: Vec<Vec<f64>> = vertices(n, d, &mut streams.at(Purpose::Data, stream::VERTICES))
            .into_iter()
            .map(|vertex| {
                vertex.into_iter().map(|high| if high { self.class_sep } else { -self.class_sep }).collect()
            })
            .collect();
        if !self.hypercube {
            let mut stretch = streams.at(Purpose::Data, stream::STRETCH);
            let of_axes: Vec<f64> = (0..d).map(|_| stretch.uniform()).collect();
            for centre in &mut centres {
                let of_cluster = stretch.uniform();
                centre.iter_mut().zip(&of_axes).for_each(|(x, of_axis)| *x *= of_cluster * of_axis);
            }
        }
        let mut points = streams.at(Purpose::Data, stream::POINTS);
        let mut matrices = streams.at(Purpose::Data, stream::MATRICES);
        let mut columns = vec![Vec::with_capacity(self.samples); d];
        let mut labels = Vec::with_capacity(self.samples);
        for (i, (centre, rows)) in centres.iter().zip(self.cluster_sizes()).enumerate() {
            let matrix = symmetric(d * d, &mut matrices);
            for _ in 0..rows {
                labels.push((i % self.classes) as u32);
                let point: Vec<f64> = (0..d).map(|_| points.normal()).collect();
                for (j, column) in columns.iter_mut().enumerate() {
                    let spread: f64 = point.iter().enumerate().map(|(m, x)| x * matrix[m * d + j]).sum();
                    column.push(spread + centre[j]);
                }
            }
        }
        (columns, labels)
    }

    /// The number of rows of each cluster; what rounding leaves over goes to the first ones.
    fn cluster_sizes(&self) -> Vec<usize> {
        let shares = self.shares().unwrap_or_default();
        let per_class = self.clusters_per_class as f64;
        let n = self.classes * self.clusters_per_class;
        // 1 - 0.8 is a little below 0.2; without the small number a whole row would be lost to that.
        let size = |share: f64| (self.samples as f64 * share / per_class + 1e-9) as usize;
        let mut sizes: Vec<usize> = (0..n).map(|i| size(shares[i % self.classes])).collect();
        let rest = self.samples.saturating_sub(sizes.iter().sum());
        for i in 0..rest {
            sizes[i % n] += 1;
        }
        sizes
    }

    fn add_dependent_columns(&self, streams: Streams, columns: &mut Vec<Vec<f64>>) {
        let mut combine = streams.at(Purpose::Data, stream::REDUNDANT);
        for _ in 0..self.redundant {
            let factors = symmetric(self.informative, &mut combine);
            let combined = (0..self.samples).map(|row| {
                factors.iter().zip(columns.iter()).map(|(factor, column)| factor * column[row]).sum()
            });
            let combined = combined.collect();
            columns.push(combined);
        }
        let mut copies = streams.at(Purpose::Data, stream::REPEATED);
        for _ in 0..self.repeated {
            // As in scikit-learn: the first and the last column are half as likely as the others.
            let last = self.informative + self.redundant - 1;
            let i = (last as f64 * copies.uniform() + 0.5) as usize;
            columns.push(columns[i].clone());
        }
    }
}

/// `count` numbers, uniform in [-1, 1).
fn symmetric(count: usize, rng: &mut Rng) -> Vec<f64> {
    (0..count).map(|_| 2.0 * rng.uniform() - 1.0).collect()
}

/// `count` distinct vertices of the unit cube in `dimensions`; above 30 dimensions only the last 30 are
/// needed to tell them apart, and the rest is drawn freely.
fn vertices(count: usize, dimensions: usize, rng: &mut Rng) -> Vec<Vec<bool>> {
    let bits = dimensions.min(30);
    let all = 1_usize << bits;
    let numbers: Vec<usize> = if count as f64 / all as f64 >= 0.99 {
        // Where nearly every vertex is needed, scikit-learn takes them in order, with a few exchanged
        // (reservoir sampling). With its defaults an axis separates the classes, they never form a cross.
        let mut first: Vec<usize> = (0..count).collect();
        for number in count..all {
            let place = rng.below(number + 1);
            if place < count {
                first[place] = number;
            }
        }
        first
    } else if all <= 2 * count {
        let mut every: Vec<usize> = (0..all).collect();
        rng.shuffle(&mut every);
        every.truncate(count);
        every
    } else {
        let mut taken = HashSet::new();
        std::iter::repeat_with(|| rng.below(all)).filter(|number| taken.insert(*number)).take(count).collect()
    };
    let free = dimensions - bits;
    numbers
        .into_iter()
        .map(|number| {
            let drawn = (0..free).map(|_| rng.below(2) == 1).collect::<Vec<_>>();
            drawn.into_iter().chain((0..bits).rev().map(|bit| number >> bit & 1 == 1)).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests;
