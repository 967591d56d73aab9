//! torchvision's weights that were trained on ImageNet, downloaded once and kept.
//!
//! <https://docs.pytorch.org/vision/stable/models.html>, the first weights (`IMAGENET1K_V1`) of each model.
//! The name of each file holds the first eight digits of its SHA-256, which torchvision checks as well.

use std::path::{Path, PathBuf};

use super::{PretrainedError, StateDict};
use crate::data::download::{self, Contents, RemoteFile};
use crate::data::{DataError, Progress};

/// Where the files lie.
const BASE: &str = "https://download.pytorch.org/models/";

/// Each model with the digits in the name of its file.
const FILES: [(&str, &str); 10] = [
    ("vgg11", "8a719046"),
    ("vgg11_bn", "6002323d"),
    ("vgg13", "19584684"),
    ("vgg13_bn", "abd245e5"),
    ("vgg16", "397923af"),
    ("vgg16_bn", "6c64b313"),
    ("vgg19", "dcbb9e9d"),
    ("vgg19_bn", "c79401a0"),
    ("resnet18", "f37072fd"),
    ("resnet34", "b627a593"),
];

/// Where files may come from, and where they are kept.
pub(super) struct Origin {
    pub(super) agent: ureq::Agent,
    pub(super) base: String,
    /// Folders in which a file is looked for.
    pub(super) places: Vec<PathBuf>,
    /// The folder that a download goes to.
    pub(super) cache: Option<PathBuf>,
}

impl Origin {
    /// torchvision's server and the folders of this user. `LUTHIER_DATA` and the cache of PyTorch are
    /// looked into as well.
    fn usual() -> Self {
        let variable = |name| std::env::var_os(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let cache = dirs::cache_dir().map(|cache| cache.join("luthier").join("weights"));
        let torch = variable("TORCH_HOME").or_else(|| Some(dirs::cache_dir()?.join("torch")));
        let mut places = Vec::new();
        if let Some(own) = variable("LUTHIER_DATA") {
            places.extend([own.join("weights"), own]);
        }
        places.extend(cache.clone());
        places.extend(torch.map(|torch| torch.join("hub").join("checkpoints")));
        Self { agent: download::agent(), base: BASE.to_owned(), places, cache }
    }
}

/// The weights of the model of this name, from a folder of this user or from torchvision's server.
///
/// # Errors
///
/// There are no weights for the model, or the file can be neither found nor downloaded.
pub(super) fn open(model: &str, progress: Progress<'_>) -> Result<StateDict, PretrainedError> {
    let Some((_, digits)) = FILES.iter().find(|(known, _)| *known == model) else {
        let known: Vec<&str> = FILES.iter().map(|(known, _)| *known).collect();
        return Err(PretrainedError::NoFile(format!(
            "there are no weights \"imagenet\" for {model}; there are for {}",
            known.join(", ")
        )));
    };
    let file =
        RemoteFile { name: format!("{model}-{digits}.pth"), contents: Contents::Plain((*digits).to_owned()) };
    StateDict::open(&find(&file, &Origin::usual(), progress)?)
}

/// The path of `file`, which is downloaded if it lies nowhere. Its hash is checked either way.
pub(super) fn find(
    file: &RemoteFile,
    origin: &Origin,
    progress: Progress<'_>,
) -> Result<PathBuf, PretrainedError> {
    let mut attempts = Vec::new();
    for path in origin.places.iter().map(|place| place.join(&file.name)).filter(|path| path.is_file()) {
        match download::verify(&path, &file.contents) {
            Ok(()) => return Ok(path),
            Err(reason) => attempts.push(format!("{}: {reason}", path.display())),
        }
    }
    let fetched = match &origin.cache {
        Some(cache) => {
            download::fetch(&origin.agent, std::slice::from_ref(&origin.base), file, cache, progress)?
                .map(|()| cache.join(&file.name))
        }
        None => Err(vec![format!("{}{}: there is no cache folder to keep it in", origin.base, file.name)]),
    };
    let place = |place: &Path| place.display().to_string();
    fetched.map_err(|reasons| {
        attempts.extend(reasons);
        let places = match &origin.cache {
            Some(cache) => vec![place(cache)],
            None => origin.places.iter().map(|it| place(it)).collect(),
        };
        DataError::Download { file: file.name.clone(), attempts, files: vec![file.name.clone()], places }
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_sequence_is_the_beginning_of_a_sha_256() {
        for (model, digits) in FILES {
            assert_eq!(digits.len(), 8, "{model}");
            assert!(digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{model}");
        }
    }
}
