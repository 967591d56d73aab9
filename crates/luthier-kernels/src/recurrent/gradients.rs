//! Gradients of the weights, from those of all steps.

use crate::matmul::{Matrix, MatrixMut, matmul};
use crate::{parallel, scratch};

use super::{Gradients, Recurrent};

impl Recurrent {
    /// Writes the gradients of the weights, given those of the sums where `saved` has its slots, and the
    /// totals of these for each block.
    pub(super) fn of_weights(
        &self,
        (batch, length): (usize, usize),
        mask: Option<&[f32]>,
        saved: &[f32],
        sums: &mut [f32],
        gradients: &mut [Gradients<'_>],
    ) {
        assert_eq!(gradients.len(), self.ways(), "gradients of each direction");
        let (slots, padded, depth) = (self.cell.slots(), self.padded(), self.depth());
        // A matrix [depth, padded] for each slot of each direction.
        let (size, count) = (depth * padded, self.ways() * slots);
        if self.units == 0 {
            return;
        }
        scratch::with(size * count, |products| {
            let task = |number: usize, product: &mut [f32]| {
                let (way, slot) = (number / slots, number % slots);
                self.of_slot((batch, length), mask, saved, (way, slot), product);
            };
            if self.is_large(batch, length) {
                parallel::chunks(products, size, task);
            } else {
                products.chunks_exact_mut(size).enumerate().for_each(|(number, it)| task(number, it));
            }
            let (first, rest) = sums.split_at_mut((self.ways() * self.slots_width()).min(sums.len()));
            for sums in rest.chunks_exact(first.len().max(1)) {
                first.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
            for (number, product) in products.chunks_exact(size).enumerate() {
                let bias = first.get(number * padded..).unwrap_or(&[]);
                self.write(number % slots, product, bias, &mut gradients[number / slots]);
            }
        });
    }

    /// The products of inputs and states with the gradients of a slot, over all steps.
    fn of_slot(
        &self,
        (batch, length): (usize, usize),
        mask: Option<&[f32]>,
        saved: &[f32],
        (way, slot): (usize, usize),
        product: &mut [f32],
    ) {
        let (padded, depth, stride) = (self.padded(), self.depth(), self.slots_width());
        let block = Self::block(batch).max(1);
        let from = if self.cell.gate_of(slot).0.is_some() { 0 } else { self.inputs };
        let to = if self.cell.gate_of(slot).1.is_some() { depth } else { self.inputs };
        let product = &mut product[from * padded..to * padded];
        product.fill(0.0);
        for (number, saved) in saved.chunks((self.ways() * self.saved(block * length)).max(1)).enumerate() {
            let first = number * block;
            let sequences = block.min(batch - first);
            let rows = sequences * length;
            let real = mask
                .map_or(rows, |mask| mask[first * length..][..rows].iter().filter(|it| **it != 0.0).count());
            if real == 0 || from == to {
                continue;
            }
            let saved = &saved[way * self.saved(rows)..][..self.saved(rows)];
            let saved = self.parts(saved, rows);
            let left = Matrix::strided(&saved.rows[from..], (to - from, real), (1, depth));
            let right = Matrix::strided(&saved.slots[slot * padded..], (real, padded), (stride, 1));
            matmul(MatrixMut::rows(product, to - from, padded), left, right, true);
        }
    }

    /// Copies the gradients of a slot to where they belong.
    fn write(&self, slot: usize, product: &[f32], bias: &[f32], gradients: &mut Gradients<'_>) {
        let (units, padded) = (self.units, self.padded());
        let (of_input, of_state) = product.split_at(self.inputs * padded);
        let (input_gate, state_gate) = self.cell.gate_of(slot);
        for (gate, product, weights, biases) in [
            (input_gate, of_input, &mut *gradients.input, &mut *gradients.input_bias),
            (state_gate, of_state, &mut *gradients.state, &mut *gradients.state_bias),
        ] {
            let Some(gate) = gate else { continue };
            let rows = weights.chunks_exact_mut(self.cell.gates() * units);
            for (target, source) in rows.zip(product.chunks_exact(padded)) {
                target[gate * units..][..units].copy_from_slice(&source[..units]);
            }
            match bias.get(..units) {
                Some(bias) => biases[gate * units..][..units].copy_from_slice(bias),
                None => biases[gate * units..][..units].fill(0.0),
            }
        }
    }
}
