//! Pruners: which trials are stopped, which pause, and which go on.

mod asha;
mod curve;
mod hyperband;
mod none;
mod patient;
mod percentile;
mod rungs;
mod standing;
mod threshold;
mod wilcoxon;

use luthier_core::Pruner;
use luthier_core::config::{Decode, Node, Problems};

pub use asha::Asha;
pub use curve::Curve;
pub use hyperband::Hyperband;
pub use none::NoPruner;
pub use patient::{Inner, Patient};
pub use percentile::{Median, Percentile};
pub use rungs::Rungs;
pub use threshold::Threshold;
pub use wilcoxon::Wilcoxon;

luthier_core::kinds! {
    /// What stops, or pauses, trials that cannot win.
    #[derive(Debug, Clone, PartialEq)]
    pub enum PrunerConfig ("a pruner") {
        /// Every trial runs to its end.
        "none" => None,
        /// Stops a trial whose best value so far is behind the median of complete trials at that step.
        "median" => Median(Median),
        /// The same with another percentile.
        "percentile" => Percentile(Percentile),
        /// Pauses trials after 1, 3, 9, … steps and lets the best third of each rung go on (ASHA).
        "asha" => Asha(Rungs),
        /// Stops trials that are not in the best third at 1, 3, 9, … steps (ASHA).
        "asha_stop" => AshaStop(Rungs),
        /// Successive halving: trials come in groups, and of each group the best third goes on once all of it has
        /// paused.
        "halving" => Halving(Rungs),
        /// Groups as in "halving", some of many short trials and some of few long ones, by turns (Hyperband).
        "hyperband" => Hyperband(Rungs),
        /// Pauses trials and lets go on whichever learning curve promises the largest improvement (freeze and thaw).
        "curve" => Curve(Curve),
        /// Stops a trial whose value is worse than a limit, or not finite.
        "threshold" => Threshold(Threshold),
        /// Asks another pruner, but only about trials that have not improved for some steps.
        "patient" => Patient(Patient),
        /// Stops a trial that is significantly worse than the best one, where each step is another fold, seed or instance
        /// of the same task, and a report is the mean of those so far.
        "wilcoxon" => Wilcoxon(Wilcoxon),
    }
}

impl PrunerConfig {
    /// Reads a name, such as `asha`, or a table with settings, such as `{ kind = "asha", factor = 4 }`.
    ///
    /// # Errors
    ///
    /// [`Problems`] that name what was expected.
    ///
    /// ```
    /// use luthier_search::pruner::PrunerConfig;
    /// assert_eq!(PrunerConfig::parse(r#"{ kind = "asha" }"#)?, PrunerConfig::parse("asha")?);
    /// let unknown = PrunerConfig::parse("ahsa").unwrap_err();
    /// assert!(unknown.to_string().contains("did you mean \"asha\"?"), "{unknown}");
    /// # Ok::<(), luthier_core::config::Problems>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::new("pruner");
        let read = Self::decode(&Node::parse_value(text), "", &mut problems);
        problems.or(read)
    }

    /// Makes sure that it can be used where there are several objectives: it compares fronts, and not one value each.
    ///
    /// # Errors
    ///
    /// Which pruners can.
    pub fn for_several_objectives(&self) -> Result<(), &'static str> {
        match self {
            Self::None
            | Self::Median(_)
            | Self::Percentile(_)
            | Self::Asha(_)
            | Self::AshaStop(_)
            | Self::Halving(_)
            | Self::Hyperband(_) => Ok(()),
            Self::Curve(_) | Self::Threshold(_) | Self::Patient(_) | Self::Wilcoxon(_) => Err(
                "a pruner that compares several objectives: none, median, percentile, asha, asha_stop, halving or hyperband",
            ),
        }
    }

    /// Whether trials pause, and go on when it says so. Where they cannot, such a pruner stops nobody.
    pub fn pauses(&self) -> bool {
        match self {
            Self::Asha(_) | Self::Halving(_) | Self::Hyperband(_) | Self::Curve(_) => true,
            Self::None
            | Self::Median(_)
            | Self::Percentile(_)
            | Self::AshaStop(_)
            | Self::Threshold(_)
            | Self::Patient(_)
            | Self::Wilcoxon(_) => false,
        }
    }

    /// The pruner.
    pub fn create(&self) -> Box<dyn Pruner> {
        match self {
            Self::None => Box::new(NoPruner),
            Self::Median(median) => Box::new(Percentile::from(median)),
            Self::Percentile(percentile) => Box::new(percentile.clone()),
            Self::Asha(rungs) => Box::new(Asha::promoting().with_rungs(rungs.clone())),
            Self::AshaStop(rungs) => Box::new(Asha::stopping().with_rungs(rungs.clone())),
            Self::Halving(rungs) => Box::new(Hyperband::single(rungs.clone())),
            Self::Hyperband(rungs) => Box::new(Hyperband::new(rungs.clone())),
            Self::Curve(curve) => Box::new(curve.clone()),
            Self::Threshold(threshold) => Box::new(threshold.clone()),
            Self::Patient(patient) => Box::new(patient.clone()),
            Self::Wilcoxon(wilcoxon) => Box::new(wilcoxon.clone()),
        }
    }
}

/// The smallest finite loss up to `step`; infinite if there is none.
fn best_until(losses: &[(u64, f64)], step: u64) -> f64 {
    let until = losses.iter().take_while(|report| report.0 <= step);
    until.map(|report| report.1).filter(|loss| loss.is_finite()).fold(f64::INFINITY, f64::min)
}
