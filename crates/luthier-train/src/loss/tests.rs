//! Losses against PyTorch: each kind and setting, with and without mixed examples, and with outputs of
//! 80 and 1,000 among them.

use luthier_core::config::{Decode, Node, Problems};
use serde_json::Value;

use super::{BoundLoss, Loss, Term};
use crate::data::Targets;
use crate::fixture::{assert_within, cases, deviation, doubles, setting, singles, sizes, text};

struct Case {
    name: String,
    loss: BoundLoss,
    outputs: Vec<f32>,
    targets: Vec<f32>,
    mixed: Option<(Vec<f32>, Vec<f32>)>,
    each: Vec<f64>,
    weights: Vec<f64>,
    gradient: Vec<f64>,
}

impl Case {
    fn mixed(&self) -> Option<(&[f32], &[f32])> {
        self.mixed.as_ref().map(|(second, share)| (&second[..], &share[..]))
    }

    fn value(&self) -> f64 {
        self.each.iter().sum::<f64>() / self.weights.iter().sum::<f64>()
    }
}

fn all() -> Vec<Case> {
    let simple = include_str!("../../tests/fixtures/parity_losses.json");
    let every = include_str!("../../tests/fixtures/losses.json");
    let mut all = Vec::new();
    for (fixture, quoted) in [(simple, false), (every, true)] {
        let fixture: Value = serde_json::from_str(fixture).expect("a fixture");
        for case in cases(&fixture) {
            let name = text(&case["loss"]);
            let loss: Loss = setting(&if quoted { name.to_owned() } else { format!("{name:?}") });
            let counts = if case["counts"].is_null() { Vec::new() } else { sizes(&case["counts"]) };
            let mixed =
                (!case["second"].is_null()).then(|| (singles(&case["second"]), singles(&case["share"])));
            let each = doubles(&case["each"]);
            all.push(Case {
                name: format!("{name}{}", if mixed.is_some() { ", mixed" } else { "" }),
                loss: loss.bind(&counts),
                outputs: singles(&case["outputs"]),
                targets: singles(&case["targets"]),
                mixed,
                weights: if quoted { doubles(&case["weights"]) } else { vec![1.0; each.len()] },
                each,
                gradient: doubles(&case["gradient"]),
            });
        }
    }
    all
}

/// The loss that many terms come to.
fn mean(terms: impl Iterator<Item = Term>) -> f64 {
    let add = |all: Term, term: Term| Term { sum: all.sum + term.sum, weight: all.weight + term.weight };
    terms.fold(Term::default(), add).value()
}

#[test]
fn the_loss_of_each_example_is_that_of_pytorch() {
    for case in all() {
        let found: Vec<Term> = case.loss.each(&case.outputs, &case.targets, case.mixed()).collect();
        assert_eq!(found.len(), case.each.len());
        let mut worst = 0.0_f64;
        for (term, (each, weight)) in found.iter().zip(case.each.iter().zip(&case.weights)) {
            for (found, expected) in [(term.sum, each), (term.weight, weight)] {
                let off = (found - expected).abs() / expected.abs().max(1.0);
                assert!(off.is_finite(), "{}: {found}, expected {expected}", case.name);
                worst = worst.max(off);
            }
        }
        assert_within(worst, 1e-11, &case.name);
        let sum = case.loss.sum(&case.outputs, &case.targets, case.mixed());
        for mean in [mean(found.into_iter()), sum.value()] {
            assert!((mean - case.value()).abs() <= 1e-11 * case.value().abs().max(1.0), "{}", case.name);
        }
    }
}

