//! Times recurrent layers: `cargo run --release -p luthier-kernels --example recurrent [threads [batch length
//! inputs units [Lstm]]]`.

use std::time::Instant;

use luthier_kernels::{Cell, Gradients, Recurrent, States, Weights};

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|it| it.parse().ok()).collect();
    let threads = arguments.first().copied().unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    let sizes = [
        (32, 50, 64, 64),
        (32, 200, 128, 128),
        (64, 50, 64, 64),
        (64, 100, 128, 128),
        (64, 200, 128, 128),
        (50, 50, 50, 64),
    ];
    let wanted = |cell: &Cell| std::env::args().nth(6).is_none_or(|it| it == format!("{cell:?}"));
    for cell in [Cell::Lstm, Cell::Gru, Cell::Rnn].into_iter().filter(wanted) {
        for (batch, length, inputs, units) in match arguments[..] {
            [_, batch, length, inputs, units] => vec![(batch, length, inputs, units)],
            _ => sizes.to_vec(),
        } {
            let layer = Recurrent { cell, inputs, units, bidirectional: false, states: States::All };
            let (there, both) = pool.install(|| best(layer, batch, length));
            let steps = (batch * length) as f64;
            let each = 6.0 * ((inputs + units) * units * cell.gates()) as f64;
            println!(
                "{threads} {cell:?} {:?}: forward {:.2} ms, total {:.2} ms, {:.0} GFLOP/s",
                (batch, length, inputs, units),
                there * 1e3,
                both * 1e3,
                steps * each / both * 1e-9
            );
        }
    }
}

/// Least seconds of a forward pass, and of that with its backward pass.
fn best(layer: Recurrent, batch: usize, length: usize) -> (f64, f64) {
    let numbers = |len: usize| (0..len).map(|it| (it * 37 % 101) as f32 / 500.0 - 0.1).collect::<Vec<_>>();
    let gates = layer.cell.gates() * layer.units;
    let x = numbers(batch * length * layer.inputs);
    let values = [layer.inputs * gates, layer.units * gates, gates, gates].map(numbers);
    let weights =
        [Weights { input: &values[0], state: &values[1], input_bias: &values[2], state_bias: &values[3] }];
    let mut gradients = values.clone();
    let mut y = numbers(layer.output_len(batch, length));
    let (dy, mut dx) = (y.clone(), x.clone());
    let mut saved = vec![0.0; layer.saved_len(batch, length) + 16];
    let aligned = saved.as_ptr().align_offset(64).min(16);
    let saved = &mut saved[aligned..][..layer.saved_len(batch, length)];
    let mut least = (f64::INFINITY, f64::INFINITY);
    for _ in 0..100 {
        let start = Instant::now();
        layer.forward((batch, length), &x, None, &weights, &mut y, saved);
        least.0 = least.0.min(start.elapsed().as_secs_f64());
        let [input, state, input_bias, state_bias] = &mut gradients;
        let of_weights = &mut [Gradients { input, state, input_bias, state_bias }];
        layer.backward((batch, length), None, &weights, &dy, saved, Some(&mut dx), of_weights);
        least.1 = least.1.min(start.elapsed().as_secs_f64());
    }
    least
}
