//! Batch normalisation against sums in double precision.

use super::*;

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|it| ((it * 7919 + seed * 104_729) % 1009) as f32 / 500.0 - 1.0).collect()
}

fn near(found: &[f32], expected: impl Iterator<Item = f64>, tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        let error = (f64::from(*found) - expected).abs();
        assert!(error < tolerance * expected.abs().max(1.0), "{found} for {expected}");
    }
}

const SHAPES: [[usize; 2]; 8] =
    [[2, 3], [7, 1], [64, 16], [100, 37], [3000, 64], [5, 700], [1200, 300], [40_000, 5]];

#[test]
fn statistics_and_passes() {
    for [rows, channels] in SHAPES {
        for relu in [false, true] {
            let layer = BatchNorm { channels, epsilon: 1e-3, relu };
            let x: Vec<f32> = numbers(rows * channels, 1)
                .iter()
                .enumerate()
                .map(|(it, x)| x + (it % channels % 8) as f32 / 10.0)
                .collect();
            let (scale, shift) = (numbers(channels, 2), numbers(channels, 3));
            let upstream = numbers(rows * channels, 4);
            let (mut mean, mut variance) = (vec![9.0; channels], vec![9.0; channels]);
            layer.measure(rows, &x, &mut mean, &mut variance);
            let column = |data: &[f32], it: usize| -> Vec<f64> {
                data.iter().skip(it).step_by(channels).map(|&it| f64::from(it)).collect()
            };
            let n = rows as f64;
            let means: Vec<f64> = (0..channels).map(|it| column(&x, it).iter().sum::<f64>() / n).collect();
            let variances: Vec<f64> = (0..channels)
                .map(|it| column(&x, it).iter().map(|x| (x - means[it]).powi(2)).sum::<f64>() / n)
                .collect();
            near(&mean, means.iter().copied(), 1e-6);
            near(&variance, variances.iter().copied(), 1e-6);

            let by = Statistics { mean: &mean, variance: &variance, scale: &scale, shift: &shift };
            let (mut y, mut dx, mut frozen) = (vec![9.0; x.len()], upstream.clone(), upstream.clone());
            layer.forward(rows, &x, by, &mut y);
            let (mut dscale, mut dshift) = (vec![9.0; channels], vec![9.0; channels]);
            layer.backward(rows, &x, by, &mut dx, [&mut dscale, &mut dshift]);
            layer.backward_frozen(&x, by, &mut frozen);
            for it in 0..channels {
                let (gamma, beta) = (f64::from(scale[it]), f64::from(shift[it]));
                let inverse = 1.0 / (variances[it] + f64::from(layer.epsilon)).sqrt();
                let normal: Vec<f64> = column(&x, it).iter().map(|x| (x - means[it]) * inverse).collect();
                let values = normal.iter().map(|x| gamma * x + beta);
                near(
                    &y.iter().skip(it).step_by(channels).copied().collect::<Vec<_>>(),
                    values.map(|it| if relu { it.max(0.0) } else { it }),
                    1e-5,
                );
                let passes: Vec<bool> =
                    y.iter().skip(it).step_by(channels).map(|&y| !relu || y > 0.0).collect();
                let dy: Vec<f64> = column(&upstream, it)
                    .iter()
                    .zip(&passes)
                    .map(|(dy, &passes)| if passes { *dy } else { 0.0 })
                    .collect();
                let sum: f64 = dy.iter().sum();
                let product: f64 = dy.iter().zip(&normal).map(|(dy, x)| dy * x).sum();
                let size = dy.iter().map(|it| it.abs()).sum::<f64>().max(1.0);
                assert!((f64::from(dshift[it]) - sum).abs() < 1e-6 * size);
                let error = (f64::from(dscale[it]) - product).abs();
                assert!(
                    error < 3e-6 * size,
                    "{rows} {channels} {relu}: {} for {product} of {size}",
                    dscale[it]
                );
                let expected =
                    dy.iter().zip(&normal).map(|(dy, x)| gamma * inverse * (dy - sum / n - x * product / n));
                near(&dx.iter().skip(it).step_by(channels).copied().collect::<Vec<_>>(), expected, 2e-5);
                near(
                    &frozen.iter().skip(it).step_by(channels).copied().collect::<Vec<_>>(),
                    dy.iter().map(|dy| gamma * inverse * dy),
                    1e-5,
                );
            }
        }
    }
}

#[test]
fn a_mean_far_from_0() {
    let x: Vec<f32> = (0..100_000).map(|it| 1e4 + (it % 8) as f32).collect();
    let (mut mean, mut variance) = ([0.0], [0.0]);
    BatchNorm { channels: 1, epsilon: 1e-5, relu: false }.measure(100_000, &x, &mut mean, &mut variance);
    assert!((mean[0] - 10_003.5).abs() < 1e-3 && (variance[0] - 5.25).abs() < 1e-4);
}

#[test]
fn same_bits_on_any_number_of_threads() {
    for [rows, channels] in SHAPES {
        let layer = BatchNorm { channels, epsilon: 1e-5, relu: true };
        let (x, scale) = (numbers(rows * channels, 1), numbers(channels, 2));
        let run = |threads| {
            parallel::on_threads(threads, || {
                let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
                layer.measure(rows, &x, &mut mean, &mut variance);
                let by = Statistics { mean: &mean, variance: &variance, scale: &scale, shift: &scale };
                let (mut y, mut dx) = (vec![0.0; x.len()], x.clone());
                layer.forward(rows, &x, by, &mut y);
                let (mut dscale, mut dshift) = (vec![0.0; channels], vec![0.0; channels]);
                layer.backward(rows, &x, by, &mut dx, [&mut dscale, &mut dshift]);
                (mean, variance, y, dx, dscale, dshift)
            })
        };
        assert!(run(1) == run(2) && run(1) == run(4));
    }
}
