//! State dicts: the tensors of a `.safetensors` or a PyTorch file, by name.
//!
//! Formats: <https://huggingface.co/docs/safetensors>, and `torch.save`'s archives of pickles, of every
//! version that there has been, <https://docs.pytorch.org/docs/stable/notes/serialization.html>. Nothing
//! in a pickle is executed.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PytorchReader};
use safetensors::tensor::{Dtype, SafeTensors};

use super::PretrainedError;
use super::float_format::FloatFormat;
use crate::model::Weights;

/// The tensors of a file, by the names of a PyTorch state dict.
#[derive(Debug, Clone, PartialEq)]
pub struct StateDict {
    pub(super) path: PathBuf,
    /// In the order of their names.
    pub(super) tensors: Vec<Weights>,
    /// Tensors that hold no floating-point numbers, with what they hold.
    pub(super) others: Vec<(String, String)>,
}

impl StateDict {
    /// Reads a file. Its kind is told by its contents: `.safetensors`, or what `torch.save` writes
    /// (`.pt`, `.pth`). Tensors in half, bfloat16 and double precision become single precision.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is of no such kind, is cut off, or holds no tensors.
    pub fn open(path: &Path) -> Result<Self, PretrainedError> {
        let mut state = match Kind::of(path)? {
            Kind::Safetensors => safetensors(path)?,
            Kind::PyTorch => pytorch(path)?,
        };
        if state.tensors.is_empty() {
            return Err(format_error(path, "it holds no tensors of weights".to_owned()));
        }
        state.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        state.others.sort();
        Ok(state)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors, in the order of their names.
    pub fn tensors(&self) -> &[Weights] {
        &self.tensors
    }
}

enum Kind {
    Safetensors,
    PyTorch,
}

impl Kind {
    /// What the first bytes of a file say.
    fn of(path: &Path) -> Result<Self, PretrainedError> {
        let read = |reason| PretrainedError::Read { path: path.into(), reason };
        let mut start = Vec::new();
        File::open(path).map_err(read)?.take(512).read_to_end(&mut start).map_err(read)?;
        // Safetensors begins with the length of its header, which is JSON.
        if start.get(8) == Some(&b'{') && start.get(5..8) == Some(&[0; 3]) {
            return Ok(Self::Safetensors);
        }
        // An archive in zip or tar, or a pickle of protocol 2 or later.
        let zip = start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06");
        let tar = start.get(257..262) == Some(b"ustar");
        if zip || tar || matches!(start[..], [0x80, 2..=5, ..]) {
            return Ok(Self::PyTorch);
        }
        let found = if start.is_empty() { "an empty file" } else { "neither" };
        Err(format_error(
            path,
            format!(
                "expected a .safetensors file or a PyTorch file (.pt, .pth) with a state dict, found {found}"
            ),
        ))
    }
}

fn format_error(path: &Path, problem: String) -> PretrainedError {
    PretrainedError::Format { path: path.into(), problem }
}

fn damaged(path: &Path, kind: &str, reason: &dyn std::fmt::Display) -> PretrainedError {
    format_error(
        path,
        format!("this {kind} file is cut off or damaged ({reason}); copy or download it again"),
    )
}

fn safetensors(path: &Path) -> Result<StateDict, PretrainedError> {
    let bytes = fs::read(path).map_err(|reason| PretrainedError::Read { path: path.into(), reason })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(path, "safetensors", &error))?;
    let mut state = StateDict { path: path.into(), tensors: Vec::new(), others: Vec::new() };
    for (name, view) in file.iter() {
        let format = match view.dtype() {
            Dtype::F64 => FloatFormat::F64,
            Dtype::F32 => FloatFormat::F32,
            Dtype::F16 => FloatFormat::F16,
            Dtype::BF16 => FloatFormat::BF16,
            other => {
                state.others.push((name.to_owned(), format!("{other:?}")));
                continue;
            }
        };
        let values = format.singles(view.data());
        state.tensors.push(Weights { name: name.to_owned(), shape: view.shape().to_vec(), values });
    }
    Ok(state)
}

fn pytorch(path: &Path) -> Result<StateDict, PretrainedError> {
    let file = PytorchReader::new(path).map_err(|error| damaged(path, "PyTorch", &error))?;
    let mut state = StateDict { path: path.into(), tensors: Vec::new(), others: Vec::new() };
    for (name, tensor) in file.into_tensors() {
        let format = match tensor.dtype() {
            DType::F64 => FloatFormat::F64,
            DType::F32 => FloatFormat::F32,
            DType::F16 => FloatFormat::F16,
            DType::BF16 => FloatFormat::BF16,
            other => {
                state.others.push((name, format!("{other:?}")));
                continue;
            }
        };
        // The reader gives the bytes of this machine; only little-endian ones are supported.
        let bytes = tensor.read().map_err(|error| damaged(path, "PyTorch", &error))?;
        state.tensors.push(Weights { name, shape: tensor.shape().to_vec(), values: format.singles(&bytes) });
    }
    Ok(state)
}
