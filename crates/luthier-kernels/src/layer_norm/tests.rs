//! Layer and group normalisation against sums in double precision.

use super::*;

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|it| ((it * 7919 + seed * 104_729) % 1009) as f32 / 500.0 - 1.0).collect()
}

/// Results and gradients with 64 bits, where number `it` is in the group `group_of(it)` and has the scale and
/// shift `channel_of(it)`: y, dx, dγ, dβ.
fn exact(
    [x, dy, scale, shift]: [&[f32]; 4],
    epsilon: f64,
    group_of: impl Fn(usize) -> usize,
    channel_of: impl Fn(usize) -> usize,
) -> [Vec<f64>; 4] {
    let groups = 1 + (0..x.len()).map(&group_of).max().unwrap();
    let mut members = vec![Vec::new(); groups];
    (0..x.len()).for_each(|it| members[group_of(it)].push(it));
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut dscale, mut dshift) = (vec![0.0; scale.len()], vec![0.0; scale.len()]);
    for members in members {
        let n = members.len() as f64;
        let value = |it: &usize| f64::from(x[*it]);
        let mean = members.iter().map(value).sum::<f64>() / n;
        let variance = members.iter().map(|it| (value(it) - mean).powi(2)).sum::<f64>() / n;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        let g = |it: &usize| f64::from(dy[*it]) * f64::from(scale[channel_of(*it)]);
        let normal = |it: &usize| (value(it) - mean) * inverse;
        let mean_of_g = members.iter().map(g).sum::<f64>() / n;
        let mean_of_products = members.iter().map(|it| g(it) * normal(it)).sum::<f64>() / n;
        for it in &members {
            let channel = channel_of(*it);
            y[*it] = normal(it) * f64::from(scale[channel]) + f64::from(shift[channel]);
            dx[*it] = inverse * (g(it) - mean_of_g - normal(it) * mean_of_products);
            dscale[channel] += f64::from(dy[*it]) * normal(it);
            dshift[channel] += f64::from(dy[*it]);
        }
    }
    [y, dx, dscale, dshift]
}

fn near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1.0_f64, |size, it| size.max(it.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let error = (f64::from(*found) - expected).abs();
        assert!(error < 1e-5 * size, "{what}: {found} for {expected}");
    }
}

#[test]
fn layers() {
    for [rows, size] in [[1, 1], [3, 5], [7, 64], [40, 100], [3, 1000], [300, 129], [1, 70_000]] {
        let layer = LayerNorm { size, epsilon: 1e-3 };
        let (x, dy) = (numbers(rows * size, 1), numbers(rows * size, 2));
        let (scale, shift) = (numbers(size, 3), numbers(size, 4));
        let run = |threads| {
            parallel::on_threads(threads, || {
                let (mut y, mut dx, mut saved) = (vec![9.0; x.len()], dy.clone(), vec![9.0; 2 * rows]);
                let (mut dscale, mut dshift) = (vec![9.0; size], vec![9.0; size]);
                layer.forward(&x, [&scale, &shift], &mut y, &mut saved);
                layer.backward(&x, &saved, &scale, &mut dx, [&mut dscale, &mut dshift]);
                [y, dx, dscale, dshift]
            })
        };
        let found = run(1);
        assert!(found == run(2) && found == run(4));
        let expected = exact([&x, &dy, &scale, &shift], 1e-3, |it| it / size, |it| it % size);
        for (which, (found, expected)) in found.iter().zip(&expected).enumerate() {
            near(found, expected, &format!("{rows} {size}, number {which}"));
        }
    }
}

#[test]
fn groups() {
    for [batch, places, channels, groups] in
        [[1, 1, 4, 2], [3, 5, 6, 3], [2, 49, 64, 8], [5, 900, 48, 1], [3, 10, 7, 7], [4, 1, 33, 3]]
    {
        let layer = GroupNorm { places, channels, groups, epsilon: 1e-3 };
        let (x, dy) = (numbers(batch * places * channels, 1), numbers(batch * places * channels, 2));
        let (scale, shift) = (numbers(channels, 3), numbers(channels, 4));
        let run = |threads| {
            parallel::on_threads(threads, || {
                let mut saved = vec![9.0; batch * 2 * groups];
                let (mut y, mut dx) = (vec![9.0; x.len()], dy.clone());
                let (mut dscale, mut dshift) = (vec![9.0; channels], vec![9.0; channels]);
                layer.forward(&x, [&scale, &shift], &mut y, &mut saved);
                layer.backward(&x, &saved, &scale, &mut dx, [&mut dscale, &mut dshift]);
                [y, dx, dscale, dshift]
            })
        };
        let found = run(1);
        assert!(found == run(2) && found == run(4));
        let group_of = |it: usize| it / (places * channels) * groups + it % channels / (channels / groups);
        let expected = exact([&x, &dy, &scale, &shift], 1e-3, group_of, |it| it % channels);
        for (which, (found, expected)) in found.iter().zip(&expected).enumerate() {
            near(found, expected, &format!("{batch} {places} {channels} {groups}, number {which}"));
        }
    }
}
