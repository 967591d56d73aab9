//! Metrics against scikit-learn.

use luthier_core::config::{Decode, Node, Problems};
use luthier_core::{Direction, Metrics};
use serde_json::Value;

use super::{ConfusionMatrix, METRICS, Measured, Metric, MetricName, MetricSet, Part, Predicted, class_of};
use crate::data::{InputEncoding, Preprocessor, TargetEncoding, Targets, Task};
use crate::fixture::{cases, setting, singles, text};
use crate::loss::Loss;

fn of_targets(targets: TargetEncoding) -> Preprocessor {
    let inputs = InputEncoding::Table { columns: vec![], scale: crate::data::Scale::Standardize };
    Preprocessor { inputs, targets, target_name: None, notices: vec![] }
}

fn classes(count: usize) -> Preprocessor {
    of_targets(TargetEncoding::Classes { names: (0..count).map(|class| format!("c{class}")).collect() })
}

fn preprocessor(case: &Value) -> Preprocessor {
    match (case["mean"].as_f64(), case["std"].as_f64()) {
        (Some(mean), Some(std)) => of_targets(TargetEncoding::Numbers {
            name: "y".into(),
            mean,
            std,
            min: 0.0,
            max: 0.0,
            standardize: true,
        }),
        _ => classes((singles(&case["outputs"]).len() / singles(&case["targets"]).len()).max(2)),
    }
}

fn predicted(case: &Value) -> Predicted {
    Predicted {
        outputs: singles(&case["outputs"]),
        targets: singles(&case["targets"]),
        ..Predicted::default()
    }
}

fn assert_close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().expect("a number");
    let off = (found - expected).abs() / expected.abs().max(1.0);
    assert!(off <= 1e-9, "{what}: {found}, expected {expected}");
}

#[test]
fn the_usual_metrics_are_those_of_scikit_learn() {
    let fixture: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/parity_metrics.json")).expect("a fixture");
    for case in cases(&fixture) {
        let loss: Loss = setting(&case["loss"].to_string());
        let preprocessor = preprocessor(case);
        let mut found = Metrics::default();
        let set = MetricSet::new(preprocessor.task(), []);
        set.measure("val_", &predicted(case), &loss.bind(&[]), &preprocessor, &mut found);
        let expected = case["metrics"].as_object().expect("metrics");
        assert_eq!(found.iter().count(), expected.len(), "{found:?}");
        for (name, expected) in expected {
            let found = found.get(&format!("val_{name}")).expect("the metric");
            assert_close(found, expected, &format!("{} {name}", text(&case["loss"])));
        }
    }
}

#[test]
fn every_metric_is_that_of_scikit_learn() {
    let fixture: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/metrics.json")).expect("a fixture");
    for case in cases(&fixture) {
        let name = text(&case["name"]);
        let loss: Loss = setting(&case["loss"].to_string());
        let found = Measured::new(&predicted(case), &loss.bind(&[]), &preprocessor(case));
        let expected = case["metrics"].as_object().expect("metrics");
        let without_loss = found.metrics.iter().filter(|(metric, _)| *metric != "loss");
        assert_eq!(without_loss.count(), expected.len(), "{name}: {:?}", found.metrics);
        for (metric, expected) in expected {
            let found = found.metrics.get(metric).expect(metric);
            assert_close(found, expected, &format!("{name}: {metric}"));
        }
        assert!(found.metrics.iter().all(|(_, value)| value.is_finite()), "{name}: {:?}", found.metrics);
        let confusion = found.confusion.map_or(Value::Null, |confusion| serde_json::json!(confusion.counts));
        assert_eq!(confusion, case["confusion"], "{name}");
    }
}

#[test]
fn a_metric_without_a_value_is_left_out_with_its_reason() {
    let loss = Loss::for_targets(&Targets::Classes { labels: vec![], names: vec![], column: None }).bind(&[]);
    let alone =
        Predicted { outputs: vec![0.3, -0.1, 2.0, 1.0], targets: vec![0.0, 0.0], ..Predicted::default() };
    let found = Measured::new(&alone, &loss, &classes(2));
    let names: Vec<&str> = found.undefined.iter().map(|undefined| undefined.metric.as_str()).collect();
    let ranked = ["auroc", "auroc_weighted", "average_precision", "average_precision_weighted"];
    assert_eq!(names, ranked);
    assert_eq!(found.undefined[0].reason, "it needs rows of every class, and there are none of class 2");

    let none = Measured::new(&Predicted::default(), &loss, &classes(2));
    assert!(none.metrics.is_empty() && none.undefined.iter().all(|u| u.reason == "there are no rows"));

    let diverged = Predicted { outputs: vec![f32::NAN; 4], targets: vec![0.0, 1.0], ..Predicted::default() };
    let found = Measured::new(&diverged, &loss, &classes(2));
    assert!(found.undefined.iter().any(|u| u.metric == "auroc" && u.reason.contains("not finite")));

    let one = Predicted { outputs: vec![1.0], targets: vec![2.0], ..Predicted::default() };
    let number = preprocessor(&serde_json::json!({ "mean": 0.0, "std": 1.0 }));
    let found = Measured::new(&one, &Loss::Mse.bind(&[]), &number);
    assert_eq!(found.undefined.len(), 1, "{:?}", found.undefined);
    assert_eq!(found.metrics.get("mae"), Some(1.0));
}

