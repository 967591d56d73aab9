//! Rows in the order of time.

use super::super::{ColumnValues, DataError, Dataset};
use super::aside;

/// The first `pool` rows by time, rows of the same time in their own order, with the time of each. A text's
/// time is its place among all texts.
pub(super) fn of(data: &Dataset, name: &str, pool: usize) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    let times: Vec<f64> = match &aside(data, "time", name)?.values {
        ColumnValues::Numeric(values) => values.clone(),
        ColumnValues::Categorical { codes, .. } => {
            codes.iter().map(|code| code.map_or(f64::NAN, f64::from)).collect()
        }
    };
    if let Some(row) = times.iter().position(|time| time.is_nan()) {
        return Err(DataError::Split(format!("row {} has no time in `{name}`", row + 1)));
    }
    let (before, test) = times.split_at(pool);
    let latest = before.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if let Some(row) = test.iter().position(|time| *time < latest) {
        return Err(DataError::Split(format!(
            "row {} of the given test set is earlier in `{name}` than rows to learn from; \
             take a share such as `test = 0.2` of all rows",
            pool + row + 1
        )));
    }
    let mut rows: Vec<usize> = (0..pool).collect();
    rows.sort_by(|a, b| times[*a].total_cmp(&times[*b]));
    let sorted = rows.iter().map(|row| times[*row]).collect();
    Ok((rows, sorted))
}

/// The position nearest to `at`, the earlier of two, at which rows of another time begin, so that rows of
/// the same time stay together.
pub(super) fn change_near(times: &[f64], at: usize) -> usize {
    let is_change = |at: usize| at == 0 || at >= times.len() || times[at - 1] != times[at];
    let at = at.min(times.len());
    (0..=times.len())
        .find_map(|distance| {
            let before = at.checked_sub(distance).filter(|at| is_change(*at));
            before.or_else(|| Some(at + distance).filter(|at| *at <= times.len() && is_change(*at)))
        })
        .unwrap_or(at)
}
