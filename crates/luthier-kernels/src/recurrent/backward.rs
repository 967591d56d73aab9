//! The way back through the steps.

use crate::scratch;
use crate::simd::vectorized;

use super::packing::Packing;
use super::product::{self, LANES, Rows, VECTORS, aligned, load, store};
use super::{Cell, Gradients, Recurrent, SLOTS, Saved, States, Weights, each, gates};

/// A step of a block.
struct Step<'a> {
    packing: &'a Packing,
    number: usize,
    backwards: bool,
    offset: usize,
    /// Rows of the steps before this one.
    start: usize,
    length: usize,
}

/// The transposed weights of a direction.
#[derive(Clone, Copy)]
struct Panels<'a> {
    input: &'a [f32],
    state: &'a [f32],
}

/// What a block works on: gradients of the state and of the memory for each sequence, of the inputs of a
/// step, and of the sums in the slots, over all steps.
struct Carried<'a> {
    state: &'a mut [f32],
    memory: &'a mut [f32],
    inputs: &'a mut [f32],
    biases: &'a mut [f32],
}

impl Recurrent {
    /// From the gradient `dy` of what `forward` gave, writes those of the inputs, where they are wanted, and
    /// of the weights of each direction. What was saved is written over.
    ///
    /// # Panics
    ///
    /// If sizes do not fit.
    #[expect(clippy::too_many_arguments, reason = "each is one thing")]
    pub fn backward(
        &self,
        (batch, length): (usize, usize),
        mask: Option<&[f32]>,
        weights: &[Weights<'_>],
        dy: &[f32],
        saved: &mut [f32],
        mut dx: Option<&mut [f32]>,
        gradients: &mut [Gradients<'_>],
    ) {
        self.check(weights);
        assert_eq!(dy.len(), self.output_len(batch, length), "gradients of the outputs");
        assert_eq!(saved.len(), self.saved_len(batch, length), "saved numbers");
        assert!(mask.is_none_or(|mask| mask.len() == batch * length), "mask");
        assert!(dx.as_ref().is_none_or(|dx| dx.len() == batch * length * self.inputs), "inputs");
        let size = Self::block(batch).max(1);
        let sums_len = self.ways() * self.slots_width();
        scratch::with(batch.div_ceil(size) * sums_len, |sums| {
            sums.fill(0.0);
            if let Some(dx) = dx.as_deref_mut() {
                dx.fill(0.0);
            }
            if !dy.is_empty() && length > 0 {
                self.through_steps((batch, length), mask, weights, dy, saved, dx, sums);
            }
            self.of_weights((batch, length), mask, saved, sums, gradients);
        });
    }

    /// Writes the gradients of the sums over their slots, and the totals of those for each block.
    #[expect(clippy::too_many_arguments, reason = "each is one thing")]
    fn through_steps(
        &self,
        (batch, length): (usize, usize),
        mask: Option<&[f32]>,
        weights: &[Weights<'_>],
        dy: &[f32],
        saved: &mut [f32],
        dx: Option<&mut [f32]>,
        sums: &mut [f32],
    ) {
        let inputs = if dx.is_some() { self.inputs } else { 0 };
        let (input_len, state_len) = (self.backward_panels(inputs), self.backward_panels(self.units));
        let panels_len = input_len + state_len;
        scratch::with(self.ways() * panels_len + LANES, |panels| {
            let panels = aligned(panels);
            for (weights, panels) in weights.iter().zip(panels.chunks_exact_mut(panels_len)) {
                let (input, state) = panels.split_at_mut(input_len);
                let (_, input_gates) = self.cell.of_input();
                if !input.is_empty() {
                    self.fill_backward(weights.input, input_gates, input);
                }
                self.fill_backward(weights.state, self.cell.of_state(), state);
            }
            let (panels, size) = (&*panels, Self::block(batch));
            let mut dx = dx.map(|dx| dx.chunks_mut((size * length * self.inputs).max(1)));
            let blocks = dy
                .chunks(self.output_len(size, length))
                .zip(saved.chunks_mut(self.ways() * self.saved(size * length)))
                .zip(sums.chunks_mut(self.ways() * self.slots_width()))
                .map(move |it| (it, dx.as_mut().and_then(Iterator::next)))
                .enumerate();
            each(blocks, self.is_large(batch, length), |(number, (((dy, saved), sums), mut dx))| {
                let first = number * size;
                let sequences = size.min(batch - first);
                let mask = mask.map(|mask| &mask[first * length..][..sequences * length]);
                let rows = sequences * length;
                Packing::with(mask, sequences, length, |packing| {
                    let saved = saved.chunks_exact_mut(self.saved(rows));
                    let sums = sums.chunks_exact_mut(self.slots_width());
                    let ways = saved.zip(sums).zip(panels.chunks_exact(panels_len));
                    for (way, ((saved, sums), panels)) in ways.enumerate() {
                        let (input, state) = panels.split_at(input_len);
                        let saved = self.parts_mut(saved, rows);
                        let step = Step {
                            packing,
                            number: 0,
                            backwards: way == 1,
                            offset: way * self.units,
                            start: packing.rows(),
                            length,
                        };
                        self.run_back(step, Panels { input, state }, dy, saved, dx.as_deref_mut(), sums);
                    }
                });
            });
        });
    }

    /// Takes a block back through its steps in one direction.
    fn run_back(
        &self,
        mut step: Step<'_>,
        panels: Panels<'_>,
        dy: &[f32],
        mut saved: Saved<&mut [f32]>,
        mut dx: Option<&mut [f32]>,
        biases: &mut [f32],
    ) {
        let (padded, inputs) = (self.padded(), self.inputs);
        let inputs_padded = inputs.next_multiple_of(LANES);
        let (first_slot, _) = self.cell.of_input();
        let (most, stride) = (step.packing.active(0), self.slots_width());
        scratch::with(most * (2 * padded + inputs_padded) + LANES, |memory| {
            let memory = aligned(memory);
            memory.fill(0.0);
            let (state, rest) = memory.split_at_mut(most * padded);
            let (memory, of_inputs) = rest.split_at_mut(most * padded);
            let mut carried = Carried { state, memory, inputs: of_inputs, biases };
            for number in (0..step.packing.steps()).rev() {
                let active = step.packing.active(number);
                step.number = number;
                step.start -= active;
                vectorized(
                    #[inline(always)]
                    // Each cell gets code of its own.
                    || match self.cell {
                        Cell::Rnn => self.step_back(Cell::Rnn, &step, dy, &mut saved, &mut carried),
                        Cell::Lstm => self.step_back(Cell::Lstm, &step, dy, &mut saved, &mut carried),
                        Cell::Gru => self.step_back(Cell::Gru, &step, dy, &mut saved, &mut carried),
                    },
                );
                let slots = &saved.slots[step.start * stride..];
                if number > 0 {
                    let values = Rows { data: slots, stride };
                    self.back(carried.state, active, values, panels.state);
                }
                if let Some(dx) = dx.as_deref_mut() {
                    let values = Rows { data: &slots[first_slot * padded..], stride };
                    self.back(carried.inputs, active, values, panels.input);
                    vectorized(
                        #[inline(always)]
                        || self.add_to_inputs(&step, carried.inputs, dx),
                    );
                }
            }
        });
    }

    /// Adds the gradients of the inputs of a step to where they belong, and leaves 0 for the next product.
    #[inline(always)]
    fn add_to_inputs(&self, step: &Step<'_>, gradients: &mut [f32], dx: &mut [f32]) {
        let rows = gradients.chunks_exact_mut(self.inputs.next_multiple_of(LANES));
        for (row, gradients) in rows.take(step.packing.active(step.number)).enumerate() {
            let (sequence, place) = step.packing.place(step.number, row, step.backwards);
            let target = &mut dx[(sequence * step.length + place) * self.inputs..][..self.inputs];
            target.iter_mut().zip(&*gradients).for_each(|(target, it)| *target += it);
            gradients.fill(0.0);
        }
    }

    /// Adds the product of gradients of slots with transposed weights.
    fn back(&self, target: &mut [f32], active: usize, values: Rows<&[f32]>, panels: &[f32]) {
        let depth = self.backward_depth();
        let stride = panels.len() / depth;
        for (strip, panel) in panels.chunks(depth * VECTORS * LANES).enumerate() {
            let target = Rows { data: &mut target[strip * VECTORS * LANES..], stride };
            product::add(target, active, values, panel, panel.len() / depth / LANES);
        }
    }

    /// The gradients of the gates of all rows of a step.
    #[inline(always)]
    fn step_back(
        &self,
        cell: Cell,
        step: &Step<'_>,
        dy: &[f32],
        saved: &mut Saved<&mut [f32]>,
        carried: &mut Carried<'_>,
    ) {
        let (padded, width, slots_width) = (self.padded(), self.width(), self.slots_width());
        let start_before =
            if step.number > 0 { step.start - step.packing.active(step.number - 1) } else { 0 };
        // First what comes from far away, so that reads are under way together.
        for row in 0..step.packing.active(step.number) {
            let (sequence, place) = step.packing.place(step.number, row, step.backwards);
            let output = match self.states {
                States::All => Some(sequence * step.length + place),
                States::Last => step.packing.is_last(step.number, row).then_some(sequence),
            };
            if let Some(output) = output {
                let sums = &mut carried.state[row * padded..][..self.units];
                let dy = &dy[output * width + step.offset..][..self.units];
                sums.iter_mut().zip(dy).for_each(|(sum, it)| *sum += it);
            }
        }
        for row in 0..step.packing.active(step.number) {
            let at = step.start + row;
            for first in (0..self.units).step_by(LANES) {
                let len = LANES.min(self.units - first);
                let of_state = load(carried.state, row * padded + first, LANES);
                let (mut of_memory, mut before, mut after) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
                if cell == Cell::Lstm {
                    of_memory = load(carried.memory, row * padded + first, LANES);
                    after = load(saved.memory, at * padded + first, LANES);
                    if step.number > 0 {
                        before = load(saved.memory, (start_before + row) * padded + first, LANES);
                    }
                } else if cell == Cell::Gru {
                    before = load(saved.rows, at * self.depth() + self.inputs + first, len);
                }
                let mut slots = [[0.0; LANES]; SLOTS];
                for (slot, lanes) in slots.iter_mut().take(cell.slots()).enumerate() {
                    *lanes = load(saved.slots, at * slots_width + slot * padded + first, LANES);
                }
                let (slots, of_memory, of_state) =
                    gates::backward(cell, slots, (before, after), (of_state, of_memory));
                store(carried.state, row * padded + first, of_state, LANES);
                if cell == Cell::Lstm {
                    store(carried.memory, row * padded + first, of_memory, LANES);
                }
                for (slot, lanes) in slots.into_iter().take(cell.slots()).enumerate() {
                    store(saved.slots, at * slots_width + slot * padded + first, lanes, LANES);
                    let mut sums = load(carried.biases, slot * padded + first, LANES);
                    sums.iter_mut().zip(lanes).for_each(|(sum, it)| *sum += it);
                    store(carried.biases, slot * padded + first, sums, LANES);
                }
            }
        }
    }
}
