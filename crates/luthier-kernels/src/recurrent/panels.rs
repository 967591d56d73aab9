//! Weights in the order in which the products of a step read them.

use super::product::{LANES, VECTORS};
use super::{Cell, Recurrent, Weights};

impl Recurrent {
    /// Numbers of a panel of `forward`: for `LANES` units, the biases of all slots, the weights of the
    /// inputs `[inputs, gates, LANES]` and those of the state `[units, gates, LANES]`.
    pub(super) fn forward_panel(&self) -> usize {
        (self.cell.slots() + self.depth() * self.cell.gates()) * LANES
    }

    /// Writes the panels of `forward`, one behind the other.
    pub(super) fn fill_forward(&self, weights: &Weights<'_>, panels: &mut [f32]) {
        let (units, gates) = (self.units, self.cell.gates());
        panels.fill(0.0);
        for (number, panel) in panels.chunks_exact_mut(self.forward_panel()).enumerate() {
            let first = number * LANES;
            let len = LANES.min(units - first);
            let (biases, panel) = panel.split_at_mut(self.cell.slots() * LANES);
            let (of_input, of_state) = panel.split_at_mut(self.inputs * gates * LANES);
            let (first_slot, input_gates) = self.cell.of_input();
            for (bias, slots, first_slot) in
                [(weights.input_bias, input_gates, first_slot), (weights.state_bias, self.cell.of_state(), 0)]
            {
                for (slot, gate) in slots.iter().enumerate() {
                    let sums = &mut biases[(first_slot + slot) * LANES..][..len];
                    for (sum, bias) in sums.iter_mut().zip(&bias[gate * units + first..]) {
                        *sum += bias;
                    }
                }
            }
            for (panel, weights, slots) in
                [(of_input, weights.input, input_gates), (of_state, weights.state, self.cell.of_state())]
            {
                let rows = panel.chunks_exact_mut(gates * LANES).zip(weights.chunks_exact(gates * units));
                for (panel, weights) in rows {
                    for (panel, gate) in panel.chunks_exact_mut(LANES).zip(slots) {
                        panel[..len].copy_from_slice(&weights[gate * units + first..][..len]);
                    }
                }
            }
        }
    }

    /// Numbers of the panels of `backward` for a gradient of so many columns.
    pub(super) fn backward_panels(&self, columns: usize) -> usize {
        self.backward_depth() * columns.next_multiple_of(LANES)
    }

    /// Slots that lie together in a product of `backward`, times the units.
    pub(super) fn backward_depth(&self) -> usize {
        self.cell.gates() * self.padded()
    }

    /// Writes the panels of `backward`: the transposed weights `[columns, gates * units]`, as
    /// `[gates, padded units, columns of the panel]` for so many columns as a panel has.
    pub(super) fn fill_backward(&self, weights: &[f32], gates: &[usize], panels: &mut [f32]) {
        let (units, padded, depth) = (self.units, self.padded(), self.backward_depth());
        panels.fill(0.0);
        for (number, weights) in weights.chunks_exact(gates.len() * units).enumerate() {
            let strip = number / (VECTORS * LANES) * (VECTORS * LANES);
            let panel = &mut panels[strip * depth..];
            let width = (panel.len() / depth).min(VECTORS * LANES);
            for (slot, gate) in gates.iter().enumerate() {
                let target = panel[slot * padded * width..][number - strip..].iter_mut().step_by(width);
                for (target, weight) in target.zip(&weights[gate * units..][..units]) {
                    *target = *weight;
                }
            }
        }
    }
}

impl Cell {
    /// For each slot and each matrix, the gate that it belongs to.
    pub(super) fn gate_of(self, slot: usize) -> (Option<usize>, Option<usize>) {
        let (first, of_input) = self.of_input();
        let input = slot.checked_sub(first).and_then(|slot| of_input.get(slot));
        (input.copied(), self.of_state().get(slot).copied())
    }
}
