//! Encoding rows and targets, and decoding predictions.

use super::super::{Column, ColumnValues, DataError, Images, Inputs, Table, Targets};
use super::{
    CategoricalEncoding, ColumnEncoding, ImageEncoding, InputEncoding, NumericEncoding, Preprocessor, Scale,
    TargetEncoding,
};

/// Targets as a model learns them, one a row.
#[derive(Debug, Clone, PartialEq)]
pub enum EncodedTargets {
    /// The position of the class.
    Classes(Vec<u32>),
    /// The number, standardised if the target is.
    Numbers(Vec<f32>),
}

impl Preprocessor {
    /// Appends the encoded `rows` to `out`, each of them [`Preprocessor::input_shape`] values in row-major
    /// order.
    ///
    /// Images are looked up pixel by pixel, which is quick enough for every batch; tables and texts
    /// are better encoded once, by [`Preprocessor::encode_all`].
    ///
    /// # Errors
    /// Those of [`Images::read`]: images on disk that can no longer be read.
    ///
    /// # Panics
    /// If `inputs` has another kind, other columns or another size than the training data, or fewer rows.
    pub fn encode(&self, inputs: &Inputs, rows: &[usize], out: &mut Vec<f32>) -> Result<(), DataError> {
        match (&self.inputs, inputs) {
            (InputEncoding::Images(encoding), Inputs::Images(images)) => encoding.encode(images, rows, out),
            (InputEncoding::Table { columns, scale }, Inputs::Table(table)) => {
                encode_table(columns, *scale, table, rows, out);
                Ok(())
            }
            (InputEncoding::Text(encoding), Inputs::Text(texts)) => {
                for row in rows {
                    encoding.vocabulary.encode(&texts.texts[*row], encoding.length, out);
                }
                Ok(())
            }
            _ => panic!("the inputs are of another kind than those of training"),
        }
    }

    /// All rows, encoded one after the other.
    ///
    /// # Errors
    /// As [`Preprocessor::encode`].
    ///
    /// # Panics
    /// As [`Preprocessor::encode`].
    pub fn encode_all(&self, inputs: &Inputs) -> Result<Vec<f32>, DataError> {
        let rows: Vec<usize> = (0..inputs.len()).collect();
        let mut out = Vec::with_capacity(rows.len() * self.input_shape().size());
        self.encode(inputs, &rows, &mut out)?;
        Ok(out)
    }

    /// The targets of `rows` as the model learns them.
    ///
    /// # Panics
    /// If `targets` is of another task than the training data.
    pub fn encode_targets(&self, targets: &Targets, rows: &[usize]) -> EncodedTargets {
        match (&self.targets, targets) {
            (TargetEncoding::Classes { .. }, Targets::Classes { labels, .. }) => {
                EncodedTargets::Classes(rows.iter().map(|row| labels[*row]).collect())
            }
            (TargetEncoding::Numbers { mean, std, standardize, .. }, Targets::Numbers { values, .. }) => {
                let (mean, std) = if *standardize { (*mean, *std) } else { (0.0, 1.0) };
                EncodedTargets::Numbers(rows.iter().map(|row| ((values[*row] - mean) / std) as f32).collect())
            }
            _ => panic!("the targets are of another task than those of training"),
        }
    }

    /// The number, in the unit of the target, that a model means by `output`. Classes are left as they are.
    pub fn decode_number(&self, output: f32) -> f64 {
        match &self.targets {
            TargetEncoding::Numbers { mean, std, standardize: true, .. } => f64::from(output) * std + mean,
            _ => f64::from(output),
        }
    }

    /// What an error of 1 in the model's output is in the unit of the target: the factor for its root mean
    /// squared error.
    pub fn target_scale(&self) -> f64 {
        match &self.targets {
            TargetEncoding::Numbers { std, standardize: true, .. } => *std,
            _ => 1.0,
        }
    }
}

