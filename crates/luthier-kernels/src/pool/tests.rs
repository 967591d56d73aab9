//! Pooling against loops over windows.

use super::*;

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|it| ((it * 7919 + seed * 104_729) % 1009) as f32 / 500.0 - 1.0).collect()
}

/// For each number of the result, those that its window sees: their indices in `x`, row after row.
fn seen(pool: &Pool2d, batch: usize) -> Vec<Vec<usize>> {
    let [rows, columns] = pool.output();
    let mut all = Vec::new();
    for image in 0..batch {
        for place in 0..rows * columns {
            for channel in 0..pool.channels {
                let mut seen = Vec::new();
                for inside in 0..pool.size[0] * pool.size[1] {
                    let y = place / columns * pool.stride[0] + inside / pool.size[1];
                    let x = place % columns * pool.stride[1] + inside % pool.size[1];
                    let (y, x) = (y.wrapping_sub(pool.padding[0]), x.wrapping_sub(pool.padding[1]));
                    if y < pool.height && x < pool.width {
                        let place = (image * pool.height + y) * pool.width + x;
                        seen.push(place * pool.channels + channel);
                    }
                }
                all.push(seen);
            }
        }
    }
    all
}

fn near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5 * expected.abs().max(1.0));
    }
}

fn shapes() -> Vec<Pool2d> {
    let mut all = Vec::new();
    for (size, stride, padding) in [(2, 2, 0), (2, 1, 1), (3, 2, 1), (3, 3, 0), (2, 3, 0), (5, 1, 2)] {
        for shape in [[6, 6, 16], [5, 7, 1], [7, 5, 3], [9, 6, 37], [5, 5, 20]] {
            all.push(Pool2d::over_images(shape, size, stride, padding));
        }
        all.push(Pool2d::over_sequences([11, 6], size, stride, padding));
    }
    all
}

#[test]
fn maxima() {
    for pool in shapes() {
        for batch in [1, 3] {
            let mut x = numbers(batch * pool.image(), 1);
            // Some ties.
            for it in &mut x {
                *it = (*it * 4.0).round();
            }
            let count = batch * pool.pooled_image();
            let (dy, mut y, mut winners) = (numbers(count, 2), vec![9.0; count], vec![9; count]);
            pool.max_forward(batch, &x, &mut y, &mut winners);
            let mut dx = vec![9.0; x.len()];
            pool.max_backward(batch, &winners, &dy, &mut dx);
            let mut expected = vec![0.0; x.len()];
            for ((seen, &y), &dy) in seen(&pool, batch).iter().zip(&y).zip(&dy) {
                let best = seen.iter().copied().reduce(|a, b| if x[b] > x[a] { b } else { a }).unwrap();
                assert_eq!(y, x[best]);
                expected[best] += f64::from(dy);
            }
            near(&dx, &expected);
        }
    }
}

#[test]
fn means() {
    for pool in shapes() {
        for batch in [1, 3] {
            let x = numbers(batch * pool.image(), 1);
            let count = batch * pool.pooled_image();
            let (dy, mut y) = (numbers(count, 2), vec![9.0; count]);
            pool.mean_forward(batch, &x, &mut y);
            let mut dx = vec![9.0; x.len()];
            pool.mean_backward(batch, &dy, &mut dx);
            let share = 1.0 / (pool.size[0] * pool.size[1]) as f64;
            let (mut expected_y, mut expected) = (vec![0.0; count], vec![0.0; x.len()]);
            for (number, seen) in seen(&pool, batch).iter().enumerate() {
                for &it in seen {
                    expected_y[number] += f64::from(x[it]) * share;
                    expected[it] += f64::from(dy[number]) * share;
                }
            }
            near(&y, &expected_y);
            near(&dx, &expected);
        }
    }
}

#[test]
fn over_everything() {
    for (places, channels) in [(1, 5), (49, 64), (200, 3), (30, 37)] {
        let (batch, pool) = (3, GlobalPool { places, channels });
        let (x, dy) = (numbers(batch * places * channels, 1), numbers(batch * channels, 2));
        let mut y = vec![9.0; dy.len()];
        let (mut winners, mut dx, mut dx_of_mean) = (vec![0; y.len()], x.clone(), x.clone());
        let mut expected = vec![0.0; x.len()];
        pool.max_forward(batch, &x, &mut y, &mut winners);
        pool.max_backward(batch, &winners, &dy, &mut dx);
        for number in 0..y.len() {
            let index = |place| (number / channels * places + place) * channels + number % channels;
            let best = (0..places).reduce(|a, b| if x[index(b)] > x[index(a)] { b } else { a }).unwrap();
            assert_eq!((y[number], winners[number]), (x[index(best)], best as u32));
            expected[index(best)] = f64::from(dy[number]);
        }
        near(&dx, &expected);
        pool.mean_forward(batch, &x, &mut y);
        pool.mean_backward(batch, &dy, &mut dx_of_mean);
        for number in 0..y.len() {
            let index = |place| (number / channels * places + place) * channels + number % channels;
            let mean = (0..places).map(|it| f64::from(x[index(it)])).sum::<f64>() / places as f64;
            near(&y[number..=number], &[mean]);
            let share = f64::from(dy[number]) / places as f64;
            (0..places).for_each(|it| near(&dx_of_mean[index(it)..=index(it)], &[share]));
        }
    }
}

#[test]
fn nan_wins() {
    let pool = Pool2d::over_images([2, 2, 1], 2, 2, 0);
    let (mut y, mut winners) = ([0.0], [0]);
    pool.max_forward(1, &[1.0, f32::NAN, 5.0, 2.0], &mut y, &mut winners);
    assert!(y[0].is_nan() && winners == [1]);
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let pool = Pool2d::over_images([32, 32, 24], 3, 2, 1);
    let x = numbers(4 * pool.image(), 1);
    let run = |threads| {
        parallel::on_threads(threads, || {
            let count = 4 * pool.pooled_image();
            let (mut y, mut winners, mut mean) = (vec![0.0; count], vec![0; count], vec![0.0; count]);
            let (mut dx, mut dx_of_mean) = (x.clone(), x.clone());
            pool.max_forward(4, &x, &mut y, &mut winners);
            pool.max_backward(4, &winners, &y, &mut dx);
            pool.mean_forward(4, &x, &mut mean);
            pool.mean_backward(4, &y, &mut dx_of_mean);
            (y, winners, mean, dx, dx_of_mean)
        })
    };
    assert!(run(1) == run(2) && run(1) == run(4));
}
