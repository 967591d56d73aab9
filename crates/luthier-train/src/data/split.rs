//! Dividing the rows into training, validation and test.

mod folds;
mod groups;
mod times;

use std::path::PathBuf;

use luthier_core::config::{Decode, Kind, Node, Problems};
use luthier_core::{Purpose, Streams};

use super::{Column, DataError, Dataset, Targets};

luthier_core::settings! {
    /// How the rows are divided: the key `split` in `[data]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SplitConfig {
        /// The share of the rows that choose between models: of all rows, or with a test set of its own of
        /// those that are not in it. Not used with `folds`.
        validation: f64 = 0.2;
        /// The rows that stay sealed until the end: a share of all rows, "given" for the source's own test
        /// set, or a file such as { csv = "test.csv" }, { parquet = "test.parquet" } or { text = "test.csv" }
        /// with the same columns.
        test: TestSplit = TestSplit::Share(0.2);
        /// Cross-validation: the rows outside the test set are divided into so many parts, 2 or more, of
        /// which each validates once. 5 and 10 are usual.
        folds: Option<usize> = None;
        /// Which of the folds validates where only one model is trained, counted from 0.
        fold: usize = 0;
        /// Whether every class has the same share in each part. Only for classification.
        stratify: bool = false;
        /// A column whose rows of equal value stay together in one part, such as a patient's number; it is
        /// no input.
        group: Option<String> = None;
        /// A column of times by which the rows are sorted: the earliest train, later ones validate, the
        /// latest test. Rows of the same time stay together. Numbers, or text that sorts as text, such as
        /// 2024-01-31. It is no input.
        time: Option<String> = None;
        /// Whether the column of times is an input as well.
        keep_time: bool = false;
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
#[derive(Debug, Clone, PartialEq)]
pub enum TestSplit {
    /// The test set that the source brings.
    Given,
    /// A share of all rows. If the source brings a test set, its rows are pooled with the others first.
    Share(f64),
    /// The rows of another file, which [`Source::load_for`](super::Source::load_for) reads.
    File(TestFile),
}

/// A file with the rows of the test set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFile {
    /// What it holds: `csv`, `parquet` or `text`.
    pub kind: &'static str,
    /// The file, or folder of texts; a relative path starts at the study file's folder.
    pub path: PathBuf,
}

