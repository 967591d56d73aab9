//! NumPy arrays: `{ array = "x.npy", targets = "y.npy" }` or `{ array = "data.npz" }`.
//!
//! An array `[rows, columns]` of numbers is a table, with the columns `x0`, `x1` and so on; NaN is a missing
//! value. An array of bytes with three or four dimensions holds images.

use std::collections::BTreeSet;
use std::path::Path;

use luthier_core::config::{Decode, Node, Problems, bounds};

use super::super::error::list;
use super::super::source::resolve;
use super::super::table_csv::INFERRED_CLASSES;
use super::super::{Column, ColumnValues, DataError, Dataset, Inputs, Table, Targets, Task};
use super::located::{Collection, Located};
use super::memory::{ByteSize, allowance};
use super::{Form, Images};

luthier_core::settings! {
    /// NumPy arrays in `.npy` files or an `.npz` archive.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ArraySource {
        /// A `.npy` file with the inputs, or an `.npz` archive. `[n, columns]` is a table of numbers;
        /// `[n, h, w]`, `[n, c, h, w]` and `[n, h, w, c]` of the type uint8 are images.
        array: std::path::PathBuf;
        /// The name of the inputs in an archive; left out, `x_train`, `x`, `X`, `inputs`, `images` or `arr_0`,
        /// whichever comes first.
        inputs: Option<String> = None;
        /// The targets, one a row: a `.npy` file, or a name in the archive; left out, the archive's
        /// `y_train`, `y`, `targets`, `labels` or `arr_1`, whichever comes first.
        targets: Option<String> = None;
        /// The inputs of a given test set: a `.npy` file or a name in the archive; left out, the archive's
        /// `x_test` if it has one.
        test_inputs: Option<String> = None;
        /// The targets of the given test set; left out, the archive's `y_test` if it has `x_test`.
        test_targets: Option<String> = None;
        /// Where the channels of images are, "channels_first" or "channels_last"; left out, where the size
        /// is 1 or 3.
        layout: Option<Layout> = None;
        /// "classification" or "regression"; left out, whole numbers of few different values are classes.
        task: Option<Task> = None;
        /// How many classes there are; the targets have to be from 0 to one below it. Left out, every
        /// number that occurs is a class.
        classes: Option<usize> = None, bounds::AT_LEAST_ONE;
        /// Up to this size, images are kept in memory; larger ones are read from the file at each use.
        /// Left out, 512 MiB, or a quarter of the memory that the process may use where that is less.
        /// It changes no result. Tables are always kept in memory.
        memory: Option<ByteSize> = None;
    }
}

/// Where the channels of an array of images are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[n, c, h, w]`, as PyTorch has them.
    ChannelsFirst,
    /// `[n, h, w, c]`, as Pillow and TensorFlow have them.
    ChannelsLast,
}

impl Decode for Layout {
    const EXPECTED: &'static str = "\"channels_first\" or \"channels_last\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match node.as_str() {
            Some("channels_first") => Some(Self::ChannelsFirst),
            Some("channels_last") => Some(Self::ChannelsLast),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

/// What an archive's arrays are called where nothing is said.
const INPUTS: &[&str] = &["x_train", "x", "X", "inputs", "images", "arr_0"];
const TARGETS: &[&str] = &["y_train", "y", "targets", "labels", "arr_1"];
const TEST: [&str; 2] = ["x_test", "y_test"];

impl ArraySource {
    /// Loads the arrays; files are looked for from `base`.
    pub(in crate::data) fn load(&self, base: &Path) -> Result<Dataset, DataError> {
        let path = resolve(base, &self.array)?;
        let collection = Collection::open(&path, base)?;
        let inputs = collection.find("inputs", self.inputs.as_deref(), INPUTS)?;
        let targets = collection.find("targets", self.targets.as_deref(), TARGETS)?;
        let (rows, labels) = self.pair(&inputs, &targets)?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();

        let automatic = self.inputs.is_none() && TEST.iter().all(|name| collection.has(name));
        let test = match (&self.test_inputs, &self.test_targets) {
            (None, None) if !automatic => None,
            (None, None) => Some(TEST),
            (Some(inputs), Some(targets)) => Some([inputs.as_str(), targets.as_str()]),
            (inputs, _) => {
                let key = if inputs.is_some() { "test_targets" } else { "test_inputs" };
                return Err(DataError::setting(key, "is missing: a test set needs inputs and targets"));
            }
        };
        let Some([test_inputs, test_targets]) = test else {
            let targets = self.targets(&targets, &labels, None, matches!(rows, Inputs::Images(_)))?;
            return Ok(Dataset { name, inputs: rows, targets, given_test: None });
        };
        let located = [
            collection.find("test_inputs", Some(test_inputs), &[])?,
            collection.find("test_targets", Some(test_targets), &[])?,
        ];
        let (test_rows, test_labels) = self.pair(&located[0], &located[1])?;
        let count = test_labels.len();
        let is_image = matches!(rows, Inputs::Images(_));
        let targets = self.targets(&targets, &labels, Some((&located[1], &test_labels)), is_image)?;
        let inputs = joined(rows, test_rows).map_err(|problem| located[0].error(problem))?;
        Ok(Dataset { name, inputs, targets, given_test: Some(count) })
    }

