//! Hashes of contents: of a whole data set, to notice that it has changed, and of each row, to find rows
//! that come twice.

use sha2::{Digest, Sha256};

use super::{Column, ColumnValues, DataError, Dataset, Inputs, Targets};

impl Dataset {
    /// 16 hexadecimal digits that change when any value, name, class or shape changes. The name of the
    /// data itself does not count, so a file may be moved. Images on disk are all read for it.
    ///
    /// # Errors
    /// Those of [`Images::read`].
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let mut hash = ContentHash(Sha256::new());
        match &self.inputs {
            Inputs::Table(table) => {
                hash.text("table");
                hash.number(table.rows as u64);
                table.columns.iter().for_each(|column| hash.column(column));
            }
            Inputs::Images(images) => {
                hash.text("images");
                for size in [images.channels, images.height, images.width] {
                    hash.number(size as u64);
                }
                hash.number((images.len() * images.size()) as u64);
                let rows: Vec<usize> = (0..images.len()).collect();
                images.for_each(&rows, |pixels| hash.0.update(pixels))?;
            }
            Inputs::Text(texts) => {
                hash.text("texts");
                hash.texts(&texts.texts);
            }
        }
        match &self.targets {
            Targets::Classes { labels, names, column } => {
                hash.text("classes");
                hash.texts(names);
                hash.text(column.as_deref().unwrap_or_default());
                hash.numbers(labels.iter().map(|label| u64::from(*label)));
            }
            Targets::Numbers { values, name } => {
                hash.text("numbers");
                hash.text(name);
                hash.numbers(values.iter().map(|value| value.to_bits()));
            }
        }
        hash.number(self.given_test.map_or(u64::MAX, |rows| rows as u64));
        self.aside.iter().for_each(|column| hash.column(column));
        let digest = hash.0.finalize();
        Ok(digest[..8].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
    }
}

impl Inputs {
    /// A hash of the inputs of each row: equal for rows whose inputs are equal, and else different but for
    /// a chance of about 1 in 2^128. Images on disk are all read for it.
    ///
    /// # Errors
    /// Those of [`Images::read`](super::Images::read).
    pub fn row_hashes(&self) -> Result<Vec<u128>, DataError> {
        let finish = |hash: ContentHash| {
            let digest = hash.0.finalize();
            digest[..16].iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte))
        };
        let start = || ContentHash(Sha256::new());
        match self {
            Self::Table(table) => Ok((0..table.rows)
                .map(|row| {
                    let mut hash = start();
                    table.columns.iter().for_each(|column| hash.number(column.bits(row)));
                    finish(hash)
                })
                .collect()),
            Self::Images(images) => {
                let mut hashes = Vec::with_capacity(images.len());
                let rows: Vec<usize> = (0..images.len()).collect();
                images.for_each(&rows, |pixels| {
                    let mut hash = start();
                    hash.0.update(pixels);
                    hashes.push(finish(hash));
                })?;
                Ok(hashes)
            }
            Self::Text(texts) => Ok(texts
                .texts
                .iter()
                .map(|text| {
                    let mut hash = start();
                    hash.text(text);
                    finish(hash)
                })
                .collect()),
        }
    }
}

impl Column {
    /// The value of a row as bits, the same for every missing value.
    fn bits(&self, row: usize) -> u64 {
        match &self.values {
            ColumnValues::Numeric(values) => bits(values[row]),
            ColumnValues::Categorical { codes, .. } => codes[row].map_or(u64::MAX, u64::from),
        }
    }
}

/// Every NaN is the same missing value.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// A hash of values that cannot be confused with each other: every text carries its length.
struct ContentHash(Sha256);

impl ContentHash {
    fn number(&mut self, value: u64) {
        self.0.update(value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
    }

    fn numbers(&mut self, values: impl ExactSizeIterator<Item = u64>) {
        self.number(values.len() as u64);
        for value in values {
            self.number(value);
        }
    }

    fn column(&mut self, column: &Column) {
        self.text(&column.name);
        match &column.values {
            ColumnValues::Numeric(values) => {
                self.text("numeric");
                self.numbers(values.iter().map(|value| bits(*value)));
            }
            ColumnValues::Categorical { codes, categories } => {
                self.text("categorical");
                self.texts(categories);
                self.numbers(codes.iter().map(|code| code.map_or(u64::MAX, u64::from)));
            }
        }
    }
}
