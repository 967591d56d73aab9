//! Schedules of the learning rate against PyTorch's, over 1,000 steps.
//!
//! The fixture comes from `scripts/train/parity_fixtures.py`. Networks, losses, optimizers and metrics
//! are compared in the `tests.rs` of their modules, where what is private can be reached.

use luthier_core::config::{Decode, Node, Problems};
use luthier_train::schedule::{Progress, Schedule};
use serde_json::Value;

fn schedule(text: &str) -> Schedule {
    let node = Node::parse(&format!("schedule = {text}"), "a fixture").expect("TOML");
    let mut problems = Problems::new("a fixture");
    let schedule = Schedule::decode(node.get("schedule").expect("the key"), "schedule", &mut problems);
    schedule.unwrap_or_else(|| panic!("{problems}"))
}

#[test]
fn schedules_are_those_of_pytorch() {
    let fixture: Value =
        serde_json::from_str(include_str!("fixtures/parity_schedules.json")).expect("a fixture");
    let size = |key: &str| fixture[key].as_u64().expect("a number");
    let (epochs, steps_per_epoch) = (size("epochs"), size("steps_per_epoch"));
    for case in fixture["cases"].as_array().expect("a list") {
        let text = case["config"].as_str().expect("text");
        let schedule = schedule(text);
        let factors = case["factors"].as_array().expect("a list");
        assert_eq!(factors.len() as u64, (epochs * steps_per_epoch).div_ceil(3));
        for (step, expected) in (0..).step_by(3).zip(factors) {
            let found = schedule.value(1.0, &Progress::new(step, steps_per_epoch, epochs), 1.0);
            let expected = expected.as_f64().expect("a number");
            assert!((found - expected).abs() <= 1e-9, "{text}: {found} at step {step}, expected {expected}");
        }
    }
}
