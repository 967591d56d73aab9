//! Batch normalisation.

use luthier_kernels::{BatchNorm, Statistics};

use super::node::{Backward, Forward, Kernel};

/// Batch normalisation with its places among the parameters.
pub(in crate::model) struct NormKernel {
    norm: BatchNorm,
    /// The place of the scale; shift, running mean and running variance stand behind it.
    place: usize,
    trained: bool,
    momentum: f64,
    /// Whether it is by the running statistics even in training.
    frozen: bool,
    /// Of the batch, where it was measured.
    mean: Vec<f32>,
    variance: Vec<f32>,
    measured: bool,
    /// Gradients of scale and shift that nobody asked for.
    unwanted: [Vec<f32>; 2],
}

impl NormKernel {
    pub(in crate::model) fn new(
        channels: usize,
        [scale, shift, ..]: [(usize, bool); 4],
        (momentum, epsilon): (f64, f64),
        frozen: bool,
    ) -> Self {
        Self {
            norm: BatchNorm { channels, epsilon: epsilon as f32, relu: false },
            place: scale.0,
            trained: scale.1 || shift.1,
            momentum,
            frozen,
            mean: vec![0.0; channels],
            variance: vec![0.0; channels],
            measured: false,
            unwanted: [vec![0.0; channels], vec![0.0; channels]],
        }
    }

    /// What the last forward pass normalised by.
    fn statistics<'a>(&'a self, weights: &'a [Vec<f32>]) -> Statistics<'a> {
        let [scale, shift, mean, variance] = [0, 1, 2, 3].map(|number| &weights[self.place + number][..]);
        if self.measured {
            Statistics { mean: &self.mean, variance: &self.variance, scale, shift }
        } else {
            Statistics { mean, variance, scale, shift }
        }
    }
}

impl Kernel for NormKernel {
    fn name(&self) -> String {
        format!("batch norm {}{}", self.norm.channels, if self.norm.relu { " + relu" } else { "" })
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        let rows = x.len() / self.norm.channels;
        self.measured = run.pass.is_training() && !self.frozen && rows > 1;
        if self.measured {
            self.norm.measure(rows, x, &mut self.mean, &mut self.variance);
            let share = self.momentum as f32;
            let mut follow = |number: usize, measured: &[f32], factor: f32| {
                let old = &run.weights[self.place + number];
                let new = |(old, new): (&f32, &f32)| old * (1.0 - share) + new * factor * share;
                run.running.push((self.place + number, old.iter().zip(measured).map(new).collect()));
            };
            follow(2, &self.mean, 1.0);
            // The variance that is kept is without bias.
            follow(3, &self.variance, rows as f32 / (rows - 1) as f32);
        }
        self.norm.forward(rows, x, self.statistics(run.weights), y);
    }

    fn backward(
        &mut self,
        run: &mut Backward<'_>,
        (x, _): (&[f32], &[f32]),
        mut dy: Vec<f32>,
        _: bool,
    ) -> Vec<f32> {
        let rows = x.len() / self.norm.channels;
        let mut unwanted = std::mem::take(&mut self.unwanted);
        let [first, second] = &mut unwanted;
        let (scale, shift) = Backward::of_layer(run.gradients, self.place, Some(self.place + 1));
        let gradients = [scale.unwrap_or(first), shift.unwrap_or(second)];
        let by = self.statistics(run.weights);
        if self.measured {
            self.norm.backward(rows, x, by, &mut dy, gradients);
        } else {
            if self.trained {
                self.norm.gradients_of_parameters(rows, x, by, &dy, gradients);
            }
            self.norm.backward_frozen(x, by, &mut dy);
        }
        self.unwanted = unwanted;
        dy
    }

    fn rectify(&mut self) -> bool {
        self.norm.relu = true;
        true
    }

    fn is_trained(&self) -> bool {
        self.trained
    }
}
