//! Recurrent layers: plain ones, LSTM and GRU, in one or both directions.
//!
//! With the input x and state h of a step, weights W and U, biases b and c, and ⊙ for each number:
//!
//! ```text
//! RNN:   h' = tanh(x W + b + h U + c)
//! LSTM:  i, f, o = σ(x W + b + h U + c),  g = tanh(x W + b + h U + c)    (columns in the order i f g o)
//!        s' = f ⊙ s + i ⊙ g,  h' = o ⊙ tanh(s')
//! GRU:   r, z = σ(x W + b + h U + c),  n = tanh(x W + b + r ⊙ (h U + c)) (columns in the order r z n)
//!        h' = (1 - z) ⊙ n + z ⊙ h
//! ```
//!
//! A batch is cut into blocks of sequences, and a task takes a block through all steps, so threads wait for
//! each other only at the end. In a block the longest sequence comes first and steps of padding are left
//! out, so that a step's rows lie together and no work goes into padding. Input and state lie side by side:
//! one product with both matrices of weights gives what the gates need, and one at the end, over all steps,
//! the gradients of both.

#![expect(clippy::inline_always, reason = "what is to become vector instructions has to be inlined")]

mod backward;
mod forward;
mod gates;
mod gradients;
mod packing;
mod panels;
mod product;
#[cfg(test)]
mod tests;

use product::LANES;

/// Most slots of a cell.
const SLOTS: usize = 4;

/// What is computed at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// A plain recurrent layer (Elman 1990).
    Rnn,
    /// Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).
    Lstm,
    /// Gated recurrent units (Cho et al. 2014), with the candidate's reset behind the product.
    Gru,
}

/// What a recurrent layer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// The state behind the last real step (of the reverse direction, behind the first): `[batch, width]`.
    Last,
    /// The states behind all steps, 0 where there is padding: `[batch, length, width]`.
    All,
}

/// A recurrent layer on sequences `[batch, length, inputs]`. Its outputs are as wide as its units, or twice
/// that where a second direction reads backwards: then the states of both lie side by side.
#[derive(Debug, Clone, Copy)]
pub struct Recurrent {
    /// What is computed at a step.
    pub cell: Cell,
    /// Numbers of a step.
    pub inputs: usize,
    /// Units of each direction.
    pub units: usize,
    /// Whether a second direction begins at the last real step.
    pub bidirectional: bool,
    /// What is given.
    pub states: States,
}

/// The weights of a direction.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// `[inputs, gates * units]`
    pub input: &'a [f32],
    /// `[units, gates * units]`
    pub state: &'a [f32],
    /// `[gates * units]`
    pub input_bias: &'a [f32],
    /// `[gates * units]`
    pub state_bias: &'a [f32],
}

/// Where the gradients of the weights of a direction are written, of the same shapes as those.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// `[inputs, gates * units]`
    pub input: &'a mut [f32],
    /// `[units, gates * units]`
    pub state: &'a mut [f32],
    /// `[gates * units]`
    pub input_bias: &'a mut [f32],
    /// `[gates * units]`
    pub state_bias: &'a mut [f32],
}

/// What is kept of a step for each gate are its slots: the gates in the order of the weights, but for GRU the
/// state's part of the candidate, r, z and the candidate. So the slots of the products with either matrix
/// lie together.
impl Cell {
    /// Gates that the weights have.
    pub const fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    const fn slots(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru | Self::Lstm => 4,
        }
    }

    /// The first slot of the product with the inputs, and the gate of that and of those behind it.
    const fn of_input(self) -> (usize, &'static [usize]) {
        match self {
            Self::Rnn => (0, &[0]),
            Self::Gru => (1, &[0, 1, 2]),
            Self::Lstm => (0, &[0, 1, 2, 3]),
        }
    }

    /// The gates of the slots of the product with the state, from the first slot on.
    const fn of_state(self) -> &'static [usize] {
        match self {
            Self::Rnn => &[0],
            Self::Gru => &[2, 0, 1],
            Self::Lstm => &[0, 1, 2, 3],
        }
    }
}

