//! Tiny data of every kind.

use luthier_train::data::{
    ClassificationSource, Column, ColumnValues, Dataset, Images, Inputs, Table, Targets, Texts,
};

fn dataset(name: &str, inputs: Inputs, targets: Targets) -> Dataset {
    Dataset { name: name.into(), inputs, targets, given_test: None, aside: Vec::new(), notices: Vec::new() }
}

fn labels(rows: usize, classes: usize) -> Targets {
    Targets::Classes {
        labels: (0..rows).map(|row| (row % classes) as u32).collect(),
        names: ["one", "two", "three"][..classes].iter().map(|name| (*name).to_owned()).collect(),
        column: None,
    }
}

pub(crate) fn classes(classes: usize) -> Dataset {
    let source = ClassificationSource {
        samples: 60,
        features: 6,
        informative: 4,
        classes,
        clusters_per_class: 1,
        seed: 3,
        ..Default::default()
    };
    source.generate().expect("data")
}

/// Two columns, one of which misses a number now and then.
pub(crate) fn numbers() -> Dataset {
    let column = |name: &str, scale: f64, gaps: usize| Column {
        name: name.into(),
        values: ColumnValues::Numeric(
            (0..60)
                .map(|i| if i % gaps == 5 { f64::NAN } else { (f64::from(i as u32) * scale).sin() })
                .collect(),
        ),
    };
    let columns = vec![column("a", 1.1, 9), column("b", 2.3, 1000)];
    let values = (0..60).map(|i| 3.0 * (f64::from(i) * 1.1).sin() - (f64::from(i) * 2.3).sin()).collect();
    let targets = Targets::Numbers { values, name: "y".into() };
    dataset("numbers", Inputs::Table(Table { columns, rows: 60 }), targets)
}

pub(crate) fn images(rows: usize, channels: usize, side: usize) -> Dataset {
    let mut pixels = Vec::new();
    for row in 0..rows {
        for channel in 0..channels {
            for y in 0..side {
                for x in 0..side {
                    let bar = [y, x, (x + y) % side][row % 3] == row % side;
                    pixels.push((if bar { 180 } else { 20 } + 10 * channel + (row * 7 + x * 3) % 40) as u8);
                }
            }
        }
    }
    dataset("bars", Inputs::Images(Images::new(pixels, channels, side, side)), labels(rows, 3))
}

pub(crate) fn texts() -> Dataset {
    let words = ["good", "fine", "bad", "poor", "film", "plot", "actor", "scene"];
    let texts = (0..60_usize)
        .map(|row| {
            // Some are empty, and some longer than what is kept of them.
            let length = [0, 3, 7, 20][row % 4];
            (0..length)
                .map(|word| words[(row % 2) * 2 + (row * word + word) % 6])
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    dataset("reviews", Inputs::Text(Texts { texts, column: "text".into() }), labels(60, 2))
}
