//! Sorting, crowding and hypervolumes as pymoo and Optuna have them (`scripts/search/pareto_fixtures.py`).
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use super::*;

fn fixture() -> Vec<serde_json::Value> {
    let text = include_str!("../../tests/fixtures/pareto.json");
    serde_json::from_str::<serde_json::Value>(text).unwrap()["sets"].as_array().unwrap().clone()
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    // Infinity is null in JSON.
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::INFINITY)).collect()
}

fn points(set: &serde_json::Value) -> Vec<Losses> {
    set["points"].as_array().unwrap().iter().map(numbers).collect()
}

#[test]
fn ranks_are_those_of_pymoo() {
    for set in fixture() {
        let expected: Vec<usize> = numbers(&set["ranks"]).into_iter().map(|rank| rank as usize).collect();
        assert_eq!(ranks(&points(&set)), expected);
    }
}

#[test]
fn crowding_is_that_of_pymoo() {
    for set in fixture() {
        let all = points(&set);
        let front: Vec<Losses> =
            ranks(&all).into_iter().zip(all).filter(|(rank, _)| *rank == 0).map(|(_, point)| point).collect();
        // Of a front of one point pymoo says 0, as of one that comes twice.
        if front.len() < 2 {
            continue;
        }
        // pymoo takes the mean over the objectives.
        let objectives = front[0].len() as f64;
        for (found, expected) in crowding(&front).into_iter().zip(numbers(&set["crowding"])) {
            let same = found == expected || (found / objectives - expected).abs() < 1e-12;
            assert!(same, "{found} {expected}");
        }
    }
}

#[test]
fn hypervolumes_are_those_of_pymoo_and_optuna() {
    for set in fixture() {
        let found = hypervolume(&points(&set), &numbers(&set["reference"]));
        for peer in ["pymoo", "optuna"] {
            let expected = set["hypervolume"][peer].as_f64().unwrap();
            assert!((found - expected).abs() <= 1e-12 * expected.max(1.0), "{peer}: {found} {expected}");
        }
    }
}

#[test]
fn contributions_are_what_is_lost_without_a_point() {
    for set in fixture() {
        let (points, reference) = (points(&set), numbers(&set["reference"]));
        let all = hypervolume(&points, &reference);
        for (i, found) in contributions(&points, &reference).into_iter().enumerate() {
            let mut others = points.clone();
            others.remove(i);
            let expected = all - hypervolume(&others, &reference);
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }
}

#[test]
fn a_spread_is_chosen_greedily() {
    for set in fixture() {
        let (points, reference) = (points(&set), numbers(&set["reference"]));
        let mut chosen: Vec<Losses> = Vec::new();
        for i in spread(&points, 5, &reference) {
            let with = |point: &Losses| {
                let together: Vec<Losses> = chosen.iter().chain([point]).cloned().collect();
                hypervolume(&together, &reference)
            };
            let most = points.iter().map(with).fold(0.0, f64::max);
            assert!(with(&points[i]) >= most - 1e-9);
            chosen.push(points[i].clone());
        }
    }
}

#[test]
fn small_sets() {
    assert_eq!(hypervolume(&[], &[1.0, 1.0]), 0.0);
    assert_eq!(hypervolume(&[vec![0.25]], &[1.0]), 0.75);
    assert_eq!(hypervolume(&[vec![0.0, 2.0], vec![1.0, 1.0]], &[1.0, 1.0]), 0.0);
    assert_eq!(hypervolume(&[vec![0.5, 0.5], vec![0.5, 0.5]], &[1.0, 1.0]), 0.25);
    assert_eq!(crowding(&[]), [0.0; 0]);
    assert_eq!(crowding(&[vec![1.0, 2.0]]), [f64::INFINITY]);
    assert_eq!((knee(&[]), knee(&[vec![3.0, 4.0]])), (None, Some(0)));
    assert_eq!(spread(&[vec![0.0, 0.0]], 3, &[1.0, 1.0]), [0]);
}
