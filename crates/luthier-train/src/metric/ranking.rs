//! Metrics of the order in which scores put the examples.

/// The numbers of positive and of negative examples in each group of equal scores, highest first.
fn groups(scores: &[f64], positive: impl Fn(usize) -> bool) -> Vec<(u64, u64)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Adding 0 makes one number of the two zeros.
    order.sort_by(|a, b| (scores[*b] + 0.0).total_cmp(&(scores[*a] + 0.0)));
    let mut groups: Vec<(u64, u64)> = Vec::new();
    let mut last = None;
    for row in order {
        if last != Some(scores[row]) {
            groups.push((0, 0));
            last = Some(scores[row]);
        }
        if let Some((positives, negatives)) = groups.last_mut() {
            *(if positive(row) { positives } else { negatives }) += 1;
        }
    }
    groups
}

/// The area under the receiver operating characteristic: the share of pairs of a positive and a negative
/// example in which the positive one has the higher score, ties counting half. NaN without any pair.
pub(super) fn auroc(scores: &[f64], positive: impl Fn(usize) -> bool) -> f64 {
    let (mut above, mut below, mut twice) = (0_u64, 0_u64, 0_u128);
    for (positives, negatives) in groups(scores, positive) {
        twice += u128::from(negatives) * u128::from(2 * above + positives);
        above += positives;
        below += negatives;
    }
    twice as f64 / (2.0 * above as f64 * below as f64)
}

/// Average precision: the sum over the groups of equal scores of (rise of recall) x (precision down to
/// the group). NaN without a positive example.
pub(super) fn average_precision(scores: &[f64], positive: impl Fn(usize) -> bool) -> f64 {
    let (mut positives, mut examples, mut sum) = (0_u64, 0_u64, 0.0);
    for (more, negatives) in groups(scores, positive) {
        positives += more;
        examples += more + negatives;
        sum += more as f64 * (positives as f64 / examples as f64);
    }
    sum / positives as f64
}

/// Whether a class is among the `k` with the highest outputs; of equal outputs the later class is the
/// higher, as in scikit-learn.
pub(super) fn in_top(row: &[f32], class: usize, k: usize) -> bool {
    let Some(output) = row.get(class) else { return false };
    let above = row.iter().enumerate().filter(|(other, x)| *x > output || (*x == output && *other > class));
    above.count() < k
}
