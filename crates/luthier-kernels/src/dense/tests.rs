//! Dense layers against sums in double precision.

use super::*;

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|it| ((it * 7919 + seed * 104_729) % 1009) as f32 / 500.0 - 1.0).collect()
}

const SHAPES: [[usize; 3]; 20] = [
    [1, 1, 1],
    [32, 10, 16],
    [7, 3, 5],
    [33, 16, 1],
    [32, 16, 2],
    [9, 40, 2],
    [70, 300, 3],
    [300, 129, 4],
    [40, 9000, 4],
    [64, 40, 10],
    [5, 300, 64],
    [17, 65, 130],
    [100, 129, 70],
    [40, 500, 33],
    [3, 20, 900],
    [20, 700, 200],
    [1, 300, 1000],
    [130, 5, 257],
    [300, 100, 100],
    [48, 256, 192],
];

/// The sum of products and that of their sizes.
fn sum(terms: impl Iterator<Item = (f32, f32)>) -> (f64, f64) {
    terms.fold((0.0, 1e-3), |(sum, size), (a, b)| {
        let product = f64::from(a) * f64::from(b);
        (sum + product, size + product.abs())
    })
}

fn near(found: f32, (expected, size): (f64, f64), what: &str) {
    assert!((f64::from(found) - expected).abs() < 2e-6 * size, "{what}: {found} for {expected}");
}

#[test]
fn passes() {
    for [rows, inputs, units] in SHAPES {
        let layer = Dense { inputs, units };
        let (x, weight) = (numbers(rows * inputs, 1), numbers(inputs * units, 2));
        let (bias, dy) = (numbers(units, 3), numbers(rows * units, 4));
        let run = |threads| {
            parallel::on_threads(threads, || {
                let (mut y, mut dx) = (vec![9.0; rows * units], vec![9.0; rows * inputs]);
                let (mut dweight, mut dbias) = (vec![9.0; weight.len()], vec![9.0; units]);
                layer.forward(rows, &x, &weight, Some(&bias), &mut y);
                let gradients = (Some(&mut *dx), Some(&mut *dweight), Some(&mut *dbias));
                layer.backward(rows, &x, &weight, &dy, gradients.0, gradients.1, gradients.2);
                [y, dx, dweight, dbias]
            })
        };
        let found = run(1);
        assert!(found == run(2) && found == run(4), "{rows} {inputs} {units}");
        let [y, dx, dweight, dbias] = found;
        for row in 0..rows {
            for unit in 0..units {
                let terms = (0..inputs).map(|it| (x[row * inputs + it], weight[it * units + unit]));
                near(y[row * units + unit], sum(terms.chain([(bias[unit], 1.0)])), "y");
            }
            for input in 0..inputs {
                let terms = (0..units).map(|it| (dy[row * units + it], weight[input * units + it]));
                near(dx[row * inputs + input], sum(terms), "dx");
            }
        }
        for unit in 0..units {
            near(dbias[unit], sum((0..rows).map(|it| (dy[it * units + unit], 1.0))), "db");
            for input in 0..inputs {
                let terms = (0..rows).map(|it| (x[it * inputs + input], dy[it * units + unit]));
                near(dweight[input * units + unit], sum(terms), "dW");
            }
        }
    }
}

#[test]
fn a_row_depends_on_no_other() {
    for [inputs, units] in [[10, 16], [300, 1], [784, 70], [1, 200], [500, 512]] {
        let layer = Dense { inputs, units };
        let (x, dy) = (numbers(70 * inputs, 1), numbers(70 * units, 2));
        let weight = numbers(inputs * units, 3);
        let run = |from: usize, rows: usize| {
            let (mut y, mut dx) = (vec![0.0; rows * units], vec![0.0; rows * inputs]);
            layer.forward(rows, &x[from * inputs..][..rows * inputs], &weight, None, &mut y);
            let dy = &dy[from * units..][..rows * units];
            layer.backward(rows, &[], &weight, dy, Some(&mut dx), None, None);
            (y, dx)
        };
        let (all, all_dx) = run(0, 70);
        for (from, rows) in [(0, 1), (5, 1), (69, 1), (0, 7), (3, 33), (20, 50)] {
            let (y, dx) = run(from, rows);
            assert_eq!(y, all[from * units..][..rows * units], "{rows} rows from {from}");
            assert_eq!(dx, all_dx[from * inputs..][..rows * inputs], "{rows} rows from {from}");
        }
    }
}

/// The units of a layer of few of them, and others beside them.
#[test]
fn a_narrow_layer_has_the_bits_of_a_wider_one() {
    for units in 1..=vector::UNITS {
        for [rows, inputs] in [[1, 1], [32, 16], [37, 9], [150, 40], [40, 150], [23, 300]] {
            let wide = 20;
            let spread = |numbers: &[f32]| -> Vec<f32> {
                numbers
                    .chunks(units)
                    .flat_map(|row| row.iter().copied().chain(vec![0.0; wide - units]))
                    .collect()
            };
            let cut = |numbers: &[f32]| -> Vec<f32> {
                numbers.chunks(wide).flat_map(|row| row[..units].to_vec()).collect()
            };
            let (x, weight) = (numbers(rows * inputs, 1), numbers(inputs * units, 2));
            let (bias, dy) = (numbers(units, 3), numbers(rows * units, 4));
            let run = |units: usize, weight: &[f32], bias: &[f32], dy: &[f32]| {
                let layer = Dense { inputs, units };
                let (mut y, mut dx) = (vec![9.0; rows * units], vec![9.0; rows * inputs]);
                let (mut dweight, mut dbias) = (vec![9.0; inputs * units], vec![9.0; units]);
                layer.forward(rows, &x, weight, Some(bias), &mut y);
                layer.backward(rows, &x, weight, dy, Some(&mut dx), Some(&mut dweight), Some(&mut dbias));
                [y, dweight, dbias, dx]
            };
            let [y, dweight, dbias, dx] = run(wide, &spread(&weight), &spread(&bias), &spread(&dy));
            let expected = [cut(&y), cut(&dweight), cut(&dbias), dx];
            assert_eq!(run(units, &weight, &bias, &dy), expected, "{rows} x {inputs} -> {units}");
        }
    }
}
