//! What a Gaussian process with fitted hyperparameters expects: means and deviations, and their gradients.
//!
//! Symbols as in [`model`](super::model). Complexity: O(n² + c n) for a prediction with its variance, for n observations and c
//! columns; an observation more takes O(n² + c n), since the Cholesky factor grows by a row.

use super::features::{Features, Kind};
use super::linear::{Cholesky, dot};
use super::model::{Hyperparameters, add_differences, image, matern};
use super::warp::kumaraswamy;

/// What is expected of a configuration: the mean of its loss, and the deviation of the mean (without noise).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prediction {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

/// The process, given observations.
pub(super) struct Posterior<'a> {
    features: &'a Features<'a>,
    theta: Hyperparameters,
    shares: Vec<f64>,
    warps: Vec<(f64, f64)>,
    columns: Vec<Vec<f64>>,
    factor: Cholesky,
    mean: f64,
    /// R⁻¹ (y - m).
    solved: Vec<f64>,
}

impl<'a> Posterior<'a> {
    /// `None` where the matrix cannot be factored, which priors on the noise make unlikely.
    pub(super) fn new(
        features: &'a Features<'a>,
        theta: Hyperparameters,
        rows: &[Vec<f64>],
        y: &[f64],
    ) -> Option<Self> {
        let none = vec![Vec::new(); features.columns.len()];
        let (shares, warps) = (theta.shares(&features.columns), theta.warps());
        let mut posterior = Self {
            features,
            theta,
            shares,
            warps,
            columns: none,
            factor: Cholesky::default(),
            mean: 0.0,
            solved: Vec::new(),
        };
        for row in rows {
            posterior.push(row)?;
        }
        let ones = posterior.factor.solve(&vec![1.0; rows.len()]);
        let total: f64 = ones.iter().sum();
        posterior.mean = if rows.is_empty() { 0.0 } else { dot(&ones, y) / total };
        let residuals: Vec<f64> = y.iter().map(|y| y - posterior.mean).collect();
        posterior.solved = posterior.factor.solve(&residuals);
        Some(posterior)
    }

    /// What is expected of each observation by the others, with the mean and the hyperparameters of all (Rasmussen and
    /// Williams 2006, equation 5.12). `y` are the losses that the process was made with.
    pub(super) fn leave_one_out(&self, y: &[f64]) -> Vec<f64> {
        let inverse = self.factor.inverse();
        y.iter().zip(&self.solved).zip(&inverse).map(|((y, a), row)| y - a / row[row.len() - 1]).collect()
    }

    /// Takes in a configuration that is being evaluated, as if its loss were the one expected: means stay as they are,
    /// deviations shrink around it ("kriging believer", Ginsbourger, Le Riche and Carraro 2010).
    pub(super) fn believe(&mut self, row: &[f64]) -> Option<()> {
        self.push(row)?;
        self.solved.push(0.0);
        Some(())
    }

    fn push(&mut self, row: &[f64]) -> Option<()> {
        let images = self.images(row);
        let mut correlations = self.correlations(&images);
        correlations.push(1.0 + self.theta.noise());
        self.factor.push(&correlations)?;
        for (column, image) in self.columns.iter_mut().zip(images) {
            column.push(image);
        }
        Some(())
    }

    /// What stands in column c, as the kernel sees it.
    pub(super) fn image(&self, c: usize, x: f64) -> f64 {
        image(&self.features.columns[c], &self.warps, x)
    }

    /// The row as the kernel sees it.
    pub(super) fn images(&self, row: &[f64]) -> Vec<f64> {
        row.iter().enumerate().map(|(c, x)| self.image(c, *x)).collect()
    }

    /// The correlations of a row, by its images, with what was observed.
    fn correlations(&self, images: &[f64]) -> Vec<f64> {
        let mut squares = self.squares(images);
        for square in &mut squares {
            *square = matern(*square).0;
        }
        squares
    }

    fn squares(&self, images: &[f64]) -> Vec<f64> {
        let mut squares = vec![0.0; self.columns.first().map_or(0, Vec::len)];
        for (c, column) in self.features.columns.iter().enumerate() {
            add_differences(column.kind, self.shares[c], images[c], &self.columns[c], &mut squares);
        }
        squares
    }

    pub(super) fn predict(&self, row: &[f64]) -> Prediction {
        self.predict_by_images(&self.images(row))
    }

    /// The prediction of a row by its [`images`](Self::images).
    pub(super) fn predict_by_images(&self, images: &[f64]) -> Prediction {
        let k = self.correlations(images);
        let v = self.factor.forward(&k);
        Prediction { mean: self.mean + dot(&k, &self.solved), deviation: self.deviation(&v) }
    }

    fn deviation(&self, v: &[f64]) -> f64 {
        (self.theta.scale() * (1.0 - dot(v, v)).max(1e-12)).sqrt()
    }

    /// The prediction with the gradients of mean and deviation by the values of the columns with a scale (0 by those
    /// of others).
    pub(super) fn predict_with_slopes(&self, row: &[f64]) -> (Prediction, Vec<f64>, Vec<f64>) {
        let images = self.images(row);
        let mut k = self.squares(&images);
        let mut slopes = Vec::with_capacity(k.len());
        for square in &mut k {
            let (correlation, by_square) = matern(*square);
            *square = correlation;
            slopes.push(by_square);
        }
        let v = self.factor.forward(&k);
        let prediction =
            Prediction { mean: self.mean + dot(&k, &self.solved), deviation: self.deviation(&v) };
        // The deviation falls as kᵀ R⁻¹ k grows.
        let towards = self.factor.backward(v);
        let by_mean: Vec<f64> = slopes.iter().zip(&self.solved).map(|(slope, a)| slope * a).collect();
        let shrink = -self.theta.scale() / prediction.deviation;
        let by_deviation: Vec<f64> =
            slopes.iter().zip(&towards).map(|(slope, t)| slope * t * shrink).collect();
        let mut means = vec![0.0; row.len()];
        let mut deviations = vec![0.0; row.len()];
        for (c, column) in self.features.columns.iter().enumerate() {
            let Kind::Scale { warp } = column.kind else { continue };
            let (a, b) = self.warps[warp];
            let share = 2.0 * self.shares[c] * kumaraswamy(row[c], a, b).by_u;
            let apart: Vec<f64> = self.columns[c].iter().map(|other| images[c] - other).collect();
            means[c] = share * dot(&apart, &by_mean);
            deviations[c] = share * dot(&apart, &by_deviation);
        }
        (prediction, means, deviations)
    }
}

#[cfg(test)]
mod tests;
