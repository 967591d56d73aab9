//! Losses, computed on the host in double precision from the network's outputs: the figure that is reported
//! ([`BoundLoss::each`]), which does not depend on how the examples were batched, and the gradient by the
//! outputs ([`BoundLoss::gradient`]), from which going backward through the network begins.
//!
//! Symbols of the formulas: x is the vector of a network's outputs for an example, y its class, p the
//! softmax of x, σ the logistic function, t a target number or, for two classes, 0 or 1.

mod each;
mod gradient;
mod softmax;
mod weights;

use luthier_core::config::bounds;
use serde::{Deserialize, Serialize};

use crate::data::Targets;

pub(crate) use each::{Term, log_sum_exp};
pub(crate) use gradient::LossMemory;
pub use weights::{ClassWeights, PositiveWeight};

luthier_core::kinds! {
    /// What training makes small.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    pub enum Loss ("a loss") {
        /// Cross-entropy of the softmax over the classes: `-w_y ln p_y`, averaged with the weights `w_y`.
        /// The usual loss for classes. `torch.nn.CrossEntropyLoss`.
        "cross_entropy" => CrossEntropy(CrossEntropy),
        /// Cross-entropy of the sigmoid of one output, for two classes:
        /// `-w t ln σ(x) - (1 - t) ln(1 - σ(x))`, averaged over the examples.
        /// `torch.nn.BCEWithLogitsLoss`.
        "binary_cross_entropy" => BinaryCrossEntropy(BinaryCrossEntropy),
        /// Cross-entropy that heeds what is already right less: `-w_y (1 - p_y)^gamma ln p_y`, averaged
        /// over the examples. For classes of very different frequency. Lin et al. 2017, "Focal Loss for
        /// Dense Object Detection".
        "focal" => Focal(Focal),
        /// The focal loss of the sigmoid of one output, for two classes:
        /// `-alpha t (1 - σ(x))^gamma ln σ(x) - (1 - alpha) (1 - t) σ(x)^gamma ln(1 - σ(x))`, averaged
        /// over the examples. Lin et al. 2017; `torchvision.ops.sigmoid_focal_loss`.
        "binary_focal" => BinaryFocal(BinaryFocal),
        /// Mean squared error: `(x - t)^2`. The usual loss for numbers; large errors count most.
        /// `torch.nn.MSELoss`.
        "mse" => Mse,
        /// Mean absolute error: `|x - t|`. Outliers count no more than their distance.
        /// `torch.nn.L1Loss`.
        "mae" => Mae,
        /// Squared near the target and linear far from it: `(x - t)^2 / 2` where `|x - t| < delta`, else
        /// `delta (|x - t| - delta / 2)`. Huber 1964, "Robust Estimation of a Location Parameter";
        /// `torch.nn.HuberLoss`.
        "huber" => Huber(Huber),
    }
}

luthier_core::settings! {
    /// Cross-entropy of the softmax.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct CrossEntropy {
        /// Label smoothing: the share of each target that is spread evenly over all classes (Szegedy et
        /// al. 2016). 0 is none; 0.05 to 0.2 is usual.
        smoothing: f64 = 0.0, bounds::BELOW_ONE;
        /// How much each class counts: "none" (all alike), "balanced" (rows / (classes x rows of the
        /// class) of the training rows, as scikit-learn), or a list with a number for each class.
        class_weights: ClassWeights = ClassWeights::None;
    }
}

luthier_core::settings! {
    /// Cross-entropy of the sigmoid.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct BinaryCrossEntropy {
        /// Label smoothing: targets are `smoothing / 2` and `1 - smoothing / 2` in place of 0 and 1. 0 is
        /// none; 0.05 to 0.2 is usual.
        smoothing: f64 = 0.0, bounds::BELOW_ONE;
        /// How much the second class counts beside the first: a number, or "balanced" (rows of the first
        /// class / rows of the second, of the training rows).
        positive_weight: PositiveWeight = PositiveWeight::Of(1.0);
    }
}

luthier_core::settings! {
    /// The focal loss of the softmax.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Focal {
        /// How fast examples that are already right lose their weight. 0 is cross-entropy; 0.5 to 5 is
        /// usual.
        gamma: f64 = 2.0, bounds::NOT_NEGATIVE;
        /// The factor of each class, Lin's alpha: "none", "balanced" or a list, as for cross_entropy.
        class_weights: ClassWeights = ClassWeights::None;
    }
}

