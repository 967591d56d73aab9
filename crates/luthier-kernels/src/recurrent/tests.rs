//! Against the formulas in double precision, with gradients by differences.

use super::*;
use crate::parallel::on_threads;

/// Numbers about 0 that look random.
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

/// A layer, what comes in and all its weights: of each direction those of inputs and state and both biases.
#[derive(Clone)]
struct Case {
    layer: Recurrent,
    batch: usize,
    length: usize,
    mask: Option<Vec<f32>>,
    /// The inputs, then the weights.
    values: Vec<Vec<f32>>,
    dy: Vec<f32>,
}

impl Case {
    fn new(layer: Recurrent, (batch, length): (usize, usize), masked: bool) -> Self {
        let gates = layer.cell.gates() * layer.units;
        let mut values = vec![numbers(batch * length * layer.inputs, 1)];
        for way in 0..layer.ways() as u32 {
            let scale = 4.0 / (layer.units as f32).sqrt();
            for (number, len) in (2..).zip([layer.inputs * gates, layer.units * gates, gates, gates]) {
                values.push(numbers(len, 10 * way + number).iter().map(|it| it * scale).collect());
            }
        }
        // Some are all padding, and some have a hole.
        let mask = masked.then(|| {
            let lengths = numbers(batch, 7);
            let real = |row: usize, place: usize| {
                place < ((lengths[row] + 0.5) * 1.4 * length as f32) as usize && (row + place) % 5 != 4
            };
            (0..batch * length).map(|it| f32::from(real(it / length, it % length))).collect()
        });
        let dy = numbers(layer.output_len(batch, length), 8);
        Self { layer, batch, length, mask, values, dy }
    }

    /// The outputs by the formulas, of values of which one is another.
    fn exact(&self, (tensor, place): (usize, usize), more: f64) -> Vec<f64> {
        let Self { layer, batch, length, .. } = *self;
        let value = |it: usize, at: usize| {
            f64::from(self.values[it][at]) + if (it, at) == (tensor, place) { more } else { 0.0 }
        };
        let (inputs, units, width) = (layer.inputs, layer.units, layer.width());
        let gates = layer.cell.gates() * units;
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let mut y = vec![0.0; layer.output_len(batch, length)];
        for way in 0..layer.ways() {
            for sequence in 0..batch {
                let (mut state, mut memory) = (vec![0.0; units], vec![0.0; units]);
                for step in 0..length {
                    let step = if way == 1 { length - 1 - step } else { step };
                    let at = sequence * length + step;
                    if self.mask.as_ref().is_some_and(|mask| mask[at] == 0.0) {
                        continue;
                    }
                    let base = 1 + 4 * way;
                    let sums: Vec<(f64, f64)> = (0..gates)
                        .map(|gate| {
                            let of_input = (0..inputs)
                                .map(|it| value(0, at * inputs + it) * value(base, it * gates + gate))
                                .sum::<f64>();
                            let of_state = (0..units)
                                .map(|it| state[it] * value(base + 1, it * gates + gate))
                                .sum::<f64>();
                            (of_input + value(base + 2, gate), of_state + value(base + 3, gate))
                        })
                        .collect();
                    for unit in 0..units {
                        let part = |gate: usize| sums[gate * units + unit];
                        let sum = |gate: usize| part(gate).0 + part(gate).1;
                        state[unit] = match layer.cell {
                            Cell::Rnn => sum(0).tanh(),
                            Cell::Lstm => {
                                memory[unit] =
                                    sigmoid(sum(1)) * memory[unit] + sigmoid(sum(0)) * sum(2).tanh();
                                sigmoid(sum(3)) * memory[unit].tanh()
                            }
                            Cell::Gru => {
                                let n = (part(2).0 + sigmoid(sum(0)) * part(2).1).tanh();
                                let z = sigmoid(sum(1));
                                (1.0 - z) * n + z * state[unit]
                            }
                        };
                        let output = if layer.states == States::All { at } else { sequence };
                        y[output * width + way * units + unit] = state[unit];
                    }
                }
            }
        }
        y
    }

