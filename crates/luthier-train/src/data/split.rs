//! Dividing the rows into training, validation and test.

use luthier_core::config::{Decode, Kind, Node, Problems};
use luthier_core::{Purpose, Streams};

use super::{DataError, Dataset, Targets};

luthier_core::settings! {
    /// How the rows are divided: the key `split` in `[data]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SplitConfig {
        /// The share of the rows that choose between models: of all rows, or with `test = "given"` of
        /// those that are not the given test set.
        validation: f64 = 0.2;
        /// The rows that stay sealed until the end: a share, or "given" for the source's own test set.
        test: TestSplit = TestSplit::Share(0.2);
        /// Whether every class has the same share in each part. Only for classification.
        stratify: bool = false;
        /// The seed of the draw.
        seed: u64 = 0;
    }
}

impl Default for SplitConfig {
    fn default() -> Self {
        luthier_core::config::defaults()
    }
}

/// The rows that stay sealed until the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TestSplit {
    /// The test set that the source brings.
    Given,
    /// A share of all rows. If the source brings a test set, its rows are pooled with the others first.
    Share(f64),
}

impl Decode for TestSplit {
    const EXPECTED: &'static str = "a share such as 0.2, or \"given\" for the source's own test set";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Text(word) if word == "given" => Some(Self::Given),
            Kind::Float(share) => Some(Self::Share(*share)),
            Kind::Int(share) => Some(Self::Share(*share as f64)),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

/// The rows of each part, in ascending order. Every row is in exactly one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to learn from.
    pub train: Vec<usize>,
    /// Rows that choose between models.
    pub validation: Vec<usize>,
    /// Rows that stay sealed until the end.
    pub test: Vec<usize>,
}

impl SplitConfig {
    /// Divides the rows of `data`.
    ///
    /// Shares are rounded to whole rows. With `stratify`, the rows of a part are divided among the
    /// classes by the largest remainder, and every class keeps a row to learn from.
    ///
    /// # Errors
    /// [`DataError::Split`] if a part would be empty, if the source brings no test set but one is asked
    /// for, and if numbers are to be stratified; [`DataError::Setting`] for shares outside `[0, 1]`.
    pub fn split(&self, data: &Dataset) -> Result<Split, DataError> {
        let test_share = match self.test {
            TestSplit::Given => 0.0,
            TestSplit::Share(share) => share,
        };
        for (key, share) in [("split.validation", self.validation), ("split.test", test_share)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(DataError::setting(key, format!("must be a share from 0 to 1, found {share}")));
            }
        }
        let sum = self.validation + test_share;
        if sum >= 1.0 {
            let validation = self.validation;
            return Err(DataError::Split(format!(
                "the shares of validation ({validation}) and test ({test_share}) leave no rows for training"
            )));
        }
        let given = match (self.test, data.given_test) {
            (TestSplit::Share(_), _) => 0,
            (TestSplit::Given, Some(rows)) => rows.min(data.len()),
            (TestSplit::Given, None) => {
                let name = &data.name;
                return Err(DataError::Split(format!(
                    "`test = \"given\"`, but {name} brings no test set; give a share such as `test = 0.2`"
                )));
            }
        };
        let pool = data.len() - given;
        let groups = self.groups(data, pool)?;
        let round = |share: f64| (share * pool as f64).round() as usize;
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        let test_counts = largest_remainder(&sizes, &sizes, test_share, round(test_share), self.stratify);
        let left: Vec<usize> = sizes.iter().zip(&test_counts).map(|(size, taken)| size - taken).collect();
        let counts = largest_remainder(&sizes, &left, self.validation, round(self.validation), self.stratify);

        let streams = Streams::new(self.seed);
        let mut split =
            Split { train: Vec::new(), validation: Vec::new(), test: (pool..data.len()).collect() };
        for (i, mut rows) in groups.into_iter().enumerate() {
            streams.at(Purpose::Split, i as u64).shuffle(&mut rows);
            let (test, rest) = rows.split_at(test_counts[i]);
            let (validation, train) = rest.split_at(counts[i]);
            split.test.extend(test);
            split.validation.extend(validation);
            split.train.extend(train);
        }
        for part in [&mut split.train, &mut split.validation, &mut split.test] {
            part.sort_unstable();
        }
        let [train, validation, test] = [&split.train, &split.validation, &split.test].map(Vec::len);
        if train.min(validation).min(test) == 0 {
            let rows = data.len();
            return Err(DataError::Split(format!(
                "of {rows} rows, {train} are for training, {validation} for validation and {test} for the test, \
                 expected at least 1 each; change the shares"
            )));
        }
        Ok(split)
    }

    /// The first `pool` rows, one group a class if they are stratified.
    fn groups(&self, data: &Dataset, pool: usize) -> Result<Vec<Vec<usize>>, DataError> {
        match &data.targets {
            _ if !self.stratify => Ok(vec![(0..pool).collect()]),
            Targets::Classes { labels, names, .. } => {
                let mut groups = vec![Vec::new(); names.len()];
                for (row, label) in labels.iter().take(pool).enumerate() {
                    groups[*label as usize].push(row);
                }
                Ok(groups)
            }
            Targets::Numbers { name, .. } => Err(DataError::Split(format!(
                "`stratify = true` needs classes, but the target `{name}` is a number; set `stratify = false`"
            ))),
        }
    }
}

/// Divides `total` rows among groups in proportion to `sizes`, never more than are `left` in a group
/// (less one, if each is to keep one). The whole part of `share * size` goes to each, the rest to the
/// largest remainders; of equal ones to the first (Hamilton's method).
fn largest_remainder(
    sizes: &[usize],
    left: &[usize],
    share: f64,
    total: usize,
    keep_one: bool,
) -> Vec<usize> {
    let most: Vec<usize> = left.iter().map(|left| left.saturating_sub(usize::from(keep_one))).collect();
    let quotas: Vec<f64> = sizes.iter().map(|size| share * *size as f64).collect();
    let mut counts: Vec<usize> =
        quotas.iter().zip(&most).map(|(quota, most)| (*quota as usize).min(*most)).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|a, b| quotas[*b].fract().total_cmp(&quotas[*a].fract()));
    let mut rest = total.saturating_sub(counts.iter().sum());
    // Where some groups are used up, the others are asked again.
    while rest > 0 && counts.iter().zip(&most).any(|(count, most)| count < most) {
        for i in &order {
            if rest > 0 && counts[*i] < most[*i] {
                counts[*i] += 1;
                rest -= 1;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests;
