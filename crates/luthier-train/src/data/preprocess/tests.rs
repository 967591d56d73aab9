//! Tests of encoding and of reading new data. The numbers are compared with scikit-learn's in
//! `tests/data_preprocess.rs`.

use super::super::{Column, ColumnValues, DataError, Dataset, Images, Inputs, Table, Targets};
use super::*;

fn data() -> Dataset {
    let numeric = |name: &str, values: [f64; 5]| Column {
        name: name.into(),
        values: ColumnValues::Numeric(values.into()),
    };
    let town = ColumnValues::Categorical {
        codes: vec![Some(2), Some(0), Some(2), None, Some(1)],
        categories: ["Bern", "Chur", "Zug"].map(String::from).into(),
    };
    let columns = vec![
        numeric("size", [1.0, f64::NAN, 3.0, 5.0, 1_000.0]),
        Column { name: "town".into(), values: town },
        numeric("same", [7.0; 5]),
    ];
    let names = ["no", "yes"].map(String::from).into();
    Dataset {
        name: "made".into(),
        inputs: Inputs::Table(Table { columns, rows: 5 }),
        targets: Targets::Classes { labels: vec![0, 1, 1, 0, 1], names, column: Some("sold".into()) },
        given_test: None,
        aside: vec![],
        notices: vec![],
    }
}

fn fitted() -> Preprocessor {
    Preprocessor::fit(&data(), &[0, 1, 2, 3], &TransformConfig::default()).expect("valid")
}

#[test]
fn only_training_rows_are_looked_at() {
    let preprocessor = fitted();
    assert_eq!(
        preprocessor.features(),
        ["size", "size=missing", "town=Bern", "town=Zug", "town=missing"],
        "a column that never changes is left out"
    );
    assert_eq!((preprocessor.input_shape(), preprocessor.outputs()), (crate::Shape::Flat(5), 2));
    let InputEncoding::Table { columns, .. } = &preprocessor.inputs else { panic!("a table") };
    let ColumnEncoding::Numeric(size) = &columns[0] else { panic!("numbers") };
    assert_eq!((size.min, size.max, size.fill, size.mean, size.std), (1.0, 5.0, 3.0, 3.0, 2.0_f64.sqrt()));
    assert_eq!(preprocessor.notices, ["the column `same` is 7 in every training row; it is left out"]);
}