#[test]
fn the_gradient_of_a_batch_is_that_of_pytorch() {
    for case in all() {
        let (gradient, sum) = case.loss.gradient(&case.outputs, &case.targets, case.mixed());
        let each = case.loss.each(&case.outputs, &case.targets, case.mixed());
        let (value, expected) = (sum.sum, each.map(|term| term.sum));
        let expected: f64 = expected.sum();
        assert!((value - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{}", case.name);
        assert_within(deviation(&gradient, &case.gradient), 2e-7, &case.name);
    }
}

#[test]
fn a_loss_does_not_depend_on_the_batches() {
    let case = all().into_iter().find(|case| case.name.contains("3.5], smoothing")).expect("a case");
    let width = case.outputs.len() / case.targets.len();
    // 24 examples in batches of 7: the last is short.
    let batches = case.outputs.chunks(7 * width).zip(case.targets.chunks(7));
    let terms = batches.flat_map(|(outputs, targets)| case.loss.each(outputs, targets, None));
    assert_eq!(mean(terms).to_bits(), mean(case.loss.each(&case.outputs, &case.targets, None)).to_bits());
}

#[test]
fn two_classes_have_the_bits_of_more() {
    for kind in ["\"cross_entropy\"", "{ kind = \"cross_entropy\", class_weights = [0.3, 2, 1] }"] {
        let loss = setting::<Loss>(kind).bind(&[]);
        let rows: Vec<[f32; 2]> =
            (0..77).map(|it| [(it % 11) as f32 * 0.7 - 3.0, (it % 7) as f32 - 3.0]).collect();
        let targets: Vec<f32> = (0..77).map(|it| (it % 2) as f32).collect();
        let (found, sum) = loss.gradient(rows.as_flattened(), &targets, None);
        // The third has no share.
        let wide: Vec<[f32; 3]> = rows.iter().map(|[a, b]| [*a, *b, -1e30]).collect();
        let (expected, wide_sum) = loss.gradient(wide.as_flattened(), &targets, None);
        let expected: Vec<f32> = expected.chunks(3).flat_map(|row| row[..2].to_vec()).collect();
        assert_eq!((found, sum), (expected, wide_sum), "{kind}");
    }
}

#[test]
fn a_batch_of_classes_that_do_not_count_changes_nothing() {
    let loss: Loss = setting("{ kind = \"cross_entropy\", class_weights = [0, 1] }");
    let loss = loss.bind(&[]);
    assert_eq!(loss.gradient(&[3.0, -1.0, 0.5, 0.5], &[0.0, 0.0], None).0, [0.0; 4]);
    assert_eq!(mean(loss.each(&[3.0, -1.0], &[0.0], None)).to_bits(), 0.0_f64.to_bits());
}

#[test]
fn the_slope_of_the_focal_loss_stays_finite_where_the_answer_is_sure() {
    for gamma in ["0", "0.3", "1", "5"] {
        let loss: Loss = setting(&format!("{{ kind = \"focal\", gamma = {gamma} }}"));
        let outputs = [500.0, -500.0, -500.0, 500.0];
        let (gradient, _) = loss.bind(&[]).gradient(&outputs, &[0.0, 0.0], None);
        // The first is right; the loss of the second is linear in its outputs.
        let expected = [0.0, 0.0, -0.5, 0.5];
        assert!(gradient.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-6), "{gamma}: {gradient:?}");
    }
}

#[test]
fn a_gradient_has_no_numbers_that_processors_are_slow_with() {
    for kind in Loss::KINDS {
        let loss = setting::<Loss>(&format!("{kind:?}")).bind(&[]);
        for x in [-95.0_f32, 95.0] {
            let (gradient, _) = loss.gradient(&[x, 0.0, 1.0, 0.5], &[1.0, 0.0], None);
            assert!(!gradient.iter().any(|slope| slope.is_subnormal()), "{kind}: {gradient:?}");
        }
    }
}

#[test]
fn an_output_that_is_not_finite_is_seen() {
    for kind in Loss::KINDS {
        let loss = setting::<Loss>(&format!("{kind:?}")).bind(&[]);
        let classes = matches!(loss.loss(), Loss::CrossEntropy(_) | Loss::Focal(_));
        // Infinitely wrong, or no number at all; infinitely right would be the loss 0.
        let wrong = if loss.loss().is_binary() { f32::NEG_INFINITY } else { f32::INFINITY };
        for bad in [f32::NAN, wrong] {
            let outputs = if classes { vec![0.5, bad, bad] } else { vec![bad] };
            let sum: f64 = loss.each(&outputs, &[1.0], None).map(|term| term.sum).sum();
            assert!(!sum.is_finite(), "{kind} of {bad}: {sum}");
            let sum = loss.gradient(&outputs, &[1.0], None).1.sum;
            assert!(!sum.is_finite(), "{kind} of {bad}, with its gradient: {sum}");
        }
    }
}

#[test]
fn balanced_weights_are_those_of_scikit_learn() {
    let loss: Loss = setting("{ kind = \"cross_entropy\", class_weights = \"balanced\" }");
    // 12 rows of three classes; a fourth has none and counts 1.
    assert_eq!(loss.bind(&[8, 3, 1, 0]).weights, [0.5, 12.0 / 9.0, 4.0, 1.0]);
    let loss: Loss = setting("{ kind = \"binary_cross_entropy\", positive_weight = \"balanced\" }");
    assert_eq!(loss.bind(&[9, 3]).weights, [1.0, 3.0]);
}

#[test]
fn a_loss_that_does_not_fit_the_data_says_what_would() {
    let classes = |n: usize| Targets::Classes {
        labels: vec![0],
        names: (0..n).map(|i| i.to_string()).collect(),
        column: None,
    };
    let numbers = Targets::Numbers { values: vec![0.0], name: "y".into() };
    let outputs = |loss: &str, targets: &Targets| setting::<Loss>(loss).outputs(targets);
    assert_eq!(outputs("\"focal\"", &classes(4)), Ok(4));
    assert_eq!(outputs("\"binary_focal\"", &classes(2)), Ok(1));
    assert_eq!(outputs("\"huber\"", &numbers), Ok(1));
    let three = "{ kind = \"focal\", class_weights = [1, 2, 3] }";
    for (loss, targets, part) in [
        ("\"huber\"", &classes(3), "huber is for numbers"),
        ("\"focal\"", &numbers, "focal is for classes"),
        ("\"binary_focal\"", &classes(3), "two classes, and the data has 3"),
        (three, &classes(4), "class_weights has 3 numbers, and the data has 4 classes"),
    ] {
        let said = outputs(loss, targets).expect_err(loss);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn weights_that_make_no_sense_are_refused() {
    for text in [
        "{ kind = \"cross_entropy\", class_weights = [0, 0] }",
        "{ kind = \"cross_entropy\", class_weights = [1, -1] }",
        "{ kind = \"cross_entropy\", class_weights = \"even\" }",
        "{ kind = \"cross_entropy\", class_weights = 2 }",
        "{ kind = \"binary_cross_entropy\", positive_weight = 0 }",
        "{ kind = \"huber\", delta = 0 }",
        "{ kind = \"focal\", gamma = -1 }",
    ] {
        let node = Node::parse(&format!("loss = {text}"), "study.toml").expect("TOML");
        let mut problems = Problems::new("study.toml");
        let read = Loss::decode(node.get("loss").expect("a loss"), "loss", &mut problems);
        assert_eq!((read, problems.iter().count()), (None, 1), "{text}: {problems}");
    }
}

#[test]
fn a_bound_loss_survives_a_file() {
    for case in all() {
        let text = serde_json::to_string(&case.loss).expect("JSON");
        assert_eq!(serde_json::from_str::<BoundLoss>(&text).expect("a loss"), case.loss, "{text}");
    }
}
