//! Real data: MNIST and California housing, where they are at hand.

use std::path::{Path, PathBuf};

use luthier_train::data::{
    CsvSource, Inputs, Preprocessor, Source, SplitConfig, TargetSummary, Targets, TestSplit, TransformConfig,
};

/// The folder of test data, or `None` with a printed reason; in CI it must be there.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn test_data(file: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("LUTHIER_TEST_DATA").map_or(beside, PathBuf::from);
    if folder.join(file).exists() {
        return Some(folder);
    }
    let place = folder.display();
    assert!(std::env::var_os("CI").is_none(), "no {file} in {place}; set LUTHIER_TEST_DATA");
    eprintln!("skipped: no {file} in {place}; set LUTHIER_TEST_DATA to the folder that has it");
    None
}

#[test]
fn california_housing() {
    let Some(folder) = test_data("tabular/california_housing.csv") else { return };
    let source = CsvSource {
        csv: "tabular/california_housing.csv".into(),
        target: "median_house_value".into(),
        task: None,
        categorical: vec![],
        drop: vec![],
    };
    let data = Source::Csv(source).load(&folder, &|_, _, _| {}).expect("valid");
    let summary = data.summary().to_string();
    let expected = "california_housing: 20640 rows\ncolumns: 8 numeric, 1 categorical\nmissing: 207 in `total_bedrooms`\n\
                    target: `median_house_value` from 14999 to 500001, mean 206855.816909";
    assert_eq!(summary, expected);
    let config = SplitConfig {
        validation: 0.1,
        test: TestSplit::Share(0.2),
        stratify: false,
        ..SplitConfig::default()
    };
    let split = config.split(&data).expect("a split");
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (14_448, 2_064, 4_128));
    let preprocessor = Preprocessor::fit(&data, &split.train, &TransformConfig::default()).expect("valid");
    let features = preprocessor.features();
    assert_eq!(features.len(), 8 + 1 + 5, "{features:?}");
    assert!(features.contains(&"total_bedrooms=missing".into()));
    assert!(preprocessor.encode_all(&data.inputs).expect("a table").iter().all(|value| value.is_finite()));
    // The same file, read as new data, is encoded to the same bits.
    let new = preprocessor.read_rows(&folder.join("tabular/california_housing.csv")).expect("valid");
    let encode = |inputs| preprocessor.encode_all(inputs).expect("a table");
    assert_eq!(encode(&new.inputs), encode(&data.inputs));
    assert_eq!(new.targets.expect("valid"), Some(data.targets.clone()));
}

#[test]
fn mnist() {
    let Some(folder) = test_data("mnist/train-images-idx3-ubyte.gz") else { return };
    // The environment of a running process cannot be set safely, that of a new one can.
    let child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "mnist_in_a_child", "--ignored"])
        .env("LUTHIER_DATA", folder)
        .output()
        .expect("this test again");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by `mnist`, with the environment variable LUTHIER_DATA"]
fn mnist_in_a_child() {
    let progress = |name: &str, _, _| panic!("{name} is downloaded although LUTHIER_DATA has it");
    let data = Source::Mnist.load(Path::new("."), &progress).expect("valid");
    assert_eq!((data.len(), data.given_test), (70_000, Some(10_000)));
    let TargetSummary::Classes(counts) = data.summary().target else { panic!("classes") };
    let counts: Vec<usize> = counts.into_iter().map(|(_, count)| count).collect();
    assert_eq!(counts, [6_903, 7_877, 6_990, 7_141, 6_824, 6_313, 6_876, 7_293, 6_825, 6_958]);
    let Targets::Classes { labels, .. } = &data.targets else { panic!("classes") };
    assert_eq!((&labels[..5], &labels[60_000..60_005]), (&[5, 0, 4, 1, 9][..], &[7, 2, 1, 0, 4][..]));
    let config =
        SplitConfig { validation: 0.1, test: TestSplit::Given, stratify: true, ..SplitConfig::default() };
    let split = config.split(&data).expect("a split");
    assert_eq!((split.train.len(), split.validation.len()), (54_000, 6_000));
    assert_eq!(split.test, (60_000..70_000).collect::<Vec<_>>());
    let all: Vec<usize> = (0..60_000).collect();
    let preprocessor = Preprocessor::fit(&data, &all, &TransformConfig::default()).expect("valid");
    let luthier_train::data::InputEncoding::Images(images) = &preprocessor.inputs else { panic!("images") };
    // The mean and standard deviation that every MNIST example quotes.
    assert!((images.mean[0] - 0.1307).abs() < 5e-5 && (images.std[0] - 0.3081).abs() < 5e-5);
    let Inputs::Images(pixels) = &data.inputs else { panic!("images") };
    let mut out = Vec::new();
    preprocessor.encode(&data.inputs, &[69_999], &mut out).expect("in memory");
    assert_eq!(out.len(), 784);
    let mut last = [0; 784];
    pixels.read(69_999, &mut last).expect("in memory");
    assert!(out.iter().zip(&last).all(|(x, pixel)| {
        (f64::from(*x) * images.std[0] + images.mean[0] - f64::from(*pixel) / 255.0).abs() < 1e-6
    }));
}
