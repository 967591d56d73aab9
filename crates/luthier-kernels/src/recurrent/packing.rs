//! The real steps of a block of sequences, the longest sequence first.

use std::cell::RefCell;

/// Which steps there are, and the order of the sequences.
#[derive(Debug, Default)]
pub(super) struct Packing {
    /// For each sequence, the longest first: its number in the block and how many real steps it has.
    order: Vec<(usize, usize)>,
    /// For each sequence of the block, the places of its real steps; so far apart as sequences are long.
    places: Vec<usize>,
    length: usize,
    /// Sequences that have a step of this number.
    active: Vec<usize>,
}

thread_local! {
    static FREE: RefCell<Vec<Packing>> = const { RefCell::new(Vec::new()) };
}

impl Packing {
    /// Calls `work` with that of the mask `[sequences, length]`; without one all steps are real.
    pub(super) fn with<R>(
        mask: Option<&[f32]>,
        sequences: usize,
        length: usize,
        work: impl FnOnce(&Self) -> R,
    ) -> R {
        let mut packing = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
        packing.fill(mask, sequences, length);
        let result = work(&packing);
        FREE.with_borrow_mut(|free| free.push(packing));
        result
    }

    fn fill(&mut self, mask: Option<&[f32]>, sequences: usize, length: usize) {
        self.order.clear();
        self.places.clear();
        self.places.resize(sequences * length, 0);
        self.length = length;
        for number in 0..sequences {
            let places = &mut self.places[number * length..][..length];
            let mut real = 0;
            for place in 0..length {
                if mask.is_none_or(|mask| mask[number * length + place] != 0.0) {
                    places[real] = place;
                    real += 1;
                }
            }
            self.order.push((number, real));
        }
        self.order.sort_by_key(|&(_, real)| std::cmp::Reverse(real));
        self.active.clear();
        let steps = self.order.first().map_or(0, |&(_, real)| real);
        for step in 0..steps {
            self.active.push(self.order.partition_point(|&(_, real)| real > step));
        }
    }

    /// Steps of the longest sequence.
    pub(super) fn steps(&self) -> usize {
        self.active.len()
    }

    /// Real steps of all sequences: the rows that lie together.
    pub(super) fn rows(&self) -> usize {
        self.active.iter().sum()
    }

    /// Sequences that have this step; 0 behind the last.
    pub(super) fn active(&self, step: usize) -> usize {
        self.active.get(step).copied().unwrap_or(0)
    }

    /// Of a row of this step: the number of its sequence and the place in that.
    pub(super) fn place(&self, step: usize, row: usize, backwards: bool) -> (usize, usize) {
        let (number, real) = self.order[row];
        let step = if backwards { real - 1 - step } else { step };
        (number, self.places[number * self.length + step])
    }

    /// Whether this step is the last of the sequence of this row.
    pub(super) fn is_last(&self, step: usize, row: usize) -> bool {
        self.order[row].1 == step + 1
    }
}
