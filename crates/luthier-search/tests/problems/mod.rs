//! Problems with a known best loss of 0: those of `scripts/search/tpe_fixtures.py`, and some with noise or learning curves.
#![allow(dead_code, reason = "every test and example uses a part of this")]

mod run;

use std::f64::consts::PI;

use luthier_core::{Condition, Distribution, Parameter, Params, Space};

#[allow(unused_imports, reason = "every test and example uses a part of this")]
pub(crate) use run::{regret, regrets};

/// A space and the loss on it.
pub(crate) struct Problem {
    pub(crate) name: &'static str,
    pub(crate) space: Space,
    pub(crate) loss: fn(&Params) -> f64,
    /// The deviation of what is added to each loss that a search hears of.
    pub(crate) noise: f64,
    /// The steps of a trial, where it reports.
    pub(crate) steps: Option<u64>,
}

fn floats<const N: usize>(low: f64, high: f64) -> Vec<Parameter> {
    (0..N).map(|i| Parameter::new(format!("x{i}"), Distribution::float(low, high))).collect()
}

fn get(params: &Params, name: &str) -> f64 {
    params[name].as_f64().unwrap()
}

fn vector<const N: usize>(params: &Params) -> [f64; N] {
    std::array::from_fn(|i| get(params, &format!("x{i}")))
}

/// Every problem without noise and curves.
pub(crate) fn problems() -> Vec<Problem> {
    let problem = |name, parameters: Vec<Parameter>, loss| Problem {
        name,
        space: Space::new(parameters).unwrap(),
        loss,
        noise: 0.0,
        steps: None,
    };
    let under = |value: &str| Condition::equals("optimizer", value);
    let units = |i: i64| {
        Parameter::new(format!("units{i}"), Distribution::log_int(8, 256))
            .when(Condition::AtLeast { param: "layers".into(), value: i })
    };
    vec![
        problem("bowl", floats::<4>(-5.0, 5.0), bowl),
        problem(
            "mixed",
            vec![
                Parameter::new("kind", Distribution::choice(["a", "b", "c", "d"])),
                Parameter::new("rate", Distribution::log_float(1e-5, 1.0)),
                Parameter::new("units", Distribution::log_int(4, 512)),
                Parameter::new("layers", Distribution::int(1, 6)),
                Parameter::new("dropout", Distribution::float(0.0, 0.8)),
            ],
            mixed,
        ),
        problem(
            "conditional",
            vec![
                Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
                Parameter::new("adam_rate", Distribution::log_float(1e-5, 1e-1)).when(under("adam")),
                Parameter::new("beta", Distribution::float(0.8, 0.999)).when(under("adam")),
                Parameter::new("sgd_rate", Distribution::log_float(1e-4, 1.0)).when(under("sgd")),
                Parameter::new("momentum", Distribution::float(0.0, 0.99)).when(under("sgd")),
                Parameter::new("layers", Distribution::int(1, 3)),
                units(1),
                units(2),
                units(3),
            ],
            conditional,
        ),
        problem(
            "branin",
            vec![
                Parameter::new("x", Distribution::float(-5.0, 10.0)),
                Parameter::new("y", Distribution::float(0.0, 15.0)),
            ],
            branin,
        ),
        problem("hartmann6", floats::<6>(0.0, 1.0), hartmann6),
        problem("ripples", floats::<3>(-2.0, 3.0), ripples),
    ]
}

/// Problems of the same losses that are heard of with noise.
pub(crate) fn noisy_problems() -> Vec<Problem> {
    let noisy = |problem: Problem| match problem.name {
        "bowl" => Some(Problem { name: "noisy bowl", noise: 1.0, ..problem }),
        "conditional" => Some(Problem { name: "noisy conditional", noise: 0.1, ..problem }),
        _ => None,
    };
    problems().into_iter().filter_map(noisy).collect()
}

/// Problems of the same losses that a trial comes to in 27 steps.
pub(crate) fn curve_problems() -> Vec<Problem> {
    let curved = |problem: Problem| match problem.name {
        "mixed" => Some(Problem { name: "mixed curves", steps: Some(27), ..problem }),
        "hartmann6" => Some(Problem { name: "hartmann curves", noise: 0.02, steps: Some(27), ..problem }),
        _ => None,
    };
    problems().into_iter().filter_map(curved).collect()
}

fn bowl(params: &Params) -> f64 {
    let x: [f64; 4] = vector(params);
    let y = [
        x[0] - 1.0 + 0.5 * (x[1] + 2.0),
        x[1] + 2.0 - 0.5 * (x[0] - 1.0),
        x[2] - 0.5 + 0.3 * (x[3] - 3.0),
        x[3] - 3.0,
    ];
    [1.0, 0.5, 2.0, 0.25].iter().zip(y).map(|(w, v)| w * v * v).sum()
}

fn mixed(params: &Params) -> f64 {
    let (best, penalty) = match params["kind"].as_str().unwrap() {
        "a" => (-3.5, 0.4),
        "b" => (-2.5, 0.0),
        "c" => (-1.5, 0.8),
        _ => (-3.0, 0.2),
    };
    penalty
        + 0.5 * (libm::log10(get(params, "rate")) - best).powi(2)
        + 0.1 * (libm::log2(get(params, "units")) - 7.0).powi(2)
        + 0.08 * (get(params, "layers") - 4.0).powi(2)
        + 2.0 * (get(params, "dropout") - 0.3).powi(2)
}

fn conditional(params: &Params) -> f64 {
    let mut loss = if params["optimizer"].as_str() == Some("adam") {
        let rate = libm::log10(get(params, "adam_rate"));
        0.3 + 0.4 * (rate + 3.0).powi(2) + 20.0 * (get(params, "beta") - 0.9).powi(2)
    } else {
        let rate = libm::log10(get(params, "sgd_rate"));
        let momentum = get(params, "momentum");
        0.4 * (rate + 1.5 + momentum).powi(2) + (momentum - 0.9).powi(2)
    };
    let layers = params["layers"].as_i64().unwrap();
    loss += 0.2 * (3 - layers) as f64;
    for i in 1..=layers {
        loss += 0.05 * (libm::log2(get(params, &format!("units{i}"))) - 7.0 + i as f64 / 2.0).powi(2);
    }
    loss
}

fn branin(params: &Params) -> f64 {
    let (x, y) = (get(params, "x"), get(params, "y"));
    let a = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    a * a + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * libm::cos(x) + 10.0 - 0.397_887_357_729_738_16
}

fn hartmann6(params: &Params) -> f64 {
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [1312.0, 1696.0, 5569.0, 124.0, 8283.0, 5886.0],
        [2329.0, 4135.0, 8307.0, 3736.0, 1004.0, 9991.0],
        [2348.0, 1451.0, 3522.0, 2883.0, 3047.0, 6650.0],
        [4047.0, 8828.0, 8732.0, 5743.0, 1091.0, 381.0],
    ];
    let x: [f64; 6] = vector(params);
    let mut loss = 3.322_368_011_391_339;
    for ((weight, row), centre) in [1.0, 1.2, 3.0, 3.2].iter().zip(A).zip(P) {
        let square: f64 = (0..6).map(|j| row[j] * (x[j] - centre[j] * 1e-4).powi(2)).sum();
        loss -= weight * libm::exp(-square);
    }
    loss
}

fn ripples(params: &Params) -> f64 {
    let x: [f64; 3] = vector(params);
    x.iter().map(|v| (v - 0.7).powi(2) + 0.5 * (1.0 - libm::cos(2.0 * PI * (v - 0.7)))).sum()
}
