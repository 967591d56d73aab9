//! Penalties against finite differences, their strengths, and max-norm.

use burn::tensor::{Device, Tensor};
use luthier_core::config::{Decode, Node, Problems};

use super::{MaxNorm, Patterns, Penalties, Regularize};
use crate::fixture::setting;
use crate::model::host;
use crate::optimizer::parameter::{Layout, Parameter, Role};

/// A parameter of this shape here, where matrices are `[inputs, outputs]`.
fn parameter(name: &str, shape: &[usize], role: Role) -> Parameter {
    let layout = if role == Role::Weight && shape.len() == 2 { Layout::Transposed } else { Layout::Same };
    Parameter { name: name.to_owned(), shape: shape.to_vec(), role, stage: 0, layout }
}

fn parameters() -> Vec<Parameter> {
    vec![
        parameter("features.0.weight", &[2, 2], Role::Weight),
        parameter("features.0.bias", &[2], Role::Bias),
        parameter("features.1.running_mean", &[2], Role::Running),
        parameter("head.weight", &[3, 1], Role::Weight),
        parameter("words.weight", &[2, 1], Role::Embedding),
    ]
}

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(values, &Device::flex())
}

fn weights() -> Vec<Tensor<1>> {
    vec![
        tensor(&[0.5, -1.0, 0.0, 2.0]),
        tensor(&[0.25, -0.5]),
        tensor(&[3.0, 4.0]),
        tensor(&[1.0, -2.0, 0.125]),
        tensor(&[-0.75, 1.5]),
    ]
}

fn penalties(config: &str) -> Penalties {
    Penalties::new(&setting(config), &parameters()).expect("penalties")
}

fn gradients(penalties: &Penalties, strength: f64) -> Vec<Vec<f32>> {
    let mut gradients: Vec<_> = weights().iter().map(|tensor| Some(tensor.zeros_like())).collect();
    penalties.add_gradient(strength, &weights(), &mut gradients);
    gradients.into_iter().map(|gradient| host(gradient.expect("a gradient"))).collect()
}

#[test]
fn the_gradient_is_that_of_the_value() {
    for config in [
        "{ l1 = 0.3 }",
        "{ l2 = 0.7 }",
        "{ l1 = 0.3, l2 = 0.7 }",
        "[{ l1 = 0.3, layers = \"features.*\" }, { l2 = 0.7, layers = [\"head\", \"features.0.bias\"] }]",
        "{ start = \"auto\", l1 = 5.0 }",
    ] {
        let penalties = penalties(config);
        let found = gradients(&penalties, 1.5);
        for (i, gradient) in found.iter().enumerate() {
            for (j, found) in gradient.iter().enumerate() {
                let value = |way: f32| {
                    let mut weights = weights();
                    let mut values = host(weights[i].clone());
                    values[j] += way;
                    weights[i] = tensor(&values);
                    penalties.value(1.5, &weights)
                };
                // A power of two, and the values are quadratic away from 0: the difference is exact, and at
                // 0 the two sides of |w| cancel.
                let expected = (value(0.0625) - value(-0.0625)) / 0.125;
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{config} {i} {j}: {found}, {expected}");
            }
        }
    }
}

#[test]
fn values_are_those_of_the_formula() {
    // |w|: 3.5, 3.125 and 2.25; w²: 5.25, 5.015625 and 2.8125.
    for (config, strength, expected) in [
        ("{ l1 = 0.5 }", 1.0, 0.5 * 8.875),
        ("{ l2 = 0.25 }", 2.0, 0.5 * 13.078_125),
        ("{ l1 = 1.0, l2 = 1.0, layers = \"head\" }", 1.0, 3.125 + 5.015_625),
        ("{ l1 = 1.0, layers = \"*.bias\" }", 1.0, 0.75),
        ("{ start = \"auto\" }", 1.0, 13.078_125 / 9.0),
        ("{ start = \"auto\", l1 = 2.0, layers = \"features.?\" }", 1.0, 2.0 * 3.5 / 4.0),
        ("[]", 1.0, 0.0),
    ] {
        let found = penalties(config).value(strength, &weights());
        assert!((found - expected).abs() < 1e-6, "{config}: {found}, expected {expected}");
    }
}

#[test]
fn what_has_no_gradient_gets_none_and_the_gradient_of_l1_at_zero_is_zero() {
    let penalties = penalties("{ l1 = 1.0 }");
    let mut frozen = vec![None; 5];
    frozen[0] = Some(tensor(&[1.0; 4]));
    penalties.add_gradient(1.0, &weights(), &mut frozen);
    assert_eq!(host(frozen[0].clone().expect("a gradient")), [2.0, 0.0, 1.0, 2.0]);
    assert!(frozen[1..].iter().all(Option::is_none));
}