/// The part of what is saved that belongs to one direction of one block. For each step of each sequence, row
/// by row: the slots, the memory of an LSTM behind the step, and inputs with the state before the step.
struct Saved<T> {
    slots: T,
    memory: T,
    rows: T,
}

impl Recurrent {
    fn ways(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Units of both directions: how wide outputs are.
    pub fn width(&self) -> usize {
        self.ways() * self.units
    }

    /// How many numbers `forward` gives.
    pub fn output_len(&self, batch: usize, length: usize) -> usize {
        batch * self.width() * if self.states == States::All { length } else { 1 }
    }

    /// How many numbers `forward` has to keep for `backward`. They are read and written fastest where their
    /// memory begins at a multiple of 64 bytes.
    pub fn saved_len(&self, batch: usize, length: usize) -> usize {
        let size = Self::block(batch).max(1);
        self.ways() * (batch / size * self.saved(size * length) + self.saved(batch % size * length))
    }

    /// Units, rounded up to whole vectors.
    fn padded(&self) -> usize {
        self.units.next_multiple_of(LANES)
    }

    /// Inputs and state.
    fn depth(&self) -> usize {
        self.inputs + self.units
    }

    fn slots_width(&self) -> usize {
        self.cell.slots() * self.padded()
    }

    fn memory_width(&self) -> usize {
        if self.cell == Cell::Lstm { self.padded() } else { 0 }
    }

    /// What is saved of a direction of a block with so many steps.
    fn saved(&self, rows: usize) -> usize {
        rows * (self.slots_width() + self.memory_width()) + (rows * self.depth()).next_multiple_of(LANES)
    }

    /// Sequences of a block: about 16, and for two threads an even number of blocks.
    fn block(batch: usize) -> usize {
        const ROWS: usize = 16;
        const LEAST: usize = 4;
        let blocks = batch.div_ceil(ROWS).next_multiple_of(2).min(batch / LEAST).max(1);
        batch.div_ceil(blocks)
    }

    /// Whether threads pay.
    fn is_large(&self, batch: usize, length: usize) -> bool {
        batch * length * self.depth() * self.slots_width() > 1 << 19
    }

    fn parts_mut<'a>(&self, saved: &'a mut [f32], rows: usize) -> Saved<&'a mut [f32]> {
        let (slots, rest) = saved.split_at_mut(rows * self.slots_width());
        let (memory, rows) = rest.split_at_mut(rows * self.memory_width());
        Saved { slots, memory, rows }
    }

    fn parts<'a>(&self, saved: &'a [f32], rows: usize) -> Saved<&'a [f32]> {
        let (slots, rest) = saved.split_at(rows * self.slots_width());
        let (memory, rows) = rest.split_at(rows * self.memory_width());
        Saved { slots, memory, rows }
    }

    fn check(&self, weights: &[Weights<'_>]) {
        assert_eq!(weights.len(), self.ways(), "weights of each direction");
        for it in weights {
            let gates = self.cell.gates() * self.units;
            assert_eq!(it.input.len(), self.inputs * gates, "weights of the inputs");
            assert_eq!(it.state.len(), self.units * gates, "weights of the state");
            assert_eq!(it.input_bias.len(), gates, "biases of the inputs");
            assert_eq!(it.state_bias.len(), gates, "biases of the state");
        }
    }
}

/// Takes each of the blocks; on several threads where that pays.
fn each<T: Send>(blocks: impl Iterator<Item = T> + Send, large: bool, task: impl Fn(T) + Sync + Send) {
    use rayon::iter::{ParallelBridge, ParallelIterator};
    if large && rayon::current_num_threads() > 1 {
        blocks.par_bridge().for_each(task);
    } else {
        blocks.for_each(task);
    }
}
