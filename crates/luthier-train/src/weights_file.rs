//! Weights in the safetensors format.

use std::collections::{BTreeMap, HashMap};

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
    Ok(with_metadata(&safetensors::serialize(views, None)?, &metadata.into_iter().collect()))
}

/// Puts text entries into the header of a safetensors file, in the order of their names. The crate
/// itself writes them in the order of a hash map, so equal files would differ from run to run.
fn with_metadata(file: &[u8], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let Some((length, rest)) = file.split_first_chunk::<8>() else { return file.to_vec() };
    let length = u64::from_le_bytes(*length) as usize;
    let (header, data) = rest.split_at(length);
    let tensors = header.trim_ascii().strip_prefix(b"{").unwrap_or_default();
    let mut header = format!("{{\"__metadata__\":{}", serde_json::json!(metadata)).into_bytes();
    if !tensors.starts_with(b"}") {
        header.push(b',');
    }
    header.extend(tensors);
    // Tensors begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
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
