//! Files of weights and word vectors, each read once for all trials of a study.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{PretrainedError, StateDict, WeightsSource, WordVectors};
use crate::data::Progress;
use crate::data::source::resolve;
use crate::model::{Architecture, ModelConfig, Network};

/// The number of the first word's token; those before are padding and the unknown word.
const FIRST_WORD: usize = 2;

/// Opens the files that `[model]` names, and keeps what it has read.
#[derive(Debug)]
pub struct Library {
    base: PathBuf,
    opened: Mutex<Opened>,
}

/// What was read, in the order of reading.
#[derive(Debug, Default)]
struct Opened {
    weights: Vec<Weights>,
    vectors: Vec<Vectors>,
}

#[derive(Debug)]
struct Weights {
    source: WeightsSource,
    /// The name of the model, where the source is one for several.
    model: Option<&'static str>,
    state: Arc<StateDict>,
}

#[derive(Debug)]
struct Vectors {
    path: PathBuf,
    words: Vec<String>,
    read: Arc<WordVectors>,
}

impl Library {
    /// One for paths that are relative to `base`, the folder of the study file.
    pub fn new(base: &Path) -> Self {
        Self { base: base.to_path_buf(), opened: Mutex::default() }
    }

    /// `network` with what `model` takes from files: `weights`, then `word_vectors`. `words` are those of
    /// the vocabulary, from token 2 on; none where the data is no text. Downloads report to `progress`.
    ///
    /// # Errors
    ///
    /// [`PretrainedError`] if a file cannot be had or does not fit the network.
    pub fn initialise(
        &self,
        network: Network,
        model: &ModelConfig,
        words: &[String],
        progress: Progress<'_>,
    ) -> Result<Network, PretrainedError> {
        let mut network = network;
        if let Some(source) = &model.weights {
            let state = self.weights(source, model, progress)?;
            network = state.load_into(network, model.new_head)?;
        }
        if let Some(path) = &model.word_vectors {
            let path = resolve(&self.base, path)?;
            let problem = |problem| PretrainedError::Format { path: path.clone(), problem };
            if words.is_empty() {
                return Err(problem("word vectors are for data of texts, and this data has none".to_owned()));
            }
            network = self.vectors(&path, words)?.load_into(network).map_err(problem)?;
        }
        Ok(network)
    }

    fn weights(
        &self,
        source: &WeightsSource,
        model: &ModelConfig,
        progress: Progress<'_>,
    ) -> Result<Arc<StateDict>, PretrainedError> {
        // A second trial that needs the same file waits for the first one's download.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match source {
            WeightsSource::ImageNet => model.architecture.as_ref().map(Architecture::torchvision_name),
            WeightsSource::File(_) => None,
        };
        let known = opened.weights.iter().find(|known| known.source == *source && known.model == name);
        if let Some(known) = known {
            return Ok(Arc::clone(&known.state));
        }
        let state = Arc::new(source.open(&self.base, name, progress)?);
        let (source, kept) = (source.clone(), Arc::clone(&state));
        opened.weights.push(Weights { source, model: name, state: kept });
        Ok(state)
    }

    fn vectors(&self, path: &Path, words: &[String]) -> Result<Arc<WordVectors>, PretrainedError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let known = opened.vectors.iter().find(|known| known.path == path && known.words == words);
        if let Some(known) = known {
            return Ok(Arc::clone(&known.read));
        }
        let numbered = words.iter().enumerate().map(|(number, word)| (word.as_str(), number + FIRST_WORD));
        let vectors = Arc::new(WordVectors::open(path, numbered)?);
        let (path, words, kept) = (path.to_path_buf(), words.to_vec(), Arc::clone(&vectors));
        opened.vectors.push(Vectors { path, words, read: kept });
        Ok(vectors)
    }
}
