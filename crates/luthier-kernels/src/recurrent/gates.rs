//! The gates of a step and their gradients, for some units of a sequence at once.

use super::product::{LANES, Lanes};
use super::{Cell, SLOTS};
use crate::math::{sigmoid, tanh};

/// A gradient, or 0 where it is so small that its products soon were numbers that processors are slow with:
/// over many steps gradients vanish.
#[inline(always)]
fn flushed(gradient: f32) -> f32 {
    const LEAST: f32 = 1.0 / (1_u128 << 109) as f32;
    if gradient.abs() < LEAST { 0.0 } else { gradient }
}

/// What comes out of a step: what is saved in the slots, the memory of an LSTM and the state.
pub(super) type Stepped = ([Lanes; SLOTS], Lanes, Lanes);

/// From the sums in the slots to what is saved of them, with the memory and the state behind the step.
/// `before` is the state before the step, or the memory of an LSTM.
#[inline(always)]
pub(super) fn forward(cell: Cell, slots: [Lanes; SLOTS], before: Lanes) -> Stepped {
    match cell {
        Cell::Rnn => rnn(slots),
        Cell::Lstm => lstm(slots, before),
        Cell::Gru => gru(slots, before),
    }
}

#[inline(always)]
fn rnn([sum, ..]: [Lanes; SLOTS]) -> Stepped {
    let mut state = [0.0; LANES];
    for lane in 0..LANES {
        state[lane] = tanh(sum[lane]);
    }
    ([state, state, state, state], state, state)
}

#[inline(always)]
fn lstm([mut i, mut f, mut g, mut o]: [Lanes; SLOTS], before: Lanes) -> Stepped {
    let (mut memory, mut state) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        i[lane] = sigmoid(i[lane]);
        f[lane] = sigmoid(f[lane]);
        g[lane] = tanh(g[lane]);
        o[lane] = sigmoid(o[lane]);
        memory[lane] = f[lane].mul_add(before[lane], i[lane] * g[lane]);
        state[lane] = o[lane] * tanh(memory[lane]);
    }
    ([i, f, g, o], memory, state)
}

#[inline(always)]
fn gru([held, mut r, mut z, mut n]: [Lanes; SLOTS], before: Lanes) -> Stepped {
    let mut state = [0.0; LANES];
    for lane in 0..LANES {
        r[lane] = sigmoid(r[lane]);
        z[lane] = sigmoid(z[lane]);
        n[lane] = tanh(r[lane].mul_add(held[lane], n[lane]));
        state[lane] = z[lane].mul_add(before[lane] - n[lane], n[lane]);
    }
    ([held, r, z, n], state, state)
}

/// From what is saved in the slots to the gradients of the sums that they were. `state` is the gradient of
/// the state behind the step; the part of that of the state before which goes through no weights comes back.
/// `memory` likewise. `before` is as in [`forward`], `after` the memory behind the step.
#[inline(always)]
pub(super) fn backward(
    cell: Cell,
    slots: [Lanes; SLOTS],
    (before, after): (Lanes, Lanes),
    (state, memory): (Lanes, Lanes),
) -> Stepped {
    match cell {
        Cell::Rnn => rnn_back(slots, state),
        Cell::Lstm => lstm_back(slots, (before, after), (state, memory)),
        Cell::Gru => gru_back(slots, before, state),
    }
}

#[inline(always)]
fn rnn_back([h, ..]: [Lanes; SLOTS], state: Lanes) -> Stepped {
    let mut sum = [0.0; LANES];
    for lane in 0..LANES {
        let gradient = flushed(state[lane]);
        sum[lane] = (-h[lane] * h[lane]).mul_add(gradient, gradient);
    }
    ([sum, sum, sum, sum], [0.0; LANES], [0.0; LANES])
}

#[inline(always)]
fn lstm_back(
    [mut i, mut f, mut g, mut o]: [Lanes; SLOTS],
    (before, after): (Lanes, Lanes),
    (state, mut memory): (Lanes, Lanes),
) -> Stepped {
    for lane in 0..LANES {
        let (input, forget, candidate, output) = (i[lane], f[lane], g[lane], o[lane]);
        let tanh = tanh(after[lane]);
        let through = flushed(state[lane]) * output;
        let of_memory = flushed((-tanh * tanh).mul_add(through, through) + memory[lane]);
        o[lane] = through * tanh * (1.0 - output);
        let by_input = of_memory * input;
        i[lane] = by_input * candidate * (1.0 - input);
        g[lane] = (-candidate * candidate).mul_add(by_input, by_input);
        let by_forget = of_memory * forget;
        f[lane] = by_forget * before[lane] * (1.0 - forget);
        memory[lane] = by_forget;
    }
    ([i, f, g, o], memory, [0.0; LANES])
}

#[inline(always)]
fn gru_back([mut held, mut r, mut z, mut n]: [Lanes; SLOTS], before: Lanes, mut state: Lanes) -> Stepped {
    for lane in 0..LANES {
        let (reset, update, candidate) = (r[lane], z[lane], n[lane]);
        let gradient = flushed(state[lane]);
        let by_update = gradient * update;
        let of_sum = (gradient - by_update) * (-candidate).mul_add(candidate, 1.0);
        let by_reset = of_sum * reset;
        n[lane] = of_sum;
        z[lane] = by_update * (before[lane] - candidate) * (1.0 - update);
        r[lane] = by_reset * held[lane] * (1.0 - reset);
        held[lane] = by_reset;
        state[lane] = by_update;
    }
    ([held, r, z, n], [0.0; LANES], state)
}
