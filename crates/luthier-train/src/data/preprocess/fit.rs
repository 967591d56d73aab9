//! Fitting a preprocessor to the training rows.

use std::collections::BTreeMap;

use super::super::text::word_count;
use super::super::{ColumnValues, DataError, Dataset, Images, Inputs, Targets, Texts, Vocabulary};
use super::{
    CategoricalEncoding, ColumnEncoding, ImageEncoding, Impute, InputEncoding, NumericEncoding, Preprocessor,
    Scale, TargetEncoding, TextEncoding, TransformConfig,
};

impl Preprocessor {
    /// Learns from the rows `train` of `data`; no other row is looked at. Columns that hold no value or
    /// never change in these rows are left out, with a notice.
    ///
    /// # Errors
    /// [`DataError::Encoding`] if there is no training row, no column is left, numbers are too large to be
    /// scaled, or no word comes often enough for a vocabulary; those of
    /// [`Images::read`](super::super::Images::read).
    pub fn fit(data: &Dataset, train: &[usize], config: &TransformConfig) -> Result<Self, DataError> {
        if train.is_empty() {
            return Err(DataError::Encoding("there are no rows to learn from".into()));
        }
        let mut notices = Vec::new();
        let inputs = match &data.inputs {
            Inputs::Table(table) => {
                let mut columns = Vec::new();
                for column in &table.columns {
                    let (name, notices) = (&column.name, &mut notices);
                    let encoding = match &column.values {
                        ColumnValues::Numeric(values) => numeric(name, values, train, config, notices)?,
                        ColumnValues::Categorical { codes, categories } => {
                            categorical(name, codes, categories, train, config, notices)
                        }
                    };
                    columns.extend(encoding);
                }
                if columns.is_empty() {
                    let problem =
                        "no column is left to learn from: none of them changes in the training rows";
                    return Err(DataError::Encoding(problem.into()));
                }
                InputEncoding::Table { columns, scale: config.scale }
            }
            Inputs::Images(images) => InputEncoding::Images(of_images(images, train, config.scale)?),
            Inputs::Text(texts) => InputEncoding::Text(of_texts(texts, train, config)?),
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
    config: &TransformConfig,
    notices: &mut Vec<String>,
) -> Result<Option<ColumnEncoding>, DataError> {
    let mut known: Vec<f64> = train.iter().map(|row| values[*row]).filter(|value| !value.is_nan()).collect();
    if known.is_empty() {
        notices.push(without_value(name));
        return Ok(None);
    }
    known.sort_by(f64::total_cmp);
    let fill = match config.impute {
        Impute::Mean => moments(&known).0,
        Impute::Median => f64::midpoint(known[(known.len() - 1) / 2], known[known.len() / 2]),
        Impute::MostFrequent => most_frequent(&known),
        Impute::Constant(value) => value,
    };
    let missing = known.len() < train.len();
    let flag = missing && config.missing_flags;
    let (min, max) = range(&known);
    let filled: Vec<f64> =
        train.iter().map(|row| if values[*row].is_nan() { fill } else { values[*row] }).collect();
    let (mean, std) = moments(&filled);
    if std == 0.0 && !flag {
        notices.push(format!("the column `{name}` is {min} in every training row; it is left out"));
        return Ok(None);
    }
    let (low, high) = range(&filled);
    if !mean.is_finite() || !std.is_finite() || !(high - low).is_finite() {
        return Err(DataError::Encoding(format!(
            "the column `{name}` has values from {low} to {high}, too large to be scaled; divide them by a \
             large number"
        )));
    }
    let (name, std) = (name.to_owned(), divisor(std));
    Ok(Some(ColumnEncoding::Numeric(NumericEncoding { name, mean, std, fill, min, max, missing, flag })))
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
    config: &TransformConfig,
    notices: &mut Vec<String>,
) -> Option<ColumnEncoding> {
    // Ordered by code, which is the order of the data set.
    let mut seen = BTreeMap::new();
    for code in train.iter().filter_map(|row| codes[*row]) {
        *seen.entry(code).or_insert(0_usize) += 1;
    }
    if seen.is_empty() {
        notices.push(without_value(name));
        return None;
    }
    let missing = seen.values().sum::<usize>() < train.len();
    let flag = missing && config.missing_flags;
    let categories: Vec<String> = seen.keys().map(|code| categories[*code as usize].clone()).collect();
    if let ([only], false) = (categories.as_slice(), missing) {
        notices.push(format!("the column `{name}` is `{only}` in every training row; it is left out"));
        return None;
    }
    let name = name.to_owned();
    Some(ColumnEncoding::Categorical(CategoricalEncoding { name, categories, missing, flag }))
}

fn without_value(name: &str) -> String {
    format!("the column `{name}` has no value in any training row; it is left out")
}

fn of_texts(texts: &Texts, train: &[usize], config: &TransformConfig) -> Result<TextEncoding, DataError> {
    let training = || train.iter().map(|row| texts.texts[*row].as_str());
    let vocabulary = Vocabulary::fit(training(), config.max_words, config.min_count);
    if vocabulary.words().is_empty() {
        let (most, least) = (config.max_words, config.min_count);
        return Err(DataError::Encoding(format!(
            "no word comes {least} times in the training texts (`max_words` is {most}); lower `min_count`"
        )));
    }
    let longest = training().map(word_count).max().unwrap_or_default();
    let length = longest.min(config.max_length).max(1);
    Ok(TextEncoding { column: texts.column.clone(), vocabulary, length })
}

fn of_images(images: &Images, train: &[usize], scale: Scale) -> Result<ImageEncoding, DataError> {
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
    Ok(ImageEncoding { channels, height, width, mean, std, scale, resize: images.resizes() })
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
