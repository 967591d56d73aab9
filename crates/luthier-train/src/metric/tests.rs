//! Metrics against scikit-learn.

use serde_json::Value;

use super::{Predicted, class_of};
use crate::data::{InputEncoding, Preprocessor, TargetEncoding};
use crate::fixture::{cases, setting, singles, text};
use crate::loss::Loss;
use luthier_core::Metrics;

fn preprocessor(case: &Value) -> Preprocessor {
    let targets = match (case["mean"].as_f64(), case["std"].as_f64()) {
        (Some(mean), Some(std)) => {
            TargetEncoding::Numbers { name: "y".into(), mean, std, min: 0.0, max: 0.0, standardize: true }
        }
        _ => TargetEncoding::Classes { names: vec!["a".into(), "b".into()] },
    };
    let inputs = InputEncoding::Table { columns: vec![], scale: crate::data::Scale::Standardize };
    Preprocessor { inputs, targets, target_name: None, notices: vec![] }
}

#[test]
fn metrics_are_those_of_scikit_learn() {
    let fixture: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/parity_metrics.json")).expect("a fixture");
    for case in cases(&fixture) {
        let loss: Loss = setting(&case["loss"].to_string());
        let predicted = Predicted { outputs: singles(&case["outputs"]), targets: singles(&case["targets"]) };
        let mut found = Metrics::default();
        predicted.measure("val_", loss, &preprocessor(case), &mut found);
        let expected = case["metrics"].as_object().expect("metrics");
        assert_eq!(found.iter().count(), expected.len(), "{found:?}");
        for (name, expected) in expected {
            let (found, expected) = (
                found.get(&format!("val_{name}")).expect("the metric"),
                expected.as_f64().expect("a number"),
            );
            let off = (found - expected).abs() / expected.abs().max(1.0);
            assert!(off <= 1e-9, "{} {name}: {found}, expected {expected}", text(&case["loss"]));
        }
    }
}

#[test]
fn of_equal_outputs_the_first_class_counts() {
    assert_eq!(class_of(&[1.0, 3.0, 3.0]), 1);
    assert_eq!(class_of(&[0.0]), 0);
    assert_eq!(class_of(&[0.1]), 1);
}
