//! Models that are handed over: weights with all that is needed to use them on raw data.
//!
//! The file is in the safetensors format. Its tensors are named and laid out as PyTorch's
//! `nn.Sequential` would have them; its metadata has the entry `pytorch` with that `nn.Sequential` as
//! an expression where there is one, and `luthier` with the filled-in study file, the fitted transforms and the loss.

use std::collections::HashMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use luthier_core::Metrics;
use luthier_core::config::Node;
use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::data::{DataError, Inputs, Preprocessor, RowFlags, TargetEncoding, Targets};
use crate::loss::Loss;
use crate::metric::{Predicted, class_of, target_numbers};
use crate::model::Network;
use crate::settings::TrainingConfig;
use crate::training::forward;
use crate::weights_file::{to_bytes, weights_of};

const VERSION: u32 = 1;
const BATCH: usize = 256;

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is not a model of Luthier's.
    #[error("{path} cannot be used as a model: {reason}; `luthier best STUDY --model FILE` writes one")]
    NotAModel {
        /// The file.
        path: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// The model does not fit the data, or the data is broken.
    #[error(transparent)]
    Data(#[from] DataError),
}

#[derive(Serialize, Deserialize)]
struct Card {
    version: u32,
    /// The filled-in study file.
    file: String,
    loss: String,
    preprocessor: Preprocessor,
    /// What it reached in validation.
    metrics: Metrics,
}

/// A trained model, ready for raw data.
pub struct TrainedModel {
    network: Network,
    preprocessor: Preprocessor,
    loss: Loss,
    file: String,
    metrics: Metrics,
    device: Device,
}

/// What a model says of one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The class or the number.
    #[serde(flatten)]
    pub answer: Answer,
    /// Where the row is unlike the training data: the answer is a guess there.
    pub flags: Vec<crate::data::Flag>,
}

/// The answer for one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A class.
    Class {
        /// The most likely class.
        class: String,
        /// Its probability, as the model sees it.
        probability: f64,
    },
    /// A number.
    Number {
        /// In the unit of the training data.
        value: f64,
    },
}

impl TrainedModel {
    /// Puts a trained network together with what it needs.
    pub(crate) fn new(
        network: Network,
        preprocessor: Preprocessor,
        loss: Loss,
        file: String,
        metrics: Metrics,
        device: Device,
    ) -> Self {
        Self { network, preprocessor, loss, file, metrics, device }
    }

