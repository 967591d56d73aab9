//! The statistics of generated problems against scikit-learn's, averaged over seeds.
//!
//! The fixture comes from `scripts/data/classification_fixtures.py`, which computes the same. Means are
//! compared within five standard errors of their difference: with some forty comparisons, a correct
//! generator fails once in 40,000 choices of seeds.

use luthier_train::data::{ClassificationSource, ColumnValues, Dataset, Inputs, Targets};
use serde_json::Value;

const SEEDS: u64 = 40;

fn sources() -> Vec<(&'static str, ClassificationSource)> {
    let default = ClassificationSource::default;
    vec![
        ("defaults", ClassificationSource { samples: 400, ..default() }),
        (
            "three_uneven_classes",
            ClassificationSource {
                samples: 500,
                features: 12,
                informative: 5,
                redundant: 3,
                repeated: 2,
                classes: 3,
                clusters_per_class: 1,
                weights: Some(vec![0.6, 0.3]),
                flip_y: 0.0,
                class_sep: 1.5,
                ..default()
            },
        ),
        (
            "polytope_with_flips",
            ClassificationSource {
                samples: 300,
                features: 8,
                informative: 4,
                redundant: 2,
                classes: 4,
                clusters_per_class: 3,
                flip_y: 0.2,
                class_sep: 2.0,
                hypercube: false,
                shift: 0.5,
                scale: 3.0,
                ..default()
            },
        ),
        (
            "many_dimensions",
            // The script puts these rows in random order afterwards.
            ClassificationSource {
                samples: 200,
                features: 45,
                informative: 40,
                redundant: 0,
                class_sep: 0.5,
                ..default()
            },
        ),
    ]
}

/// Rows of values, and the label of each.
fn rows(data: &Dataset) -> (Vec<Vec<f64>>, Vec<u32>) {
    let Inputs::Table(table) = &data.inputs else { panic!("a table") };
    let mut rows = vec![Vec::new(); table.rows];
    for column in &table.columns {
        let ColumnValues::Numeric(values) = &column.values else { panic!("numbers") };
        rows.iter_mut().zip(values).for_each(|(row, value)| row.push(*value));
    }
    let Targets::Classes { labels, .. } = &data.targets else { panic!("classes") };
    (rows, labels.clone())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64
}

/// The share of `test` whose nearest point carries the right label.
fn nearest(points: &[(Vec<f64>, u32)], test: &[(&Vec<f64>, u32)]) -> f64 {
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    let right = test.iter().filter(|(row, label)| {
        let near = points.iter().min_by(|a, b| distance(&a.0, row).total_cmp(&distance(&b.0, row)));
        near.is_some_and(|near| near.1 == *label)
    });
    right.count() as f64 / test.len() as f64
}

fn statistic(key: &str, rows: &[Vec<f64>], labels: &[u32]) -> f64 {
    let columns: Vec<Vec<f64>> =
        (0..rows[0].len()).map(|i| rows.iter().map(|row| row[i]).collect()).collect();
    let mut variances: Vec<f64> = columns.iter().map(|column| variance(column)).collect();
    variances.sort_by(f64::total_cmp);
    let n = variances.len();
    let all = || rows.iter().zip(labels).map(|(row, label)| (row, *label));
    let (train, test): (Vec<_>, Vec<_>) = (all().step_by(2).collect(), all().skip(1).step_by(2).collect());
    match key {
        "variance_min" => variances[0],
        "variance_median" => f64::midpoint(variances[(n - 1) / 2], variances[n / 2]),
        "variance_max" => variances[n - 1],
        "mean" => mean(&rows.concat()),
        "nearest_neighbour" => {
            let points: Vec<_> = train.iter().map(|(row, label)| ((*row).clone(), *label)).collect();
            nearest(&points, &test)
        }
        "nearest_centroid" => {
            let mut points = Vec::new();
            for class in 0..=labels.iter().copied().max().unwrap_or_default() {
                let of_class: Vec<_> = train.iter().filter(|(_, label)| *label == class).collect();
                let centre = |i: usize| mean(&of_class.iter().map(|(row, _)| row[i]).collect::<Vec<_>>());
                if !of_class.is_empty() {
                    points.push(((0..rows[0].len()).map(centre).collect(), class));
                }
            }
            nearest(&points, &test)
        }
        key => {
            let class: u32 = key.trim_start_matches("share_").parse().expect("a class");
            labels.iter().filter(|label| **label == class).count() as f64 / labels.len() as f64
        }
    }
}

#[test]
fn statistics_are_those_of_scikit_learn() {
    let fixture: Value =
        serde_json::from_str(include_str!("fixtures/classification.json")).expect("a fixture");
    let their_seeds = fixture["seeds"].as_f64().expect("a number");
    let mut wrong = Vec::new();
    for (name, source) in sources() {
        let data: Vec<_> = (0..SEEDS)
            .map(|seed| rows(&ClassificationSource { seed, ..source.clone() }.generate().expect("valid")))
            .collect();
        for (key, expected) in fixture["cases"][name]["statistics"].as_object().expect("statistics") {
            let values: Vec<f64> = data.iter().map(|(rows, labels)| statistic(key, rows, labels)).collect();
            let (theirs, std) = (&expected["mean"], &expected["std"]);
            let (theirs, std) = (theirs.as_f64().expect("a number"), std.as_f64().expect("a number"));
            let tolerance = 5.0 * (std * std / their_seeds + variance(&values) / SEEDS as f64).sqrt() + 1e-9;
            let ours = mean(&values);
            if (ours - theirs).abs() > tolerance {
                wrong.push(format!("{name}, {key}: expected {theirs} within {tolerance}, found {ours}"));
            }
            // The spread over seeds must be alike too, not only its middle.
            let spread = variance(&values).sqrt();
            if std > 1e-9 && !(0.6..1.6).contains(&(spread / std)) {
                wrong.push(format!("{name}, {key}: expected the standard deviation {std}, found {spread}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
