//! Times of convolutions: `cargo run --release -p luthier-kernels --example conv [name] [threads]`.
#![allow(clippy::print_stdout, reason = "what it is for")]

use std::time::Instant;

use luthier_kernels::{Conv2d, Matrix, MatrixMut, matmul};

/// Name, batch, size, channels, filters, kernel, stride, padding.
type Case = (&'static str, usize, usize, usize, usize, usize, usize, usize);

const CASES: [Case; 19] = [
    ("mnist1", 100, 28, 1, 32, 5, 1, 0),
    ("mnist2", 100, 12, 32, 64, 5, 1, 0),
    ("vgg224 3-64", 8, 224, 3, 64, 3, 1, 1),
    ("vgg224 64", 8, 224, 64, 64, 3, 1, 1),
    ("vgg56 256", 8, 56, 256, 256, 3, 1, 1),
    ("vgg14 512", 8, 14, 512, 512, 3, 1, 1),
    ("vgg32 3-64", 8, 32, 3, 64, 3, 1, 1),
    ("vgg32 64", 8, 32, 64, 64, 3, 1, 1),
    ("vgg16 64-128", 8, 16, 64, 128, 3, 1, 1),
    ("vgg16 128", 8, 16, 128, 128, 3, 1, 1),
    ("vgg8 256", 8, 8, 256, 256, 3, 1, 1),
    ("vgg4 512", 8, 4, 512, 512, 3, 1, 1),
    ("vgg2 512", 8, 2, 512, 512, 3, 1, 1),
    ("resnet 7x7/2", 8, 224, 3, 64, 7, 2, 3),
    ("resnet56 64", 8, 56, 64, 64, 3, 1, 1),
    ("resnet 3x3/2", 8, 56, 64, 128, 3, 2, 1),
    ("resnet 1x1/2", 8, 56, 64, 128, 1, 2, 0),
    ("resnet14 256", 8, 14, 256, 256, 3, 1, 1),
    ("resnet7 512", 8, 7, 512, 512, 3, 1, 1),
];

/// The shortest of many repeats, in seconds.
fn best(mut work: impl FnMut()) -> f64 {
    let (begin, mut best) = (Instant::now(), f64::MAX);
    work();
    for count in 0.. {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
        if count > 2 && begin.elapsed().as_secs_f64() > 0.7 {
            break;
        }
    }
    best
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let threads = std::env::args().nth(2).and_then(|it| it.parse().ok()).unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("threads can be started").install(|| {
        let (a, mut y) = (vec![1.0; 512 * 512], vec![0.0; 512 * 512]);
        let square = |it| Matrix::rows(it, 512, 512);
        let time = best(|| matmul(MatrixMut::rows(&mut y, 512, 512), square(&a), square(&a), false));
        println!("product of 512 x 512 on one thread: {:.0} GFLOP/s", 2.0 * 512.0_f64.powi(3) / time / 1e9);
        for case in CASES.iter().filter(|it| it.0.contains(&name)) {
            measure(case);
        }
    });
}

fn measure(&(name, batch, size, channels, filters, kernel, stride, padding): &Case) {
    let (height, width, padding) = (size, size, (padding, padding));
    let conv = Conv2d { height, width, channels, filters, kernel, stride, padding, dilation: 1, groups: 1 };
    let numbers = |len: usize| (0..len).map(|it| (it * 37 % 101) as f32 / 50.0 - 1.0).collect::<Vec<f32>>();
    let (rows, columns) = conv.output();
    let (x, weight) =
        (numbers(batch * size * size * channels), numbers(filters * kernel * kernel * channels));
    let (bias, dy) = (numbers(filters), numbers(batch * rows * columns * filters));
    let (mut y, mut dx, mut dw, mut db) = (dy.clone(), x.clone(), weight.clone(), bias.clone());
    let work = 2.0 * (dy.len() * kernel * kernel * channels) as f64;
    let forward = best(|| conv.forward(batch, &x, &weight, Some(&bias), true, &mut y));
    let back = best(|| conv.backward(batch, &x, &weight, &dy, Some(&mut dx), None, None));
    let weights = best(|| conv.backward(batch, &x, &weight, &dy, None, Some(&mut dw), None));
    let biases = best(|| conv.backward(batch, &x, &weight, &dy, None, None, Some(&mut db)));
    let show = |time: f64| format!("{:8.3} ms {:4.0} GF", time * 1e3, work / time / 1e9);
    println!(
        "{name:13} {:10} forward {} | input {} | weights {} | bias {:6.3} ms",
        conv.method().to_string(),
        show(forward),
        show(back),
        show(weights),
        biases * 1e3
    );
}