    /// The model as a file.
    ///
    /// # Errors
    ///
    /// A message if it cannot be written as safetensors, which no model has led to.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let card = Card {
            version: VERSION,
            file: self.file.clone(),
            loss: self.loss.kind().to_owned(),
            preprocessor: self.preprocessor.clone(),
            metrics: self.metrics.clone(),
        };
        let card = serde_json::to_string(&card).map_err(|error| error.to_string())?;
        let mut metadata = HashMap::from([("luthier".to_owned(), card)]);
        metadata.extend(self.torch().map(|torch| ("pytorch".to_owned(), torch)));
        to_bytes(&self.network.weights(), &[], metadata).map_err(|error| error.to_string())
    }

    /// The model as an expression of PyTorch, `nn.Sequential(…)`, if it has one.
    fn torch(&self) -> Option<String> {
        // Those of a named model are not numbered, and an `nn.Sequential` would find none of its weights.
        let modules =
            self.network.summary().iter().enumerate().map(|(number, stage)| {
                (stage.name == number.to_string()).then(|| stage.torch.clone()).flatten()
            });
        let modules: Option<Vec<String>> = modules.collect();
        Some(format!("nn.Sequential({})", modules?.join(", ")))
    }

    fn outputs(&self) -> usize {
        match self.loss {
            Loss::BinaryCrossEntropy => 1,
            _ => self.preprocessor.outputs(),
        }
    }

    /// Reads a model from a file.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the file cannot be read or is not a model.
    pub fn open(path: &Path, device: Device) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| ModelError::Read { path: name.clone(), source })?;
        Self::from_bytes(&bytes, device).map_err(|reason| ModelError::NotAModel { path: name, reason })
    }

    /// Reads a model from the bytes of a file.
    ///
    /// # Errors
    ///
    /// What is missing or wrong.
    pub fn from_bytes(bytes: &[u8], device: Device) -> Result<Self, String> {
        let damaged = |error: safetensors::SafeTensorError| {
            format!("it is no safetensors file, or it is cut off or damaged ({error})")
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let card = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get("luthier"))
            .ok_or("its metadata has no entry `luthier`")?;
        let card: Card =
            serde_json::from_str(card).map_err(|error| format!("its entry `luthier`: {error}"))?;
        if card.version != VERSION {
            return Err(format!("it has version {}, expected {VERSION}", card.version));
        }
        let node = Node::parse(&card.file, "the model's study file").map_err(|error| error.to_string())?;
        let config =
            TrainingConfig::read(&node, "the model's study file").map_err(|error| error.to_string())?;
        let loss = Loss::KINDS.iter().position(|kind| *kind == card.loss);
        let loss = match loss.map(|index| Loss::KINDS[index]) {
            Some("cross_entropy") => Loss::CrossEntropy,
            Some("binary_cross_entropy") => Loss::BinaryCrossEntropy,
            Some("mse") => Loss::Mse,
            _ => return Err(format!("its loss {:?} is unknown", card.loss)),
        };
        let outputs = if loss == Loss::BinaryCrossEntropy { 1 } else { card.preprocessor.outputs() };
        // Weights that are about to be replaced: no matter which.
        let trainable = device.clone().autodiff();
        let network = Network::new(&config.model, card.preprocessor.input_shape(), outputs, 0, &trainable)
            .map_err(|error| error.to_string())?
            .with_weights(&weights_of(&tensors, "")?)?
            .valid();
        Ok(Self {
            network,
            preprocessor: card.preprocessor,
            loss,
            file: card.file,
            metrics: card.metrics,
            device,
        })
    }

    /// The filled-in study file that the model was trained by.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What was measured in validation at the epoch whose weights these are.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How raw data is read for it.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    fn outputs_for(&self, inputs: &Inputs) -> Vec<f32> {
        let rows: Vec<usize> = (0..inputs.len()).collect();
        let mut outputs = Vec::new();
        for rows in rows.chunks(BATCH) {
            let mut encoded = Vec::new();
            self.preprocessor.encode(inputs, rows, &mut encoded);
            outputs.extend(forward(&self.network, encoded, rows.len(), &self.device));
        }
        outputs
    }

    /// Predicts for each row of `inputs`, which the model's own [`Preprocessor`] has read. `flags` holds
    /// what reading found, one entry a row, or none at all.
    pub fn predict(&self, inputs: &Inputs, flags: &[RowFlags]) -> Vec<Prediction> {
        let outputs = self.outputs_for(inputs);
        let width = self.outputs();
        outputs
            .chunks_exact(width)
            .enumerate()
            .map(|(row, outputs)| Prediction {
                answer: self.answer(outputs),
                flags: flags.get(row).map(|row| row.flags.clone()).unwrap_or_default(),
            })
            .collect()
    }

    fn answer(&self, outputs: &[f32]) -> Answer {
        match &self.preprocessor.targets {
            TargetEncoding::Numbers { .. } => {
                Answer::Number { value: self.preprocessor.decode_number(outputs[0]) }
            }
            TargetEncoding::Classes { names } => {
                let class = class_of(outputs);
                // The loss of the chosen class is minus the logarithm of its probability.
                let loss: f64 = self.loss.each(outputs, &[class as f32]).sum();
                Answer::Class { class: names[class].clone(), probability: libm::exp(-loss) }
            }
        }
    }

    /// Every metric on rows with their targets.
    pub fn evaluate(&self, inputs: &Inputs, targets: &Targets) -> Metrics {
        let rows: Vec<usize> = (0..targets.len()).collect();
        let predicted = Predicted {
            outputs: self.outputs_for(inputs),
            targets: target_numbers(&self.preprocessor.encode_targets(targets, &rows)),
        };
        let mut metrics = Metrics::default();
        predicted.measure("", self.loss, &self.preprocessor, &mut metrics);
        metrics
    }

    /// Every metric on the given rows of prepared data.
    pub(crate) fn evaluate_rows(&self, data: &crate::prepared::Prepared, rows: &[usize]) -> Metrics {
        let mut metrics = Metrics::default();
        if let Some(predicted) = crate::training::predict(&self.network, data, rows, &self.device, &|| false)
        {
            predicted.measure("", self.loss, &self.preprocessor, &mut metrics);
        }
        metrics
    }
}
