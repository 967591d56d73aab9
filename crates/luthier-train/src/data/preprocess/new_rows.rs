//! Reading new data as the training data was read, and saying where it is unlike it.

use std::io::Read;
use std::path::Path;

use super::super::error::{did_you_mean, list};
use super::super::images::{Form, NewImages, decode};
use super::super::raw_table::{RawTable, number};
use super::super::table_csv::canonical;
use super::super::{Column, ColumnValues, DataError, Images, Inputs, Table, Targets, Texts, idx, text};
use super::flags::{Flag, RowFlags};
use super::{
    CategoricalEncoding, ColumnEncoding, ImageEncoding, InputEncoding, Preprocessor, TargetEncoding,
    TextEncoding,
};

/// New rows, ready for [`Preprocessor::encode`].
#[derive(Debug)]
pub struct NewRows {
    /// The inputs.
    pub inputs: Inputs,
    /// One for each row, in order.
    pub flags: Vec<RowFlags>,
    /// The targets, if the file has the target column. An error says why the column cannot be used, which
    /// matters only to those who evaluate.
    pub targets: Result<Option<Targets>, DataError>,
    /// What a person should know, such as columns that are not used.
    pub notices: Vec<String>,
}

impl Preprocessor {
    /// Reads a CSV or Parquet file with the trained columns in any order. Other columns are ignored, and the
    /// target may be there or not. A model of texts also reads a `.txt` file, which is one text, and a
    /// folder with a folder of them for each class.
    ///
    /// # Errors
    /// A file that cannot be read, columns that are missing (all of them are named), text where training
    /// had numbers, and a model that was trained on images.
    pub fn read_rows(&self, path: &Path) -> Result<NewRows, DataError> {
        match &self.inputs {
            InputEncoding::Text(encoding) if path.is_dir() || is_text_file(path) => {
                self.new_texts(encoding, path)
            }
            _ => self.new_rows(&RawTable::read(path)?),
        }
    }

