//! Data that is ready to train on: encoded by what the training rows taught, and split.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use std::sync::Arc;

use luthier_core::{Purpose, Streams};
use luthier_kernels::vectorized;

use crate::augment::{Augmentation, Domain};
use crate::batch::Batch;
use crate::data::{DataError, Dataset, Inputs, Preprocessor, Split, TransformConfig};
use crate::metric::target_numbers;
use crate::shape::Shape;

/// A data set with its split and the transforms that were fitted on its training rows.
#[derive(Debug)]
pub struct Prepared {
    dataset: Arc<Dataset>,
    split: Arc<Split>,
    preprocessor: Preprocessor,
    /// All rows of a table or of texts, encoded; images are encoded batch by batch, being four times larger so.
    table: Option<Vec<f32>>,
    targets: Vec<f32>,
    shape: Shape,
    augmentation: Augmentation,
    /// Whether it changes anything.
    augments: bool,
    domain: Domain,
}

impl Prepared {
    /// Fits `transforms` on the training rows of `split`.
    pub fn new(
        dataset: Arc<Dataset>,
        split: Arc<Split>,
        transforms: &TransformConfig,
        augmentation: &Augmentation,
    ) -> Result<Self, DataError> {
        let preprocessor = Preprocessor::fit(&dataset, &split.train, transforms)?;
        let table = match &dataset.inputs {
            Inputs::Table(_) | Inputs::Text(_) => Some(preprocessor.encode_all(&dataset.inputs)?),
            Inputs::Images(_) => None,
        };
        let rows: Vec<usize> = (0..dataset.len()).collect();
        let targets = target_numbers(&preprocessor.encode_targets(&dataset.targets, &rows));
        let shape = preprocessor.input_shape();
        augmentation.check(shape).map_err(DataError::Encoding)?;
        let (augmentation, augments) = (augmentation.clone(), !augmentation.is_none());
        let domain = Domain::of(&preprocessor);
        Ok(Self { dataset, split, preprocessor, table, targets, shape, augmentation, augments, domain })
    }

    /// The data as it was loaded.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The rows of each part.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The fitted transforms.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// The shape of one example.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The encoded inputs and targets of `rows`.
    ///
    /// # Errors
    /// Images on disk that can no longer be read.
    pub(crate) fn batch(&self, rows: &[usize]) -> Result<Batch, DataError> {
        let mut batch = Batch::default();
        self.fill(rows, &mut batch)?;
        Ok(batch)
    }

    /// Makes `batch` the one of `rows`, in the memory that it has.
    fn fill(&self, rows: &[usize], batch: &mut Batch) -> Result<(), DataError> {
        let Batch { inputs, targets, mixed } = batch;
        if let Some(table) = &self.table {
            gather(table, self.shape.size(), rows, inputs);
        } else {
            inputs.clear();
            inputs.reserve(rows.len() * self.shape.size());
            self.preprocessor.encode(&self.dataset.inputs, rows, inputs)?;
        }
        targets.clear();
        targets.extend(rows.iter().map(|row| self.targets[*row]));
        *mixed = None;
        Ok(())
    }

    /// The targets of `rows`.
    pub(crate) fn targets(&self, rows: &[usize]) -> Vec<f32> {
        rows.iter().map(|row| self.targets[*row]).collect()
    }

    /// Whether making a batch takes so long that it should be done ahead.
    pub(crate) fn takes_time(&self) -> bool {
        self.table.is_none() || self.augments()
    }

    /// Whether examples change from one time to the next while training.
    pub(crate) fn augments(&self) -> bool {
        self.augments
    }

    /// Makes `batch` the one of `rows` to train on in the pass of this number, in the memory that it has: augmented,
    /// with `strength` as a factor.
    ///
    /// # Errors
    /// As [`Prepared::batch`].
    pub(crate) fn training_batch(
        &self,
        rows: &[usize],
        strength: f64,
        streams: Streams,
        pass: u64,
        batch: &mut Batch,
    ) -> Result<(), DataError> {
        self.fill(rows, batch)?;
        if self.augments() {
            let mut rng = streams.at(Purpose::Augment, pass);
            self.augmentation.apply(batch, &self.domain, strength, &mut rng);
        }
        Ok(())
    }
}

/// Numbers that are copied at once. Copies of a length that is known are no calls, which cost more than short rows.
const PIECE: usize = 16;

/// Makes `into` the `rows` of a table with rows of `size` numbers.
fn gather(table: &[f32], size: usize, rows: &[usize], into: &mut Vec<f32>) {
    into.resize(rows.len() * size + PIECE, 0.0);
    vectorized(
        #[inline(always)]
        || {
            if size <= PIECE {
                // As most tables are: no loop within the loop.
                for (number, row) in rows.iter().enumerate() {
                    copy_piece(&table[row * size..], &mut into[number * size..], size);
                }
                return;
            }
            for (number, row) in rows.iter().enumerate() {
                let (source, target) = (&table[row * size..], &mut into[number * size..]);
                for at in (0..size).step_by(PIECE) {
                    copy_piece(&source[at..], &mut target[at..], size - at);
                }
            }
        },
    );
    into.truncate(rows.len() * size);
}

/// Copies the next piece of a row, of which so many numbers are left.
#[inline(always)]
fn copy_piece(source: &[f32], target: &mut [f32], left: usize) {
    let pair = (source.first_chunk::<PIECE>(), target.first_chunk_mut::<PIECE>());
    if let (Some(source), Some(target)) = pair {
        // What is behind the row is written over by the next one, or taken off.
        *target = *source;
    } else {
        let end = left.min(PIECE);
        copy_end(&source[..end], &mut target[..end]);
    }
}

/// The end of a table. By itself, as the compiler makes one call of two copies of which this is the rarer one.
#[cold]
#[inline(never)]
fn copy_end(source: &[f32], target: &mut [f32]) {
    target.copy_from_slice(source);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_in_their_order_whatever_their_length() {
        for size in [1, 2, 10, 15, 16, 17, 40] {
            let table: Vec<f32> = (0..7 * size).map(|it| it as f32).collect();
            for rows in [&[][..], &[6], &[3, 0, 6, 6, 1], &[0, 1, 2, 3, 4, 5, 6]] {
                let expected: Vec<f32> =
                    rows.iter().flat_map(|row| &table[row * size..(row + 1) * size]).copied().collect();
                let mut found = vec![9.0; 23];
                gather(&table, size, rows, &mut found);
                assert_eq!(found, expected, "{rows:?} of {size}");
            }
        }
    }
}
