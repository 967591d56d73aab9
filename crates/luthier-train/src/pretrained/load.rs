//! Weights of a state dict into a network.

use std::collections::{HashMap, HashSet};

use super::{PretrainedError, StateDict};
use crate::model::{Network, Parameter, Weights};

/// What the names in a checkpoint may begin with, if the state dict is one of several things in it or
/// comes from `nn.DataParallel`. The first holds unless another fits more names.
const PREFIXES: [&str; 6] =
    ["", "state_dict.", "model_state_dict.", "model.", "module.", "state_dict.module."];

impl StateDict {
    /// `network` with the weights of this file. With `new_head`, its output layer stays as it is, whatever
    /// the file holds for it: the way to other classes than those that the weights were trained on.
    /// PyTorch's counters `num_batches_tracked` are left aside.
    ///
    /// # Errors
    ///
    /// [`PretrainedError::Mismatch`] with every tensor that is missing, of another shape or left over.
    pub fn load_into(&self, network: Network, new_head: bool) -> Result<Network, PretrainedError> {
        let prefix = self.prefix(network.parameters());
        let given: HashMap<&str, &Weights> = self
            .tensors
            .iter()
            .filter_map(|tensor| Some((tensor.name.strip_prefix(prefix)?, tensor)))
            .filter(|(name, _)| !is_counter(name))
            .collect();
        let head = head(network.parameters());
        self.compare(network.parameters(), &given, &head, new_head, prefix)?;
        let kept = if new_head { network.weights() } else { Vec::new() };
        let kept: HashMap<&str, &Weights> =
            kept.iter().map(|weights| (weights.name.as_str(), weights)).collect();
        let weights: Vec<Weights> = network
            .parameters()
            .iter()
            .filter_map(|parameter| {
                let name = parameter.name.as_str();
                let source = if new_head && head.contains(name) { &kept } else { &given };
                let weights = *source.get(name)?;
                Some(Weights { name: name.to_owned(), ..weights.clone() })
            })
            .collect();
        network
            .with_weights(&weights)
            .map_err(|problem| PretrainedError::Mismatch { path: self.path.clone(), problem })
    }

    /// Which of [`PREFIXES`] most names of the model are found under.
    fn prefix(&self, parameters: &[Parameter]) -> &'static str {
        let names: HashSet<&str> = self.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let fits = |prefix: &str| {
            let found = |name: &str| names.contains(format!("{prefix}{name}").as_str());
            parameters.iter().filter(|parameter| found(&parameter.name)).count()
        };
        let (mut best, mut most) = (PREFIXES[0], fits(PREFIXES[0]));
        for prefix in &PREFIXES[1..] {
            let count = fits(prefix);
            if count > most {
                (best, most) = (prefix, count);
            }
        }
        best
    }

    fn compare(
        &self,
        parameters: &[Parameter],
        given: &HashMap<&str, &Weights>,
        head: &HashSet<&str>,
        new_head: bool,
        prefix: &str,
    ) -> Result<(), PretrainedError> {
        let (mut missing, mut misshapen, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut only_head = true;
        for parameter in parameters {
            let name = parameter.name.as_str();
            if new_head && head.contains(name) {
                continue;
            }
            let expected = parameter.layout.shape(&parameter.shape);
            match given.get(name) {
                Some(weights) if weights.shape == expected => continue,
                Some(weights) => {
                    misshapen.push(format!("{name} (found {:?}, expected {expected:?})", weights.shape));
                }
                None => {
                    let held = self.others.iter().find(|(other, _)| other.strip_prefix(prefix) == Some(name));
                    match held {
                        Some((_, held)) => others.push(format!("{name} (found {held})")),
                        None => missing.push(name.to_owned()),
                    }
                }
            }
            only_head &= head.contains(name);
        }
        let known: HashSet<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        // In the order of the file's names, not of the map.
        let extra: Vec<String> = self
            .tensors
            .iter()
            .filter_map(|tensor| tensor.name.strip_prefix(prefix))
            .filter(|name| !known.contains(name) && !is_counter(name))
            .map(str::to_owned)
            .collect();
        if missing.is_empty() && misshapen.is_empty() && others.is_empty() && extra.is_empty() {
            return Ok(());
        }
        let mut parts = Vec::new();
        for (what, names) in [
            ("missing in the file", missing),
            ("of another shape", misshapen),
            ("without floating-point numbers", others),
            ("without a place in the model", extra.clone()),
        ] {
            if !names.is_empty() {
                parts.push(format!("{what}: {}", names.join(", ")));
            }
        }
        if only_head && extra.is_empty() {
            parts.push(
                "only the output layer differs: write `new_head = true` to begin with a new one".into(),
            );
        }
        Err(PretrainedError::Mismatch { path: self.path.clone(), problem: parts.join("; ") })
    }
}

fn is_counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

/// The names of the tensors of the output layer: those of the last stage that has any.
fn head(parameters: &[Parameter]) -> HashSet<&str> {
    let Some(last) = parameters.last() else { return HashSet::new() };
    let stage = last.stage;
    parameters.iter().filter(|parameter| parameter.stage == stage).map(|it| it.name.as_str()).collect()
}