    /// As [`Preprocessor::read_rows`], from a reader of CSV or Parquet that is called `name` in messages.
    ///
    /// # Errors
    /// Those of [`Preprocessor::read_rows`].
    pub fn read_rows_from(&self, name: &str, mut reader: impl Read) -> Result<NewRows, DataError> {
        let name = Path::new(name);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|error| DataError::read(name, error))?;
        self.new_rows(&RawTable::parse(name, bytes)?)
    }

    fn new_rows(&self, raw: &RawTable) -> Result<NewRows, DataError> {
        let mut flags: Vec<RowFlags> =
            (0..raw.len()).map(|row| RowFlags { line: raw.place(row).number(), flags: Vec::new() }).collect();
        let (inputs, positions) = match &self.inputs {
            InputEncoding::Images(_) => {
                return Err(raw.error("the model was trained on images, expected images"));
            }
            InputEncoding::Table { columns, .. } => {
                let positions = positions(columns, raw)?;
                let mut read = Vec::new();
                for (encoding, position) in columns.iter().zip(&positions) {
                    let values = match encoding {
                        ColumnEncoding::Numeric(_) => numbers(encoding, raw, *position, &mut flags)?,
                        ColumnEncoding::Categorical(known) => categories(known, raw, *position, &mut flags),
                    };
                    read.push(Column { name: encoding.name().to_owned(), values });
                }
                (Inputs::Table(Table { columns: read, rows: raw.len() }), positions)
            }
            InputEncoding::Text(encoding) => {
                let position = raw.require("column of text", &encoding.column)?;
                let texts = text::of_column(raw, position);
                for (flags, text) in flags.iter_mut().zip(&texts) {
                    flags.flags.extend(encoding.flag(text));
                }
                (Inputs::Text(Texts { texts, column: encoding.column.clone() }), vec![position])
            }
        };
        let target = self.target_name.as_deref().and_then(|name| raw.column(name));
        let is_unused = |i: &usize| !positions.contains(i) && Some(*i) != target;
        let unused: Vec<&String> = (0..raw.header.len()).filter(is_unused).map(|i| &raw.header[i]).collect();
        let mut notices = Vec::new();
        if !unused.is_empty() {
            notices.push(format!("not used: {}", list(&unused)));
        }
        let targets = target.map(|target| self.new_targets(raw, target)).transpose();
        Ok(NewRows { inputs, flags, targets, notices })
    }

    /// Texts from a `.txt` file or from folders of classes.
    fn new_texts(&self, encoding: &TextEncoding, path: &Path) -> Result<NewRows, DataError> {
        let names = match &self.targets {
            TargetEncoding::Classes { names } => names,
            TargetEncoding::Numbers { .. } if path.is_dir() => {
                return Err(DataError::format(
                    path,
                    "the model predicts numbers, expected a file, not folders",
                ));
            }
            TargetEncoding::Numbers { .. } => &Vec::new(),
        };
        let (texts, labels) = text::read_new(path, names)?;
        let flags = texts.iter().enumerate().map(|(row, text)| RowFlags {
            line: row as u64 + 1,
            flags: encoding.flag(text).into_iter().collect(),
        });
        let (flags, column) = (flags.collect(), None);
        let targets = labels.map(|labels| Targets::Classes { labels, names: names.clone(), column });
        let inputs = Inputs::Text(Texts { texts, column: encoding.column.clone() });
        Ok(NewRows { inputs, flags, targets: Ok(targets), notices: Vec::new() })
    }

    fn new_targets(&self, raw: &RawTable, target: usize) -> Result<Targets, DataError> {
        let name = &raw.header[target];
        let present = raw.cells(target).enumerate().map(|(row, text)| {
            text.map(|text| (row, text)).ok_or_else(|| {
                raw.error_in(row, format!("the target `{name}` is missing; fill it in to evaluate"))
            })
        });
        match &self.targets {
            TargetEncoding::Classes { names } => {
                let labels = present.map(|cell| {
                    let (row, text) = cell?;
                    let unknown = || {
                        let known = list(names);
                        raw.error_in(
                            row,
                            format!("the class `{text}` is not one of the trained ones: {known}"),
                        )
                    };
                    find(names, text).map(|label| label as u32).ok_or_else(unknown)
                });
                Ok(Targets::Classes {
                    labels: labels.collect::<Result<_, DataError>>()?,
                    names: names.clone(),
                    column: Some(name.clone()),
                })
            }
            TargetEncoding::Numbers { .. } => {
                let values = present.map(|cell| {
                    let (row, text) = cell?;
                    let wrong =
                        || raw.error_in(row, format!("the target `{name}` is `{text}`, expected a number"));
                    number(text).ok_or_else(wrong)
                });
                Ok(Targets::Numbers { values: values.collect::<Result<_, DataError>>()?, name: name.clone() })
            }
        }
    }

    /// Reads an image (PNG or JPEG) and converts it to the trained channels.
    ///
    /// # Errors
    /// A file that cannot be read, an image of another size where training resized none, and a model that
    /// was trained on a table.
    pub fn read_image(&self, path: &Path) -> Result<Inputs, DataError> {
        let encoding = self.images(path)?;
        let mut pixels = vec![0; encoding.form().size()];
        decode(path, encoding.form(), &mut pixels)?;
        Ok(Inputs::Images(Images::new(pixels, encoding.channels, encoding.height, encoding.width)))
    }

    /// Reads all images (PNG or JPEG) in a folder, or in the class folders that it holds.
    ///
    /// # Errors
    /// Those of [`Preprocessor::read_image`], with all files that are at fault, and a folder without images.
    pub fn read_image_folder(&self, folder: &Path) -> Result<NewImages, DataError> {
        let encoding = self.images(folder)?;
        let names = match &self.targets {
            TargetEncoding::Classes { names } => names.as_slice(),
            TargetEncoding::Numbers { .. } => &[],
        };
        NewImages::read(folder, encoding.form(), names)
    }

    /// Reads a file of images in the IDX format, packed in gzip or not.
    ///
    /// # Errors
    /// Those of [`Preprocessor::read_image`].
    pub fn read_idx(&self, path: &Path) -> Result<Inputs, DataError> {
        let encoding = self.images(path)?;
        let images = idx::read_images(path)?;
        encoding.check_size(path, images.height, images.width)?;
        if encoding.channels != images.channels {
            let expected = encoding.channels;
            return Err(DataError::format(path, format!("expected images of {expected} channels, found 1")));
        }
        Ok(Inputs::Images(images))
    }

    /// Reads a file of labels in the IDX format, packed in gzip or not: the classes of images.
    ///
    /// # Errors
    /// A file that cannot be read, labels past the trained classes, and a model of numbers.
    pub fn read_idx_labels(&self, path: &Path) -> Result<Targets, DataError> {
        let TargetEncoding::Classes { names } = &self.targets else {
            return Err(DataError::format(path, "the model was trained on numbers, expected a CSV file"));
        };
        let classes = names.len().min(usize::from(u8::MAX)) as u8;
        let labels = idx::read_labels(path, classes)?.into_iter().map(u32::from).collect();
        Ok(Targets::Classes { labels, names: names.clone(), column: None })
    }

    fn images(&self, path: &Path) -> Result<&ImageEncoding, DataError> {
        match &self.inputs {
            InputEncoding::Images(encoding) => Ok(encoding),
            InputEncoding::Table { .. } => Err(DataError::format(
                path,
                "the model was trained on a table, expected a CSV or Parquet file",
            )),
            InputEncoding::Text(_) => Err(DataError::format(
                path,
                "the model was trained on texts, expected a table or a .txt file",
            )),
        }
    }
}