impl Decode for TestSplit {
    const EXPECTED: &'static str = "a share such as 0.2, \"given\" for the source's own test set, or a file such as { csv = \"test.csv\" }";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Text(word) if word == "given" => Some(Self::Given),
            Kind::Float(share) => Some(Self::Share(*share)),
            Kind::Int(share) => Some(Self::Share(*share as f64)),
            Kind::Table(table) if table.len() == 1 => {
                let file =
                    ["csv", "parquet", "text"].into_iter().find_map(|kind| Some((kind, table.get(kind)?)));
                let Some((kind, node)) = file else {
                    problems.add(node.line, path, Self::EXPECTED, node.describe());
                    return None;
                };
                let path = PathBuf::decode(node, &format!("{path}.{kind}"), problems)?;
                Some(Self::File(TestFile { kind, path }))
            }
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

/// The rows outside the test set, in the order in which they are dealt to the other parts.
enum Rest {
    /// Rows in random order, class by class if they are stratified, with the number of rows that each class
    /// had before the test set was taken.
    Classes { rows: Vec<Vec<usize>>, sizes: Vec<usize> },
    /// The rows of each group, the groups in random order.
    Groups(Vec<Vec<usize>>),
    /// Rows by time, and the time of each.
    Times { rows: Vec<usize>, times: Vec<f64> },
}

impl SplitConfig {
    /// Divides the rows of `data`; with `folds`, the fold that `fold` names.
    ///
    /// Shares are rounded to whole rows; with `group`, whole groups come as near to them as they can. With
    /// `stratify`, the rows of a part are divided among the classes by the largest remainder, and every
    /// class keeps a row to learn from.
    ///
    /// # Errors
    /// [`DataError::Split`] if a part would be empty, if the source brings no test set but one is asked
    /// for, if numbers are to be stratified, if a class is in the test set alone, if the column of groups
    /// or times is not there, or if a group is inside and outside a given test set;
    /// [`DataError::Setting`] for settings out of range or that contradict each other;
    /// [`DataError::Encoding`] for data that does not fit together.
    pub fn split(&self, data: &Dataset) -> Result<Split, DataError> {
        if let Some(folds) = self.folds {
            let fold = self.fold;
            if fold >= folds {
                let problem = format!("must be below `folds`, which is {folds}; found {fold}");
                return Err(DataError::setting("split.fold", problem));
            }
            return Ok(self.folds(data)?.swap_remove(fold));
        }
        let (test, rest, pool) = self.take_test(data)?;
        let share = self.validation;
        let count = (share * pool as f64).round() as usize;
        let (validation, train) = match rest {
            Rest::Classes { rows, sizes } => {
                let left: Vec<usize> = rows.iter().map(Vec::len).collect();
                let counts = largest_remainder(&sizes, &left, share, count, self.stratify);
                take_each(rows, &counts)
            }
            Rest::Groups(groups) => groups::take(groups, count, 1)?,
            Rest::Times { rows, times } => {
                let at = times::change_near(&times, rows.len() - count.min(rows.len()));
                (rows[at..].to_vec(), vec![rows[..at].to_vec()])
            }
        };
        Split::new(train.concat(), validation, test).checked(data)
    }

    /// The settings that are wrong, whatever the data.
    fn check(&self) -> Result<(), DataError> {
        let test_share = self.test_share();
        let validation = if self.folds.is_some() { 0.0 } else { self.validation };
        for (key, share) in [("split.validation", validation), ("split.test", test_share)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(DataError::setting(key, format!("must be a share from 0 to 1, found {share}")));
            }
        }
        if validation + test_share >= 1.0 {
            return Err(DataError::Split(format!(
                "the shares of validation ({validation}) and test ({test_share}) leave no rows for training"
            )));
        }
        if self.folds.is_some_and(|folds| folds < 2) {
            let found = self.folds.unwrap_or_default();
            return Err(DataError::setting("split.folds", format!("must be 2 or more, found {found}")));
        }
        let ways =
            [("stratify", self.stratify), ("group", self.group.is_some()), ("time", self.time.is_some())];
        let chosen: Vec<&str> = ways.into_iter().filter(|(_, chosen)| *chosen).map(|(key, _)| key).collect();
        if let [first, second, ..] = chosen[..] {
            return Err(DataError::Split(format!("`{first}` and `{second}` exclude each other; choose one")));
        }
        Ok(())
    }

    fn test_share(&self) -> f64 {
        match self.test {
            TestSplit::Given | TestSplit::File(_) => 0.0,
            TestSplit::Share(share) => share,
        }
    }

    /// The rows of the test set, the others, and how many rows shares are of.
    fn take_test(&self, data: &Dataset) -> Result<(Vec<usize>, Rest, usize), DataError> {
        self.check()?;
        data.check()?;
        let share = self.test_share();
        let given = match (&self.test, data.given_test) {
            (TestSplit::Share(_), _) => 0,
            (_, Some(rows)) => rows.min(data.len()),
            (TestSplit::Given, None) => {
                let name = &data.name;
                return Err(DataError::Split(format!(
                    "`test = \"given\"`, but {name} brings no test set; give a share such as `test = 0.2`"
                )));
            }
            (TestSplit::File(file), None) => {
                let file = file.path.display();
                return Err(DataError::Split(format!(
                    "the test file {file} has not been loaded with the data"
                )));
            }
        };
        let pool = data.len() - given;
        let count = (share * pool as f64).round() as usize;
        let (mut test, rest): (Vec<usize>, _) = if let Some(name) = &self.group {
            let groups = groups::of(data, name, pool, self.seed)?;
            if given > 0 {
                (Vec::new(), Rest::Groups(groups))
            } else {
                let (test, rest) = groups::take(groups, count, 2)?;
                (test, Rest::Groups(rest))
            }
        } else if let Some(name) = &self.time {
            let (mut rows, mut times) = times::of(data, name, pool)?;
            let at = times::change_near(&times, rows.len() - count);
            times.truncate(at);
            (rows.split_off(at), Rest::Times { rows, times })
        } else {
            let mut rows = self.classes(data, pool)?;
            let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
            let counts = largest_remainder(&sizes, &sizes, share, count, self.stratify);
            let streams = Streams::new(self.seed);
            for (i, rows) in rows.iter_mut().enumerate() {
                streams.at(Purpose::Split, i as u64).shuffle(rows);
            }
            let (test, rows) = take_each(rows, &counts);
            (test, Rest::Classes { rows, sizes })
        };
        test.extend(pool..data.len());
        Ok((test, rest, pool))
    }

    /// The first `pool` rows, one list a class if they are stratified.
    fn classes(&self, data: &Dataset, pool: usize) -> Result<Vec<Vec<usize>>, DataError> {
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

impl Split {
    fn new(mut train: Vec<usize>, mut validation: Vec<usize>, mut test: Vec<usize>) -> Self {
        for part in [&mut train, &mut validation, &mut test] {
            part.sort_unstable();
        }
        Self { train, validation, test }
    }

    /// The same, if no part is empty and no class is in the test set alone.
    fn checked(self, data: &Dataset) -> Result<Self, DataError> {
        let [train, validation, test] = [&self.train, &self.validation, &self.test].map(Vec::len);
        if train.min(validation).min(test) == 0 {
            let rows = data.len();
            return Err(DataError::Split(format!(
                "of {rows} rows, {train} are for training, {validation} for validation and {test} for the test, \
                 expected at least 1 each; change the shares"
            )));
        }
        if let Targets::Classes { labels, names, .. } = &data.targets {
            let mut counts = vec![(0_usize, 0_usize); names.len()];
            self.train.iter().chain(&self.validation).for_each(|row| counts[labels[*row] as usize].0 += 1);
            self.test.iter().for_each(|row| counts[labels[*row] as usize].1 += 1);
            let alone = counts.iter().zip(names).find(|((known, test), _)| *known == 0 && *test > 0);
            if let Some(((_, rows), name)) = alone {
                return Err(DataError::Split(format!(
                    "the class `{name}` appears only in the test split ({rows} rows), so that no model can \
                     learn it; remove these rows, or divide the rows so that training has some of them"
                )));
            }
        }
        Ok(self)
    }
}

/// The column `name` that was kept beside the inputs.
fn aside<'a>(data: &'a Dataset, key: &str, name: &str) -> Result<&'a Column, DataError> {
    data.aside.iter().find(|column| column.name == name).ok_or_else(|| {
        DataError::Split(format!("`{key}` names the column `{name}`, which {} does not have", data.name))
    })
}

/// From each list its first `counts` rows, together; and what is left of each.
fn take_each(mut lists: Vec<Vec<usize>>, counts: &[usize]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut taken = Vec::new();
    for (list, count) in lists.iter_mut().zip(counts) {
        taken.extend(list.drain(..*count));
    }
    (taken, lists)
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
