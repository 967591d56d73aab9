//! The distribution, and how a population moves it: equations 41 to 58 of Hansen's tutorial, by their names there.

use luthier_core::Rng;

use super::FULL;
use super::eigen::eigen;

/// What depends on d and lambda alone.
#[derive(Debug, Clone)]
struct Rates {
    /// Of all ranks, negative for the worse half.
    weights: Vec<f64>,
    mu_eff: f64,
    c1: f64,
    c_mu: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    chi: f64,
}

impl Rates {
    fn new(d: usize, lambda: usize) -> Self {
        let n = d as f64;
        let raw: Vec<f64> = (1..=lambda)
            .map(|i| libm::log(f64::midpoint(lambda as f64, 1.0)) - libm::log(i as f64))
            .collect();
        let (best, rest) = raw.split_at(lambda / 2);
        let effective = |weights: &[f64]| {
            let (sum, squares) = weights.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
            if squares > 0.0 { sum * sum / squares } else { 0.0 }
        };
        let (mu_eff, minus) = (effective(best), effective(rest));
        // Diagonal matrices have fewer numbers, and are learnt faster (Ros and Hansen 2008).
        let faster = if d > FULL { (n + 2.0) / 3.0 } else { 1.0 };
        let c1 = (faster * 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff)).min(0.5);
        let c_mu = (faster * 2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0) * (n + 2.0) + mu_eff))
            .min(1.0 - c1 - 1e-8);
        let negative =
            (1.0 + c1 / c_mu).min(1.0 + 2.0 * minus / (mu_eff + 2.0)).min((1.0 - c1 - c_mu) / (n * c_mu));
        let sum = |sign: f64| raw.iter().map(|w| (sign * w).max(0.0)).sum::<f64>();
        let (plus, less) = (sum(1.0), sum(-1.0));
        let weights = raw.iter().map(|w| if *w >= 0.0 { w / plus } else { negative * w / less }).collect();
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        Self {
            weights,
            mu_eff,
            c1,
            c_mu,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (libm::sqrt((mu_eff - 1.0) / (n + 1.0)) - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            chi: libm::sqrt(n) * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }
}

/// A covariance with what is needed of it.
#[derive(Debug, Clone)]
enum Shape {
    /// The matrix; square roots of its eigenvalues, and its eigenvectors as columns.
    Full { matrix: Vec<Vec<f64>>, roots: Vec<f64>, vectors: Vec<Vec<f64>> },
    /// The variances.
    Diagonal(Vec<f64>),
}

impl Shape {
    fn of(matrix: Vec<Vec<f64>>) -> Self {
        if matrix.len() > FULL {
            return Self::Diagonal((0..matrix.len()).map(|i| matrix[i][i]).collect());
        }
        let (values, vectors) = eigen(&matrix);
        // Rounding may leave a value below 0.
        let roots = values.iter().map(|value| libm::sqrt(value.max(1e-16))).collect();
        Self::Full { matrix, roots, vectors }
    }

    /// `B D z`, or with `inverse` `B D^-1 B^T z`.
    fn times(&self, z: &[f64], inverse: bool) -> Vec<f64> {
        let d = z.len();
        match self {
            Self::Diagonal(variances) => z
                .iter()
                .zip(variances)
                .map(|(z, v)| if inverse { z / libm::sqrt(*v) } else { z * libm::sqrt(*v) })
                .collect(),
            Self::Full { roots, vectors, .. } => {
                let inner: Vec<f64> = if inverse {
                    (0..d).map(|k| (0..d).map(|i| vectors[i][k] * z[i]).sum::<f64>() / roots[k]).collect()
                } else {
                    z.iter().zip(roots).map(|(z, root)| z * root).collect()
                };
                vectors.iter().map(|row| row.iter().zip(&inner).map(|(b, x)| b * x).sum()).collect()
            }
        }
    }

    fn variance(&self, j: usize) -> f64 {
        match self {
            Self::Full { matrix, .. } => matrix[j][j],
            Self::Diagonal(variances) => variances[j],
        }
    }

    /// The largest over the smallest eigenvalue.
    fn condition(&self) -> f64 {
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)))
        };
        let (low, high) = match self {
            Self::Full { roots, .. } => ends(&mut roots.iter().map(|root| root * root)),
            Self::Diagonal(variances) => ends(&mut variances.iter().copied()),
        };
        high / low
    }
}

/// A normal distribution with what it has learnt.
#[derive(Debug, Clone)]
pub(super) struct Distribution {
    pub(super) mean: Vec<f64>,
    pub(super) sigma: f64,
    shape: Shape,
    path_c: Vec<f64>,
    path_sigma: Vec<f64>,
    generation: i32,
    rates: Rates,
}

