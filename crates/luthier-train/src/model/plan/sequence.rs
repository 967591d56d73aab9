//! Sequences and texts: vectors of tokens, recurrent layers, and what is taken of all steps.

use luthier_kernels::{Embedding, Gradients, Recurrent, States, Weights};

use super::node::{Backward, Forward, Kernel};

/// The steps of the sequences of a batch.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// Steps of each sequence; of texts, of the longest of the batch.
    pub(crate) length: usize,
    /// The tokens of texts, `[batch, length]`.
    pub(crate) tokens: Vec<u32>,
    /// 1 for real steps and 0 for padding behind them, `[batch, length]`; empty where all are real.
    pub(crate) mask: Vec<f32>,
}

impl Steps {
    /// The steps of texts of up to `longest` tokens: so many columns as the longest of them has.
    pub(super) fn read(&mut self, texts: &[f32], longest: usize) {
        let last = |text: &[f32]| text.iter().rposition(|token| *token != 0.0);
        self.length = texts.chunks_exact(longest.max(1)).filter_map(last).max().map_or(1, |last| last + 1);
        self.tokens.clear();
        for text in texts.chunks_exact(longest.max(1)) {
            self.tokens.extend(text[..self.length].iter().map(|token| *token as u32));
        }
        self.mask.clear();
        self.mask.extend(self.tokens.iter().map(|token| f32::from(u8::from(*token != 0))));
    }

    fn mask(&self) -> Option<&[f32]> {
        (!self.mask.is_empty()).then_some(&self.mask)
    }
}

/// Vectors of tokens.
pub(in crate::model) struct EmbeddingKernel {
    embedding: Embedding,
    weight: (usize, bool),
    mask: Vec<f32>,
}

impl EmbeddingKernel {
    pub(in crate::model) fn new(embedding: Embedding, weight: (usize, bool)) -> Self {
        Self { embedding, weight, mask: Vec::new() }
    }
}

impl Kernel for EmbeddingKernel {
    fn name(&self) -> String {
        format!("embedding {} x {}", self.embedding.vocabulary, self.embedding.size)
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, _: &[f32], y: &mut [f32]) {
        self.mask.resize(run.steps.tokens.len(), 0.0);
        self.embedding.forward(&run.steps.tokens, &run.weights[self.weight.0], y, &mut self.mask);
    }

    fn backward(&mut self, run: &mut Backward<'_>, _: (&[f32], &[f32]), dy: Vec<f32>, _: bool) -> Vec<f32> {
        let gradients = &mut run.gradients[self.weight.0];
        if !gradients.is_empty() {
            self.embedding.backward(&run.steps.tokens, &dy, gradients);
        }
        dy
    }

    fn is_trained(&self) -> bool {
        self.weight.1
    }
}

/// A recurrent layer.
pub(in crate::model) struct RecurrentKernel {
    layer: Recurrent,
    /// The place of the first of the four parameters of each direction.
    places: Vec<usize>,
    trained: bool,
    saved: Vec<f32>,
    /// Gradients that nobody asked for.
    unwanted: Vec<Vec<f32>>,
}

impl RecurrentKernel {
    pub(in crate::model) fn new(layer: Recurrent, parameters: &[(usize, bool)]) -> Self {
        Self {
            layer,
            places: parameters.iter().step_by(4).map(|(place, _)| *place).collect(),
            trained: parameters.iter().any(|(_, trained)| *trained),
            saved: Vec::new(),
            unwanted: Vec::new(),
        }
    }
}

fn weights<'a>(places: &[usize], weights: &'a [Vec<f32>]) -> Vec<Weights<'a>> {
    let of = |place: &usize| Weights {
        input: &weights[*place],
        state: &weights[place + 1],
        input_bias: &weights[place + 2],
        state_bias: &weights[place + 3],
    };
    places.iter().map(of).collect()
}

impl Kernel for RecurrentKernel {
    fn name(&self) -> String {
        let Recurrent { cell, inputs, units, bidirectional, .. } = self.layer;
        let cell = format!("{cell:?}").to_lowercase();
        format!("{cell} {inputs} -> {units}{}", if bidirectional { ", both ways" } else { "" })
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        let size = (run.batch, run.steps.length);
        self.saved.resize(self.layer.saved_len(size.0, size.1), 0.0);
        let weights = weights(&self.places, run.weights);
        self.layer.forward(size, x, run.steps.mask(), &weights, y, &mut self.saved);
    }

