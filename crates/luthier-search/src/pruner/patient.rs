//! Patience: another pruner is asked only about trials that have not improved for some steps.
//!
//! Symbols: p is the patience, d the least improvement. The other pruner may stop a trial whose best loss of the last p
//! reports is not below its best loss before them by more than d.
//!
//! Complexity: O(l) for l reports, and that of the other pruner.

use luthier_core::config::{Decode, Node, Problem, Problems, Schema, bounds};
use luthier_core::{Admission, Decision, Pruner, Rng, TrialId, Unfinished, View};

use super::PrunerConfig;

luthier_core::settings! {
    /// Asks another pruner, but only about trials that have not improved for some steps.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Patient {
        /// Reports without an improvement after which the other pruner is asked.
        patience: u64, bounds::COUNT;
        /// Less than this is no improvement, in the objective's own units.
        min_improvement: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// The other pruner.
        pruner: Inner = Inner::median();
    }
}

/// The pruner that is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Inner(pub Box<PrunerConfig>);

impl Inner {
    fn median() -> Self {
        Self(Box::new(PrunerConfig::Median(super::Median::default())))
    }
}

impl Decode for Inner {
    const EXPECTED: &'static str = PrunerConfig::EXPECTED;

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let inner = PrunerConfig::decode(node, path, problems)?;
        if !inner.create().decides() {
            problems.push(Problem {
                line: (node.line > 0).then_some(node.line),
                path: path.to_owned(),
                expected: "a pruner that stops trials: median, percentile, asha_stop, threshold or wilcoxon"
                    .to_owned(),
                found: node.describe(),
                help: Some(
                    "patience keeps trials from being stopped, and this one only lets them pause, or run"
                        .to_owned(),
                ),
            });
            return None;
        }
        Some(Self(Box::new(inner)))
    }

    fn schema() -> Schema {
        // A pruner as at the place of this one; to write it out would have no end.
        Schema::value(Self::EXPECTED)
    }

    fn written(&self) -> Option<String> {
        self.0.written()
    }
}

impl Pruner for Patient {
    fn decide(&self, view: &View<'_>, trial: &Unfinished<'_>, rng: &mut Rng) -> Decision {
        let losses = trial.losses();
        let patience = usize::try_from(self.patience).unwrap_or(usize::MAX);
        let Some(before) = losses.len().checked_sub(patience).filter(|before| *before > 0) else {
            return Decision::Continue;
        };
        let best = |losses: &[(u64, f64)]| super::best_until(losses, u64::MAX);
        if best(&losses[before..]) < best(&losses[..before]) - self.min_improvement {
            return Decision::Continue;
        }
        self.pruner.0.create().decide(view, trial, rng)
    }

    fn admit(&self, view: &View<'_>) -> Admission {
        self.pruner.0.create().admit(view)
    }

    fn given_up(&self, view: &View<'_>) -> Vec<TrialId> {
        self.pruner.0.create().given_up(view)
    }

    fn decides(&self) -> bool {
        self.pruner.0.create().decides()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Inner, PrunerConfig, Threshold};
    use super::*;
    use luthier_core::testing::Played;

    #[test]
    fn who_improves_is_not_asked_about() {
        let inner = PrunerConfig::Threshold(Threshold { limit: 0.0, warmup_steps: 0 });
        let patient = Patient { patience: 2, min_improvement: 0.1, pruner: Inner(Box::new(inner)) };
        let mut played = Played::new();
        // The other pruner would stop all of them.
        let improves = played.begun(None, &[0.9, 0.8, 0.7]);
        let stands = played.begun(None, &[0.9, 0.85, 0.8]);
        let short = played.begun(None, &[0.9, 0.9]);
        let worsens = played.begun(None, &[0.9, 0.2, 0.5, 0.4]);
        assert_eq!(played.decide(&patient, improves), Decision::Continue);
        assert_eq!(played.decide(&patient, short), Decision::Continue);
        assert!(matches!(played.decide(&patient, stands), Decision::Stop(_)));
        assert!(matches!(played.decide(&patient, worsens), Decision::Stop(_)));
    }

    #[test]
    fn only_who_stops_trials_can_be_patient() {
        for (inner, stops) in
            [("asha", false), ("halving", false), ("hyperband", false), ("curve", false), ("none", false)]
                .into_iter()
                .chain(["median", "asha_stop", "wilcoxon"].map(|inner| (inner, true)))
        {
            let read =
                PrunerConfig::parse(&format!("{{ kind = \"patient\", patience = 3, pruner = \"{inner}\" }}"));
            assert_eq!(read.is_ok(), stops, "{inner}: {read:?}");
            if let Err(problems) = read {
                assert!(problems.to_string().contains("expected a pruner that stops trials"), "{problems}");
            }
        }
    }
}
