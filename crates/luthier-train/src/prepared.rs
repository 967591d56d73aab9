//! Data that is ready to train on: encoded by what the training rows taught, and split.

use std::sync::Arc;

use luthier_core::{Purpose, Streams};

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
        let (augmentation, domain) = (augmentation.clone(), Domain::of(&preprocessor));
        Ok(Self { dataset, split, preprocessor, table, targets, shape, augmentation, domain })
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
        let size: usize = self.shape.size();
        let mut inputs = Vec::with_capacity(rows.len() * size);
        match &self.table {
            Some(table) => {
                for row in rows {
                    inputs.extend_from_slice(&table[row * size..(row + 1) * size]);
                }
            }
            None => self.preprocessor.encode(&self.dataset.inputs, rows, &mut inputs)?,
        }
        Ok(Batch::new(inputs, rows.iter().map(|row| self.targets[*row]).collect()))
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
        !self.augmentation.is_none()
    }

    /// The batch of `rows` to train on in the pass of this number: augmented, with `strength` as a factor.
    ///
    /// # Errors
    /// As [`Prepared::batch`].
    pub(crate) fn training_batch(
        &self,
        rows: &[usize],
        strength: f64,
        streams: Streams,
        pass: u64,
    ) -> Result<Batch, DataError> {
        let mut batch = self.batch(rows)?;
        if self.augments() {
            let mut rng = streams.at(Purpose::Augment, pass);
            self.augmentation.apply(&mut batch, &self.domain, strength, &mut rng);
        }
        Ok(batch)
    }
}