    /// Inputs and the numbers of their targets.
    fn pair(&self, inputs: &Located<'_>, targets: &Located<'_>) -> Result<(Inputs, Vec<f64>), DataError> {
        let (found, rows) = (&targets.header.shape, inputs.header.shape.first().copied().unwrap_or(0));
        match found.as_slice() {
            [count] | [count, 1] if *count == rows => {}
            [count] | [count, 1] => {
                let place = inputs.place();
                return Err(targets
                    .error(format!("expected {rows} targets, one for each row of {place}, found {count}")));
            }
            [_, classes] => {
                return Err(targets.error(format!(
                    "expected one target a row, found {classes}; of one-hot rows take `targets.argmax(axis=1)`"
                )));
            }
            _ => return Err(targets.error(format!("expected one target a row, found the shape {found:?}"))),
        }
        if rows == 0 {
            return Err(inputs.error(format!("expected rows, found the shape {:?}", inputs.header.shape)));
        }
        let inputs = match inputs.header.shape.len() {
            1 | 2 => Inputs::Table(table(inputs)?),
            3 | 4 => Inputs::Images(self.images(inputs)?),
            dims => return Err(inputs.error(format!("expected an array of 2 to 4 dimensions, found {dims}"))),
        };
        Ok((inputs, targets.values()?))
    }

    fn images(&self, array: &Located<'_>) -> Result<Images, DataError> {
        let (header, shape) = (&array.header, &array.header.shape);
        if !header.dtype.is_u8() {
            let found = header.dtype.name();
            return Err(array.error(format!(
                "expected images of the type uint8, found {found} in the shape {shape:?}; convert pixels from \
                 0 to 1 with `(array * 255).round().astype(numpy.uint8)`, or flatten rows of numbers with \
                 `array.reshape(len(array), -1)`"
            )));
        }
        if header.fortran {
            return Err(
                array.error("the images are in Fortran's order; save `numpy.ascontiguousarray(array)`")
            );
        }
        let (form, channels_last) = self.form(shape).map_err(|problem| array.error(problem))?;
        array.images(form, channels_last, self.memory.map_or_else(allowance, |memory| memory.0))
    }

    /// The form of the images in an array of this shape, and whether their channels are last.
    fn form(&self, shape: &[usize]) -> Result<(Form, bool), String> {
        let (channels, height, width, last) = match (shape, self.layout) {
            (&[_, height, width], _) => (1, height, width, false),
            (&[_, c, h, w], Some(Layout::ChannelsFirst)) => (c, h, w, false),
            (&[_, h, w, c], Some(Layout::ChannelsLast)) => (c, h, w, true),
            (&[_, first, middle, last], None) => match ([1, 3].contains(&first), [1, 3].contains(&last)) {
                (true, false) => (first, middle, last, false),
                (false, true) => (last, first, middle, true),
                _ => {
                    return Err(format!(
                        "the shape {shape:?} does not tell where the channels are; set `layout = \
                         \"channels_first\"` or `layout = \"channels_last\"`"
                    ));
                }
            },
            _ => return Err(format!("expected images, found the shape {shape:?}")),
        };
        if channels * height * width == 0 {
            return Err(format!("expected images, found the shape {shape:?}"));
        }
        Ok((Form { channels, height, width, resize: false }, last))
    }

