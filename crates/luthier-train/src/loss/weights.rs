//! How much the examples of a class count in a loss.

use luthier_core::config::{Decode, Kind, Node, Problems};
use serde::{Deserialize, Serialize};

/// How much each class counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All alike.
    None,
    /// The rarer a class among the training rows, the more: rows / (classes x rows of the class), where
    /// only classes that have rows are counted. A class without training rows counts 1.
    Balanced,
    /// A number for each class, in the order of the model's outputs.
    Each(Vec<f64>),
}

impl ClassWeights {
    /// The factor of each class, given how many training rows it has; empty where all are 1.
    pub(super) fn of(&self, counts: &[usize]) -> Vec<f64> {
        match self {
            Self::None => Vec::new(),
            Self::Each(weights) => weights.clone(),
            Self::Balanced => {
                let rows: usize = counts.iter().sum();
                let classes = counts.iter().filter(|count| **count > 0).count();
                let weight = |count: &usize| match count {
                    0 => 1.0,
                    count => rows as f64 / (classes as f64 * *count as f64),
                };
                counts.iter().map(weight).collect()
            }
        }
    }
}

impl Decode for ClassWeights {
    const EXPECTED: &'static str =
        "\"none\", \"balanced\" or a list of numbers of 0 or more, one a class and not all 0";

    fn written(&self) -> Option<String> {
        match self {
            Self::None => Some("\"none\"".to_owned()),
            Self::Balanced => Some("\"balanced\"".to_owned()),
            Self::Each(weights) => weights.written(),
        }
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = match (&node.kind, node.as_str()) {
            (_, Some("none")) => Some(Self::None),
            (_, Some("balanced")) => Some(Self::Balanced),
            (Kind::Array(_), _) => {
                let weights = Vec::<f64>::decode(node, path, problems)?;
                let good = weights.iter().all(|weight| *weight >= 0.0) && weights.iter().sum::<f64>() > 0.0;
                good.then_some(Self::Each(weights))
            }
            _ => None,
        };
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read
    }
}

/// How much the second of two classes counts beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositiveWeight {
    /// Rows of the first class / rows of the second, of the training rows; 1 if either has none.
    Balanced,
    /// A number above 0.
    Of(f64),
}

impl PositiveWeight {
    pub(super) fn of(self, counts: &[usize]) -> f64 {
        match (self, counts) {
            (Self::Of(weight), _) => weight,
            (Self::Balanced, &[first, second, ..]) if first > 0 && second > 0 => first as f64 / second as f64,
            (Self::Balanced, _) => 1.0,
        }
    }
}

impl Decode for PositiveWeight {
    const EXPECTED: &'static str = "a number above 0, or \"balanced\"";

    fn written(&self) -> Option<String> {
        match self {
            Self::Balanced => Some("\"balanced\"".to_owned()),
            Self::Of(weight) => weight.written(),
        }
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = match node.kind {
            Kind::Text(ref text) if text == "balanced" => Some(Self::Balanced),
            Kind::Float(weight) if weight > 0.0 && weight.is_finite() => Some(Self::Of(weight)),
            Kind::Int(weight) if weight > 0 => Some(Self::Of(weight as f64)),
            _ => None,
        };
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read
    }
}
