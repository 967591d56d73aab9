//! Stochastic gradient descent with momentum, as `torch.optim.SGD`.
//!
//! With gradient g, weights w, rate γ, momentum μ, dampening τ and weight decay λ:
//!
//! ```text
//! g ← g + λ w            (coupled; decoupled: w ← w - γ λ w)
//! b ← μ b + (1 - τ) g    (the first time b ← g)
//! w ← w - γ b            (Nesterov: w - γ (g + μ b))
//! ```

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use luthier_core::config::{Node, Problem, Problems, bounds};

use super::DecayOn;
use super::number::Number;
use super::rule::{ElementRule, Now, Slot};

luthier_core::settings! {
    /// Stochastic gradient descent.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SgdConfig {
        /// Step size γ. Search it between 1e-4 and 1 on a logarithmic scale.
        learning_rate: f64 = 1e-3, bounds::POSITIVE;
        /// Momentum μ: the share of the last step that is taken again; 0.5 to 0.99, or 0 for none.
        momentum: f64 = 0.0, bounds::BELOW_ONE;
        /// Dampening τ: the share of a gradient that is kept out of the momentum; 0 for Nesterov's.
        dampening: f64 = 0.0, bounds::SHARE;
        /// Look ahead by one step of momentum (Nesterov 1983). It needs a momentum.
        nesterov: bool = false;
        /// Weight decay λ; 1e-6 to 1e-2.
        weight_decay: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// Shrink the weights by themselves (SGDW, Loshchilov and Hutter 2019) instead of adding the
        /// decay to the gradient (L2). They differ where there is momentum.
        decoupled: bool = false;
        /// What decays: "all" parameters, or "weights" without biases and normalisation.
        weight_decay_on: DecayOn = DecayOn::All;
    } check Self::check
}

impl SgdConfig {
    fn check(&self, node: &Node, path: &str, problems: &mut Problems) {
        if !self.nesterov || (self.momentum > 0.0 && self.dampening == 0.0) {
            return;
        }
        let line = node.get("nesterov").map_or(node.line, |node| node.line);
        problems.push(Problem {
            line: (line > 0).then_some(line),
            path: format!("{path}.nesterov"),
            expected: "false, or a momentum above 0 and a dampening of 0 beside it".to_owned(),
            found: format!("true, with momentum {} and dampening {}", self.momentum, self.dampening),
            help: Some("Nesterov's step looks ahead along the momentum; set `momentum = 0.9`".to_owned()),
        });
    }
}

/// A step of SGD.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    rate: f64,
    momentum: f64,
    /// What of a gradient enters the momentum.
    share: f64,
    nesterov: bool,
}

impl ElementRule for SgdConfig {
    type Step = Step;

    fn slots(&self) -> Vec<Slot> {
        if self.momentum == 0.0 { Vec::new() } else { vec![Slot::zeros("momentum")] }
    }

    fn prepare(&self, now: &Now<'_>) -> Step {
        // The momentum, 0 to begin with, starts with the whole first gradient.
        let share = if now.time == 1 { 1.0 } else { 1.0 - self.dampening };
        Step { rate: now.rate, momentum: self.momentum, share, nesterov: self.nesterov }
    }

    #[inline(always)]
    fn element<N: Number>(step: &Step, slots: &mut [N], weight: N, gradient: N) -> N {
        let Some(slot) = slots.first_mut() else { return weight - gradient.times(step.rate) };
        let momentum = slot.clone().times(step.momentum) + gradient.clone().times(step.share);
        *slot = momentum.clone();
        let way = if step.nesterov { gradient + momentum.times(step.momentum) } else { momentum };
        weight - way.times(step.rate)
    }
}