#[test]
fn strength_reacts_to_the_gap_and_stays_in_its_bounds() {
    let config = "[{ l2 = 1.0, react = { gap = 0.1, factor = 2.0, min = 0.5, max = 8.0 } }, { l1 = 1.0 }]";
    let mut penalties = penalties(config);
    let mut seen = Vec::new();
    for gap in [0.11, 0.07, 0.5, 0.5, 0.5, 0.04, 0.0, -1.0, -1.0, -1.0] {
        penalties.observe(1.0, 1.0 + gap);
        seen.push(penalties.state().factors[0]);
    }
    assert_eq!(seen, [2.0, 2.0, 4.0, 8.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.5]);
    assert_eq!(penalties.state().factors[1], 1.0);
    penalties.observe(1.0, f64::NAN);
    assert_eq!(penalties.state().factors[0], 0.5);

    let state = serde_json::to_string(&penalties.state()).expect("JSON");
    let mut other = super::Penalties::new(&setting(config), &parameters()).expect("penalties");
    other.restore(&serde_json::from_str(&state).expect("a state")).expect("the same state");
    assert_eq!(gradients(&penalties, 1.0), gradients(&other, 1.0));
    let error = super::Penalties::new(&setting("[]"), &parameters())
        .expect("no penalties")
        .restore(&penalties.state());
    assert_eq!(error.expect_err("another number"), "the state is of 2 penalties, expected 0");
}

#[test]
fn patterns_answer_to_names_and_their_beginnings() {
    let answers = |pattern: &str, name: &str| Patterns(vec![pattern.to_owned()]).matches(name);
    for (pattern, name) in [
        ("features.*", "features.0.weight"),
        ("features.0", "features.0.weight"),
        ("0", "0.weight"),
        ("*weight", "a.b.weight"),
        ("*.?.*", "layer1.0.conv1.weight"),
        ("*a*b*c", "xaxbxbxc"),
        ("*", "anything"),
    ] {
        assert!(answers(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [
        ("features.1", "features.10.weight"),
        ("0", "10.weight"),
        ("weight", "0.weight"),
        ("*a*b", "ba"),
        ("?", ""),
    ] {
        assert!(!answers(pattern, name), "{pattern} {name}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (config, part) in [
        ("{ layers = \"0\" }", "expected a strength: `l1`, `l2` or both"),
        ("{ l1 = -1.0 }", "a number of 0 or more"),
        ("{ l2 = 1.0, react = { min = 2.0 } }", "a min of 1 or less"),
        ("{ l2 = 1.0, react = { factor = 1.0 } }", "a number above 1"),
        ("{ l2 = 1.0, layers = [] }", "a name with `*` and `?`"),
        ("3", "a penalty such as { l2 = 1e-4 }"),
    ] {
        let node = Node::parse(&format!("regularize = {config}"), "study.toml").expect("TOML");
        let mut problems = Problems::new("study.toml");
        let read = Regularize::decode(node.get("regularize").expect("the key"), "regularize", &mut problems);
        assert!(read.is_none(), "{config}");
        assert!(problems.to_string().contains(part), "{part:?} is not in {problems}");
    }
    let error = Penalties::new(&setting("{ l2 = 1.0, layers = \"classifier.*\" }"), &parameters());
    let error = error.expect_err("no such layer");
    assert!(error.contains("\"classifier.*\"") && error.contains("head.weight"), "{error}");
}

#[test]
fn max_norm_bounds_the_inputs_of_each_unit_alone() {
    let parameters = [
        parameter("0.weight", &[3, 2], Role::Weight),
        parameter("0.bias", &[2], Role::Bias),
        parameter("1.weight", &[2, 1, 1, 2], Role::Weight),
    ];
    // A matrix is kept as [inputs, units]: the first unit has 3, 0, 4 and the second 0.5, 0.5, 0.5. Filters
    // are kept as [units, ...]: 0.3, 0.4 and 6, 8.
    let weights =
        vec![tensor(&[3.0, 0.5, 0.0, 0.5, 4.0, 0.5]), tensor(&[9.0, 9.0]), tensor(&[0.3, 0.4, 6.0, 8.0])];
    let limited = MaxNorm::new(1.0, &parameters).apply(weights);
    let close = |found: Vec<f32>, expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    };
    close(host(limited[0].clone()), &[0.6, 0.5, 0.0, 0.5, 0.8, 0.5]);
    close(host(limited[1].clone()), &[9.0, 9.0]);
    close(host(limited[2].clone()), &[0.3, 0.4, 0.6, 0.8]);
    let bits = |tensor: &Tensor<1>| host(tensor.clone()).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let again = MaxNorm::new(2.0, &parameters).apply(limited.clone());
    assert_eq!(bits(&again[2]), bits(&limited[2]), "what is within the limit stays bit for bit");
}
