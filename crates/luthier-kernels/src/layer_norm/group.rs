//! Group normalisation.

use crate::batch_norm::{BatchNorm, Statistics};
use crate::{parallel, scratch};

/// Group normalisation (Wu and He 2018) of `[batch, places, channels]`: as batch normalisation, by mean and
/// variance of the numbers of one example and one group of neighbouring channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNorm {
    /// Pixels of an image or steps of a sequence.
    pub places: usize,
    /// Channels or features.
    pub channels: usize,
    /// Number of groups; it divides the channels.
    pub groups: usize,
    /// `ε`, added to the variance.
    pub epsilon: f32,
}

impl GroupNorm {
    fn image(&self) -> usize {
        self.places * self.channels
    }

    /// Channels of a group.
    fn each(&self) -> usize {
        self.channels / self.groups
    }

    fn of_channels(&self) -> BatchNorm {
        BatchNorm { channels: self.channels, epsilon: self.epsilon, relu: false }
    }

    fn check(&self, numbers: [usize; 2], saved: usize, parameters: [usize; 2]) {
        assert_eq!(numbers, [saved / (2 * self.groups) * self.image(); 2], "numbers of so many examples");
        assert_eq!(parameters, [self.channels; 2], "scale and shift of the channels");
    }

    /// Mean and variance of the groups, for each of their channels.
    fn spread<'a>(&self, saved: &[f32], room: &'a mut [f32]) -> [&'a [f32]; 2] {
        let (means, variances) = room.split_at_mut(self.channels);
        for channel in 0..self.channels {
            let group = channel / self.each();
            means[channel] = saved[group];
            variances[channel] = saved[self.groups + group];
        }
        [means, variances]
    }

    /// `y`, and in `saved` the means and then the variances of an example's groups: `[batch, 2, groups]`.
    pub fn forward(&self, x: &[f32], [scale, shift]: [&[f32]; 2], y: &mut [f32], saved: &mut [f32]) {
        self.check([x.len(), y.len()], saved.len(), [scale.len(), shift.len()]);
        parallel::pairs_of_chunks((y, self.image()), (saved, 2 * self.groups), |example, y, saved| {
            let x = &x[example * self.image()..][..self.image()];
            scratch::with(2 * self.channels, |room| {
                let (means, variances) = room.split_at_mut(self.channels);
                self.of_channels().measure(self.places, x, means, variances);
                for group in 0..self.groups {
                    let all = group * self.each()..(group + 1) * self.each();
                    let count = self.each() as f64;
                    let sum_of = |numbers: &[f32]| numbers.iter().map(|&it| f64::from(it)).sum::<f64>();
                    let mean = sum_of(&means[all.clone()]) / count;
                    let between: f64 =
                        means[all.clone()].iter().map(|&it| (f64::from(it) - mean).powi(2)).sum();
                    saved[group] = mean as f32;
                    saved[self.groups + group] = ((sum_of(&variances[all]) + between) / count) as f32;
                }
                let [mean, variance] = self.spread(saved, room);
                self.of_channels().forward(self.places, x, Statistics { mean, variance, scale, shift }, y);
            });
        });
    }

    /// Makes of the gradient for `y` that for `x`, and writes those for scale and shift.
    pub fn backward(
        &self,
        x: &[f32],
        saved: &[f32],
        scale: &[f32],
        dy: &mut [f32],
        [dscale, dshift]: [&mut [f32]; 2],
    ) {
        let (channels, batch) = (self.channels, saved.len() / (2 * self.groups));
        self.check([x.len(), dy.len()], saved.len(), [dscale.len(), dshift.len()]);
        scratch::with(batch * 2 * channels, |parts| {
            parallel::pairs_of_chunks((dy, self.image()), (parts, 2 * channels), |example, dy, part| {
                let x = &x[example * self.image()..][..self.image()];
                let saved = &saved[example * 2 * self.groups..][..2 * self.groups];
                scratch::with(4 * channels, |room| {
                    let (room, terms) = room.split_at_mut(2 * channels);
                    let [mean, variance] = self.spread(saved, room);
                    let by = Statistics { mean, variance, scale, shift: scale };
                    self.example_back(x, by, dy, part, terms);
                });
            });
            dscale.fill(0.0);
            dshift.fill(0.0);
            for part in parts.chunks_exact(2 * channels) {
                let (scales, shifts) = part.split_at(channels);
                dscale.iter_mut().zip(scales).for_each(|(sum, part)| *sum += part);
                dshift.iter_mut().zip(shifts).for_each(|(sum, part)| *sum += part);
            }
        });
    }

    fn example_back(
        &self,
        x: &[f32],
        by: Statistics<'_>,
        dy: &mut [f32],
        part: &mut [f32],
        terms: &mut [f32],
    ) {
        let (dscale, dshift) = part.split_at_mut(self.channels);
        self.of_channels().gradients_of_parameters(self.places, x, by, dy, [dscale, dshift]);
        // dx = (γ dy - mean of γ dy - x̂ mean of γ dy x̂) / √(σ² + ε), with means over the group
        let (factor, constant) = terms.split_at_mut(self.channels);
        let count = (self.places * self.each()) as f32;
        for group in 0..self.groups {
            let all = group * self.each()..(group + 1) * self.each();
            let inverse = 1.0 / (by.variance[all.start] + self.epsilon).sqrt();
            let mean_of = |numbers: &[f32]| {
                all.clone().map(|it| f64::from(by.scale[it] * numbers[it])).sum::<f64>() as f32 / count
            };
            let (products, gradients) = (mean_of(dscale), mean_of(dshift));
            factor[all.clone()].fill(-inverse * inverse * products);
            constant[all].fill(-inverse * gradients);
        }
        self.of_channels().backward_by(x, by, [factor, constant], dy);
    }
}
