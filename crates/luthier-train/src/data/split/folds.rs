//! Cross-validation: several splits with the same test set.

use super::super::{DataError, Dataset};
use super::{Rest, Split, SplitConfig, times};

impl SplitConfig {
    /// One split for each fold, all with the test set that [`SplitConfig::split`] takes without folds.
    ///
    /// The sizes are those of scikit-learn: of `KFold`, the rest of the division to the first folds; with
    /// `stratify` of `StratifiedKFold`, the sorted labels dealt in turn; with `group` of `GroupKFold`, the
    /// largest group first, always to the smallest fold. With `time` it is `TimeSeriesSplit`: the rows are
    /// cut into one more part than there are folds, and fold i (from 0) learns from the first i + 1 parts,
    /// the first of which takes the rest of the division, and validates on the next.
    /// (<https://scikit-learn.org/stable/modules/cross_validation.html>)
    ///
    /// # Errors
    /// Those of [`SplitConfig::split`], and [`DataError::Split`] if there are fewer rows or groups than
    /// folds, or no `folds`.
    pub fn folds(&self, data: &Dataset) -> Result<Vec<Split>, DataError> {
        let Some(folds) = self.folds else {
            return Err(DataError::setting("split.folds", "is missing, expected the number of folds"));
        };
        let (test, rest, _) = self.take_test(data)?;
        let few = |what: &str, found: usize| {
            Err(DataError::Split(format!(
                "there are {found} {what} outside the test set, fewer than `folds = {folds}` needs"
            )))
        };
        let parts = match rest {
            Rest::Classes { rows, .. } => {
                let total = rows.iter().map(Vec::len).sum();
                if total < folds {
                    return few("rows", total);
                }
                deal(rows, folds, self.stratify)
            }
            Rest::Groups(groups) => {
                if groups.len() < folds {
                    return few("groups", groups.len());
                }
                balance(groups, folds)
            }
            Rest::Times { rows, times } => {
                let size = rows.len() / (folds + 1);
                if size == 0 {
                    return few("rows", rows.len());
                }
                let cut = |fold: usize| times::change_near(&times, rows.len() - (folds - fold) * size);
                let splits = (0..folds).map(|fold| {
                    let (start, end) = (cut(fold), cut(fold + 1));
                    let (train, validation) = (rows[..start].to_vec(), rows[start..end].to_vec());
                    Split::new(train, validation, test.clone()).checked(data)
                });
                return splits.collect();
            }
        };
        (0..folds)
            .map(|fold| {
                let others = parts.iter().enumerate().filter(|(i, _)| *i != fold);
                let train = others.flat_map(|(_, part)| part.iter().copied()).collect();
                Split::new(train, parts[fold].clone(), test.clone()).checked(data)
            })
            .collect()
    }
}

/// Deals rows to the folds: each list, which is a class, in shares as even as can be.
fn deal(lists: Vec<Vec<usize>>, folds: usize, stratify: bool) -> Vec<Vec<usize>> {
    let mut parts = vec![Vec::new(); folds];
    let mut start = 0;
    for rows in lists {
        let total = rows.len();
        let mut rows = rows.into_iter();
        for (fold, part) in parts.iter_mut().enumerate() {
            // Stratified, a fold has every `folds`-th place of the sorted labels; without classes, the
            // first folds have one row more.
            let first = if stratify { start } else { 0 };
            let before = |end: usize| (end + folds - 1 - fold) / folds;
            part.extend(rows.by_ref().take(before(first + total) - before(first)));
        }
        start += total;
    }
    parts
}

/// Gives each group, the largest first, to the fold that has the fewest rows.
fn balance(mut groups: Vec<Vec<usize>>, folds: usize) -> Vec<Vec<usize>> {
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); folds];
    for group in groups {
        if let Some(part) = parts.iter_mut().min_by_key(|part| part.len()) {
            part.extend(group);
        }
    }
    parts
}
