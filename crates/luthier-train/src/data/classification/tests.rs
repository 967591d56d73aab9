//! Tests of the generator's own promises; its statistics are compared with scikit-learn's in
//! `tests/data_classification.rs`.

use super::*;

fn columns(data: &Dataset) -> Vec<&Vec<f64>> {
    let Inputs::Table(table) = &data.inputs else { panic!("a table") };
    let values = table.columns.iter().map(|column| match &column.values {
        ColumnValues::Numeric(values) => values,
        ColumnValues::Categorical { .. } => panic!("numbers"),
    });
    values.collect()
}

fn labels(data: &Dataset) -> &[u32] {
    let Targets::Classes { labels, .. } = &data.targets else { panic!("classes") };
    labels
}

#[test]
fn the_seed_decides_everything() {
    let source = ClassificationSource::default();
    let data = source.generate().expect("valid");
    assert_eq!((data.len(), columns(&data).len()), (100, 20));
    assert_eq!(data, source.generate().expect("valid"));
    assert_ne!(data.inputs, ClassificationSource { seed: 1, ..source }.generate().expect("valid").inputs);
}

#[test]
fn the_first_release_generated_the_same() {
    // A change here changes every result that a user has kept.
    let print = ClassificationSource::default().generate().expect("valid").fingerprint().expect("a table");
    assert_eq!(print, "c6dbf58e814373fc");
}

#[test]
fn repeated_features_are_copies_and_redundant_ones_lie_in_the_span() {
    let source = ClassificationSource {
        features: 7,
        informative: 2,
        redundant: 1,
        repeated: 3,
        shuffle: false,
        ..Default::default()
    };
    let data = source.generate().expect("valid");
    let columns = columns(&data);
    for copy in &columns[3..6] {
        assert!(columns[..3].contains(copy));
    }
    assert!(!columns[..6].contains(&columns[6]));
    // Three columns, of which two are independent, have a Gram determinant of zero.
    let dot = |a: usize, b: usize| columns[a].iter().zip(columns[b]).map(|(x, y)| x * y).sum::<f64>() / 100.0;
    let determinant = dot(0, 0) * (dot(1, 1) * dot(2, 2) - dot(1, 2) * dot(1, 2))
        - dot(0, 1) * (dot(0, 1) * dot(2, 2) - dot(1, 2) * dot(0, 2))
        + dot(0, 2) * (dot(0, 1) * dot(1, 2) - dot(1, 1) * dot(0, 2));
    assert!(determinant.abs() < 1e-9, "{determinant}");
}

#[test]
fn rows_are_shared_out_among_classes() {
    let source = ClassificationSource {
        samples: 1_000,
        classes: 3,
        informative: 3,
        flip_y: 0.0,
        weights: Some(vec![0.5, 0.3]),
        ..Default::default()
    };
    let data = source.generate().expect("valid");
    let count = |class| labels(&data).iter().filter(|label| **label == class).count();
    assert_eq!([count(0), count(1), count(2)], [500, 300, 200]);
}

#[test]
fn more_rows_or_noise_keep_the_clusters() {
    let few = ClassificationSource { shuffle: false, flip_y: 0.0, class_sep: 50.0, ..Default::default() };
    let many = ClassificationSource { samples: 4_000, features: 30, ..few.clone() };
    let (few, many) = (few.generate().expect("valid"), many.generate().expect("valid"));
    for (a, b) in columns(&few).iter().zip(columns(&many)).take(2) {
        assert_eq!(a[0] > 0.0, b[0] > 0.0);
    }
}

#[test]
fn vertices_are_distinct() {
    for (count, dimensions) in [(8, 3), (3, 3), (5, 20), (4, 40), (1, 1)] {
        let mut rng = Streams::new(0).at(Purpose::Data, 0);
        let found = vertices(count, dimensions, &mut rng);
        assert!(found.iter().all(|vertex| vertex.len() == dimensions));
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), count);
    }
}

#[test]
fn contradictions_are_named() {
    type Edit = fn(&mut ClassificationSource);
    let cases: [(Edit, &str); 10] = [
        (
            |s| s.features = 3,
            "`features` must be at least informative + redundant + repeated = 2 + 2 + 0, found 3",
        ),
        (
            |s| s.classes = 3,
            "`informative` must be at least 3 so that classes * clusters_per_class = 3 * 2 clusters",
        ),
        (|s| s.classes = 1, "`classes` must be at least 2, found 1"),
        (|s| s.samples = 0, "`samples` must be at least 1, found 0"),
        (|s| s.flip_y = 1.5, "`flip_y` must be from 0 to 1, found 1.5"),
        (|s| s.class_sep = f64::NAN, "`class_sep` must be a finite number, found NaN"),
        (
            |s| s.weights = Some(vec![0.2, 0.2, 0.6]),
            "`weights` must have 2 shares, one a class, or 1 without the last, found 3",
        ),
        (
            |s| s.weights = Some(vec![0.7, 0.7]),
            "`weights` must be shares from 0 to 1 that sum to 1, found [0.7, 0.7]",
        ),
        (
            |s| s.weights = Some(vec![0.5, 0.25]),
            "`weights` must sum to 1, found the sum 0.75; leave out the last",
        ),
        (|s| s.repeated = usize::MAX, "`features` must be at least"),
    ];
    for (edit, expected) in cases {
        let mut source = ClassificationSource::default();
        edit(&mut source);
        let error = source.generate().expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
