//! From a network's outputs to classes and their probabilities.

use crate::loss::log_sum_exp;

/// The most likely class by a row of outputs; of equal ones the first. A single output speaks for the
/// second of two classes.
pub(crate) fn class_of(row: &[f32]) -> usize {
    if let [one] = row {
        return usize::from(*one > 0.0);
    }
    if let [first, second] = row {
        return usize::from(second > first);
    }
    let (mut best, mut highest) = (0, row.first().copied().unwrap_or(f32::NAN));
    for (class, output) in row.iter().enumerate() {
        // Both by selection, as nobody can foresee a branch.
        let higher = *output > highest;
        best = if higher { class } else { best };
        highest = if higher { *output } else { highest };
    }
    best
}

/// The probability of a class: the softmax of the outputs, or the sigmoid of a single one.
pub(crate) fn probability_of(row: &[f32], class: usize) -> f64 {
    if let [one] = row {
        let x = if class == 0 { -f64::from(*one) } else { f64::from(*one) };
        return 1.0 / (1.0 + libm::exp(-x));
    }
    libm::exp(f64::from(row[class]) - log_sum_exp(row))
}

/// For each class that is ranked, a number for each row that is the larger the more likely the class:
/// for two classes that of the second alone.
///
/// For two classes it is the difference of the outputs, which orders the rows as the probability does
/// and does not run into 1.
pub(super) fn scores(outputs: &[f32], width: usize) -> Vec<Vec<f64>> {
    let rows = outputs.chunks_exact(width);
    match width {
        1 => vec![rows.map(|row| f64::from(row[0])).collect()],
        2 => vec![rows.map(|row| f64::from(row[1]) - f64::from(row[0])).collect()],
        _ => {
            let mut scores = vec![Vec::with_capacity(rows.len()); width];
            for row in rows {
                let normaliser = log_sum_exp(row);
                for (scores, x) in scores.iter_mut().zip(row) {
                    scores.push(libm::exp(f64::from(*x) - normaliser));
                }
            }
            scores
        }
    }
}
