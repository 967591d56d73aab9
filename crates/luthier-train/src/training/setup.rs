//! What a run is given.

use std::fmt;
use std::sync::Arc;

use burn::tensor::Device;
use luthier_core::Direction;

use crate::data::InputEncoding;
use crate::loss::{BoundLoss, Loss};
use crate::metric::{Metric, MetricName, class_counts};
use crate::model::{ModelConfig, Network};
use crate::prepared::Prepared;
use crate::pretrained::Library;
use crate::settings::TrainingConfig;
use crate::shape::Shape;
use crate::trainable::Model;

/// What a model is built from.
#[derive(Clone, Copy)]
pub struct Blueprint<'a> {
    /// The section `[model]`.
    pub config: &'a ModelConfig,
    /// The shape of one example.
    pub input: Shape,
    /// How many numbers come out of the model for each example.
    pub outputs: usize,
    /// The seed of the trial, for initial weights.
    pub seed: u64,
    /// Where to compute, with automatic differentiation.
    pub device: &'a Device,
    /// The words of texts, from token 2 on; empty for other data.
    pub words: &'a [String],
    /// What weights from files are read with; nothing where they will be replaced anyway.
    pub(crate) library: Option<&'a Library>,
}

/// Builds a model, or says why the configuration makes no sense.
pub(crate) type Build<M> = Arc<dyn Fn(&Blueprint<'_>) -> Result<M, String> + Send + Sync>;

/// All that a run is given.
pub struct Setup<M: Model = Network> {
    /// How to train.
    pub config: TrainingConfig,
    /// What to train on.
    pub data: Arc<Prepared>,
    /// What to judge by.
    pub objective: MetricName,
    /// Which way it is good.
    pub direction: Direction,
    /// The seed of every draw.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
    /// Whether networks are computed by a [`Plan`](crate::model::plan::Plan) where there is one; else, and
    /// everywhere but on CPUs, by Burn.
    pub plan: bool,
    /// The sections `[data]`, `[model]` and `[train]` as text, which a checkpoint keeps; see
    /// [`Run::resume`](super::Run::resume). Empty where there is no file.
    pub file: String,
    pub(crate) library: Arc<Library>,
    pub(crate) build: Build<M>,
}

impl<M: Model> Clone for Setup<M> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            data: Arc::clone(&self.data),
            objective: self.objective,
            direction: self.direction,
            seed: self.seed,
            device: self.device.clone(),
            plan: self.plan,
            file: self.file.clone(),
            library: Arc::clone(&self.library),
            build: Arc::clone(&self.build),
        }
    }
}

impl<M: Model> fmt::Debug for Setup<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("config", &self.config)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<M: Model> Setup<M> {
    /// The loss of training, with the weights that the training rows give its classes.
    pub(crate) fn loss(&self) -> BoundLoss {
        let targets = &self.data.dataset().targets;
        let loss = self.config.train.loss.clone().unwrap_or_else(|| Loss::for_targets(targets));
        loss.bind(&class_counts(targets, &self.data.split().train))
    }

    /// The metrics that are asked for, beside those of the task.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let train = &self.config.train;
        let named = train.monitors().into_iter().filter_map(|(_, name)| MetricName::parse(&name));
        let named = named.chain([self.objective]).map(|name| name.metric);
        named.chain(train.metrics.iter().copied()).collect()
    }

    /// The model before the first step; with weights from files where `begin` says so.
    pub(crate) fn model(&self, begin: bool) -> Result<M, String> {
        let outputs = self.loss().loss().outputs(&self.data.dataset().targets)?;
        let device = self.device.clone().autodiff();
        let words = match &self.data.preprocessor().inputs {
            InputEncoding::Text(text) => text.vocabulary.words(),
            _ => &[],
        };
        let model = (self.build)(&Blueprint {
            config: &self.config.model,
            input: self.data.shape(),
            outputs,
            seed: self.seed,
            device: &device,
            words,
            library: begin.then_some(&*self.library),
        })?;
        self.config.model.transfer().check(&model.parameters())?;
        Ok(model)
    }
}

impl Blueprint<'_> {
    /// The network of the section `[model]`.
    ///
    /// # Errors
    ///
    /// The first layer that does not fit the shape before it, or weights that cannot be loaded.
    pub fn network(&self) -> Result<Network, String> {
        let network = Network::new(self.config, self.input, self.outputs, self.seed, self.device)
            .map_err(|error| error.to_string())?;
        match self.library {
            Some(library) => {
                let begun = library.initialise(network, self.config, self.words, &|_, _, _| {});
                begun.map_err(|error| error.to_string())
            }
            None => Ok(network),
        }
    }
}
