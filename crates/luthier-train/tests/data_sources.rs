//! Scaling, folds, vocabularies, outliers and Parquet files against scikit-learn, NumPy and Arrow.
//!
//! The fixtures come from `scripts/train/data_fixtures.py`.

use std::path::{Path, PathBuf};

use luthier_train::data::{
    Column, ColumnValues, CsvSource, Dataset, Impute, Inputs, ParquetSource, Preprocessor, Scale, Screening,
    Source, Split, SplitConfig, Table, Targets, Task, TestSplit, TransformConfig, Vocabulary,
};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/data.json")).expect("a fixture")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("fixtures")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn sizes(value: &Value) -> Vec<usize> {
    list(value).iter().map(|size| size.as_u64().expect("a size") as usize).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

#[test]
fn columns_are_normalised_as_scikit_learn_does() {
    let fixture = &fixture()["scaling"];
    let source = CsvSource {
        csv: "preprocess.csv".into(),
        target: "price".into(),
        task: Some(Task::Regression),
        categorical: vec![],
        drop: vec![],
    };
    let data = Source::Csv(source).load(&fixtures(), &|_, _, _| {}).expect("valid");
    let train: Vec<usize> = (0..fixture["train"].as_u64().expect("a number") as usize).collect();
    for (name, impute) in [
        ("\"mean\"", Impute::Mean),
        ("\"median\"", Impute::Median),
        ("\"most_frequent\"", Impute::MostFrequent),
        ("{ constant = 0.0 }", Impute::Constant(0.0)),
        ("{ constant = -7.5 }", Impute::Constant(-7.5)),
    ] {
        let config = TransformConfig { impute, scale: Scale::Normalize, ..Default::default() };
        let preprocessor = Preprocessor::fit(&data, &train, &config).expect("valid");
        let features = preprocessor.features();
        let encoded = preprocessor.encode_all(&data.inputs).expect("a table");
        for (i, column) in list(&fixture["columns"]).iter().enumerate() {
            let at = features.iter().position(|name| column == name).expect("a feature");
            for (row, expected) in list(&fixture["normalize"][name]).iter().enumerate() {
                let (found, expected) = (f64::from(encoded[row * features.len() + at]), numbers(expected)[i]);
                let near = (found - expected).abs() <= 1e-6 * expected.abs().max(1.0);
                assert!(near, "{name}, row {row} of {column}: expected {expected}, found {found}");
            }
        }
    }
}

/// Rows with these classes, groups or times, and one more that is the given test set.
fn rows(classes: &[usize], groups: Option<Vec<usize>>) -> Dataset {
    let mut labels: Vec<u32> = classes.iter().map(|class| *class as u32).collect();
    labels.push(0);
    let rows = labels.len();
    let names = (0..20).map(|i| i.to_string()).collect();
    let values = |values: Vec<f64>| ColumnValues::Numeric(values);
    let column = Column { name: "x".into(), values: values((0..rows).map(|x| x as f64).collect()) };
    let inputs = Inputs::Table(Table { columns: vec![column], rows });
    let targets = Targets::Classes { labels, names, column: None };
    let mut data = Dataset { given_test: Some(1), ..Dataset::new("made", inputs, targets) };
    let times = values((0..rows).map(|x| x as f64).collect());
    data.aside.push(Column { name: "when".into(), values: times });
    if let Some(groups) = groups {
        let codes = groups.into_iter().map(|group| Some(group as u32)).chain([Some(12)]).collect();
        let categories = (0..13).map(|i| i.to_string()).collect();
        data.aside
            .push(Column { name: "who".into(), values: ColumnValues::Categorical { codes, categories } });
    }
    data
}

#[test]
fn folds_have_the_sizes_of_scikit_learn() {
    for case in list(&fixture()["folds"]) {
        let folds = case["folds"].as_u64().expect("a number") as usize;
        let config = SplitConfig { folds: Some(folds), test: TestSplit::Given, ..SplitConfig::default() };
        let split = |data: &Dataset, config: &SplitConfig| config.folds(data).expect("folds");
        let lengths =
            |splits: &[Split]| splits.iter().map(|split| split.validation.len()).collect::<Vec<_>>();
        let (found, data) = match case["kind"].as_str().expect("a kind") {
            "plain" => {
                let data = rows(&vec![0; case["rows"].as_u64().expect("rows") as usize], None);
                let splits = split(&data, &config);
                assert_eq!(lengths(&splits), sizes(&case["sizes"]), "{case}");
                (splits, data)
            }
            "time" if !list(&case["sizes"]).is_empty() => {
                let data = rows(&vec![0; case["rows"].as_u64().expect("rows") as usize], None);
                let splits = split(&data, &SplitConfig { time: Some("when".into()), ..config });
                for (split, expected) in splits.iter().zip(list(&case["sizes"])) {
                    assert_eq!(vec![split.train.len(), split.validation.len()], sizes(expected), "{case}");
                    assert!(split.train.last() < split.validation.first());
                }
                continue;
            }
            "stratify" => {
                let counts = sizes(&case["counts"]);
                let classes: Vec<usize> =
                    counts.iter().enumerate().flat_map(|(i, count)| vec![i; *count]).collect();
                let data = rows(&classes, None);
                let splits = split(&data, &SplitConfig { stratify: true, ..config });
                for (split, expected) in splits.iter().zip(list(&case["sizes"])) {
                    let of_class =
                        |class| split.validation.iter().filter(|row| classes[**row] == class).count();
                    assert_eq!(
                        (0..counts.len()).map(of_class).collect::<Vec<_>>(),
                        sizes(expected),
                        "{case}"
                    );
                }
                (splits, data)
            }
            "group" => {
                let groups = sizes(&case["groups"]);
                let data = rows(&vec![0; groups.len()], Some(groups.clone()));
                let splits = split(&data, &SplitConfig { group: Some("who".into()), ..config });
                let mut found = lengths(&splits);
                found.sort_unstable();
                assert_eq!(found, sizes(&case["sizes"]), "{case}");
                for split in &splits {
                    let inside = |rows: &[usize], group| rows.iter().any(|row| groups[*row] == group);
                    let torn = (0..12)
                        .find(|group| inside(&split.train, *group) && inside(&split.validation, *group));
                    assert_eq!(torn, None, "a group is in two parts");
                }
                (splits, data)
            }
            _ => continue,
        };
        // Every row validates once, and the test set is no part of it.
        let mut all: Vec<usize> = found.iter().flat_map(|split| split.validation.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..data.len() - 1).collect::<Vec<_>>());
        assert!(found.iter().all(|split| split.test == [data.len() - 1]));
        assert!(found.iter().all(|split| split.train.len() + split.validation.len() == data.len() - 1));
    }
}

