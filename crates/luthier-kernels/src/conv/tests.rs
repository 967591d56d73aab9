//! All methods against the definition, and bits over batches and threads.

use super::*;
use crate::parallel::on_threads;

/// A convolution of square images, without padding, dilation and groups.
fn conv(size: usize, channels: usize, filters: usize, kernel: usize) -> Conv2d {
    let (height, width) = (size, size);
    Conv2d { height, width, channels, filters, kernel, stride: 1, padding: (0, 0), dilation: 1, groups: 1 }
}

/// Numbers from -1 to 1 that look random.
fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

struct Case {
    conv: Conv2d,
    batch: usize,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(conv: Conv2d, batch: usize) -> Self {
        let x = numbers(batch * conv.image(), 1);
        let weight = numbers(conv.filters * conv.patch(), 2);
        let dy = numbers(batch * conv.places() * conv.filters, 4);
        Self { conv, batch, x, weight, bias: numbers(conv.filters, 3), dy }
    }

    fn forward(&self, relu: bool) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.dy.len()];
        self.conv.forward(self.batch, &self.x, &self.weight, Some(&self.bias), relu, &mut y);
        y
    }

    fn backward(&self) -> [Vec<f32>; 3] {
        let new = |like: &[f32]| vec![f32::NAN; like.len()];
        let (mut dx, mut dw, mut db) = (new(&self.x), new(&self.weight), new(&self.bias));
        let (x, weight, dy) = (&self.x, &self.weight, &self.dy);
        self.conv.backward(self.batch, x, weight, dy, Some(&mut dx), Some(&mut dw), Some(&mut db));
        [dx, dw, db]
    }

    /// The result and the gradients by the definition.
    fn definition(&self) -> [Vec<f64>; 4] {
        let Self { conv, batch, x, weight, bias, dy } = self;
        let (rows, columns) = conv.output();
        let (depth, own) = (conv.channels / conv.groups, conv.filters / conv.groups);
        let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; bias.len()]);
        for (at, y) in y.iter_mut().enumerate() {
            let (f, j, i) =
                (at % conv.filters, at / conv.filters % columns, at / conv.filters / columns % rows);
            let b = at / conv.filters / columns / rows;
            assert!(b < *batch);
            let dy = f64::from(dy[at]);
            *y = f64::from(bias[f]);
            db[f] += dy;
            for (p, q) in (0..conv.kernel).flat_map(|p| (0..conv.kernel).map(move |q| (p, q))) {
                let up = (i * conv.stride + p * conv.dilation).wrapping_sub(conv.padding.0);
                let left = (j * conv.stride + q * conv.dilation).wrapping_sub(conv.padding.0);
                if up >= conv.height || left >= conv.width {
                    continue;
                }
                for c in 0..depth {
                    let x_at =
                        ((b * conv.height + up) * conv.width + left) * conv.channels + f / own * depth + c;
                    let w_at = ((f * conv.kernel + p) * conv.kernel + q) * depth + c;
                    *y += f64::from(x[x_at]) * f64::from(weight[w_at]);
                    dx[x_at] += dy * f64::from(weight[w_at]);
                    dw[w_at] += dy * f64::from(x[x_at]);
                }
            }
        }
        [y, dx, dw, db]
    }
}

/// The largest difference, relative to the largest number.
fn difference(left: &[f32], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    let size = right.iter().fold(0.0_f64, |most, it| most.max(it.abs())).max(1e-6);
    let off = left.iter().zip(right).map(|(&left, right)| (f64::from(left) - right).abs());
    // A number that is not one is as far off as can be.
    off.fold(0.0_f64, |most, it| if it > most || it.is_nan() { it } else { most }) / size
}

fn check(conv: Conv2d, batch: usize) {
    let case = Case::new(conv, batch);
    let expected = case.definition();
    let [dx, dw, db] = case.backward();
    let names = ["result", "gradient of the input", "gradient of the weights", "gradient of the bias"];
    for ((got, expected), name) in [case.forward(false), dx, dw, db].iter().zip(&expected).zip(names) {
        let off = difference(got, expected);
        assert!(off < 1e-5, "{name} of {conv:?} by {}, batch {batch}: off by {off:e}", conv.method());
    }
    let clipped: Vec<f32> = case.forward(false).iter().map(|it| it.max(0.0)).collect();
    assert_eq!(case.forward(true), clipped, "{conv:?}");
}

