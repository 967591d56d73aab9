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
        aside: vec![],
        notices: vec![],
    }
}

fn config(validation: f64, test: TestSplit, stratify: bool) -> SplitConfig {
    SplitConfig { validation, test, stratify, ..SplitConfig::default() }
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

/// 40 rows of 8 groups, whose times run backwards; rows 2k and 2k + 1 have the same time.
fn grouped(given_test: Option<usize>) -> Dataset {
    let codes = (0..40).map(|row| Some(row / 5)).collect();
    let categories = (0..8).map(|group| format!("g{group}")).collect();
    let who = Column { name: "who".into(), values: ColumnValues::Categorical { codes, categories } };
    let times = (0..40).map(|row| f64::from(100 - row / 2)).collect();
    let when = Column { name: "when".into(), values: ColumnValues::Numeric(times) };
    Dataset { aside: vec![who, when], ..data((0..40).map(|row| row % 2).collect(), given_test) }
}

fn by(group: Option<&str>, time: Option<&str>) -> SplitConfig {
    let (group, time) = (group.map(String::from), time.map(String::from));
    SplitConfig { group, time, ..config(0.2, TestSplit::Share(0.2), false) }
}

#[test]
fn groups_stay_together() {
    let data = grouped(None);
    let split = by(Some("who"), None).split(&data).expect("a split");
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (20, 10, 10));
    let groups = |rows: &[usize]| rows.iter().map(|row| row / 5).collect::<std::collections::BTreeSet<_>>();
    let [train, validation, test] = [&split.train, &split.validation, &split.test].map(|rows| groups(rows));
    assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
    assert_ne!(split, SplitConfig { seed: 1, ..by(Some("who"), None) }.split(&data).expect("a split"));
    let tiny = SplitConfig { validation: 0.01, ..by(Some("who"), None) }.split(&data);
    assert!(tiny.is_err(), "no row is asked for");
    let small = SplitConfig { validation: 0.03, ..by(Some("who"), None) }.split(&data).expect("a split");
    assert_eq!(small.validation.len(), 5, "one group at least");
}

#[test]
fn time_orders_the_parts() {
    let data = grouped(None);
    let split = by(None, Some("when")).split(&data).expect("a split");
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (24, 8, 8));
    assert_eq!(split.test, (0..8).collect::<Vec<_>>(), "the latest rows");
    assert_eq!(split.validation, (8..16).collect::<Vec<_>>());
    // Nine rows would part the two of one time.
    let odd = SplitConfig { test: TestSplit::Share(0.225), ..by(None, Some("when")) };
    assert_eq!(odd.split(&data).expect("a split").test.len(), 10);
    let folds = SplitConfig { folds: Some(3), ..by(None, Some("when")) }.folds(&data).expect("folds");
    for fold in &folds {
        assert_eq!((fold.test.len(), fold.validation.len()), (8, 8));
        assert!(fold.train.first() > fold.validation.last(), "an earlier time is a larger row here");
    }
    assert_eq!(folds.iter().map(|fold| fold.train.len()).collect::<Vec<_>>(), [8, 16, 24]);
}

#[test]
fn folds_share_the_test_set_of_the_plain_split() {
    let data = data((0..103).map(|row| u32::from(row % 4 == 0)).collect(), None);
    for stratify in [false, true] {
        let plain = config(0.2, TestSplit::Share(0.2), stratify);
        let folded = SplitConfig { folds: Some(5), fold: Some(3), ..plain.clone() };
        let folds = folded.folds(&data).expect("folds");
        let test = plain.split(&data).expect("a split").test;
        assert!(folds.iter().all(|fold| fold.test == test));
        assert_eq!(folded.split(&data).expect("a split"), folds[3]);
        let mut all: Vec<usize> = folds.iter().flat_map(|fold| fold.validation.clone()).chain(test).collect();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
    }
}

#[test]
fn splits_that_make_no_sense_are_refused() {
    let data = grouped(None);
    let with_test = grouped(Some(7));
    let given = |config: SplitConfig| SplitConfig { test: TestSplit::Given, ..config };
    let plain = by(None, None);
    let ten = Dataset {
        targets: Targets::Numbers { values: vec![f64::NAN; 40], name: "y".into() },
        ..grouped(None)
    };
    let labels = Targets::Classes { labels: vec![9; 40], names: vec!["a".into(), "b".into()], column: None };
    let out_of_range = Dataset { targets: labels, ..grouped(None) };
    for (data, config, expected) in [
        (&data, by(Some("whom"), None), "`group` names the column `whom`, which made does not have"),
        (&data, by(None, Some("whom")), "`time` names the column `whom`, which made does not have"),
        (&data, by(Some("who"), Some("when")), "`group` and `time` exclude each other"),
        (&data, SplitConfig { stratify: true, ..by(Some("who"), None) }, "`stratify` and `group` exclude"),
        (
            &with_test,
            given(by(Some("who"), None)),
            "the group `g6` of `who` is both in the given test set and",
        ),
        (&data, by(Some("when"), None), "the column of groups `when` does not hold categories"),
        (&data, SplitConfig { folds: Some(1), ..plain.clone() }, "`split.folds` must be 2 or more, found 1"),
        (
            &data,
            SplitConfig { folds: Some(2), fold: Some(2), ..plain.clone() },
            "`split.fold` must be below `folds`",
        ),
        (&data, SplitConfig { folds: Some(50), ..plain.clone() }, "32 rows outside the test set, fewer than"),
        (&data, SplitConfig { folds: Some(7), ..by(Some("who"), None) }, "6 groups outside the test set"),
        (&ten, plain.clone(), "row 1 has the target NaN, expected a number"),
        (&out_of_range, plain, "made: row 1 has the label 9, expected 0 to 1"),
    ] {
        let error = config.split(data).expect_err(expected).to_string();
        assert!(error.contains(expected), "expected: {expected}\nfound: {error}");
    }
    let mut early = grouped(Some(8));
    early.aside.remove(0);
    let error = given(by(None, Some("when"))).split(&early).expect_err("earlier").to_string();
    assert!(error.contains("of the given test set is earlier"), "{error}");
}

#[test]
fn a_class_of_the_test_set_alone_is_an_error() {
    let mut labels: Vec<u32> = (0..30).map(|row| row % 2).collect();
    labels[28] = 2;
    let data = data(labels, Some(5));
    let error = config(0.2, TestSplit::Given, true).split(&data).expect_err("class 2").to_string();
    assert!(error.contains("the class `2` appears only in the test split (1 rows)"), "{error}");
}

#[test]
fn test_sets_are_read_from_a_study_file() {
    let read = |text: &str| {
        let node = Node::parse(&format!("test = {text}"), "test").expect("TOML");
        let mut problems = Problems::new("test");
        TestSplit::decode(node.get("test").expect("there"), "test", &mut problems)
            .ok_or_else(|| problems.to_string())
    };
    assert_eq!(read("\"given\""), Ok(TestSplit::Given));
    assert_eq!(read("0.25"), Ok(TestSplit::Share(0.25)));
    assert_eq!(
        read("{ csv = \"t.csv\" }"),
        Ok(TestSplit::File(TestFile { kind: "csv", path: "t.csv".into() }))
    );
    assert!(read("{ cvs = \"t.csv\" }").is_err_and(|error| error.contains("or a file such as")));
    assert!(read("{ csv = 3 }").is_err_and(|error| error.contains("test.csv")));
}
