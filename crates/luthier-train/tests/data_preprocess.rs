//! Imputation, standardisation, one-hot encoding and stratified counts against scikit-learn.
//!
//! The fixtures come from `scripts/data/preprocess_fixtures.py`.

use std::path::{Path, PathBuf};

use luthier_train::data::{
    ColumnEncoding, CsvSource, Dataset, EncodedTargets, Impute, InputEncoding, Preprocessor, Source,
    SplitConfig, Targets, Task, TestSplit, TransformConfig,
};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/preprocess.json")).expect("a fixture")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("fixtures")
}

fn load() -> Dataset {
    let source = CsvSource {
        csv: "preprocess.csv".into(),
        target: "price".into(),
        task: Some(Task::Regression),
        categorical: vec![],
        drop: vec![],
    };
    Source::Csv(source).load(&fixtures(), &|_, _, _| {}).expect("valid")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn assert_near(found: f64, expected: f64, tolerance: f64, what: &str) {
    let scale = expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance * scale, "{what}: expected {expected}, found {found}");
}

#[test]
fn tables_are_encoded_as_scikit_learn_does() {
    let (fixture, data) = (fixture(), load());
    let train: Vec<usize> = (0..fixture["train"].as_u64().expect("a number") as usize).collect();
    for (name, impute) in
        [("mean", Impute::Mean), ("median", Impute::Median), ("most_frequent", Impute::MostFrequent)]
    {
        let expected = &fixture["numeric"][name];
        let config = TransformConfig { impute, ..Default::default() };
        let preprocessor = Preprocessor::fit(&data, &train, &config).expect("valid");
        let InputEncoding::Table { columns, .. } = &preprocessor.inputs else { panic!("a table") };
        let features = preprocessor.features();
        let encoded = preprocessor.encode_all(&data.inputs).expect("a table");
        let at = |feature: &str| features.iter().position(|name| name == feature).expect("a feature");
        for (i, column) in fixture["columns"].as_array().expect("a list").iter().enumerate() {
            let column = column.as_str().expect("a name");
            if column == "constant" {
                assert!(
                    preprocessor.notices[0]
                        .starts_with("the column `constant` is 3.25 in every training row")
                );
                continue;
            }
            let found = columns.iter().find_map(|encoding| match encoding {
                ColumnEncoding::Numeric(numeric) if numeric.name == column => Some(numeric),
                _ => None,
            });
            let found = found.expect("a numeric column");
            for (key, value) in [("fill", found.fill), ("mean", found.mean), ("std", found.std)] {
                assert_near(value, numbers(&expected[key])[i], 1e-9, &format!("{name}, {key} of {column}"));
            }
            for (row, expected) in expected["encoded"].as_array().expect("rows").iter().enumerate() {
                let found = f64::from(encoded[row * features.len() + at(column)]);
                assert_near(found, numbers(expected)[i], 1e-6, &format!("{name}, row {row} of {column}"));
            }
        }
        for (i, town) in fixture["towns"].as_array().expect("a list").iter().enumerate() {
            let feature = at(&format!("town={}", town.as_str().expect("a name")));
            for (row, expected) in fixture["one_hot"].as_array().expect("rows").iter().enumerate() {
                assert_eq!(f64::from(encoded[row * features.len() + feature]), numbers(expected)[i]);
            }
        }
    }
}

#[test]
fn the_target_is_standardised_as_scikit_learn_does() {
    let (fixture, data) = (fixture(), load());
    let train: Vec<usize> = (0..60).collect();
    let preprocessor = Preprocessor::fit(&data, &train, &TransformConfig::default()).expect("valid");
    let rows: Vec<usize> = (0..data.len()).collect();
    let EncodedTargets::Numbers(found) = preprocessor.encode_targets(&data.targets, &rows) else {
        panic!("numbers")
    };
    for (found, expected) in found.iter().zip(numbers(&fixture["target"]["encoded"])) {
        assert_near(f64::from(*found), expected, 1e-6, "target");
    }
}

#[test]
fn stratified_counts_are_those_of_scikit_learn() {
    for case in fixture()["splits"].as_array().expect("a list") {
        let counts = numbers(&case["counts"]);
        let labels: Vec<u32> =
            counts.iter().enumerate().flat_map(|(i, count)| vec![i as u32; *count as usize]).collect();
        // One more row is the given test set, so that the shares are those of all other rows.
        let rows = labels.len() + 1;
        let source = luthier_train::data::ClassificationSource { samples: rows, ..Default::default() };
        let targets = Targets::Classes {
            labels: [&labels[..], &[0]].concat(),
            names: (0..counts.len()).map(|i| i.to_string()).collect(),
            column: None,
        };
        let data = Dataset { targets, given_test: Some(1), ..source.generate().expect("valid") };
        let validation = case["share"].as_f64().expect("a share");
        let config =
            SplitConfig { validation, test: TestSplit::Given, stratify: true, ..SplitConfig::default() };
        let part = config.split(&data).expect("a split").validation;
        let expected = numbers(&case["part"]);
        assert_eq!(part.len() as f64, expected.iter().sum::<f64>(), "{case}");
        for (i, expected) in expected.iter().enumerate() {
            let found = part.iter().filter(|row| labels[**row] as usize == i).count() as f64;
            // Equal remainders are broken at random there, by the order of the classes here.
            assert!((found - expected).abs() <= 1.0, "{case}: {found} of class {i}");
        }
    }
}