#[test]
fn words_are_counted_as_scikit_learn_does() {
    let fixture = &fixture()["vocabulary"];
    let texts: Vec<&str> = list(&fixture["texts"]).iter().map(|text| text.as_str().expect("text")).collect();
    let counted: Vec<(&str, u64)> = list(&fixture["words"])
        .iter()
        .map(|pair| (pair[0].as_str().expect("a word"), pair[1].as_u64().expect("a count")))
        .collect();
    for (max_words, min_count) in [(1_000, 1), (5, 1), (1_000, 30)] {
        let vocabulary = Vocabulary::fit(texts.iter().copied(), max_words, min_count);
        let kept = counted.iter().filter(|(_, count)| *count >= min_count as u64).take(max_words);
        assert_eq!(vocabulary.words(), kept.map(|(word, _)| *word).collect::<Vec<_>>());
    }
}

#[test]
fn outliers_are_those_beyond_numpys_quartiles() {
    let fixture = &fixture()["outliers"];
    let values = numbers(&fixture["values"]);
    let n = values.len();
    let columns = vec![Column { name: "x".into(), values: ColumnValues::Numeric(values) }];
    let names = vec!["a".into(), "b".into()];
    let labels = (0..n).map(|row| row as u32 % 2).collect();
    let inputs = Inputs::Table(Table { columns, rows: n });
    let data = Dataset::new("made", inputs, Targets::Classes { labels, names, column: None });
    let split = Split { train: (0..n).collect(), validation: vec![], test: vec![] };
    let count = fixture["count"].as_u64().expect("a count") as usize;
    assert!(count > 0);
    assert_eq!(Screening::of(&data, &split).expect("a table").outliers, [("x".to_owned(), count)]);
}

fn parquet(file: &str) -> Source {
    Source::Parquet(ParquetSource {
        parquet: file.into(),
        target: "price".into(),
        task: None,
        categorical: vec![],
        drop: vec!["dictionary".into()],
    })
}

#[test]
fn parquet_files_of_every_kind_hold_the_same_table() {
    let fixture = &fixture()["parquet"];
    let mut prints = Vec::new();
    for kind in ["snappy", "zstd", "gzip", "plain"] {
        let data = parquet(&format!("table_{kind}.parquet")).load(&fixtures(), &|_, _, _| {}).expect(kind);
        prints.push(data.fingerprint().expect("a table"));
        let Inputs::Table(table) = &data.inputs else { panic!("a table") };
        for column in &table.columns {
            match &column.values {
                ColumnValues::Numeric(values) => {
                    let expected = numbers(&fixture[&column.name]);
                    let same =
                        values.iter().zip(&expected).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
                    assert!(same && values.len() == 6, "{kind}, {}: {values:?}", column.name);
                }
                ColumnValues::Categorical { codes, categories } => {
                    let texts: Vec<&str> =
                        codes.iter().map(|code| code.map_or("", |code| &categories[code as usize])).collect();
                    let expected = match column.name.as_str() {
                        "flag" => ["true", "false", "", "true", "false", "true"],
                        "text" => ["Zug", "Bern", "", "Zug", "Chur, \"x\"", "Bern"],
                        name => panic!("{name} holds numbers"),
                    };
                    assert_eq!(texts, expected, "{kind}");
                }
            }
        }
        assert_eq!(table.columns.len(), 11);
        let target = Targets::Numbers { values: vec![1.5, 2.5, 3.5, 4.5, 5.5, 6.5], name: "price".into() };
        assert_eq!(data.targets, target);
    }
    prints.dedup();
    assert_eq!(prints.len(), 1, "the contents are the same");
}

#[test]
fn a_parquet_file_that_cannot_be_used_says_why() {
    let nested =
        parquet("table_nested.parquet").load(&fixtures(), &|_, _, _| {}).expect_err("a list").to_string();
    assert!(nested.contains("the column `tags` is nested, expected one value a row"), "{nested}");
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(fixtures().join("table_zstd.parquet")).expect("readable");
    for length in [4, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(folder.path().join("cut.parquet"), &whole[..length]).expect("writable");
        let error =
            parquet("cut.parquet").load(folder.path(), &|_, _, _| {}).expect_err("cut off").to_string();
        assert!(error.contains("cut.parquet: the Parquet file is cut off or damaged"), "{error}");
    }
    // A flipped byte ends in an error or in other values, never in a crash.
    for at in (4..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        std::fs::write(folder.path().join("damaged.parquet"), &damaged).expect("writable");
        drop(parquet("damaged.parquet").load(folder.path(), &|_, _, _| {}));
    }
}