#[test]
fn a_mixed_example_is_of_the_class_with_the_larger_share() {
    let loss: Loss = setting("\"cross_entropy\"");
    let outputs = vec![2.0, 0.0, 2.0, 0.0];
    let mixed = Some((vec![1.0, 1.0], vec![0.75, 0.25]));
    let predicted = Predicted { outputs, targets: vec![0.0, 0.0], mixed, loss: None };
    let mut found = Metrics::default();
    let set = MetricSet::new(Task::Classification, []);
    set.measure("train_", &predicted, &loss.bind(&[]), &classes(2), &mut found);
    assert_eq!(found.get("train_accuracy"), Some(0.5));
    // Shares of 3/4 and 1/4 of either class: the mean of both losses.
    let right = libm::log1p(libm::exp(-2.0));
    assert!((found.get("train_loss").expect("the loss") - (right + 1.0)).abs() < 1e-12);
}

#[test]
fn of_equal_outputs_the_first_class_counts() {
    assert_eq!(class_of(&[1.0, 3.0, 3.0]), 1);
    assert_eq!(class_of(&[0.0]), 0);
    assert_eq!(class_of(&[0.1]), 1);
}

#[test]
fn every_metric_has_one_name_and_is_found_by_it() {
    for entry in METRICS {
        assert_eq!(
            (entry.metric.name().as_str(), Metric::parse(entry.name)),
            (entry.name, Some(entry.metric))
        );
        assert!(entry.doc.ends_with('.'), "{}", entry.doc);
        let name = MetricName::val(entry.metric);
        assert_eq!(MetricName::parse(&name.name()), Some(name));
    }
    assert_eq!(Metric::parse("top7"), Some(Metric::Top(7)));
    for wrong in ["top1", "top", "top05", "top-2", "f1_", "accuracy ", ""] {
        assert_eq!(Metric::parse(wrong), None, "{wrong:?}");
    }
    let train = MetricName::parse("train_log_loss").expect("a metric");
    assert_eq!((train.part, train.direction()), (Part::Train, Direction::Minimize));
    for wrong in ["val_flops", "accuracy", "validation_loss"] {
        assert_eq!(MetricName::parse(wrong), None, "{wrong:?}");
    }
}

#[test]
fn an_unknown_metric_is_answered_with_the_nearest() {
    let node = Node::parse("a = \"val_f1_marco\"\nb = \"aurok\"\nc = 3", "study.toml").expect("TOML");
    let mut problems = Problems::new("study.toml");
    let at = |key| node.get(key).expect("the key");
    assert_eq!(MetricName::decode(at("a"), "a", &mut problems), None);
    assert_eq!(Metric::decode(at("b"), "b", &mut problems), None);
    assert_eq!(Metric::decode(at("c"), "c", &mut problems), None);
    let help: Vec<Option<&str>> = problems.iter().map(|problem| problem.help.as_deref()).collect();
    assert_eq!(help, [Some("did you mean \"val_f1_macro\"?"), Some("did you mean \"auroc\"?"), None]);
}

#[test]
fn a_metric_says_what_it_is_for() {
    let names = |n: usize| (0..n).map(|i| i.to_string()).collect();
    let of = |n| Targets::Classes { labels: vec![0], names: names(n), column: None };
    let numbers = Targets::Numbers { values: vec![0.0], name: "y".into() };
    assert!(Metric::parse("top3").expect("a metric").fits(&of(4)).is_ok());
    for (metric, targets, part) in [
        ("top4", &of(4), "more than 4 classes"),
        ("f1", &of(3), "use f1_macro, f1_micro or f1_weighted"),
        ("rmse", &of(3), "for numbers"),
        ("auroc", &numbers, "for classes"),
    ] {
        let said = Metric::parse(metric).expect("a metric").fits(targets).expect_err(metric);
        assert!(said.contains(part), "{said}");
    }
    let set =
        MetricSet::new(Task::Classification, [Metric::Auroc, Metric::Top(3), Metric::Loss, Metric::Top(2)]);
    let set: Vec<String> = set.iter().map(Metric::name).collect();
    assert_eq!(set, ["loss", "accuracy", "top2", "top3", "auroc"]);
}

#[test]
fn two_classes_are_counted_as_any_others() {
    let names = ["no".to_owned(), "yes".to_owned()];
    for rows in [0, 1, 2, 7, 40, 1001] {
        let labels: Vec<f32> = (0..rows).map(|row| f32::from(u8::from(row * 7 % 5 < 2))).collect();
        let mut outputs: Vec<f32> = (0..2 * rows).map(|it| ((it * 7919) % 13) as f32 - 6.0).collect();
        if let Some(last) = outputs.last_mut() {
            *last = f32::NAN;
        }
        let called = outputs.chunks_exact(2).map(class_of);
        let expected = ConfusionMatrix::new(&names, labels.iter().map(|label| *label as usize).zip(called));
        assert_eq!(ConfusionMatrix::of_two(&names, &outputs, &labels), expected, "{rows} rows");
    }
}