impl ImageEncoding {
    fn encode(&self, images: &Images, rows: &[usize], out: &mut Vec<f32>) -> Result<(), DataError> {
        let size = (self.channels, self.height, self.width);
        assert_eq!(
            (images.channels, images.height, images.width),
            size,
            "images of another size than in training"
        );
        let lookups: Vec<[f32; 256]> = (0..self.channels).map(|channel| self.lookup(channel)).collect();
        let plane = self.height * self.width;
        out.reserve(rows.len() * images.size());
        let mut image = vec![0; images.size()];
        for row in rows {
            images.read(*row, &mut image)?;
            for (pixels, lookup) in image.chunks_exact(plane).zip(&lookups) {
                out.extend(pixels.iter().map(|pixel| lookup[usize::from(*pixel)]));
            }
        }
        Ok(())
    }

    /// The encoded value of each of the 256 pixel values.
    fn lookup(&self, channel: usize) -> [f32; 256] {
        std::array::from_fn(|pixel| self.value(channel, pixel as f64 / 255.0))
    }

    /// The encoded value of `pixel`, which is from 0 to 1.
    pub(crate) fn value(&self, channel: usize, pixel: f64) -> f32 {
        match self.scale {
            Scale::Standardize => ((pixel - self.mean[channel]) / self.std[channel]) as f32,
            Scale::Normalize => pixel as f32,
            Scale::None => (pixel * 255.0) as f32,
        }
    }
}

fn encode_table(columns: &[ColumnEncoding], scale: Scale, table: &Table, rows: &[usize], out: &mut Vec<f32>) {
    let width = columns.iter().map(ColumnEncoding::width).sum::<usize>();
    let start = out.len();
    out.resize(start + rows.len() * width, 0.0);
    let out = &mut out[start..];
    let mut at = 0;
    for encoding in columns {
        let name = encoding.name();
        let column = table.columns.iter().find(|column| column.name == name);
        let column = column.unwrap_or_else(|| panic!("the column `{name}` of training is not there"));
        let flag = at + encoding.width() - 1;
        let mark_missing = |i: usize, out: &mut [f32]| {
            if encoding.flag() {
                out[i * width + flag] = 1.0;
            }
        };
        match (encoding, &column.values) {
            (ColumnEncoding::Numeric(numeric), ColumnValues::Numeric(values)) => {
                let (shift, divisor) = numeric.scaling(scale);
                for (i, row) in rows.iter().enumerate() {
                    let mut value = values[*row];
                    if value.is_nan() {
                        mark_missing(i, out);
                        value = numeric.fill;
                    }
                    out[i * width + at] = ((value - shift) / divisor) as f32;
                }
            }
            (ColumnEncoding::Categorical(categorical), ColumnValues::Categorical { codes, categories }) => {
                let positions = categorical.positions(categories);
                for (i, row) in rows.iter().enumerate() {
                    match codes[*row].map(|code| positions[code as usize]) {
                        Some(Some(position)) => out[i * width + at + position] = 1.0,
                        // A category that training did not have: zeros.
                        Some(None) => {}
                        None => mark_missing(i, out),
                    }
                }
            }
            _ => panic!("{}", other_kind(column)),
        }
        at += encoding.width();
    }
}

fn other_kind(column: &Column) -> String {
    format!("the column `{}` is of another kind than in training", column.name)
}

impl NumericEncoding {
    /// What is subtracted from a value, and what the difference is divided by.
    fn scaling(&self, scale: Scale) -> (f64, f64) {
        match scale {
            Scale::Standardize => (self.mean, self.std),
            Scale::Normalize => {
                // The filled-in value is one of the training values too.
                let fill = if self.missing { self.fill } else { self.min };
                let (min, max) = (self.min.min(fill), self.max.max(fill));
                (min, if max > min { max - min } else { 1.0 })
            }
            Scale::None => (0.0, 1.0),
        }
    }
}

impl CategoricalEncoding {
    /// For each of a table's categories, its position among the trained ones.
    fn positions(&self, categories: &[String]) -> Vec<Option<usize>> {
        if self.categories == categories {
            return (0..categories.len()).map(Some).collect();
        }
        let position = |name: &String| self.categories.iter().position(|known| known == name);
        categories.iter().map(position).collect()
    }
}