/// Whether the name of a file says that it is one text.
fn is_text_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"))
}

impl ImageEncoding {
    fn form(&self) -> Form {
        let &Self { channels, height, width, resize, .. } = self;
        Form { channels, height, width, resize }
    }

    fn check_size(&self, path: &Path, height: usize, width: usize) -> Result<(), DataError> {
        if (height, width) == (self.height, self.width) {
            return Ok(());
        }
        let (h, w) = (self.height, self.width);
        Err(DataError::format(
            path,
            format!(
                "expected {w} x {h} pixels (width, height) as in training, found {width} x {height}; resize it"
            ),
        ))
    }
}

/// The position of each trained column in the file.
fn positions(columns: &[ColumnEncoding], raw: &RawTable) -> Result<Vec<usize>, DataError> {
    let names: Vec<&str> = columns.iter().map(ColumnEncoding::name).collect();
    let missing: Vec<&str> = names.iter().copied().filter(|name| raw.column(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(names.iter().filter_map(|name| raw.column(name)).collect());
    }
    let hint = did_you_mean(missing[0], &raw.header).replace("did you mean", "the file has");
    let (missing, found) = (list(&missing), list(&raw.header));
    Err(raw.error(format!("the model needs the columns {missing}, which are missing{hint}; found {found}")))
}

fn numbers(
    encoding: &ColumnEncoding,
    raw: &RawTable,
    position: usize,
    flags: &mut [RowFlags],
) -> Result<ColumnValues, DataError> {
    let ColumnEncoding::Numeric(known) = encoding else { return Ok(ColumnValues::Numeric(Vec::new())) };
    let mut values = Vec::with_capacity(raw.len());
    for (row, text) in raw.cells(position).enumerate() {
        let flags = &mut flags[row].flags;
        let column = || known.name.clone();
        let Some(text) = text else {
            if !known.missing {
                flags.push(Flag::Missing { column: column() });
            }
            values.push(f64::NAN);
            continue;
        };
        let value = number(text).ok_or_else(|| {
            let name = &known.name;
            raw.error_in(row, format!("the column `{name}` holds `{text}`, expected a number as in training"))
        })?;
        if !(known.min..=known.max).contains(&value) {
            flags.push(Flag::OutOfRange { column: column(), value, min: known.min, max: known.max });
        }
        values.push(value);
    }
    Ok(ColumnValues::Numeric(values))
}

/// The trained code of each category. One that training did not have gets a code of its own past them.
fn categories(
    known: &CategoricalEncoding,
    raw: &RawTable,
    position: usize,
    flags: &mut [RowFlags],
) -> ColumnValues {
    let mut categories = known.categories.clone();
    let mut codes = Vec::with_capacity(raw.len());
    for (row, text) in raw.cells(position).enumerate() {
        let column = known.name.clone();
        let Some(text) = text else {
            if !known.missing {
                flags[row].flags.push(Flag::Missing { column });
            }
            codes.push(None);
            continue;
        };
        let code = find(&categories, text).unwrap_or_else(|| {
            categories.push(text.to_owned());
            categories.len() - 1
        });
        if code >= known.categories.len() {
            flags[row].flags.push(Flag::UnseenCategory { column, value: text.to_owned() });
        }
        codes.push(Some(code as u32));
    }
    ColumnValues::Categorical { codes, categories }
}

/// The position of a category or class, as it is written or, for numbers, in another spelling.
fn find(names: &[String], text: &str) -> Option<usize> {
    names.iter().position(|name| name == text).or_else(|| {
        let spelt = canonical(text);
        names.iter().position(|name| *name == spelt)
    })
}