    /// Outputs, and the gradients of all values.
    fn run(&self) -> (Vec<f32>, Vec<Vec<f32>>) {
        let Self { layer, batch, length, .. } = *self;
        let weights: Vec<Weights<'_>> = self.values[1..]
            .chunks(4)
            .map(|it| Weights { input: &it[0], state: &it[1], input_bias: &it[2], state_bias: &it[3] })
            .collect();
        let mut y = vec![f32::NAN; layer.output_len(batch, length)];
        let mut saved = vec![f32::NAN; layer.saved_len(batch, length)];
        let dims = (batch, length);
        layer.forward(dims, &self.values[0], self.mask.as_deref(), &weights, &mut y, &mut saved);
        let mut gradients: Vec<Vec<f32>> = self.values.iter().map(|it| vec![f32::NAN; it.len()]).collect();
        let (dx, of_weights) = gradients.split_at_mut(1);
        let mut of_weights: Vec<Gradients<'_>> = of_weights
            .chunks_mut(4)
            .map(|it| {
                let [input, state, input_bias, state_bias] = it else { unreachable!() };
                Gradients { input, state, input_bias, state_bias }
            })
            .collect();
        let kept = saved.clone();
        let mask = self.mask.as_deref();
        layer.backward(dims, mask, &weights, &self.dy, &mut saved, Some(&mut dx[0]), &mut of_weights);
        // The same without gradients of the inputs.
        let first = of_weights[0].state.to_vec();
        saved.copy_from_slice(&kept);
        layer.backward(dims, mask, &weights, &self.dy, &mut saved, None, &mut of_weights);
        assert_eq!(first, of_weights[0].state);
        (y, gradients)
    }

    fn check(&self) {
        let (y, gradients) = self.run();
        let exact = self.exact((0, usize::MAX), 0.0);
        for (y, exact) in y.iter().zip(&exact) {
            assert!((f64::from(*y) - exact).abs() < 3e-6, "{y} for {exact}");
        }
        for (tensor, gradient) in gradients.iter().enumerate() {
            let largest = gradient.iter().fold(0.0_f64, |most, it| most.max(f64::from(it.abs())));
            // Some of them.
            let skip = (gradient.len() / 4).max(1);
            for place in (tensor % skip..gradient.len()).step_by(skip) {
                let at = |more: f64| {
                    let y = self.exact((tensor, place), more);
                    y.iter().zip(&self.dy).map(|(y, dy)| y * f64::from(*dy)).sum::<f64>()
                };
                let exact = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let found = f64::from(gradient[place]);
                assert!(
                    (found - exact).abs() < 1e-5 * (0.1 + largest),
                    "gradient {tensor} at {place}: {found} for {exact} of {largest}"
                );
            }
        }
    }
}

/// Of the differences.
const STEP: f64 = 1e-4;

const CELLS: [Cell; 3] = [Cell::Rnn, Cell::Lstm, Cell::Gru];

#[test]
fn agrees_with_the_formulas() {
    // Batch, length, inputs, units.
    let sizes = [
        (1, 1, 1, 1),
        (2, 5, 3, 4),
        (5, 4, 7, 16),
        (9, 7, 5, 19),
        (3, 3, 70, 5),
        (17, 3, 2, 66),
        (1, 9, 17, 3),
    ];
    for cell in CELLS {
        for (number, (batch, length, inputs, units)) in sizes.into_iter().enumerate() {
            for states in [States::All, States::Last] {
                let bidirectional = (number + usize::from(states == States::All)) % 2 == 0;
                let layer = Recurrent { cell, inputs, units, bidirectional, states };
                for masked in [false, true] {
                    Case::new(layer, (batch, length), masked).check();
                }
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    for cell in CELLS {
        let layer = Recurrent { cell, inputs: 24, units: 40, bidirectional: true, states: States::All };
        for masked in [false, true] {
            let case = Case::new(layer, (37, 12), masked);
            assert!(layer.is_large(case.batch, case.length));
            let once = on_threads(1, || case.run());
            for threads in [2, 4] {
                assert!(on_threads(threads, || case.run()) == once, "{cell:?} on {threads} threads");
            }
        }
    }
}

#[test]
fn nothing_but_padding_gives_zeros() {
    let layer =
        Recurrent { cell: Cell::Lstm, inputs: 3, units: 5, bidirectional: false, states: States::Last };
    let mut case = Case::new(layer, (6, 4), true);
    case.mask = Some(vec![0.0; 24]);
    let (y, gradients) = case.run();
    assert!(y.iter().chain(gradients.iter().flatten()).all(|it| *it == 0.0));
}

#[test]
fn gradients_that_vanish_become_zero() {
    let layer =
        Recurrent { cell: Cell::Rnn, inputs: 1, units: 16, bidirectional: false, states: States::Last };
    let mut case = Case::new(layer, (1, 200), false);
    case.values[2].iter_mut().for_each(|it| *it *= 1e-2);
    let (_, gradients) = case.run();
    assert!(gradients[0].iter().all(|it| *it == 0.0 || it.abs() > f32::MIN_POSITIVE));
    assert!(gradients[0][0] == 0.0 && gradients[0][199] != 0.0);
}
