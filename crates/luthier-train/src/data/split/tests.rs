//! Tests of the split.

use super::super::{Column, ColumnValues, Inputs, Table};
use super::*;

fn data(labels: Vec<u32>, given_test: Option<usize>) -> Dataset {
    let rows = labels.len();
    let values = ColumnValues::Numeric(vec![0.0; rows]);
    let classes = labels.iter().max().map_or(0, |most| most + 1);
    Dataset {
        name: "made".into(),
        inputs: Inputs::Table(Table { columns: vec![Column { name: "x".into(), values }], rows }),
        targets: Targets::Classes {
            labels,
            names: (0..classes).map(|i| i.to_string()).collect(),
            column: None,
        },
        given_test,
    }
}

fn config(validation: f64, test: TestSplit, stratify: bool) -> SplitConfig {
    SplitConfig { validation, test, stratify, seed: 0 }
}

fn counts(data: &Dataset, rows: &[usize]) -> Vec<usize> {
    let Targets::Classes { labels, names, .. } = &data.targets else { panic!("classes") };
    (0..names.len()).map(|class| rows.iter().filter(|row| labels[**row] as usize == class).count()).collect()
}

#[test]
fn every_row_is_in_one_part_and_the_seed_decides_which() {
    let data = data((0..1_003).map(|row| u32::from(row % 10 == 0)).collect(), None);
    for stratify in [false, true] {
        let config = config(0.1, TestSplit::Share(0.2), stratify);
        let split = config.split(&data).expect("a split");
        let mut all: Vec<usize> = [&split.train[..], &split.validation, &split.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1_003).collect::<Vec<_>>());
        assert_eq!((split.validation.len(), split.test.len()), (100, 201));
        assert!(split.train.is_sorted() && split.validation.is_sorted() && split.test.is_sorted());
        assert_eq!(split, config.split(&data).expect("a split"));
        assert_ne!(split, SplitConfig { seed: 1, ..config }.split(&data).expect("a split"));
    }
}

#[test]
fn classes_keep_their_shares_and_a_row_to_learn_from() {
    let data = data((0..1_000).map(|row| u32::from(row % 10 == 0) + u32::from(row == 0)).collect(), None);
    let split = config(0.1, TestSplit::Share(0.2), true).split(&data).expect("a split");
    assert_eq!(counts(&data, &split.test), [180, 20, 0]);
    assert_eq!(counts(&data, &split.validation), [90, 10, 0]);
    assert_eq!(counts(&data, &split.train), [630, 69, 1]);
}

#[test]
fn a_given_test_set_is_the_last_rows_and_a_share_pools_it() {
    let data = data((0..100).map(|row| row % 2).collect(), Some(20));
    let split = config(0.1, TestSplit::Given, true).split(&data).expect("a split");
    assert_eq!(split.test, (80..100).collect::<Vec<_>>());
    assert_eq!((split.train.len(), split.validation.len()), (72, 8));
    let pooled = config(0.1, TestSplit::Share(0.3), false).split(&data).expect("a split");
    assert_eq!(pooled.test.len(), 30);
    assert!(pooled.test.iter().any(|row| *row < 80) && pooled.train.iter().any(|row| *row >= 80));
}

#[test]
fn what_cannot_be_split_is_explained() {
    let classes = data((0..20).map(|row| row % 2).collect(), None);
    let numbers = Dataset {
        targets: Targets::Numbers { values: vec![0.5; 20], name: "price".into() },
        ..classes.clone()
    };
    for (data, config, expected) in [
        (&classes, config(0.1, TestSplit::Given, true), "made brings no test set; give a share such as"),
        (
            &classes,
            config(0.01, TestSplit::Share(0.2), true),
            "of 20 rows, 16 are for training, 0 for validation and 4",
        ),
        (
            &classes,
            config(0.1, TestSplit::Share(0.0), true),
            "18 are for training, 2 for validation and 0 for the test",
        ),
        (&classes, config(0.6, TestSplit::Share(0.4), true), "validation (0.6) and test (0.4) leave no rows"),
        (
            &classes,
            config(-0.1, TestSplit::Share(0.4), true),
            "`split.validation` must be a share from 0 to 1, found -0.1",
        ),
        (&classes, config(0.1, TestSplit::Share(f64::NAN), true), "`split.test` must be a share"),
        (
            &numbers,
            config(0.1, TestSplit::Share(0.2), true),
            "the target `price` is a number; set `stratify = false`",
        ),
    ] {
        let error = config.split(data).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
