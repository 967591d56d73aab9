//! How long a proposal takes: medians and 95th percentiles for each sampler, after histories of several lengths.
//!
//! ```text
//! cargo run --release -p luthier-search --example latency [SAMPLER…]
//! ```
//!
//! The space has ten parameters: eight floats, a whole number and a choice; and once 200, of which 198 are floats. Losses are
//! those of a bowl. On Linux the memory of a finished trial is shown too.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example talks to the person who started it")]

use std::time::Instant;

use luthier_core::testing::Played;
use luthier_core::{Distribution, History, Parameter, Params, Purpose, Sampler, Space, Streams};

const LENGTHS: [u64; 5] = [20, 100, 300, 1_000, 10_000];

/// A space with so many floats.
fn space(floats: usize) -> Space {
    let float = |i: usize| match i % 2 {
        0 => Parameter::new(format!("x{i}"), Distribution::float(-5.0, 5.0)),
        _ => Parameter::new(format!("x{i}"), Distribution::log_float(1e-5, 1.0)),
    };
    let others = [
        Parameter::new("layers", Distribution::int(1, 20)),
        Parameter::new("kind", Distribution::choice(["a", "b", "c", "d"])),
    ];
    Space::new((0..floats).map(float).chain(others)).unwrap()
}

fn loss(space: &Space, params: &Params) -> f64 {
    let term =
        |parameter: &Parameter| parameter.distribution.to_unit(&params[&parameter.name]).unwrap() - 0.4;
    space.iter().map(term).map(|x| x * x).sum()
}

/// Adds trials until there are so many. Half of them are near the best, as a search makes them.
fn grow(played: &mut Played, space: &Space, streams: Streams, length: u64) {
    for n in played.0.trials().len() as u64..length {
        let mut rng = streams.at(Purpose::Data, n);
        let near = n % 2 == 0;
        let params = space.build(|parameter, _| {
            let unit = rng.uniform();
            parameter.distribution.from_unit(if near { 0.4 + 0.2 * (unit - 0.5) } else { unit })
        });
        let value = loss(space, &params);
        let trial = played.begin(params, None);
        played.complete(trial, value);
    }
}

/// The median and the 95th percentile of 21 proposals, in milliseconds.
fn times(sampler: &dyn Sampler, history: &History, space: &Space, streams: Streams) -> (f64, f64) {
    let length = history.trials().len() as u64;
    let mut times: Vec<f64> = (0..21)
        .map(|i| {
            let mut rng = streams.at(Purpose::Sampler, length + i);
            let start = Instant::now();
            let params = sampler.propose(&history.view(), space, &mut rng).unwrap();
            assert!(space.contains(&params));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[10], times[19])
}

/// The memory that this process has, in bytes; 0 where the system does not say.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    4096 * pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0)
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let streams = Streams::new(0);
    let (small, large) = (space(8), space(198));
    let before = memory();
    let mut played = Played::new();
    grow(&mut played, &small, streams, 10_000);
    let bytes = memory().saturating_sub(before) / 10_000;
    drop(played);
    for (name, sampler) in luthier_search::samplers() {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let show = |space: &Space, length: u64, history: &History| {
            let (median, high) = times(&*sampler, history, space, streams);
            let parameters = if space.len() > 10 { ", 200 parameters" } else { "" };
            println!(
                "{name:8} {length:6} trials{parameters}: median {median:8.3} ms, 95th percentile {high:8.3} ms"
            );
        };
        let mut played = Played::new();
        for length in LENGTHS {
            grow(&mut played, &small, streams, length);
            show(&small, length, &played.0);
        }
        let mut played = Played::new();
        grow(&mut played, &large, streams, 1_000);
        show(&large, 1_000, &played.0);
    }
    println!("memory of a finished trial with ten parameters: {bytes} bytes");
}