impl Distribution {
    /// A distribution of the covariance `sigma²` times `covariance`, or times the identity.
    pub(super) fn new(mean: Vec<f64>, sigma: f64, covariance: Option<Vec<Vec<f64>>>, lambda: usize) -> Self {
        let d = mean.len();
        let identity = || (0..d).map(|i| (0..d).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        Self {
            shape: Shape::of(covariance.unwrap_or_else(identity)),
            path_c: vec![0.0; d],
            path_sigma: vec![0.0; d],
            generation: 0,
            rates: Rates::new(d, lambda),
            mean,
            sigma,
        }
    }

    /// The size of a population.
    pub(super) fn lambda(&self) -> usize {
        self.rates.weights.len()
    }

    /// A draw.
    pub(super) fn draw(&self, rng: &mut Rng) -> Vec<f64> {
        let z: Vec<f64> = self.mean.iter().map(|_| rng.normal()).collect();
        let y = self.shape.times(&z, false);
        self.mean.iter().zip(y).map(|(m, y)| m + self.sigma * y).collect()
    }

    /// The deviation of a coordinate.
    pub(super) fn deviation(&self, j: usize) -> f64 {
        self.sigma * libm::sqrt(self.shape.variance(j))
    }

    /// Whether there is nothing more to learn: it has no width left, or has gone out of shape.
    pub(super) fn is_spent(&self, least: f64) -> bool {
        let narrow = (0..self.mean.len()).all(|j| self.deviation(j) < least);
        let finite = self.sigma.is_finite() && self.mean.iter().all(|m| m.is_finite());
        narrow || !finite || self.shape.condition() > 1e14 || self.sigma > 1e4
    }

    /// Moves it by a population, best first.
    pub(super) fn tell(&mut self, population: &[Vec<f64>]) {
        let d = self.mean.len();
        let Rates { weights, mu_eff, c1, c_mu, c_sigma, d_sigma, c_c, chi } = &self.rates;
        self.generation += 1;
        let steps: Vec<Vec<f64>> = population
            .iter()
            .map(|x| x.iter().zip(&self.mean).map(|(x, m)| (x - m) / self.sigma).collect())
            .collect();
        let best = weights.len() / 2;
        let step: Vec<f64> =
            (0..d).map(|j| steps.iter().zip(&weights[..best]).map(|(y, w)| w * y[j]).sum()).collect();
        for (m, y) in self.mean.iter_mut().zip(&step) {
            *m += self.sigma * y;
        }

        let whitened = self.shape.times(&step, true);
        let pull = libm::sqrt(c_sigma * (2.0 - c_sigma) * mu_eff);
        for (p, y) in self.path_sigma.iter_mut().zip(whitened) {
            *p = (1.0 - c_sigma) * *p + pull * y;
        }
        let length = libm::sqrt(self.path_sigma.iter().map(|p| p * p).sum());
        self.sigma *= libm::exp(c_sigma / d_sigma * (length / chi - 1.0));
        self.sigma = self.sigma.min(1e32);

        let settled = libm::sqrt(1.0 - libm::pow(1.0 - c_sigma, 2.0 * f64::from(self.generation + 1)));
        let h = if length / settled < (1.4 + 2.0 / (d as f64 + 1.0)) * chi { 1.0 } else { 0.0 };
        let pull = h * libm::sqrt(c_c * (2.0 - c_c) * mu_eff);
        for (p, y) in self.path_c.iter_mut().zip(&step) {
            *p = (1.0 - c_c) * *p + pull * y;
        }

        let lost = (1.0 - h) * c_c * (2.0 - c_c);
        let kept = 1.0 + c1 * lost - c1 - c_mu * weights.iter().sum::<f64>();
        let scaled: Vec<f64> = steps
            .iter()
            .zip(weights)
            .map(|(y, w)| {
                if *w >= 0.0 {
                    return *w;
                }
                let white = self.shape.times(y, true);
                w * d as f64 / (white.iter().map(|x| x * x).sum::<f64>() + 1e-8)
            })
            .collect();
        let entry = |i: usize, j: usize, old: f64| {
            let rank: f64 = steps.iter().zip(&scaled).map(|(y, w)| w * y[i] * y[j]).sum();
            kept * old + c1 * self.path_c[i] * self.path_c[j] + c_mu * rank
        };
        self.shape = match &self.shape {
            Shape::Diagonal(variances) => {
                Shape::Diagonal(variances.iter().zip(0..).map(|(v, j)| entry(j, j, *v).max(1e-30)).collect())
            }
            Shape::Full { matrix, .. } => {
                let mut next = matrix.clone();
                for i in 0..d {
                    for j in i..d {
                        next[i][j] = entry(i, j, matrix[i][j]);
                        next[j][i] = next[i][j];
                    }
                }
                Shape::of(next)
            }
        };
    }

    /// The covariance without the step size.
    #[cfg(test)]
    pub(super) fn covariance(&self) -> Vec<Vec<f64>> {
        match &self.shape {
            Shape::Full { matrix, .. } => matrix.clone(),
            Shape::Diagonal(variances) => {
                let d = variances.len();
                (0..d).map(|i| (0..d).map(|j| if i == j { variances[i] } else { 0.0 }).collect()).collect()
            }
        }
    }
}