luthier_core::settings! {
    /// The focal loss of the sigmoid.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct BinaryFocal {
        /// How fast examples that are already right lose their weight. 0 is cross-entropy; 0.5 to 5 is
        /// usual.
        gamma: f64 = 2.0, bounds::NOT_NEGATIVE;
        /// The factor of the second class; that of the first is 1 - alpha. 0.5 weighs them alike.
        alpha: f64 = 0.25, bounds::SHARE;
    }
}

luthier_core::settings! {
    /// The Huber loss.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Huber {
        /// Where it turns from squared to linear, in the unit that the model learns: standard deviations
        /// of the target unless `standardize_target = false`. 0.1 to 2 is usual.
        delta: f64 = 1.0, bounds::POSITIVE;
    }
}

/// A loss that knows how much each class counts, and so can be computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoundLoss {
    loss: Loss,
    /// The factor of each class; 1 for those past its end.
    weights: Vec<f64>,
}

impl Loss {
    /// The usual loss for these targets.
    pub fn for_targets(targets: &Targets) -> Self {
        match targets {
            Targets::Classes { .. } => Self::CrossEntropy(luthier_core::config::defaults()),
            Targets::Numbers { .. } => Self::Mse,
        }
    }

    /// The number of outputs that it needs for these targets.
    ///
    /// # Errors
    ///
    /// What it expects instead, where it does not fit them.
    pub fn outputs(&self, targets: &Targets) -> Result<usize, String> {
        let kind = self.kind();
        match (self, targets) {
            (Self::Mse | Self::Mae | Self::Huber(_), Targets::Numbers { .. }) => Ok(1),
            (Self::Mse | Self::Mae | Self::Huber(_), Targets::Classes { .. }) => {
                Err(format!("{kind} is for numbers, and the data has classes: use \"cross_entropy\""))
            }
            (_, Targets::Numbers { .. }) => {
                Err(format!("{kind} is for classes, and the data has numbers: use \"mse\""))
            }
            (Self::BinaryCrossEntropy(_) | Self::BinaryFocal(_), Targets::Classes { names, .. }) => {
                if names.len() == 2 {
                    return Ok(1);
                }
                let name =
                    if kind == "binary_focal" { "the binary focal loss" } else { "binary cross-entropy" };
                Err(format!("{name} is for two classes, and the data has {}", names.len()))
            }
            (
                Self::CrossEntropy(CrossEntropy { class_weights, .. })
                | Self::Focal(Focal { class_weights, .. }),
                Targets::Classes { names, .. },
            ) => {
                if let ClassWeights::Each(weights) = class_weights
                    && weights.len() != names.len()
                {
                    let (given, classes) = (weights.len(), names.len());
                    return Err(format!(
                        "class_weights has {given} numbers, and the data has {classes} classes"
                    ));
                }
                Ok(names.len())
            }
        }
    }

    /// Whether the network has a single output that speaks for the second of two classes.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::BinaryCrossEntropy(_) | Self::BinaryFocal(_))
    }

    /// Binds it to the training rows. `counts` holds how many of them are of each class; it is empty for
    /// numbers.
    pub fn bind(&self, counts: &[usize]) -> BoundLoss {
        let weights = match self {
            Self::CrossEntropy(CrossEntropy { class_weights, .. })
            | Self::Focal(Focal { class_weights, .. }) => class_weights.of(counts),
            Self::BinaryCrossEntropy(BinaryCrossEntropy { positive_weight, .. }) => {
                vec![1.0, positive_weight.of(counts)]
            }
            Self::BinaryFocal(BinaryFocal { alpha, .. }) => vec![1.0 - alpha, *alpha],
            Self::Mse | Self::Mae | Self::Huber(_) => Vec::new(),
        };
        BoundLoss { loss: self.clone(), weights }
    }
}

impl BoundLoss {
    /// The loss as it was set.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    fn weight(&self, class: usize) -> f64 {
        self.weights.get(class).copied().unwrap_or(1.0)
    }

    /// What a target of a loss of two classes is after smoothing, from 0 to 1.
    fn smoothed(&self, target: f64) -> f64 {
        match &self.loss {
            Loss::BinaryCrossEntropy(BinaryCrossEntropy { smoothing, .. }) => {
                target * (1.0 - smoothing) + smoothing / 2.0
            }
            _ => target,
        }
    }
}

#[cfg(test)]
mod tests;
