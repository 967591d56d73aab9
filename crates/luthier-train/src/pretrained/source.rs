//! The key `weights` of `[model]`: where initial weights come from.

use std::path::{Path, PathBuf};

use luthier_core::config::{Decode, Node, Problems};

use super::{PretrainedError, StateDict, imagenet};
use crate::data::Progress;
use crate::data::source::resolve;

/// Where the initial weights of a model come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WeightsSource {
    /// torchvision's file for the named model.
    ImageNet,
    /// A `.safetensors`, `.pth` or `.pt` file.
    File(PathBuf),
}

impl WeightsSource {
    /// Opens it. Paths are relative to `base`, the folder of the study file; `model` is the name of the
    /// model, if it has one.
    ///
    /// # Errors
    ///
    /// [`PretrainedError`] if there is no such file, it is damaged, or cannot be downloaded.
    pub fn open(
        &self,
        base: &Path,
        model: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<StateDict, PretrainedError> {
        match (self, model) {
            (Self::File(path), _) => StateDict::open(&resolve(base, path)?),
            (Self::ImageNet, Some(model)) => imagenet::open(model, progress),
            (Self::ImageNet, None) => Err(PretrainedError::NoFile(
                "the weights \"imagenet\" belong to a model with a name; write `architecture = \"vgg16\"` or \
                 \"resnet18\" in place of `layers`"
                    .to_owned(),
            )),
        }
    }
}

impl Decode for WeightsSource {
    const EXPECTED: &'static str = "\"imagenet\", or the path of a .safetensors, .pth or .pt file";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match node.as_str() {
            Some("imagenet") => Some(Self::ImageNet),
            Some(text) if !text.is_empty() => Some(Self::File(text.into())),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}
