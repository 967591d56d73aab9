//! Groups of rows that stay together.

use luthier_core::{Purpose, Streams};

use super::super::{ColumnValues, DataError, Dataset};
use super::aside;

/// The rows of each group among the first `pool` rows, the groups in random order.
pub(super) fn of(data: &Dataset, name: &str, pool: usize, seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
    let column = aside(data, "group", name)?;
    let ColumnValues::Categorical { codes, categories } = &column.values else {
        return Err(DataError::Split(format!("the column of groups `{name}` does not hold categories")));
    };
    let mut groups = vec![Vec::new(); categories.len()];
    for (row, code) in codes.iter().enumerate() {
        let code = code.ok_or_else(|| DataError::Split(format!("row {} is of no group", row + 1)))? as usize;
        if row < pool {
            groups[code].push(row);
        } else if !groups[code].is_empty() {
            let group = &categories[code];
            return Err(DataError::Split(format!(
                "the group `{group}` of `{name}` is both in the given test set and outside it; \
                 remove its rows from one of them"
            )));
        }
    }
    groups.retain(|group| !group.is_empty());
    Streams::new(seed).at(Purpose::Split, 0).shuffle(&mut groups);
    Ok(groups)
}

/// Takes whole groups, one after the other, whenever one brings the number of rows nearer to `count`, and
/// the smallest if none does. At least `keep` groups are left. Returns the rows and the groups left.
pub(super) fn take(
    groups: Vec<Vec<usize>>,
    count: usize,
    keep: usize,
) -> Result<(Vec<usize>, Vec<Vec<usize>>), DataError> {
    if groups.len() <= keep {
        let (found, needed) = (groups.len(), keep + 1);
        return Err(DataError::Split(format!(
            "there are {found} groups to divide, expected at least {needed}; no group may be in two parts"
        )));
    }
    let (mut taken, mut left): (Vec<usize>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
    let total = groups.len();
    let mut used = 0;
    for group in groups {
        let nearer = (taken.len() + group.len()).abs_diff(count) < taken.len().abs_diff(count);
        if nearer && used + keep < total {
            taken.extend(group);
            used += 1;
        } else {
            left.push(group);
        }
    }
    if used == 0 && count > 0 {
        let sizes = left.iter().enumerate().min_by_key(|(i, group)| (group.len(), *i));
        let smallest = sizes.map_or(0, |(i, _)| i);
        taken = left.remove(smallest);
    }
    Ok((taken, left))
}