#[test]
fn rows_become_numbers() {
    let preprocessor = fitted();
    let data = data();
    let mut out = vec![9.0];
    preprocessor.encode(&data.inputs, &[1, 3, 4], &mut out).expect("in memory");
    let far = (997.0 / 2.0_f64.sqrt()) as f32;
    let expected = [
        [0.0, 1.0, 1.0, 0.0, 0.0],
        [2.0_f32.sqrt(), 0.0, 0.0, 0.0, 1.0],
        // Chur was in no training row.
        [far, 0.0, 0.0, 0.0, 0.0],
    ];
    assert_eq!(out[0], 9.0, "rows are appended");
    assert_eq!(out[1..], expected.concat());
    assert_eq!(preprocessor.encode_all(&data.inputs).expect("a table")[5..10], expected[0]);
    assert_eq!(preprocessor.encode_targets(&data.targets, &[4, 0]), EncodedTargets::Classes(vec![1, 0]));
    let raw = TransformConfig { scale: Scale::None, impute: Impute::MostFrequent, ..Default::default() };
    let raw = Preprocessor::fit(&data, &[0, 1, 2, 3], &raw).expect("valid");
    assert_eq!(raw.encode_all(&data.inputs).expect("a table")[5..10], [1.0, 1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_preprocessor_survives_being_stored() {
    let preprocessor = fitted();
    let text = serde_json::to_string(&preprocessor).expect("serialisable");
    assert_eq!(serde_json::from_str::<Preprocessor>(&text).expect("what was written"), preprocessor);
}

#[test]
fn numbers_are_decoded_to_their_unit() {
    let targets = Targets::Numbers { values: vec![10.0, 20.0, 30.0, 40.0, 999.0], name: "price".into() };
    let data = Dataset { targets, ..data() };
    let preprocessor = Preprocessor::fit(&data, &[0, 1, 2, 3], &TransformConfig::default()).expect("valid");
    let EncodedTargets::Numbers(encoded) = preprocessor.encode_targets(&data.targets, &[0, 3]) else {
        panic!("numbers")
    };
    assert!((preprocessor.decode_number(encoded[1]) - 40.0).abs() < 1e-5);
    assert!((f64::from(encoded[0]) * preprocessor.target_scale() + 25.0 - 10.0).abs() < 1e-5);
    assert_eq!((preprocessor.outputs(), preprocessor.task()), (1, super::super::Task::Regression));
}

#[test]
fn images_are_standardised_by_channel() {
    let pixels = vec![0, 255, 10, 10, 255, 0, 10, 10, 51, 51, 51, 51];
    let images = Inputs::Images(Images::new(pixels, 2, 1, 2));
    let targets =
        Targets::Classes { labels: vec![0, 1, 0], names: vec!["a".into(), "b".into()], column: None };
    let data = Dataset::new("pixels", images, targets);
    let preprocessor = Preprocessor::fit(&data, &[0, 1], &TransformConfig::default()).expect("valid");
    assert_eq!(preprocessor.input_shape().dims(), [2, 1, 2]);
    let mut out = Vec::new();
    preprocessor.encode(&data.inputs, &[2, 0], &mut out).expect("in memory");
    let above = ((51.0 - 10.0) / 255.0) as f32;
    let expected = [-0.6, -0.6, above, above, -1.0, 1.0, 0.0, 0.0];
    assert!(out.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{out:?}");
}

#[test]
fn new_rows_are_read_by_name_and_flagged() {
    let preprocessor = fitted();
    let text = "extra,town,same,size\nx,Zug,7,2\n\nx,Chur,?,99\nx,,7,\n";
    let new = preprocessor.read_rows_from("stdin", text.as_bytes()).expect("valid");
    assert_eq!(new.notices, ["not used: `extra`, `same`"]);
    assert_eq!(new.targets.expect("no problem"), None);
    let said: Vec<(u64, Vec<String>)> =
        new.flags.iter().map(|row| (row.line, row.flags.iter().map(ToString::to_string).collect())).collect();
    let second = vec![
        "`size` is 99, in training it was from 1 to 5".to_owned(),
        "`town` is `Chur`, which training never had".to_owned(),
    ];
    assert_eq!(said, [(2, vec![]), (4, second), (5, vec![])]);
    let encoded = preprocessor.encode_all(&new.inputs).expect("a table");
    let two = (-1.0 / 2.0_f64.sqrt()) as f32;
    assert_eq!(encoded[..5], [two, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(encoded[6..10], [0.0; 4]);
    assert_eq!(encoded[10..], [0.0, 1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn labelled_rows_bring_their_targets() {
    let preprocessor = fitted();
    let read = |text: &str| preprocessor.read_rows_from("new.csv", text.as_bytes()).expect("readable");
    let targets =
        read("sold,town,same,size\nyes,Zug,7,2\nno,Zug,7,2\n").targets.expect("valid").expect("there");
    assert!(matches!(&targets, Targets::Classes { labels, .. } if *labels == [1, 0]));
    let error = read("sold,town,same,size\nperhaps,Zug,7,2\n").targets.expect_err("unknown").to_string();
    assert_eq!(error, "new.csv, line 2: the class `perhaps` is not one of the trained ones: `no`, `yes`");
    let error =
        read("sold,town,same,size\nyes,Zug,7,2\n,Zug,7,2\n").targets.expect_err("missing").to_string();
    assert_eq!(error, "new.csv, line 3: the target `sold` is missing; fill it in to evaluate");
}

#[test]
fn new_rows_that_cannot_be_read_are_explained() {
    let preprocessor = fitted();
    let error =
        |text: &str| preprocessor.read_rows_from("new.csv", text.as_bytes()).expect_err("wrong").to_string();
    assert_eq!(
        error("Size,town\n1,2\n"),
        "new.csv: the model needs the columns `size`, which are missing (the file has `Size`?); found `Size`, `town`"
    );
    assert_eq!(
        error("size,town,same\n1,2,3\nbig,2,3\n"),
        "new.csv, line 3: the column `size` holds `big`, expected a number as in training"
    );
    let nothing = Preprocessor::fit(&data(), &[], &TransformConfig::default());
    assert!(matches!(nothing, Err(DataError::Encoding(_))));
    let empty =
        Preprocessor::fit(&data(), &[1], &TransformConfig::default()).expect_err("no size").to_string();
    assert_eq!(empty, "no column is left to learn from: none of them changes in the training rows");
}

#[test]
fn an_image_is_converted_to_the_trained_channels() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pixel.png");
    let encoding = |channels: usize, width| Preprocessor {
        inputs: InputEncoding::Images(ImageEncoding {
            channels,
            height: 1,
            width,
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
            scale: Scale::Standardize,
            resize: false,
        }),
        targets: TargetEncoding::Classes { names: vec!["a".into(), "b".into()] },
        target_name: None,
        notices: vec![],
    };
    image::RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6])
        .expect("six bytes")
        .save(&path)
        .expect("writable");
    let Inputs::Images(images) = encoding(3, 2).read_image(&path).expect("an image") else {
        panic!("images")
    };
    let mut pixels = [0; 6];
    images.read(0, &mut pixels).expect("in memory");
    assert_eq!(pixels, [1, 4, 2, 5, 3, 6]);
    let Inputs::Images(images) = encoding(1, 2).read_image(&path).expect("an image") else {
        panic!("images")
    };
    assert_eq!((images.size(), images.len()), (2, 1));
    let error = encoding(1, 28).read_image(&path).expect_err("another size").to_string();
    assert!(
        error.ends_with("expected 28 x 1 pixels (width, height) as in training, found 2 x 1; resize it"),
        "{error}"
    );
    std::fs::write(&path, "no image").expect("writable");
    let error = encoding(1, 2).read_image(&path).expect_err("no image").to_string();
    assert!(error.contains("expected an image, PNG or JPEG"), "{error}");
    let error = fitted().read_image(&path).expect_err("a table").to_string();
    assert!(error.ends_with("the model was trained on a table, expected a CSV or Parquet file"), "{error}");
}
