//! What the frozen beginning of a model gives, computed once.

use burn::tensor::Device;

use super::measure::evaluation_batch;
use crate::data::DataError;
use crate::model::{Signal, host};
use crate::prepared::Prepared;
use crate::shape::Shape;
use crate::trainable::Model;

/// What the frozen beginning of a model gives for each row, computed once.
pub(super) struct Features {
    pub(super) shape: Shape,
    /// Row after row.
    values: Vec<f32>,
}

/// Features are kept if they take no more memory than this; else they are computed again and again.
const MOST_FEATURES: usize = 2 << 30;

impl Features {
    /// Those of all rows of training and validation, if the model has any and the data is always the same.
    pub(super) fn of<M: Model>(
        model: &M,
        data: &Prepared,
        device: &Device,
    ) -> Result<Option<Self>, DataError> {
        let Some(shape) = model.features().filter(|_| !data.augments()) else { return Ok(None) };
        let rows = data.dataset().len();
        if rows * shape.size() * 4 > MOST_FEATURES {
            return Ok(None);
        }
        let mut values = vec![0.0; rows * shape.size()];
        for part in [&data.split().train, &data.split().validation] {
            for rows in part.chunks(evaluation_batch(data.shape())) {
                let batch = data.batch(rows)?;
                let signal = Signal::new(batch.inputs, rows.len(), data.shape(), device);
                let found = host(model.forward_features(signal).flat());
                for (row, features) in rows.iter().zip(found.chunks_exact(shape.size())) {
                    values[row * shape.size()..(row + 1) * shape.size()].copy_from_slice(features);
                }
            }
        }
        Ok(Some(Self { shape, values }))
    }

    /// Those of `rows`.
    pub(super) fn rows(&self, rows: &[usize]) -> Vec<f32> {
        let size = self.shape.size();
        rows.iter().flat_map(|row| &self.values[row * size..(row + 1) * size]).copied().collect()
    }
}
