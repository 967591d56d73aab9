//! Tests of weights from elsewhere: files as PyTorch writes them, broken files, a server on this machine.

mod download;
mod files;
mod library;
mod transfer;
mod word_vectors;

use burn::tensor::Device;

use crate::fixture::setting;
use crate::model::{ModelConfig, Network};
use crate::shape::Shape;

/// A network of the layers, written as in a study file.
fn network(layers: &str, input: Shape, outputs: usize) -> Network {
    let config: ModelConfig = setting(&format!("{{ layers = [{layers}] }}"));
    Network::new(&config, input, outputs, 3, &Device::flex()).expect("a network")
}
