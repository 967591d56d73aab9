//! Vectors of tokens.

use crate::parallel;
use crate::simd::vectorized;

/// The token that stands for no word: its vector counts as 0 and has no gradient.
const PADDING: u32 = 0;

/// Numbers of a task.
const TASK: usize = 1 << 16;

/// A vector for each token, `[vocabulary, size]`.
#[derive(Debug, Clone, Copy)]
pub struct Embedding {
    /// How many tokens there are, with the padding.
    pub vocabulary: usize,
    /// Numbers of a vector.
    pub size: usize,
}

impl Embedding {
    /// Writes the vectors of the tokens to `y`, `[tokens, size]`, with 0 for padding, and to `mask` 0 for
    /// padding and 1 for other tokens.
    ///
    /// # Panics
    ///
    /// If sizes do not fit, or a token is none of the vocabulary.
    pub fn forward(&self, tokens: &[u32], weights: &[f32], y: &mut [f32], mask: &mut [f32]) {
        self.check(tokens, weights.len(), y.len());
        assert_eq!(mask.len(), tokens.len(), "mask");
        for (mask, token) in mask.iter_mut().zip(tokens) {
            *mask = f32::from(*token != PADDING);
        }
        if self.size == 0 {
            return;
        }
        let rows = (TASK / self.size).max(1);
        parallel::chunks(y, rows * self.size, |number, y| {
            for (y, token) in y.chunks_exact_mut(self.size).zip(&tokens[number * rows..]) {
                if *token == PADDING {
                    y.fill(0.0);
                } else {
                    y.copy_from_slice(&weights[*token as usize * self.size..][..self.size]);
                }
            }
        });
    }

    /// Writes the gradients of the vectors, `[vocabulary, size]`: for each token the sum of those of its
    /// places, in their order.
    ///
    /// # Panics
    ///
    /// If sizes do not fit.
    pub fn backward(&self, tokens: &[u32], dy: &[f32], gradients: &mut [f32]) {
        self.check(tokens, gradients.len(), dy.len());
        if self.size == 0 {
            return;
        }
        // A task looks through all tokens for those of its range of the vocabulary, so there are few.
        let rows = (TASK / self.size).max(self.vocabulary.div_ceil(16)).max(1);
        parallel::chunks(gradients, rows * self.size, |number, gradients| {
            gradients.fill(0.0);
            let first = number * rows;
            vectorized(
                #[inline(always)]
                || {
                    for (token, dy) in tokens.iter().zip(dy.chunks_exact(self.size)) {
                        let row = (*token as usize).wrapping_sub(first);
                        if *token != PADDING && row < gradients.len() / self.size {
                            let sums = &mut gradients[row * self.size..][..self.size];
                            sums.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
                        }
                    }
                },
            );
        });
    }

    fn check(&self, tokens: &[u32], weights: usize, vectors: usize) {
        assert_eq!(weights, self.vocabulary * self.size, "vectors of the vocabulary");
        assert_eq!(vectors, tokens.len() * self.size, "vectors of the tokens");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::on_threads;

    #[test]
    fn gathers_and_adds() {
        for (vocabulary, size, count) in [(2, 1, 1), (5, 3, 20), (3000, 70, 999), (1, 4, 3)] {
            let layer = Embedding { vocabulary, size };
            let tokens: Vec<u32> = (0..count).map(|it| (it * it * 7 % vocabulary) as u32).collect();
            let weights: Vec<f32> = (0..vocabulary * size).map(|it| it as f32 + 1.0).collect();
            let dy: Vec<f32> = (0..count * size).map(|it| (it % 13) as f32 - 5.5).collect();
            let run = || {
                let (mut y, mut mask) = (vec![f32::NAN; count * size], vec![f32::NAN; count]);
                let mut gradients = vec![f32::NAN; vocabulary * size];
                layer.forward(&tokens, &weights, &mut y, &mut mask);
                layer.backward(&tokens, &dy, &mut gradients);
                (y, mask, gradients)
            };
            let (y, mask, gradients) = run();
            let mut sums = vec![0.0_f64; vocabulary * size];
            for (place, &token) in tokens.iter().enumerate() {
                let token = token as usize;
                assert_eq!(mask[place], f32::from(token != 0));
                for at in 0..size {
                    let weight = if token == 0 { 0.0 } else { weights[token * size + at] };
                    assert_eq!(y[place * size + at], weight);
                    sums[token * size + at] += f64::from(dy[place * size + at]) * f64::from(mask[place]);
                }
            }
            assert!(gradients.iter().zip(&sums).all(|(it, sum)| f64::from(*it) == *sum));
            for threads in [1, 2, 4] {
                assert!(on_threads(threads, run) == (y.clone(), mask.clone(), gradients.clone()));
            }
        }
    }
}