fn cases() -> Vec<(Conv2d, usize)> {
    let padded = |size, channels, filters, kernel| Conv2d {
        padding: (kernel / 2, kernel / 2),
        ..conv(size, channels, filters, kernel)
    };
    vec![
        (conv(28, 1, 32, 5), 3),
        (conv(12, 32, 64, 5), 3),
        (conv(12, 32, 64, 5), 20),
        (padded(19, 3, 64, 3), 2),
        (Conv2d { stride: 2, ..padded(27, 3, 32, 7) }, 10),
        (Conv2d { padding: (2, 1), ..conv(14, 2, 32, 4) }, 2),
        (conv(9, 3, 5, 3), 1),
        (conv(7, 5, 1, 3), 2),
        (conv(5, 6, 7, 1), 3),
        (conv(6, 2, 5, 1), 2),
        (conv(4, 1, 3, 1), 2),
        (Conv2d { padding: (0, 2), ..conv(9, 16, 16, 3) }, 2),
        (Conv2d { groups: 3, ..conv(5, 6, 9, 1) }, 2),
        (Conv2d { height: 5, width: 11, ..padded(5, 3, 16, 3) }, 2),
        (Conv2d { stride: 2, ..padded(15, 3, 20, 7) }, 2),
        (Conv2d { stride: 2, ..padded(8, 16, 32, 3) }, 3),
        (Conv2d { stride: 2, ..conv(9, 16, 32, 1) }, 3),
        (Conv2d { padding: (1, 1), ..conv(5, 4, 8, 1) }, 2),
        (Conv2d { padding: (1, 2), ..conv(6, 8, 8, 4) }, 2),
        (Conv2d { padding: (3, 0), stride: 3, ..conv(10, 2, 3, 2) }, 2),
        (Conv2d { dilation: 2, padding: (2, 2), ..conv(10, 16, 16, 3) }, 2),
        (Conv2d { dilation: 3, groups: 2, ..conv(11, 4, 6, 3) }, 2),
        (Conv2d { groups: 4, ..padded(7, 8, 12, 3) }, 2),
        (Conv2d { groups: 12, ..padded(7, 12, 12, 3) }, 9),
        (Conv2d { groups: 16, stride: 2, ..padded(10, 16, 16, 5) }, 1),
        (padded(8, 16, 32, 3), 2),
        (padded(14, 32, 32, 3), 3),
        (padded(7, 64, 48, 3), 2),
        (padded(13, 17, 19, 3), 2),
        (conv(11, 32, 16, 3), 2),
        (padded(9, 24, 40, 5), 2),
        (padded(2, 80, 96, 3), 5),
        (padded(4, 160, 32, 3), 3),
        (padded(1, 33, 32, 3), 3),
        (padded(3, 256, 64, 3), 2),
    ]
}

#[test]
fn all_passes_against_the_definition() {
    for (conv, batch) in cases() {
        check(conv, batch);
    }
}

#[test]
fn a_result_does_not_depend_on_its_batch() {
    for (conv, _) in cases() {
        let case = Case::new(conv, 7);
        let together = case.forward(true);
        for at in 0..7 {
            let x = case.x[at * conv.image()..][..conv.image()].to_vec();
            let (weight, bias) = (case.weight.clone(), case.bias.clone());
            let dy = vec![0.0; case.dy.len() / 7];
            let alone = Case { conv, batch: 1, x, weight, bias, dy }.forward(true);
            assert!(alone == together[at * alone.len()..][..alone.len()], "{conv:?} by {}", conv.method());
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    for (conv, batch) in cases() {
        let case = Case::new(conv, 2 * batch);
        let all = |threads| on_threads(threads, || (case.forward(true), case.backward()));
        let one = all(1);
        assert!(one == all(2) && one == all(4), "{conv:?} by {}", conv.method());
    }
}
