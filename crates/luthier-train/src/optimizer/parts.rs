//! A step of all parameters whose weights are on the host.

#![allow(clippy::inline_always, reason = "what is inlined becomes vector instructions")]

use pulp::{Simd, WithSimd};

use super::number::Wide;
use super::rule::{Decay, ElementRule, Memory, Now, Place, Rule};
use super::values::Values;
use super::{DecayOn, StepSettings};

/// A parameter in a step along its gradient.
pub(super) struct HostPart<'a> {
    pub now: Now<'a>,
    pub memory: &'a mut Values,
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
}

/// All parameters in a step.
pub(super) struct HostParts<'a> {
    pub settings: &'a StepSettings<'a>,
    pub decoupled: bool,
    pub decay_on: DecayOn,
    pub places: &'a [Place],
    pub memories: &'a mut [Option<Memory>],
    pub weights: &'a mut [Vec<f32>],
    /// Empty for what stays as it is.
    pub gradients: &'a [Vec<f32>],
}

impl<'a> HostParts<'a> {
    /// Calls `work` with each parameter that takes the step.
    ///
    /// What `rule` says of a parameter is a constant for most rules, and this a short loop where it is compiled for one.
    #[inline(always)]
    pub(super) fn each(self, rule: &(impl Rule + ?Sized), mut work: impl FnMut(HostPart<'a>)) {
        let Self { settings, decoupled, decay_on, places, memories, weights, gradients } = self;
        let all = weights.iter_mut().zip(gradients).zip(places.iter().zip(memories));
        for (index, ((weights, gradient), (place, memory))) in all.enumerate() {
            let factor = settings.rates.map_or(1.0, |rates| rates[index]);
            if gradient.is_empty() || factor == 0.0 {
                continue;
            }
            let memory = memory.get_or_insert_with(|| Memory::new(&rule.slots(place), weights.len()));
            memory.time += 1;
            let decays = decay_on == DecayOn::All || place.parameter.is_weight();
            let decay = if decays { settings.weight_decay } else { 0.0 };
            let now = Now::of(rule, settings.learning_rate * factor, (decay, decoupled), memory, place);
            work(HostPart { now, memory: &mut memory.slots, weights, gradient });
        }
    }
}

/// The steps of parameters by a rule that treats all numbers alike, one parameter after the other.
pub(super) struct Walk<'a, R: ElementRule> {
    rule: &'a R,
    /// What the last step had in common for all weights, for the next parameter if it is the same there.
    last: Option<(Now<'a>, R::Step)>,
}

impl<'a, R: ElementRule> Walk<'a, R> {
    pub(super) fn new(rule: &'a R) -> Self {
        Self { rule, last: None }
    }

    /// Takes the step of a parameter.
    #[inline(always)]
    pub(super) fn step(&mut self, part: HostPart<'a>) {
        let HostPart { now, memory, weights, gradient } = part;
        let prepared = match &self.last {
            Some((last, prepared)) if last.is_like(&now) => *prepared,
            _ => self.rule.prepare(&now),
        };
        self.last = Some((now, prepared));
        let step = (prepared, now.decay);
        match memory.on_host() {
            [] => each::<R, 0>(step, [], weights, gradient),
            [a] => each::<R, 1>(step, [a], weights, gradient),
            [a, b] => each::<R, 2>(step, [a, b], weights, gradient),
            [a, b, c, ..] => each::<R, 3>(step, [a, b, c], weights, gradient),
        }
    }
}

/// Weights that one thread changes; more are shared out.
const CHUNK: usize = 1 << 16;

/// A step for each weight, in one pass over memory.
fn each<R: ElementRule, const SLOTS: usize>(
    step: (R::Step, Decay),
    slots: [&mut [f32]; SLOTS],
    weights: &mut [f32],
    gradient: &[f32],
) {
    let count = weights.len();
    if count > CHUNK && rayon::current_num_threads() > 1 {
        let middle = count / 2;
        let (first, second) = weights.split_at_mut(middle);
        let mut rest = Vec::with_capacity(SLOTS);
        let begin = slots.map(|slot| {
            let (begin, end) = slot.split_at_mut(middle);
            rest.push(end);
            begin
        });
        let Ok(end) = <[&mut [f32]; SLOTS]>::try_from(rest) else { unreachable!("one for each slot") };
        rayon::join(
            || each::<R, SLOTS>(step, begin, first, &gradient[..middle]),
            || each::<R, SLOTS>(step, end, second, &gradient[middle..]),
        );
        return;
    }
    pulp::Arch::new().dispatch(Each::<R, SLOTS> { step, slots, weights, gradient });
}

/// A step of some weights, for vectors of whatever width.
struct Each<'a, R: ElementRule, const SLOTS: usize> {
    step: (R::Step, Decay),
    slots: [&'a mut [f32]; SLOTS],
    weights: &'a mut [f32],
    gradient: &'a [f32],
}

impl<R: ElementRule, const SLOTS: usize> WithSimd for Each<'_, R, SLOTS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { step: (step, decay), slots, weights, gradient } = self;
        let mut slots = slots.map(|slot| S::as_mut_simd_f32s(slot));
        let ((weights, weights_end), (gradient, gradient_end)) =
            (S::as_mut_simd_f32s(weights), S::as_simd_f32s(gradient));
        for (place, (weight, gradient)) in weights.iter_mut().zip(gradient).enumerate() {
            let mut kept: [Wide<S>; SLOTS] =
                std::array::from_fn(|slot| Wide::new(simd, slots[slot].0[place]));
            let (old, gradient) = decay.apply(Wide::new(simd, *weight), Wide::new(simd, *gradient));
            *weight = R::element(&step, &mut kept, old, gradient).numbers();
            for (kept, slot) in kept.into_iter().zip(&mut slots) {
                slot.0[place] = kept.flushed().numbers();
            }
        }
        if !weights_end.is_empty() {
            let mut kept: [Wide<S>; SLOTS] = std::array::from_fn(|slot| Wide::load(simd, slots[slot].1));
            let (old, gradient) = decay.apply(Wide::load(simd, weights_end), Wide::load(simd, gradient_end));
            R::element(&step, &mut kept, old, gradient).store(weights_end);
            for (kept, slot) in kept.into_iter().zip(&mut slots) {
                kept.flushed().store(slot.1);
            }
        }
    }
}