    /// The targets from their numbers, those of training first.
    fn targets(
        &self,
        place: &Located<'_>,
        train: &[f64],
        test: Option<(&Located<'_>, &[f64])>,
        are_images: bool,
    ) -> Result<Targets, DataError> {
        for (place, values) in std::iter::once((place, train)).chain(test) {
            if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                let value = values[row];
                return Err(place.error(format!("expected numbers, the target of row {row} is {value}")));
            }
        }
        // Adding zero turns -0 into 0.
        let distinct: BTreeSet<u64> = train.iter().map(|value| (value + 0.0).to_bits()).collect();
        let are_whole = train.iter().all(|value| value.fract() == 0.0);
        let few = distinct.len() <= INFERRED_CLASSES || (are_images && !place.header.dtype.is_float());
        let is_classes = match self.task {
            Some(task) => task == Task::Classification,
            None => self.classes.is_some() || (are_whole && few),
        };
        let all = || train.iter().chain(test.iter().flat_map(|(_, values)| *values)).copied();
        if !is_classes {
            return Ok(Targets::Numbers { values: all().collect(), name: "y".into() });
        }
        let mut classes: Vec<f64> = match self.classes {
            Some(count) => (0..count).map(|class| class as f64).collect(),
            None => distinct.into_iter().map(f64::from_bits).collect(),
        };
        classes.sort_by(f64::total_cmp);
        let names: Vec<String> = classes.iter().map(ToString::to_string).collect();
        if names.len() < 2 {
            let only = list(&names);
            return Err(
                place.error(format!("the target is {only} in every row, expected at least 2 classes"))
            );
        }
        let mut labels = Vec::new();
        for (row, value) in all().enumerate() {
            // Only a test row can be of no class of training, unless their number is set.
            let Ok(label) = classes.binary_search_by(|class| class.total_cmp(&(value + 0.0))) else {
                let (place, row) = match &test {
                    Some((place, _)) if row >= train.len() => (*place, row - train.len()),
                    _ => (place, row),
                };
                let problem = match self.classes {
                    Some(count) => format!("expected labels from 0 to {}", count - 1),
                    None => format!("expected the classes of training, which are {}", list(&names)),
                };
                return Err(place.error(format!("{problem}, the label of row {row} is {value}")));
            };
            labels.push(label as u32);
        }
        Ok(Targets::Classes { labels, names, column: None })
    }
}

fn table(array: &Located<'_>) -> Result<Table, DataError> {
    let shape = &array.header.shape;
    let (rows, width) = (shape[0], shape.get(1).copied().unwrap_or(1));
    if width == 0 {
        return Err(array.error(format!("expected columns, found the shape {shape:?}")));
    }
    let values = array.values()?;
    if let Some(at) = values.iter().position(|value| value.is_infinite()) {
        let (row, column, value) = (at / width, at % width, values[at]);
        return Err(array.error(format!("expected numbers, row {row} has {value} in column {column}")));
    }
    let column = |i: usize| Column {
        name: format!("x{i}"),
        values: ColumnValues::Numeric(values.iter().skip(i).step_by(width).copied().collect()),
    };
    Ok(Table { columns: (0..width).map(column).collect(), rows })
}

/// The rows of training, then those of the test.
fn joined(train: Inputs, test: Inputs) -> Result<Inputs, String> {
    match (train, test) {
        (Inputs::Images(train), Inputs::Images(test)) => {
            let size = |images: &Images| (images.channels, images.height, images.width);
            if size(&train) != size(&test) {
                let (expected, found) = (size(&train), size(&test));
                return Err(format!(
                    "expected images of {expected:?} (channels, height, width) as in training, found {found:?}"
                ));
            }
            Ok(Inputs::Images(train.followed_by(test)))
        }
        (Inputs::Table(mut train), Inputs::Table(test)) => {
            let (expected, found) = (train.columns.len(), test.columns.len());
            if expected != found {
                return Err(format!("expected {expected} columns as in training, found {found}"));
            }
            for (column, more) in train.columns.iter_mut().zip(test.columns) {
                if let (ColumnValues::Numeric(values), ColumnValues::Numeric(more)) =
                    (&mut column.values, more.values)
                {
                    values.extend(more);
                }
            }
            train.rows += test.rows;
            Ok(Inputs::Table(train))
        }
        _ => Err("expected an array of as many dimensions as in training".into()),
    }
}

#[cfg(test)]
mod tests;
