//! What initialisers draw.

use burn::tensor::Device;

use crate::fixture::setting;
use crate::model::{ModelConfig, Network, Weights};
use crate::shape::Shape;

fn weights(init: &str, layers: &str, input: Shape) -> Vec<Weights> {
    let model: ModelConfig = setting(&format!("{{ init = {init}, layers = [{layers}] }}"));
    Network::new(&model, input, 2, 7, &Device::flex()).expect("a network").weights()
}

fn moments(values: &[f32]) -> (f64, f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    let largest = values.iter().fold(0.0_f64, |largest, x| largest.max(f64::from(x.abs())));
    (mean, variance.sqrt(), largest)
}

#[test]
fn each_kind_has_its_mean_and_deviation() {
    // 60 channels seen through 3x3 pixels by 50 filters; 20,000 and more draws each.
    let (input, output) = (540.0_f64, 450.0_f64);
    let root = |x: f64| x.sqrt();
    for (init, deviation, bound) in [
        ("\"glorot_uniform\"", root(2.0 / (input + output)), Some(root(6.0 / (input + output)))),
        ("{ kind = \"glorot_uniform\", gain = 2 }", 2.0 * root(2.0 / (input + output)), None),
        ("\"glorot_normal\"", root(2.0 / (input + output)), None),
        ("\"he_uniform\"", root(2.0 / input), Some(root(6.0 / input))),
        ("\"he_normal\"", root(2.0 / input), None),
        ("{ kind = \"he_normal\", gain = 1 }", root(1.0 / input), None),
        // The normal distribution within two deviations has 0.8796 of its deviation.
        ("\"truncated_normal\"", 0.8796 * 0.02, Some(0.04)),
        ("{ kind = \"truncated_normal\", std = 0.5 }", 0.8796 * 0.5, Some(1.0)),
    ] {
        let shape = Shape::Image { channels: 60, height: 3, width: 3 };
        let weights = weights(init, "{ conv = 50, kernel = 3 }", shape);
        let (mean, found, largest) = moments(&weights[0].values);
        let count = weights[0].values.len() as f64;
        assert!(mean.abs() < 4.0 * deviation / count.sqrt(), "{init}: mean {mean}");
        assert!(
            (found / deviation - 1.0).abs() < 4.0 / count.sqrt(),
            "{init}: {found}, expected {deviation}"
        );
        match bound {
            Some(bound) => {
                assert!(largest <= bound * 1.000_001 && largest > 0.99 * bound, "{init}: {largest}");
            }
            None if init.contains("normal") => assert!(largest > 3.0 * deviation, "{init}: {largest}"),
            None => {}
        }
        assert!(weights[1].values.iter().all(|x| *x == 0.0), "{init}: biases");
    }
}

/// The largest deviation of `rows` (each a vector) from being orthogonal and of this length.
fn off(rows: &[Vec<f64>], length: f64) -> f64 {
    let mut worst = 0.0_f64;
    for (i, one) in rows.iter().enumerate() {
        for (j, other) in rows.iter().enumerate() {
            let product: f64 = one.iter().zip(other).map(|(x, y)| x * y).sum();
            let expected = if i == j { length * length } else { 0.0 };
            worst = worst.max((product - expected).abs());
        }
    }
    worst
}

fn rows(weights: &Weights) -> Vec<Vec<f64>> {
    let columns: usize = weights.shape[1..].iter().product();
    weights.values.chunks(columns).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
}

fn turned(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..rows[0].len()).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
}

#[test]
fn orthogonal_is_orthogonal() {
    let layers =
        "{ dense = 40 }, { dense = 60 }, { dense = 30, init = { kind = \"orthogonal\", gain = 1.5 } }";
    let dense = weights("\"orthogonal\"", layers, Shape::Flat(50));
    assert!(off(&rows(&dense[0]), 1.0) < 1e-6, "40 rows of 50");
    assert!(off(&turned(&rows(&dense[2])), 1.0) < 1e-6, "40 columns of 60");
    assert!(off(&rows(&dense[4]), 1.5) < 1e-6, "30 rows of length 1.5");
    let shape = Shape::Image { channels: 3, height: 4, width: 4 };
    let conv = weights("\"orthogonal\"", "{ conv = 20, kernel = 3 }", shape);
    assert!(off(&rows(&conv[0]), 1.0) < 1e-6, "20 filters of 27");
}

#[test]
fn gates_are_matrices_of_their_own() {
    let input = Shape::Sequence { length: 3, features: 6 };
    let lstm = weights("\"orthogonal\"", "{ lstm = 10 }", input);
    assert_eq!((lstm[1].name.as_str(), &lstm[1].shape[..]), ("0.weight_hh_l0", &[40, 10][..]));
    let hidden = rows(&lstm[1]);
    for gate in hidden.chunks(10) {
        assert!(off(gate, 1.0) < 1e-6, "a gate");
    }
    assert!(hidden[0] != hidden[10]);
    for gate in rows(&lstm[0]).chunks(10) {
        assert!(off(&turned(gate), 1.0) < 1e-6, "inputs of a gate");
    }
    let gru = weights("\"glorot_uniform\"", "{ gru = 200 }", Shape::Sequence { length: 3, features: 100 });
    let (_, deviation, _) = moments(&gru[0].values);
    assert!((deviation / (2.0_f64 / 300.0).sqrt() - 1.0).abs() < 0.02, "{deviation}");
}

#[test]
fn zeros_are_zeros_and_layers_override_the_model() {
    let weights = weights("\"zeros\"", "{ dense = 4 }, { dense = 4, init = \"pytorch\" }", Shape::Flat(3));
    assert!(weights[..2].iter().chain(&weights[4..]).all(|w| w.values.iter().all(|x| *x == 0.0)));
    assert!(weights[2..4].iter().all(|w| w.values.iter().all(|x| *x != 0.0 && x.abs() <= 0.5)));
}

#[test]
fn pytorchs_defaults_of_embedding_and_attention() {
    let tokens = Shape::Tokens { length: 4, vocabulary: 500 };
    let layers = "{ embedding = 64 }, { attention = 4, feed_forward = 32 }, { gru = 25 }";
    let weights = weights("\"pytorch\"", layers, tokens);
    let named = |name: &str| {
        moments(&weights.iter().find(|w| w.name == name).unwrap_or_else(|| panic!("{name}")).values)
    };
    let (mean, deviation, _) = named("0.weight");
    assert!(mean.abs() < 0.02 && (deviation - 1.0).abs() < 0.02);
    for (name, bound) in [
        ("1.self_attn.in_proj_weight", (6.0_f64 / 256.0).sqrt()),
        ("1.self_attn.out_proj.weight", 1.0 / 8.0),
        ("1.linear1.weight", 1.0 / 8.0),
        ("1.linear2.weight", (1.0_f64 / 32.0).sqrt()),
        ("2.weight_hh_l0", 0.2),
    ] {
        let (_, _, largest) = named(name);
        assert!(largest <= bound && largest > 0.99 * bound, "{name}: {largest}, expected {bound}");
    }
    assert_eq!(named("1.self_attn.in_proj_bias").2, 0.0);
    assert_eq!(named("1.norm1.weight"), (1.0, 0.0, 1.0));
}
