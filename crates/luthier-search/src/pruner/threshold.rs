//! A limit: a trial whose value is worse than it is stopped.
//!
//! For what is known beforehand, such as a loss that only a diverging training has.
//!
//! Complexity: O(1).

use luthier_core::{Decision, Pruner, Rng, StopReason, Unfinished, View};

luthier_core::settings! {
    /// Stops a trial whose latest value is worse than a limit, or not finite.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Threshold {
        /// The limit, in the objective's own units: the largest value that goes on where small values are good, the
        /// smallest one where large values are.
        limit: f64;
        /// Steps up to this one are not judged.
        warmup_steps: u64 = 0;
    }
}

impl Pruner for Threshold {
    fn decide(&self, _: &View<'_>, trial: &Unfinished<'_>, _: &mut Rng) -> Decision {
        let Some(&(step, loss)) = trial.losses().last() else { return Decision::Continue };
        let threshold = trial.loss_of(self.limit);
        if step <= self.warmup_steps || loss.is_finite() && loss <= threshold {
            return Decision::Continue;
        }
        // JSON, in which reasons are stored, has no infinity; the largest number is as bad.
        let loss = if loss.is_nan() { f64::MAX } else { loss.clamp(f64::MIN, f64::MAX) };
        Decision::Stop(StopReason::BeyondThreshold { step, loss, threshold })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use luthier_core::testing::Played;

    #[test]
    fn who_is_worse_than_the_limit_or_no_number_stops() {
        let threshold = Threshold { limit: 1.5, warmup_steps: 1 };
        let mut played = Played::new();
        let fine = played.begun(None, &[9.0, 1.5]);
        let worse = played.begun(None, &[1.0, 1.6]);
        let lost = played.begun(None, &[1.0, f64::NAN]);
        let early = played.begun(None, &[f64::NAN]);
        assert_eq!(played.decide(&threshold, fine), Decision::Continue);
        assert_eq!(played.decide(&threshold, early), Decision::Continue);
        let stop = |loss| Decision::Stop(StopReason::BeyondThreshold { step: 2, loss, threshold: 1.5 });
        assert_eq!(played.decide(&threshold, worse), stop(1.6));
        assert_eq!(played.decide(&threshold, lost), stop(f64::MAX));
    }
}
