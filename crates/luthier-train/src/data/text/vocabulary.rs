//! From text to token numbers.
//!
//! A text is put in lower case (Unicode's mapping) and cut into words by the rules of Unicode Standard
//! Annex 29, <https://www.unicode.org/reports/tr29/#Word_Boundaries>; of the pieces, those that hold a
//! letter or a digit are words. So `It's 3.5 km, isn't it?` has the words `it's`, `3.5`, `km`, `isn't`,
//! `it`. Token 0 is padding, 1 a word that is not in the vocabulary, and the words of the vocabulary are
//! numbered from 2: the most frequent first, equally frequent ones in the order of their letters.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// Behind the last word of a text.
const PADDING: f32 = 0.0;
/// A word that is not in the vocabulary.
const UNKNOWN: f32 = 1.0;
/// The number of the first word.
const FIRST: usize = 2;

/// The words that have a number of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Vocabulary {
    words: Vec<String>,
    tokens: HashMap<String, u32>,
}

impl From<Vec<String>> for Vocabulary {
    /// A vocabulary of these words, numbered from 2 in their order.
    fn from(words: Vec<String>) -> Self {
        let tokens = words.iter().enumerate().map(|(i, word)| (word.clone(), (i + FIRST) as u32)).collect();
        Self { words, tokens }
    }
}

impl From<Vocabulary> for Vec<String> {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.words
    }
}

impl Vocabulary {
    /// The words that come at least `min_count` times in `texts`, of which at most the `max_words` most
    /// frequent.
    pub fn fit<'a>(texts: impl Iterator<Item = &'a str>, max_words: usize, min_count: usize) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for text in texts {
            for word in words(&text.to_lowercase()) {
                match counts.get_mut(word) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(word.to_owned(), 1)),
                }
            }
        }
        let mut counted: Vec<(String, usize)> =
            counts.into_iter().filter(|(_, count)| *count >= min_count).collect();
        counted.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        counted.truncate(max_words);
        counted.into_iter().map(|(word, _)| word).collect::<Vec<_>>().into()
    }

    /// Its words, the most frequent first.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The number of tokens: its words, padding and the unknown word.
    pub fn tokens(&self) -> usize {
        self.words.len() + FIRST
    }

    /// Appends the `length` first tokens of `text` to `out`, with padding at the end of a shorter text. A
    /// text without words is one unknown word, so that no text is padding alone.
    pub fn encode(&self, text: &str, length: usize, out: &mut Vec<f32>) {
        let end = out.len() + length;
        let lower = text.to_lowercase();
        let token = |word| self.tokens.get(word).map_or(UNKNOWN, |token| *token as f32);
        let start = out.len();
        out.extend(words(&lower).take(length).map(token));
        if out.len() == start && length > 0 {
            out.push(UNKNOWN);
        }
        out.resize(end, PADDING);
    }

    /// How many words `text` has, and how many of them are not in the vocabulary.
    pub fn count(&self, text: &str) -> (usize, usize) {
        words(&text.to_lowercase()).fold((0, 0), |(all, unknown), word| {
            (all + 1, unknown + usize::from(!self.tokens.contains_key(word)))
        })
    }
}

/// The words of a text that is in lower case.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.unicode_words()
}

/// How many words a text has.
pub(in super::super) fn word_count(text: &str) -> usize {
    text.unicode_words().count()
}
