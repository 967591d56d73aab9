//! Small loops over numbers of any shape: sums, products, means that move.

use crate::columns::TASK;
use crate::simd::vectorized;
use crate::{parallel, scratch};

/// `y = f(y, x)`.
fn combine(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32 + Copy + Sync) {
    assert_eq!(y.len(), x.len(), "numbers of both");
    parallel::chunks(y, TASK, |task, y| {
        let x = &x[task * TASK..][..y.len()];
        vectorized(
            #[inline(always)]
            || {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = f(*y, x);
                }
            },
        );
    });
}

/// `y += x`.
pub fn add_assign(y: &mut [f32], x: &[f32]) {
    combine(y, x, |y, x| y + x);
}

/// `y *= mask`: what dropout does, forward and backward, with a mask of 0 and `1 / (1 - p)`.
pub fn multiply(y: &mut [f32], mask: &[f32]) {
    combine(y, mask, |y, mask| y * mask);
}

/// `y += share (x - y)`: a moving average.
pub fn lerp(y: &mut [f32], x: &[f32], share: f32) {
    combine(y, x, move |y, x| (x - y).mul_add(share, y));
}

/// `y *= factor`.
pub fn scale(y: &mut [f32], factor: f32) {
    parallel::chunks(y, TASK, |_, y| {
        vectorized(
            #[inline(always)]
            || y.iter_mut().for_each(|y| *y *= factor),
        );
    });
}

/// The sum of `x²`, of blocks of fixed size in 64 bits.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    if x.len() <= TASK {
        return sum_of_block(x);
    }
    // Each as four numbers of 16 bits, as the memory is of 32.
    scratch::with(4 * x.len().div_ceil(TASK), |parts| {
        parallel::chunks(parts, 4, |number, part| {
            let start = number * TASK;
            let bits = sum_of_block(&x[start..(start + TASK).min(x.len())]).to_bits();
            for (place, part) in part.iter_mut().enumerate() {
                *part = f32::from((bits >> (16 * place)) as u16);
            }
        });
        let bits = parts
            .chunks_exact(4)
            .map(|part| part.iter().rev().fold(0, |bits, &part| bits << 16 | u64::from(part as u16)));
        bits.map(f64::from_bits).sum()
    })
}

fn sum_of_block(x: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 32];
    vectorized(
        #[inline(always)]
        || {
            let (vectors, rest) = x.as_chunks::<32>();
            for vector in vectors {
                for lane in 0..32 {
                    let x = f64::from(vector[lane]);
                    sums[lane] = x.mul_add(x, sums[lane]);
                }
            }
            for (sum, &x) in sums.iter_mut().zip(rest) {
                *sum = f64::from(x).mul_add(f64::from(x), *sum);
            }
        },
    );
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|it| ((it * 7919 + seed * 104_729) % 1009) as f32 / 500.0 - 1.0).collect()
    }

    #[test]
    fn definitions() {
        for len in [0, 1, 33, 100_003] {
            let (x, start) = (numbers(len, 1), numbers(len, 2));
            let run = |work: &dyn Fn(&mut [f32])| {
                let mut y = start.clone();
                work(&mut y);
                y
            };
            let (sums, products) = (run(&|y| add_assign(y, &x)), run(&|y| multiply(y, &x)));
            let (moved, scaled) = (run(&|y| lerp(y, &x, 0.25)), run(&|y| scale(y, 3.0)));
            for it in 0..len {
                assert_eq!([sums[it], products[it]], [start[it] + x[it], start[it] * x[it]]);
                assert!((moved[it] - (start[it] + 0.25 * (x[it] - start[it]))).abs() < 1e-6);
                assert_eq!(scaled[it], start[it] * 3.0);
            }
            let expected: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            assert!((sum_of_squares(&x) - expected).abs() <= 1e-10 * expected);
        }
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let x = numbers(1_000_003, 1);
        let run = |threads| {
            parallel::on_threads(threads, || {
                let mut y = x.clone();
                lerp(&mut y, &x, 0.1);
                (sum_of_squares(&x).to_bits(), y)
            })
        };
        assert!(run(1) == run(2) && run(1) == run(4));
    }

    #[test]
    fn sums_beyond_32_bits() {
        assert_eq!(sum_of_squares(&[1e30; 2]), 2.0 * f64::from(1e30_f32).powi(2));
        assert!((sum_of_squares(&vec![1e30; 100_000]) / 1e65 - 1.0).abs() < 1e-6);
        assert!(sum_of_squares(&vec![f32::NAN; 100_000]).is_nan());
    }
}
