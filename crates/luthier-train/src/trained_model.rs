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
use crate::loss::BoundLoss;
use crate::metric::{Measured, MetricSet, Predicted, class_of, probability_of, target_numbers};
use crate::model::Network;
use crate::settings::TrainingConfig;
use crate::trainable::Model;
use crate::training::Evaluator;
use crate::weights_file::{to_bytes, weights_of};

const VERSION: u32 = 2;
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

/// What a model file says beside its weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ModelCard {
    /// The version of the format.
    version: u32,
    /// The filled-in study file.
    pub(crate) file: String,
    pub(crate) loss: BoundLoss,
    pub(crate) preprocessor: Preprocessor,
    /// What it reached in validation.
    pub(crate) metrics: Metrics,
}

impl ModelCard {
    pub(crate) fn new(file: String, loss: BoundLoss, preprocessor: Preprocessor, metrics: Metrics) -> Self {
        Self { version: VERSION, file, loss, preprocessor, metrics }
    }

    /// The model file.
    pub(crate) fn with_weights_of(&self, model: &impl Model) -> Result<Vec<u8>, String> {
        let card = serde_json::to_string(self).map_err(|error| error.to_string())?;
        let mut metadata = HashMap::from([("luthier".to_owned(), card)]);
        metadata.extend(model.torch().map(|torch| ("pytorch".to_owned(), torch)));
        to_bytes(&model.weights(), &[], metadata).map_err(|error| error.to_string())
    }
}

/// A trained model, ready for raw data.
pub struct TrainedModel {
    network: Network,
    card: ModelCard,
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
    /// The model as a file.
    ///
    /// # Errors
    ///
    /// A message if it cannot be written as safetensors, which no model has led to.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        self.card.with_weights_of(&self.network)
    }

    fn outputs(&self) -> usize {
        if self.card.loss.loss().is_binary() { 1 } else { self.card.preprocessor.outputs() }
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
        let card: ModelCard =
            serde_json::from_str(card).map_err(|error| format!("its entry `luthier`: {error}"))?;
        if card.version != VERSION {
            return Err(format!("it has version {}, expected {VERSION}", card.version));
        }
        let node = Node::parse(&card.file, "the model's study file").map_err(|error| error.to_string())?;
        let config =
            TrainingConfig::read(&node, "the model's study file").map_err(|error| error.to_string())?;
        let loss = &card.loss;
        let outputs = if loss.loss().is_binary() { 1 } else { card.preprocessor.outputs() };
        // Weights that are about to be replaced: no matter which.
        let trainable = device.clone().autodiff();
        let network = Network::new(&config.model, card.preprocessor.input_shape(), outputs, 0, &trainable)
            .map_err(|error| error.to_string())?
            .with_weights(&weights_of(&tensors, "")?)?
            .valid();
        Ok(Self { network, card, device })
    }

    /// The filled-in study file that the model was trained by.
    pub fn file(&self) -> &str {
        &self.card.file
    }

    /// What was measured in validation at the epoch whose weights these are.
    pub fn metrics(&self) -> &Metrics {
        &self.card.metrics
    }

    /// How raw data is read for it.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.card.preprocessor
    }

    fn outputs_for(&self, inputs: &Inputs) -> Result<Vec<f32>, DataError> {
        let rows: Vec<usize> = (0..inputs.len()).collect();
        let mut outputs = Vec::new();
        let mut evaluator = Evaluator::new(&self.network, &self.device);
        for rows in rows.chunks(BATCH) {
            let mut encoded = Vec::new();
            self.card.preprocessor.encode(inputs, rows, &mut encoded)?;
            outputs.extend(evaluator.outputs(encoded, rows.len(), self.network.input()));
        }
        Ok(outputs)
    }

    /// Predicts for each row of `inputs`, which the model's own [`Preprocessor`] has read. `flags` holds
    /// what reading found, one entry a row, or none at all.
    ///
    /// # Errors
    ///
    /// Images on disk that can no longer be read.
    pub fn predict(&self, inputs: &Inputs, flags: &[RowFlags]) -> Result<Vec<Prediction>, DataError> {
        let outputs = self.outputs_for(inputs)?;
        let width = self.outputs();
        let predictions = outputs
            .chunks_exact(width)
            .enumerate()
            .map(|(row, outputs)| Prediction {
                answer: self.answer(outputs),
                flags: flags.get(row).map(|row| row.flags.clone()).unwrap_or_default(),
            })
            .collect();
        Ok(predictions)
    }

    fn answer(&self, outputs: &[f32]) -> Answer {
        match &self.card.preprocessor.targets {
            TargetEncoding::Numbers { .. } => {
                Answer::Number { value: self.card.preprocessor.decode_number(outputs[0]) }
            }
            TargetEncoding::Classes { names } => {
                let class = class_of(outputs);
                Answer::Class { class: names[class].clone(), probability: probability_of(outputs, class) }
            }
        }
    }

    /// Every metric on rows with their targets, and for classes the confusion matrix.
    ///
    /// # Errors
    ///
    /// Those of [`TrainedModel::predict`].
    pub fn evaluate(&self, inputs: &Inputs, targets: &Targets) -> Result<Measured, DataError> {
        let rows: Vec<usize> = (0..targets.len()).collect();
        let predicted = Predicted {
            outputs: self.outputs_for(inputs)?,
            targets: target_numbers(&self.card.preprocessor.encode_targets(targets, &rows)),
            ..Predicted::default()
        };
        Ok(Measured::new(&predicted, &self.card.loss, &self.card.preprocessor))
    }

    /// The metrics of `measured` on the given rows of prepared data.
    pub(crate) fn evaluate_rows(
        &self,
        data: &crate::prepared::Prepared,
        rows: &[usize],
        measured: &MetricSet,
    ) -> Result<Metrics, DataError> {
        let mut metrics = Metrics::default();
        if let Some(predicted) = crate::training::predict(
            &mut Evaluator::new(&self.network, &self.device),
            data,
            rows,
            &mut || false,
        )? {
            measured.measure("", &predicted, &self.card.loss, &self.card.preprocessor, &mut metrics);
        }
        Ok(metrics)
    }
}
