//! How values are perturbed: Jaderberg et al. 2017, section 4 and appendix A.

use luthier_core::{Distribution, Rng, Value};

/// The probability with which a value is drawn anew.
const RESAMPLE: f64 = 0.25;

/// What a value is multiplied by otherwise.
const FACTORS: [f64; 2] = [0.8, 1.2];

/// Another value of the range: drawn anew, or the value multiplied by 0.8 or 1.2 and brought back into the range. Whole
/// numbers and steps move to the next one at least. Options of a choice are drawn anew or stay.
pub(super) fn perturb(range: &Distribution, value: &Value, rng: &mut Rng) -> Value {
    let (anew, drawn) = (rng.uniform() < RESAMPLE, range.sample(rng));
    let factor = FACTORS[rng.below(2)];
    if anew {
        return drawn;
    }
    match (range, value) {
        (Distribution::Float { low, high, step: None, .. }, Value::Float(x)) => {
            Value::Float((x * factor).clamp(*low, *high))
        }
        (Distribution::Float { low, high, step: Some(step), .. }, Value::Float(x)) => {
            let moved = ((x * factor - x) / step).abs().max(1.0) * step;
            let target = if x * factor < *x { x - moved } else { x + moved };
            let cells = ((high - low) / step + 1e-9).floor();
            let cell = ((target - low) / step).round().clamp(0.0, cells);
            Value::Float((low + cell * step).clamp(*low, *high))
        }
        (Distribution::Int { low, high, step, .. }, Value::Int(i)) => {
            let x = *i as f64;
            let cells = ((x * factor - x) / *step as f64).abs().round().max(1.0) as i64;
            let target = if x * factor < x { i - cells * step } else { i + cells * step };
            let last = low + (high - low) / step * step;
            Value::Int(target.clamp(*low, last))
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use luthier_core::{Purpose, Streams};

    use super::*;

    #[test]
    fn values_move_and_stay_in_their_range() {
        let ranges = [
            (Distribution::log_float(1e-4, 1e-1), Value::Float(1e-2)),
            (Distribution::float(-1.0, 1.0), Value::Float(-0.9)),
            (Distribution::float(0.0, 0.7), Value::Float(0.0)),
            (Distribution::Float { low: 0.0, high: 1.0, log: false, step: Some(0.25) }, Value::Float(0.5)),
            (Distribution::int(1, 4), Value::Int(2)),
            (Distribution::Float { low: 0.0, high: 0.3, log: false, step: Some(0.1) }, Value::Float(0.2)),
            (Distribution::Int { low: 2, high: 9, log: false, step: 3 }, Value::Int(5)),
            (Distribution::log_int(8, 512), Value::Int(100)),
            (Distribution::choice(["relu", "tanh", "gelu"]), Value::Text("tanh".into())),
        ];
        for (range, value) in ranges {
            let perturbed: Vec<Value> = (0..200)
                .map(|n| perturb(&range, &value, &mut Streams::new(0).at(Purpose::Sampler, n)))
                .collect();
            assert!(perturbed.iter().all(|value| range.contains(value)), "{range:?} {perturbed:?}");
            let moved = perturbed.iter().filter(|other| **other != value).count();
            // Nothing but drawing anew moves a choice, or zero.
            let least = if matches!(range, Distribution::Choice { .. }) || value == Value::Float(0.0) {
                15
            } else {
                120
            };
            assert!(moved >= least, "{range:?}: {moved}");
        }
        let range = Distribution::log_float(1e-4, 1e-1);
        let factors = (0..200).filter_map(|n| {
            let moved = perturb(&range, &Value::Float(1e-2), &mut Streams::new(0).at(Purpose::Sampler, n));
            [0.8, 1.2].into_iter().find(|factor| moved == Value::Float(1e-2 * factor))
        });
        assert!((130..170).contains(&factors.count()));
    }
}
