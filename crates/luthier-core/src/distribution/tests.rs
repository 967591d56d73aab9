//! Ranges: what may stand in them, and their scales.

use proptest::prelude::*;

use super::*;

fn distributions() -> impl Strategy<Value = Distribution> {
    prop_oneof![
        (-1e6..1e6_f64, 0.0..1e6_f64).prop_map(|(low, width)| Distribution::float(low, low + width)),
        (1e-9..1.0_f64, 1.0..1e6_f64).prop_map(|(low, ratio)| Distribution::log_float(low, low * ratio)),
        (-50..50_i64, 7..100_i64, 1..7_i64).prop_map(|(low, width, step)| Distribution::Int {
            low,
            high: low + width,
            log: false,
            step
        }),
        (1..50_i64, 0..5_000_i64).prop_map(|(low, width)| Distribution::log_int(low, low + width)),
        (-5.0..5.0_f64, 3.0..20.0_f64, 0.01..3.0_f64).prop_map(|(low, width, step)| {
            Distribution::Float { low, high: low + width, log: false, step: Some(step) }
        }),
        (1..9_i64).prop_map(|n| Distribution::choice(0..n)),
    ]
}

proptest! {
    #[test]
    fn every_unit_gives_a_value_of_the_range(range in distributions(), unit in 0.0..=1.0_f64) {
        range.check().unwrap();
        let value = range.from_unit(unit);
        prop_assert!(range.contains(&value), "{value} of {range}");
        let back = range.from_unit(range.to_unit(&value).unwrap());
        if let (Value::Float(a), Value::Float(b)) = (&value, &back) { prop_assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0)) } else { prop_assert_eq!(value, back) }
    }

    #[test]
    fn values_survive_json(range in distributions(), unit in 0.0..=1.0_f64) {
        let value = range.from_unit(unit);
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
    }
}

#[test]
fn every_whole_number_is_reached_evenly() {
    let range = Distribution::int(1, 5);
    let mut counts = [0; 5];
    for i in 0..500 {
        let Value::Int(k) = range.from_unit(f64::from(i) / 499.0) else { panic!("not whole") };
        counts[k as usize - 1] += 1;
    }
    assert_eq!(counts, [100; 5]);
}

#[test]
fn broken_ranges_are_named() {
    for (range, message) in [
        (Distribution::float(2.0, 1.0), "the low end 2.0 is above the high end 1.0"),
        (Distribution::log_float(0.0, 1.0), "a logarithmic range starts above 0, found 0.0"),
        (Distribution::log_int(0, 4), "a logarithmic range starts above 0, found 0"),
        (Distribution::choice(Vec::<Value>::new()), "a choice has at least one option"),
        (Distribution::choice([1, 1_i64]), "the option 1 appears twice"),
        (Distribution::choice([Value::Int(1), Value::Float(1.0)]), "the option 1.0 appears twice"),
        (
            stepped(0.0, 1.0, 2.0),
            "the step 2.0 is wider than the range, 1.0; expected one that fits, or none",
        ),
        (
            stepped(0.0, 1.0, 1e-300),
            "the step 1e-300 makes more than 2^53 values of the range; expected a larger one, or none",
        ),
        (
            Distribution::Int { low: 0, high: 3, log: false, step: 4 },
            "the step 4 is wider than the range, 3; expected one that fits, or none",
        ),
        (Distribution::float(f64::NAN, 1.0), "the ends of a range are finite numbers, found NaN and 1"),
    ] {
        assert_eq!(range.check().unwrap_err().to_string(), message);
    }
}

fn stepped(low: f64, high: f64, step: f64) -> Distribution {
    Distribution::Float { low, high, log: false, step: Some(step) }
}

#[test]
fn steps_and_scales_of_any_size_stay_in_their_range() {
    for range in [
        stepped(0.0, 1.0, 1e-15),
        stepped(1e6, 1e6 + 1.0, 1e-7),
        stepped(1.1, 1.4, 0.3),
        stepped(2.0, 2.0, 0.5),
        Distribution::log_float(1e-300, 1e300),
        Distribution::log_float(5e-324, 1e308),
    ] {
        range.check().unwrap();
        for i in 0..=8 {
            let unit = f64::from(i) / 8.0;
            let value = range.from_unit(unit);
            assert!(range.contains(&value), "{value} of {range}");
            assert!(range.to_unit(&value).unwrap().is_finite(), "{value} of {range}");
        }
    }
    let wide = Distribution::log_float(1e-300, 1e300);
    let middle = wide.from_unit(0.5).as_f64().unwrap();
    assert!((middle - 1.0).abs() < 1e-9, "{middle}");
    assert!((wide.to_unit(&Value::Float(1e150)).unwrap() - 0.75).abs() < 1e-12);
}

#[test]
fn both_ends_of_a_range_are_values() {
    for (low, high) in [(1e-3, 1.0), (1e-5, 1e-1), (3e-7, 0.7), (1e-300, 1e300)] {
        let range = Distribution::log_float(low, high);
        assert_eq!((range.first(), range.last()), (Value::Float(low), Value::Float(high)));
    }
}
