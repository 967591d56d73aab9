//! Word vectors from a file, for the embedding layer of a model of text.
//!
//! The text format of GloVe (Pennington, Socher and Manning 2014) and word2vec (Mikolov et al. 2013):
//! a line for each word, the word and its numbers with spaces between, perhaps below a line with the
//! number of words and that of the numbers.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::PretrainedError;
use crate::model::{Network, Role};

/// Vectors of some words, by the number of the word's token.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    size: usize,
    vectors: BTreeMap<usize, Vec<f32>>,
}

impl WordVectors {
    /// Reads the vectors of the words of a `vocabulary`, each with the number of its token, and leaves
    /// the file's other words alone. Of a word that is there twice, the first vector is taken.
    ///
    /// # Errors
    ///
    /// The file cannot be read, a line has another number of numbers than the first one, a vector is not
    /// of finite numbers, or none of the words is in the file.
    pub fn open<'a>(
        path: &Path,
        vocabulary: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Self, PretrainedError> {
        let read = |reason| PretrainedError::Read { path: path.into(), reason };
        let vocabulary: HashMap<&str, usize> = vocabulary.into_iter().collect();
        let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(read)?);
        let mut found = Self { size: 0, vectors: BTreeMap::new() };
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).map_err(read)? == 0 {
                break;
            }
            found
                .add(&String::from_utf8_lossy(&bytes), line, &vocabulary)
                .map_err(|problem| PretrainedError::Line { path: path.into(), line, problem })?;
        }
        if found.vectors.is_empty() {
            let problem = format!(
                "it has no vector for any of the {} words of the training data; expected lines of a word \
                 and its numbers, as GloVe and word2vec write them in their text formats",
                vocabulary.len()
            );
            return Err(PretrainedError::Format { path: path.into(), problem });
        }
        Ok(found)
    }

    fn add(&mut self, line: &str, number: u64, vocabulary: &HashMap<&str, usize>) -> Result<(), String> {
        // Other white space may be part of a word.
        let line = line.trim_matches([' ', '\t', '\r', '\n']);
        let count = line.split([' ', '\t']).filter(|field| !field.is_empty()).count();
        if line.is_empty() || number == 1 && is_header(line) {
            return Ok(());
        }
        if self.size == 0 {
            self.size = count - 1;
        }
        if self.size == 0 || count <= self.size {
            return Err(format!(
                "expected a word and {} numbers, found {count} fields in {:?}",
                self.size.max(1),
                shortened(line)
            ));
        }
        let mut fields: Vec<&str> = line.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
        let numbers = fields.split_off(count - self.size);
        // A few words of GloVe have spaces in them. Where numbers stand before the vector, it is too long.
        if fields.len() > 1 && fields[1..].iter().all(|field| field.parse::<f32>().is_ok()) {
            return Err(format!(
                "expected a word and {} numbers, found {} numbers in {:?}",
                self.size,
                count - 1,
                shortened(line)
            ));
        }
        let Some(token) = vocabulary.get(fields.join(" ").as_str()) else { return Ok(()) };
        let parse = |field: &&str| match field.parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => {
                Err(format!("expected {} numbers behind {:?}, found {field:?}", self.size, fields.join(" ")))
            }
        };
        let vector: Vec<f32> = numbers.iter().map(parse).collect::<Result<_, _>>()?;
        self.vectors.entry(*token).or_insert(vector);
        Ok(())
    }

    /// The size of each vector.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many words have a vector.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Whether no word has one.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Puts the vectors into the rows of a matrix `[tokens, size]` that begins with other values; rows of
    /// words without a vector stay as they are.
    pub fn fill(&self, matrix: &mut [f32]) {
        for (token, vector) in &self.vectors {
            if let Some(row) = matrix.get_mut(token * self.size..(token + 1) * self.size) {
                row.copy_from_slice(vector);
            }
        }
    }

    /// `network` with these vectors in its embedding layer, the first if there are several.
    ///
    /// # Errors
    ///
    /// The network has no embedding layer, or one of another size.
    pub fn load_into(&self, network: Network) -> Result<Network, String> {
        let embedding = network.parameters().iter().position(|parameter| parameter.role == Role::Embedding);
        let Some(place) = embedding else {
            return Err("word vectors need a model with an embedding layer".to_owned());
        };
        let mut embedding = network.weights().swap_remove(place);
        match embedding.shape[..] {
            [_, size] if size == self.size => self.fill(&mut embedding.values),
            _ => {
                return Err(format!(
                    "the word vectors have {} numbers and the embedding layer {}; set the size of the \
                     embedding to {}",
                    self.size,
                    embedding.shape.last().unwrap_or(&0),
                    self.size
                ));
            }
        }
        network.with_tensor(&embedding)
    }
}

/// Whether a line is word2vec's header: two whole numbers.
fn is_header(line: &str) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    matches!(fields[..], [words, size] if words.parse::<u64>().is_ok() && size.parse::<u64>().is_ok())
}

fn shortened(line: &str) -> String {
    let start: String = line.chars().take(40).collect();
    if start.len() < line.len() { format!("{start}…") } else { start }
}
