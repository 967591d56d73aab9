//! Transfer learning: which parameters stay as they are, from when on they move, and how fast.
//!
//! Yosinski et al., "How transferable are features in deep neural networks?" (2014); for thawing step by
//! step and learning rates by layer, Howard and Ruder, "Universal language model fine-tuning" (2018).

use luthier_core::config::{Decode, Node, Problems, bounds};

use super::{Pattern, WeightsSource};
use crate::model::{Network, Parameter};

luthier_core::settings! {
    /// Frozen layers that begin to train.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Thaw {
        /// After so many epochs.
        epoch: u64, bounds::COUNT;
        /// Patterns of their names.
        layers: Vec<Pattern>;
    }
}

/// Factors on the learning rate by pattern of parameter names, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LearningRates(pub Vec<(Pattern, f64)>);

impl Decode for LearningRates {
    const EXPECTED: &'static str = "a table of patterns with factors such as { \"features.*\" = 0.1 }";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let Some(table) = node.as_table() else {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
            return None;
        };
        let mut factors = Some(Vec::new());
        for (key, value) in table {
            let path = format!("{path}.{key}");
            match f64::decode(value, &path, problems) {
                Some(factor) if factor >= 0.0 && !key.is_empty() => {
                    if let Some(factors) = &mut factors {
                        factors.push((Pattern::new(key), factor));
                    }
                }
                read => {
                    if read.is_some() {
                        problems.add(value.line, &path, "a factor of 0 or more", value.describe());
                    }
                    factors = None;
                }
            }
        }
        factors.map(Self)
    }
}

/// What a model takes over from another, and how it is trained on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transfer {
    /// Where initial weights come from.
    pub weights: Option<WeightsSource>,
    /// Whether the output layer is begun anew.
    pub new_head: bool,
    /// What is not trained.
    pub freeze: Vec<Pattern>,
    /// What of it is trained later.
    pub thaw: Vec<Thaw>,
    /// Factors on the learning rate.
    pub learning_rates: LearningRates,
}

impl Transfer {
    /// Whether all of it fits a model with these parameters.
    ///
    /// # Errors
    ///
    /// Every pattern that stands for nothing, with the names that are nearest; and a model of which
    /// nothing is trained in the first epoch.
    pub fn check(&self, parameters: &[Parameter]) -> Result<(), String> {
        let mut wrong = Vec::new();
        let mut complain = |key: &str, pattern: &Pattern| match pattern.complaint(parameters) {
            Some(complaint) => {
                wrong.push(format!("model.{key}: {complaint}"));
                true
            }
            None => false,
        };
        for pattern in &self.freeze {
            complain("freeze", pattern);
        }
        let mut never_frozen = Vec::new();
        for pattern in self.thaw.iter().flat_map(|thaw| &thaw.layers) {
            let thaws = |parameter: &&Parameter| pattern.matches(&parameter.name);
            if !complain("thaw", pattern) && !parameters.iter().filter(thaws).any(|it| self.freezes(it)) {
                never_frozen.push(format!("model.thaw: `{}` is not frozen", pattern.as_str()));
            }
        }
        for (pattern, _) in &self.learning_rates.0 {
            complain("learning_rates", pattern);
        }
        wrong.extend(never_frozen);
        let frozen = self.frozen_at(0, parameters);
        let is_left = |(parameter, frozen): (&Parameter, &bool)| parameter.is_trained() && !frozen;
        if wrong.is_empty() && frozen.contains(&true) && !parameters.iter().zip(&frozen).any(is_left) {
            wrong.push("model.freeze: nothing is left to train in the first epoch".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    fn freezes(&self, parameter: &Parameter) -> bool {
        self.freeze.iter().any(|pattern| pattern.matches(&parameter.name))
    }

    /// For each parameter, whether it is frozen when `epoch` epochs are done.
    pub fn frozen_at(&self, epoch: u64, parameters: &[Parameter]) -> Vec<bool> {
        let thawed = |parameter: &Parameter| {
            let due = self.thaw.iter().filter(|thaw| thaw.epoch <= epoch);
            due.flat_map(|thaw| &thaw.layers).any(|pattern| pattern.matches(&parameter.name))
        };
        parameters.iter().map(|parameter| self.freezes(parameter) && !thawed(parameter)).collect()
    }

    /// Whether something thaws when `epoch` epochs are done.
    pub fn thaws_at(&self, epoch: u64) -> bool {
        self.thaw.iter().any(|thaw| thaw.epoch == epoch)
    }

    /// For each parameter, the factor on its learning rate: that of the last pattern that stands for it,
    /// else 1.
    pub fn rates(&self, parameters: &[Parameter]) -> Vec<f64> {
        let rate = |parameter: &Parameter| {
            let factors = self.learning_rates.0.iter();
            let mut factors = factors.rev().filter(|(pattern, _)| pattern.matches(&parameter.name));
            factors.next().map_or(1.0, |(_, factor)| *factor)
        };
        parameters.iter().map(rate).collect()
    }
}

/// How many stages at the beginning of `network` give the same for an example in every epoch with these
/// parameters `frozen`: what comes out of the last of them can be computed once and kept.
#[allow(dead_code, reason = "for the training loop")]
pub(crate) fn frozen_prefix(network: &Network, frozen: &[bool]) -> usize {
    if !frozen.contains(&true) {
        return 0;
    }
    network.clone().freeze(frozen).frozen_stages()
}
