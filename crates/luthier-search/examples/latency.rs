//! How long a proposal takes: medians and 95th percentiles for each sampler, after histories of several lengths.
//!
//! ```text
//! cargo run --release -p luthier-search --example latency [SAMPLER…]
//! ```
//!
//! The space has ten parameters: eight floats, a whole number and a choice. Losses are those of a bowl.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example talks to the person who started it")]

use std::time::Instant;

use luthier_core::{
    Direction, Distribution, Ending, Event, History, Outcome, Parameter, Params, Purpose, Recorded, Space,
    Streams, TrialId,
};

const LENGTHS: [u64; 5] = [20, 100, 300, 1_000, 10_000];

fn space() -> Space {
    let float = |i: usize| match i % 2 {
        0 => Parameter::new(format!("x{i}"), Distribution::float(-5.0, 5.0)),
        _ => Parameter::new(format!("x{i}"), Distribution::log_float(1e-5, 1.0)),
    };
    let others = [
        Parameter::new("layers", Distribution::int(1, 20)),
        Parameter::new("kind", Distribution::choice(["a", "b", "c", "d"])),
    ];
    Space::new((0..8).map(float).chain(others)).unwrap()
}

fn loss(space: &Space, params: &Params) -> f64 {
    let term =
        |parameter: &Parameter| parameter.distribution.to_unit(&params[&parameter.name]).unwrap() - 0.4;
    space.iter().map(term).map(|x| x * x).sum()
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let space = space();
    for entry in luthier_search::SAMPLERS {
        if !names.is_empty() && !names.iter().any(|name| name == entry.name) {
            continue;
        }
        let sampler = entry.create();
        let streams = Streams::new(0);
        let mut history = History::new(Direction::Minimize);
        let record = |history: &mut History, event| {
            let revision = history.revision() + 1;
            history.apply(&Recorded { revision, at_ms: 0, event }).unwrap();
        };
        for length in LENGTHS {
            for n in history.trials().len() as u64..length {
                // Half of the trials near the best, as a search makes them.
                let mut rng = streams.at(Purpose::Data, n);
                let near = n % 2 == 0;
                let params = space.build(|parameter, _| {
                    let unit = rng.uniform();
                    parameter.distribution.from_unit(if near { 0.4 + 0.2 * (unit - 0.5) } else { unit })
                });
                let value = loss(&space, &params);
                let trial = TrialId(n);
                record(
                    &mut history,
                    Event::TrialStarted { trial, params, seed: 0, until: None, at: None, from: None },
                );
                let outcome = Outcome::Complete { value, step: None, ending: Ending::Full };
                record(&mut history, Event::TrialFinished { trial, outcome, seconds: 0.0 });
            }
            let mut times: Vec<f64> = (0..21)
                .map(|i| {
                    let mut rng = streams.at(Purpose::Sampler, length + i);
                    let start = Instant::now();
                    let params = sampler.propose(&history.view(), &space, &mut rng).unwrap();
                    assert!(space.contains(&params));
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!(
                "{:8} {length:6} trials: median {:8.3} ms, 95th percentile {:8.3} ms",
                entry.name, times[10], times[19]
            );
        }
    }
}
