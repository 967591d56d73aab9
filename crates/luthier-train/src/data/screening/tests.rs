//! Tests of the screening.

use super::super::{Column, Images, Table, Texts};
use super::*;

fn table(values: &[f64], labels: &[u32], names: &[&str]) -> Dataset {
    let column = Column { name: "x".into(), values: ColumnValues::Numeric(values.to_vec()) };
    let inputs = Inputs::Table(Table { columns: vec![column], rows: values.len() });
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Dataset::new("made", inputs, Targets::Classes { labels: labels.to_vec(), names, column: None })
}

fn split(train: &[usize], validation: &[usize], test: &[usize]) -> Split {
    Split { train: train.to_vec(), validation: validation.to_vec(), test: test.to_vec() }
}

#[test]
fn rows_in_two_parts_are_found() {
    // Rows 2 and 4 equal row 0, the latter with another label; row 5 equals row 3 of validation.
    let data = table(&[1.0, 2.0, 1.0, 3.0, 1.0, 3.0, 4.0], &[0, 1, 0, 1, 1, 1, 0], &["a", "b"]);
    let screening = Screening::of(&data, &split(&[0, 1], &[2, 3], &[4, 5, 6])).expect("a table");
    assert_eq!(screening.validation, Duplicates { leaked: 1, contradicted: 0, example: Some((3, 1)) });
    assert_eq!(screening.test, Duplicates { leaked: 1, contradicted: 1, example: Some((5, 1)) });
    let notices = screening.notices();
    assert!(
        notices[0].starts_with("1 rows of the validation part are in the training part too"),
        "{notices:?}"
    );
    assert_eq!(notices.len(), 3);
    let clean = Screening::of(&data, &split(&[0], &[1], &[6])).expect("a table");
    assert_eq!((clean.notices(), clean.to_string()), (vec![], String::new()));
}

#[test]
fn equal_images_and_texts_are_found_too() {
    let images = Images::new(vec![1, 2, 3, 4, 1, 2, 9, 9], 1, 1, 2);
    let texts = ["ab", "c", "ab", ""].map(String::from).to_vec();
    let targets = Targets::Numbers { values: vec![0.5, 1.0, 0.5, 2.0], name: "y".into() };
    for inputs in [Inputs::Images(images), Inputs::Text(Texts { texts, column: "text".into() })] {
        let hashes = inputs.row_hashes().expect("in memory");
        assert!(hashes[0] == hashes[2] && hashes[0] != hashes[1] && hashes[1] != hashes[3]);
        let data = Dataset::new("made", inputs, targets.clone());
        let found = Screening::of(&data, &split(&[0], &[1], &[2, 3])).expect("in memory");
        assert_eq!((found.validation.leaked, found.test.leaked, found.test.contradicted), (0, 1, 0));
    }
}

#[test]
fn hard_classes_and_outliers_are_named() {
    let mut values: Vec<f64> = (0..20).map(f64::from).collect();
    values[7] = 1e6;
    values[9] = f64::NAN;
    let mut labels = vec![0; 20];
    labels[3] = 2;
    labels[4..8].fill(3);
    let data = table(&values, &labels, &["Yes", "none", "single", "yes "]);
    let rows: Vec<usize> = (0..20).collect();
    let screening = Screening::of(&data, &split(&rows, &[], &[])).expect("a table");
    assert_eq!(screening.outliers, [("x".to_owned(), 1)]);
    assert_eq!(
        (screening.empty_classes[0].as_str(), screening.single_classes[0].as_str()),
        ("none", "single")
    );
    assert_eq!(screening.alike_classes, [("Yes".to_owned(), "yes ".to_owned())]);
    assert_eq!(screening.notices().len(), 4);
    // Only training rows are looked at.
    let screening = Screening::of(&data, &split(&rows[..7], &[], &rows[7..])).expect("a table");
    assert!(screening.outliers.is_empty());
}
