//! The way there.

use crate::scratch;
use crate::simd::vectorized;

use super::packing::Packing;
use super::product::{self, LANES, Rows, aligned, load, store};
use super::{Cell, Recurrent, SLOTS, Saved, States, Weights, each, gates};

/// A step of a block.
struct Step<'a> {
    packing: &'a Packing,
    number: usize,
    backwards: bool,
    /// Numbers by which the outputs of this direction lie behind the first of both.
    offset: usize,
    /// Rows of the steps before this one, and before the one before.
    start: usize,
    start_before: usize,
    length: usize,
}

impl Recurrent {
    /// Writes the states to `y`, `[batch, width]` or `[batch, length, width]`, and what `backward` needs
    /// to `saved`. The mask `[batch, length]` is 0 at steps of padding, which keep the state; the others
    /// are 1. The weights are those of each direction.
    ///
    /// # Panics
    ///
    /// If sizes do not fit.
    pub fn forward(
        &self,
        (batch, length): (usize, usize),
        x: &[f32],
        mask: Option<&[f32]>,
        weights: &[Weights<'_>],
        y: &mut [f32],
        saved: &mut [f32],
    ) {
        self.check(weights);
        assert_eq!(x.len(), batch * length * self.inputs, "inputs");
        assert_eq!(y.len(), self.output_len(batch, length), "outputs");
        assert_eq!(saved.len(), self.saved_len(batch, length), "numbers to be saved");
        assert!(mask.is_none_or(|mask| mask.len() == batch * length), "mask");
        if y.is_empty() {
            return;
        }
        if length == 0 {
            return y.fill(0.0);
        }
        let panels_len = self.padded() / LANES * self.forward_panel();
        scratch::with(self.ways() * panels_len + LANES, |panels| {
            let panels = aligned(panels);
            for (weights, panels) in weights.iter().zip(panels.chunks_exact_mut(panels_len)) {
                self.fill_forward(weights, panels);
            }
            let (panels, size) = (&*panels, Self::block(batch));
            let blocks = y
                .chunks_mut(self.output_len(size, length))
                .zip(saved.chunks_mut(self.ways() * self.saved(size * length)))
                .zip(x.chunks((size * length * self.inputs).max(1)).map(Some).chain(std::iter::repeat(None)))
                .enumerate();
            each(blocks, self.is_large(batch, length), |(number, ((y, saved), x))| {
                let first = number * size;
                let sequences = size.min(batch - first);
                let mask = mask.map(|mask| &mask[first * length..][..sequences * length]);
                let (x, rows) = (x.unwrap_or_default(), sequences * length);
                Packing::with(mask, sequences, length, |packing| {
                    if packing.rows() < rows {
                        y.fill(0.0);
                    }
                    let saved = saved.chunks_exact_mut(self.saved(rows));
                    for (way, (saved, panels)) in saved.zip(panels.chunks_exact(panels_len)).enumerate() {
                        let saved = self.parts_mut(saved, rows);
                        self.run((packing, way == 1), (x, length), panels, y, saved);
                    }
                });
            });
        });
    }

    /// Takes a block through its steps in one direction.
    fn run(
        &self,
        (packing, backwards): (&Packing, bool),
        (x, length): (&[f32], usize),
        panels: &[f32],
        y: &mut [f32],
        mut saved: Saved<&mut [f32]>,
    ) {
        let (depth, inputs) = (self.depth(), self.inputs);
        let slots = self.cell.slots() * LANES;
        scratch::with(packing.active(0) * slots + LANES, |sums| {
            let sums = aligned(sums);
            sums.fill(0.0);
            let offset = if backwards { self.units } else { 0 };
            let mut step = Step { packing, number: 0, backwards, offset, start: 0, start_before: 0, length };
            for number in 0..packing.steps() {
                let active = packing.active(number);
                step.number = number;
                let rows = saved.rows[step.start * depth..].chunks_exact_mut(depth).take(active);
                for (row, values) in rows.enumerate() {
                    let (sequence, place) = packing.place(number, row, backwards);
                    values[..inputs].copy_from_slice(&x[(sequence * length + place) * inputs..][..inputs]);
                    if number == 0 {
                        values[inputs..].fill(0.0);
                    }
                }
                for (strip, panel) in panels.chunks_exact(self.forward_panel()).enumerate() {
                    let sums = &mut sums[..active * slots];
                    self.sums(&saved.rows[step.start * depth..], active, panel, sums);
                    vectorized(
                        #[inline(always)]
                        // Each cell gets code of its own.
                        || match self.cell {
                            Cell::Rnn => self.strip(Cell::Rnn, &step, strip, (panel, sums), &mut saved, y),
                            Cell::Lstm => self.strip(Cell::Lstm, &step, strip, (panel, sums), &mut saved, y),
                            Cell::Gru => self.strip(Cell::Gru, &step, strip, (panel, sums), &mut saved, y),
                        },
                    );
                }
                step.start_before = step.start;
                step.start += active;
            }
        });
    }

    /// Adds the products with inputs and state, for `LANES` units.
    fn sums(&self, rows: &[f32], active: usize, panel: &[f32], sums: &mut [f32]) {
        let (depth, gates) = (self.depth(), self.cell.gates());
        let slots = self.cell.slots() * LANES;
        let panel = &panel[slots..];
        let (of_input, of_state) = panel.split_at(self.inputs * gates * LANES);
        let (first, _) = self.cell.of_input();
        let target = Rows { data: &mut sums[first * LANES..], stride: slots };
        product::add(target, active, Rows { data: rows, stride: depth }, of_input, gates);
        if self.units > 0 {
            let values = Rows { data: &rows[self.inputs..], stride: depth };
            product::add(Rows { data: sums, stride: slots }, active, values, of_state, gates);
        }
    }

    /// From products and biases, the gates of `LANES` units for all rows of a step, and the states behind it.
    #[inline(always)]
    fn strip(
        &self,
        cell: Cell,
        step: &Step<'_>,
        strip: usize,
        (biases, sums): (&[f32], &mut [f32]),
        saved: &mut Saved<&mut [f32]>,
        y: &mut [f32],
    ) {
        let (depth, padded, width) = (self.depth(), self.padded(), self.width());
        let (slots_width, first) = (self.slots_width(), strip * LANES);
        let (len, slots_len) = (LANES.min(self.units - first), cell.slots() * LANES);
        let active = step.packing.active(step.number);
        let after = step.packing.active(step.number + 1);
        for row in 0..active {
            let (at, before) = (step.start + row, step.start_before + row);
            let mut slots = [[0.0; LANES]; SLOTS];
            for (slot, lanes) in slots.iter_mut().take(cell.slots()).enumerate() {
                *lanes = load(sums, row * slots_len + slot * LANES, LANES);
                let biases = load(biases, slot * LANES, LANES);
                lanes.iter_mut().zip(biases).for_each(|(sum, bias)| *sum += bias);
            }
            // For the next product.
            sums[row * slots_len..][..slots_len].fill(0.0);
            let before = match cell {
                Cell::Lstm if step.number > 0 => load(saved.memory, before * padded + first, LANES),
                Cell::Gru => load(saved.rows, at * depth + self.inputs + first, len),
                _ => [0.0; LANES],
            };
            let (slots, memory, state) = gates::forward(cell, slots, before);
            for (slot, lanes) in slots.into_iter().take(cell.slots()).enumerate() {
                store(saved.slots, at * slots_width + slot * padded + first, lanes, LANES);
            }
            if cell == Cell::Lstm {
                store(saved.memory, at * padded + first, memory, LANES);
            }
            if row < after {
                store(saved.rows, (at + active) * depth + self.inputs + first, state, len);
            }
            let (sequence, place) = step.packing.place(step.number, row, step.backwards);
            let output = match self.states {
                States::All => Some(sequence * step.length + place),
                States::Last => step.packing.is_last(step.number, row).then_some(sequence),
            };
            if let Some(output) = output {
                store(y, output * width + step.offset + first, state, len);
            }
        }
    }
}
