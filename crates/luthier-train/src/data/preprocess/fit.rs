//! Fitting a preprocessor to the training rows.

use std::collections::BTreeMap;

use super::super::{ColumnValues, DataError, Dataset, Images, Inputs, Targets};
use super::{
    CategoricalEncoding, ColumnEncoding, ImageEncoding, Impute, InputEncoding, NumericEncoding, Preprocessor,
    TargetEncoding, TransformConfig,
};

impl Preprocessor {
    /// Learns from the rows `train` of `data`; no other row is looked at.
    ///
    /// # Errors
    /// [`DataError::Encoding`] if there is no training row, or a column has no value in any of them.
    pub fn fit(data: &Dataset, train: &[usize], config: &TransformConfig) -> Result<Self, DataError> {
        if train.is_empty() {
            return Err(DataError::Encoding("there are no rows to learn from".into()));
        }
        let mut notices = Vec::new();
        let inputs = match &data.inputs {
            Inputs::Table(table) => {
                let mut columns = Vec::new();
                for column in &table.columns {
                    columns.push(match &column.values {
                        ColumnValues::Numeric(values) => ColumnEncoding::Numeric(numeric(
                            &column.name,
                            values,
                            train,
                            config.impute,
                            &mut notices,
                        )?),
                        ColumnValues::Categorical { codes, categories } => ColumnEncoding::Categorical(
                            categorical(&column.name, codes, categories, train, &mut notices)?,
                        ),
                    });
                }
                InputEncoding::Table { columns, standardize: config.standardize }
            }
            Inputs::Images(images) => InputEncoding::Images(of_images(images, train, config.standardize)?),
        };
        let targets = targets(&data.targets, train, config.standardize_target, &mut notices);
        let target_name = match &data.targets {
            Targets::Numbers { name, .. } => Some(name.clone()),
            Targets::Classes { column, .. } => column.clone(),
        };
        Ok(Self { inputs, targets, target_name, notices })
    }
}

/// Mean and standard deviation of the population, in two passes; 0 where the numbers are all equal.
fn moments(values: &[f64]) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return (first, 0.0);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), x| (min.min(*x), max.max(*x)))
}

/// The divisor for a standard deviation: what never changes is left as it is.
fn divisor(std: f64) -> f64 {
    if std > 0.0 && std.is_finite() { std } else { 1.0 }
}

fn numeric(
    name: &str,
    values: &[f64],
    train: &[usize],
    impute: Impute,
    notices: &mut Vec<String>,
) -> Result<NumericEncoding, DataError> {
    let mut known: Vec<f64> = train.iter().map(|row| values[*row]).filter(|value| !value.is_nan()).collect();
    if known.is_empty() {
        return Err(no_value(name));
    }
    known.sort_by(f64::total_cmp);
    let fill = match impute {
        Impute::Mean => moments(&known).0,
        Impute::Median => f64::midpoint(known[(known.len() - 1) / 2], known[known.len() / 2]),
        Impute::MostFrequent => most_frequent(&known),
    };
    let missing = known.len() < train.len();
    let (min, max) = range(&known);
    let filled: Vec<f64> =
        train.iter().map(|row| if values[*row].is_nan() { fill } else { values[*row] }).collect();
    let (mean, std) = moments(&filled);
    if std == 0.0 {
        notices.push(format!("the column `{name}` is {min} in every training row"));
    }
    if !mean.is_finite() || !std.is_finite() {
        return Err(DataError::Encoding(format!(
            "the column `{name}` has values from {min} to {max}, too large to compute their mean; scale it down"
        )));
    }
    Ok(NumericEncoding { name: name.to_owned(), mean, std: divisor(std), fill, min, max, missing })
}

/// Of sorted values, the one that comes most often; of several the smallest.
fn most_frequent(sorted: &[f64]) -> f64 {
    let mut best = (0, sorted[0]);
    for run in sorted.chunk_by(|a, b| a == b) {
        if run.len() > best.0 {
            best = (run.len(), run[0]);
        }
    }
    best.1
}

fn categorical(
    name: &str,
    codes: &[Option<u32>],
    categories: &[String],
    train: &[usize],
    notices: &mut Vec<String>,
) -> Result<CategoricalEncoding, DataError> {
    // Ordered by code, which is the order of the data set.
    let mut seen = BTreeMap::new();
    for code in train.iter().filter_map(|row| codes[*row]) {
        *seen.entry(code).or_insert(0_usize) += 1;
    }
    if seen.is_empty() {
        return Err(no_value(name));
    }
    let missing = seen.values().sum::<usize>() < train.len();
    let categories: Vec<String> = seen.keys().map(|code| categories[*code as usize].clone()).collect();
    if let ([only], false) = (categories.as_slice(), missing) {
        notices.push(format!("the column `{name}` is `{only}` in every training row"));
    }
    Ok(CategoricalEncoding { name: name.to_owned(), categories, missing })
}

fn no_value(name: &str) -> DataError {
    DataError::Encoding(format!("the column `{name}` has no value in any training row; list it under `drop`"))
}

fn of_images(images: &Images, train: &[usize], standardize: bool) -> Result<ImageEncoding, DataError> {
    let plane = images.height * images.width;
    // Whole numbers, so that the sums are exact in any order.
    let mut counts = vec![[0_u64; 256]; images.channels];
    images.for_each(train, |pixels| {
        for (pixels, counts) in pixels.chunks_exact(plane).zip(&mut counts) {
            for pixel in pixels {
                counts[usize::from(*pixel)] += 1;
            }
        }
    })?;
    let (mean, std) = counts.iter().map(moments_of_pixels).unzip();
    let (channels, height, width) = (images.channels, images.height, images.width);
    Ok(ImageEncoding { channels, height, width, mean, std, standardize, resize: images.resizes() })
}

/// Mean and divisor of pixels in `[0, 1]`, of which `counts` has how many there are of each of the 256 values.
fn moments_of_pixels(counts: &[u64; 256]) -> (f64, f64) {
    let n = counts.iter().sum::<u64>() as f64;
    let average = |f: &dyn Fn(f64) -> f64| {
        let terms = counts.iter().enumerate();
        terms.map(|(pixel, count)| *count as f64 * f(pixel as f64 / 255.0)).sum::<f64>() / n
    };
    let mean = average(&|x| x);
    let is_constant = counts.iter().filter(|count| **count > 0).count() == 1;
    let std = if is_constant { 0.0 } else { average(&|x| (x - mean) * (x - mean)).sqrt() };
    (mean, divisor(std))
}

fn targets(
    targets: &Targets,
    train: &[usize],
    standardize: bool,
    notices: &mut Vec<String>,
) -> TargetEncoding {
    match targets {
        Targets::Classes { labels, names, .. } => {
            let mut counts = vec![0_usize; names.len()];
            for row in train {
                counts[labels[*row] as usize] += 1;
            }
            for (name, _) in names.iter().zip(counts).filter(|(_, count)| *count == 0) {
                notices.push(format!("no training row is of the class `{name}`"));
            }
            TargetEncoding::Classes { names: names.clone() }
        }
        Targets::Numbers { values, name } => {
            let values: Vec<f64> = train.iter().map(|row| values[*row]).collect();
            let ((mean, std), (min, max)) = (moments(&values), range(&values));
            if std == 0.0 {
                notices.push(format!("the target `{name}` is {min} in every training row"));
            }
            TargetEncoding::Numbers { name: name.clone(), mean, std: divisor(std), min, max, standardize }
        }
    }
}
