//! Weights in the safetensors format.

use std::collections::HashMap;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::model::Weights;

/// The weights, further tensors and text entries as a safetensors file.
pub(crate) fn to_bytes(
    weights: &[Weights],
    others: &[(&str, TensorView<'_>)],
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, SafeTensorError> {
    let raw: Vec<Vec<u8>> =
        weights.iter().map(|w| w.values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let mut views = Vec::with_capacity(weights.len() + others.len());
    for (weights, raw) in weights.iter().zip(&raw) {
        views.push((weights.name.clone(), TensorView::new(Dtype::F32, weights.shape.clone(), raw)?));
    }
    for (name, view) in others {
        views.push(((*name).to_owned(), view.clone()));
    }
    safetensors::serialize(views, Some(metadata))
}

/// The tensors whose names begin with `prefix`, without it.
pub(crate) fn weights_of(tensors: &SafeTensors<'_>, prefix: &str) -> Result<Vec<Weights>, String> {
    tensors
        .iter()
        .filter_map(|(name, view)| Some((name.strip_prefix(prefix)?, view)))
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(format!("{name} holds {:?}, expected F32", view.dtype()));
            }
            let values = view
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect();
            Ok(Weights { name: name.to_owned(), shape: view.shape().to_vec(), values })
        })
        .collect()
}