    fn backward(
        &mut self,
        run: &mut Backward<'_>,
        (x, _): (&[f32], &[f32]),
        dy: Vec<f32>,
        is_wanted: bool,
    ) -> Vec<f32> {
        let mut dx = if is_wanted { run.buffers.take(x.len()) } else { Vec::new() };
        let first = self.places[0];
        let all = &mut run.gradients[first..first + 4 * self.places.len()];
        self.unwanted.resize(all.len(), Vec::new());
        let slices = all.iter_mut().zip(&mut self.unwanted).zip(&run.weights[first..]);
        let slices = slices.map(|((wanted, unwanted), weights)| {
            if wanted.is_empty() {
                unwanted.resize(weights.len(), 0.0);
                &mut unwanted[..]
            } else {
                &mut wanted[..]
            }
        });
        let mut slices: Vec<&mut [f32]> = slices.collect();
        let mut gradients = Vec::with_capacity(self.places.len());
        for of_direction in slices.chunks_exact_mut(4) {
            let [input, state, input_bias, state_bias] = of_direction else { unreachable!("four each") };
            gradients.push(Gradients { input, state, input_bias, state_bias });
        }
        let weights = weights(&self.places, run.weights);
        let size = (run.batch, run.steps.length);
        let by_input = is_wanted.then_some(&mut dx[..]);
        self.layer.backward(size, run.steps.mask(), &weights, &dy, &mut self.saved, by_input, &mut gradients);
        drop(gradients);
        run.buffers.give(dy);
        dx
    }

    fn is_trained(&self) -> bool {
        self.trained
    }
}

/// The mean or the maximum of each feature over the real steps.
pub(in crate::model) struct OverSteps {
    features: usize,
    max: bool,
    /// The step of the maximum, or none where no step is real.
    winners: Vec<Option<u32>>,
}

impl OverSteps {
    pub(in crate::model) fn new(features: usize, max: bool) -> Self {
        Self { features, max, winners: Vec::new() }
    }
}

/// Whether the step of a sequence is real.
fn is_real(steps: &Steps, sequence: usize, step: usize) -> bool {
    steps.mask.get(sequence * steps.length + step).is_none_or(|mask| *mask != 0.0)
}

fn real_steps(steps: &Steps, sequence: usize) -> impl Iterator<Item = usize> + '_ {
    (0..steps.length).filter(move |step| is_real(steps, sequence, *step))
}

impl Kernel for OverSteps {
    fn name(&self) -> String {
        format!("{} over steps", if self.max { "max" } else { "mean" })
    }

    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]) {
        let (features, steps) = (self.features, run.steps);
        y.fill(0.0);
        self.winners.clear();
        self.winners.resize(y.len(), None);
        let sequences = x.chunks_exact((features * steps.length).max(1));
        let outputs = y.chunks_exact_mut(features).zip(self.winners.chunks_exact_mut(features));
        for (sequence, (x, (y, winners))) in sequences.zip(outputs).enumerate() {
            let count = real_steps(steps, sequence).count().max(1);
            for step in real_steps(steps, sequence) {
                let x = &x[step * features..][..features];
                if self.max {
                    for ((y, winner), x) in y.iter_mut().zip(&mut *winners).zip(x) {
                        if winner.is_none() || *x > *y {
                            (*y, *winner) = (*x, Some(step as u32));
                        }
                    }
                } else {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
                }
            }
            if !self.max {
                for y in y {
                    *y /= count as f32;
                }
            }
        }
    }

    fn backward(
        &mut self,
        run: &mut Backward<'_>,
        (x, _): (&[f32], &[f32]),
        dy: Vec<f32>,
        _: bool,
    ) -> Vec<f32> {
        let (features, steps) = (self.features, run.steps);
        run.buffers.turn(dy, x.len(), |dy, dx| {
            dx.fill(0.0);
            let sequences = dx.chunks_exact_mut((features * steps.length).max(1));
            let gradients = dy.chunks_exact(features).zip(self.winners.chunks_exact(features));
            for (sequence, (dx, (dy, winners))) in sequences.zip(gradients).enumerate() {
                if self.max {
                    for (feature, (dy, winner)) in dy.iter().zip(winners).enumerate() {
                        if let Some(step) = winner {
                            dx[*step as usize * features + feature] = *dy;
                        }
                    }
                    continue;
                }
                let share = 1.0 / real_steps(steps, sequence).count().max(1) as f32;
                for step in real_steps(steps, sequence) {
                    let dx = &mut dx[step * features..][..features];
                    dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy * share);
                }
            }
        })
    }
}

/// What a recurrent layer gives.
pub(in crate::model) fn states(all: bool) -> States {
    if all { States::All } else { States::Last }
}
