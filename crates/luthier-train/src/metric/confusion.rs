//! The confusion matrix and what follows from it.

use luthier_kernels::vectorized;
use serde::Serialize;

use super::Average;

/// How often each class was called each class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// `counts[i][j]`: the examples of class `i` that were called class `j`.
    pub counts: Vec<Vec<u64>>,
}

/// The examples that are rightly called a class, all that are called it and all that are of it.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    right: u64,
    called: u64,
    of: u64,
}

/// How many examples are of the second of two classes, how many are called it, and of how many both is true.
#[allow(clippy::inline_always, reason = "vector instructions end at calls")]
#[inline(always)]
fn tally(outputs: &[f32], labels: &[f32]) -> (u32, u32, u32) {
    let (mut ones, mut called, mut both) = (0, 0, 0);
    for (row, label) in outputs.as_chunks::<2>().0.iter().zip(labels) {
        let (is_one, is_called) = (*label == 1.0, row[1] > row[0]);
        ones += u32::from(is_one);
        called += u32::from(is_called);
        both += u32::from(is_one & is_called);
    }
    (ones, called, both)
}

impl ConfusionMatrix {
    /// The matrix of pairs of a true class and a predicted one. Pairs of classes without a name are not
    /// counted.
    pub fn new(classes: &[String], pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let size = classes.len();
        // In turns, as a number that has just been written takes a while to be read again.
        let mut turns = vec![[0_u64; 4]; size * size];
        for (number, (label, called)) in pairs.enumerate() {
            if label < size && called < size {
                turns[label * size + called][number % 4] += 1;
            }
        }
        let row = |row: &[[u64; 4]]| row.iter().map(|turns| turns.iter().sum()).collect();
        let counts = turns.chunks_exact(size.max(1)).map(row).collect();
        Self { classes: classes.to_vec(), counts }
    }

    /// [`ConfusionMatrix::new`] of two classes, from pairs of outputs and the classes.
    pub(super) fn of_two(classes: &[String], outputs: &[f32], labels: &[f32]) -> Self {
        let [mut ones, mut called, mut both] = [0_u64; 3];
        // In blocks, as sums of few bits are quick.
        for (outputs, labels) in outputs.chunks(2 << 20).zip(labels.chunks(1 << 20)) {
            let found = vectorized(
                #[inline(always)]
                || tally(outputs, labels),
            );
            ones += u64::from(found.0);
            called += u64::from(found.1);
            both += u64::from(found.2);
        }
        let all = labels.len() as u64;
        let counts = vec![vec![all + both - ones - called, called - both], vec![ones - both, both]];
        Self { classes: classes.to_vec(), counts }
    }

    /// The number of examples of each class.
    pub fn support(&self) -> Vec<usize> {
        self.tallies().iter().map(|tally| tally.of as usize).collect()
    }

    fn tallies(&self) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); self.counts.len()];
        for (label, row) in self.counts.iter().enumerate() {
            for (called, count) in row.iter().enumerate() {
                tallies[label].of += count;
                tallies[called].called += count;
            }
            tallies[label].right = row[label];
        }
        tallies
    }

    /// Share of examples that are rightly called.
    pub fn accuracy(&self) -> f64 {
        let tallies = self.tallies();
        share(tallies.iter().map(|tally| tally.right).sum(), tallies.iter().map(|tally| tally.of).sum())
    }

    /// Mean recall of the classes that have examples.
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = self
            .tallies()
            .iter()
            .filter(|tally| tally.of > 0)
            .map(|tally| share(tally.right, tally.of))
            .collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    /// Share of the examples called a class that are of it.
    pub fn precision(&self, average: Average) -> f64 {
        self.averaged(average, |tally| (tally.right, tally.called))
    }

    /// Share of the examples of a class that are called it.
    pub fn recall(&self, average: Average) -> f64 {
        self.averaged(average, |tally| (tally.right, tally.of))
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self, average: Average) -> f64 {
        self.averaged(average, |tally| (2 * tally.right, tally.called + tally.of))
    }

    /// The average of a share that is given as numerator and denominator.
    fn averaged(&self, average: Average, part: impl Fn(&Tally) -> (u64, u64)) -> f64 {
        let tallies = self.tallies();
        let of = |tally: &Tally| {
            let (numerator, denominator) = part(tally);
            share(numerator, denominator)
        };
        match average {
            Average::Binary => tallies.get(1).map_or(0.0, of),
            Average::Micro => {
                let (numerator, denominator) = tallies
                    .iter()
                    .map(part)
                    .fold((0, 0), |(n, d), (numerator, denominator)| (n + numerator, d + denominator));
                share(numerator, denominator)
            }
            Average::Macro => {
                let occur: Vec<f64> =
                    tallies.iter().filter(|tally| tally.of + tally.called > 0).map(of).collect();
                occur.iter().sum::<f64>() / occur.len() as f64
            }
            Average::Weighted => {
                let total: u64 = tallies.iter().map(|tally| tally.of).sum();
                let sum: f64 = tallies.iter().map(|tally| of(tally) * tally.of as f64).sum();
                sum / total as f64
            }
        }
    }
}

/// A share, and 0 where it is one of nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
