//! Recurrent layers, as PyTorch defines them: RNN, LSTM and GRU.
//!
//! With the input x and state h of a step, weights W and U, biases b and c, and ⊙ for each number:
//!
//! ```text
//! RNN:   h' = tanh(W x + b + U h + c)
//! LSTM:  i, f, o = σ(W x + b + U h + c),  g = tanh(W x + b + U h + c)    (rows in the order i f g o)
//!        s' = f ⊙ s + i ⊙ g,  h' = o ⊙ tanh(s')
//! GRU:   r, z = σ(W x + b + U h + c),  n = tanh(W x + b + r ⊙ (U h + c)) (rows in the order r z n)
//!        h' = (1 - z) ⊙ n + z ⊙ h
//! ```
//!
//! Steps that are padding keep the state, and give 0 as output: the results of PyTorch's packed
//! sequences. The inputs of all steps are multiplied at once, the states step by step.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::module::linear;
use luthier_core::config::bounds;

use crate::model::builder::{Builder, Outline};
use crate::model::init::{Fill, Init};
use crate::model::plan::{Planner, RecurrentKernel, states};
use crate::model::stage::Stage;
use crate::model::weights::{Layout, Role};
use crate::model::{Pass, Signal};
use crate::shape::Shape;

use super::dropout::dropped;
use super::size::{DEPTH, UNITS, named};

luthier_core::kinds! {
    /// What a recurrent layer gives.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Output ("\"last\" or \"sequence\"") {
        /// The state behind the last real step (of the reverse direction, behind the first): one vector.
        "last" => Last,
        /// The states of all steps: a sequence.
        "sequence" => Sequence,
    }
}

macro_rules! recurrent {
    ($(#[doc = $doc:literal])* $name:ident, $key:ident, $cell:ident) => {
        luthier_core::settings! {
            $(#[doc = $doc])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $name {
                /// Number of units in each direction; from 32 to 512 is usual.
                $key: usize, UNITS;
                /// How many lie upon each other, each on the states of the one below. Seldom more than 3.
                layers: usize = 1, DEPTH;
                /// Whether a second one reads backwards; the states of both are put together.
                bidirectional: bool = false;
                /// Probability with which each state between two layers is dropped while training.
                dropout: f64 = 0.0, bounds::BELOW_ONE;
                /// "last" for one vector, "sequence" for a vector at each step.
                output: Output = Output::Last;
                /// How its initial weights are drawn; as `init` of `[model]` says where it is left out.
                init: Option<Init> = None;
            }
        }

        impl $name {
            pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
                Stack {
                    cell: Cell::$cell,
                    units: self.$key,
                    layers: self.layers,
                    bidirectional: self.bidirectional,
                    dropout: self.dropout,
                    output: self.output,
                }
                .build(self.init, builder)
            }
        }
    };
}

recurrent!(
    /// A plain recurrent layer (Elman 1990). It forgets soon; LSTM and GRU do not.
    RnnLayer, rnn, Rnn
);
recurrent!(
    /// Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).
    LstmLayer, lstm, Lstm
);
recurrent!(
    /// Gated recurrent units (Cho et al. 2014), with three quarters of the weights of an LSTM.
    GruLayer, gru, Gru
);

/// What is computed at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Rnn,
    Lstm,
    Gru,
}

/// The shape of a recurrent layer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stack {
    cell: Cell,
    units: usize,
    layers: usize,
    bidirectional: bool,
    dropout: f64,
    output: Output,
}

/// The weights of one layer in one direction: `[inputs, gates]`, `[units, gates]` and twice `[gates]`.
#[derive(Module, Debug)]
struct Direction {
    weight_ih: Param<Tensor<2>>,
    weight_hh: Param<Tensor<2>>,
    bias_ih: Param<Tensor<1>>,
    bias_hh: Param<Tensor<1>>,
}

/// A recurrent layer: directions of the first layer, then of the next.
#[derive(Module, Debug)]
pub(crate) struct Recurrent {
    directions: Vec<Direction>,
    #[module(skip)]
    stack: Stack,
}

impl Cell {
    fn name(self) -> &'static str {
        match self {
            Self::Rnn => "rnn",
            Self::Lstm => "lstm",
            Self::Gru => "gru",
        }
    }

    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

impl Stack {
    fn ways(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    fn build(self, init: Option<Init>, builder: &mut Builder<'_>) -> Result<(), String> {
        let Shape::Sequence { length, features } = builder.shape() else {
            let hint = match builder.shape() {
                Shape::Image { .. } => "; `{ rows = true }` reads an image row by row",
                _ => "",
            };
            let found = named(builder.shape());
            return Err(format!(
                "a recurrent layer needs sequences [length, features], and here come {found}{hint}"
            ));
        };
        let (units, ways, gates) = (self.units, self.ways(), self.cell.gates());
        let mut label = format!("{} {units}", self.cell.name());
        if self.layers > 1 {
            label += &format!(", {} layers", self.layers);
        }
        if self.bidirectional {
            label += ", bidirectional";
        }
        let shape = match self.output {
            Output::Last => Shape::Flat(units * ways),
            Output::Sequence => Shape::Sequence { length, features: units * ways },
        };
        let inputs = |layer: usize| if layer == 0 { features } else { units * ways };
        let each = (0..self.layers).map(|layer| (inputs(layer) + units) * gates * units * ways).sum();
        let outline = Outline::own(label, shape).multiply_adds(each, length);
        builder.weighted(outline, |builder| {
            // As PyTorch's nn.RNNBase: U(-1/sqrt(units), 1/sqrt(units)) for all.
            let (weight, bias) = builder.fills(init, Fill::Uniform(1.0 / (units as f64).sqrt()), gates);
            let mut rng = builder.init_stream();
            let mut directions = Vec::with_capacity(self.layers * ways);
            for layer in 0..self.layers {
                for way in ["", "_reverse"].into_iter().take(ways) {
                    let mut matrix = |name: &str, inputs: usize| {
                        let name = format!("{name}_l{layer}{way}");
                        let role = (Role::Weight, Layout::Transposed);
                        builder.parameter(&name, [inputs, gates * units], role, weight.clone(), &mut rng)
                    };
                    let weight_ih = matrix("weight_ih", inputs(layer));
                    let weight_hh = matrix("weight_hh", units);
                    let mut vector = |name: &str| {
                        let name = format!("{name}_l{layer}{way}");
                        let role = (Role::Bias, Layout::Same);
                        builder.parameter(&name, [gates * units], role, bias.clone(), &mut rng)
                    };
                    let (bias_ih, bias_hh) = (vector("bias_ih"), vector("bias_hh"));
                    directions.push(Direction { weight_ih, weight_hh, bias_ih, bias_hh });
                }
            }
            Stage::Recurrent(Recurrent { directions, stack: self })
        });
        Ok(())
    }
}

impl Recurrent {
    /// Its kernels for CPUs.
    pub(crate) fn plan(&self, planner: &mut Planner<'_>) -> bool {
        let Stack { cell, units, layers, bidirectional, dropout, output } = self.stack;
        let Shape::Sequence { length, .. } = planner.shape() else { return false };
        let cell = match cell {
            Cell::Rnn => luthier_kernels::Cell::Rnn,
            Cell::Lstm => luthier_kernels::Cell::Lstm,
            Cell::Gru => luthier_kernels::Cell::Gru,
        };
        for layer in 0..layers {
            let Shape::Sequence { features: inputs, .. } = planner.shape() else { return false };
            if layer > 0 {
                planner.dropout(dropout, planner.shape());
            }
            let all = layer + 1 < layers || output == Output::Sequence;
            let features = units * self.stack.ways();
            let after = if all { Shape::Sequence { length, features } } else { Shape::Flat(features) };
            let parameters: Vec<_> = (0..4 * self.stack.ways()).map(|_| planner.parameter()).collect();
            let layer =
                luthier_kernels::Recurrent { cell, inputs, units, bidirectional, states: states(all) };
            planner.push(RecurrentKernel::new(layer, &parameters), after);
        }
        true
    }

    pub(crate) fn forward(&self, signal: Signal, pass: &mut Pass<'_>) -> Signal {
        let Signal::Sequence { mut values, mask } = signal else {
            unreachable!("the builder puts recurrent layers behind sequences only")
        };
        let Stack { cell, output, dropout, .. } = self.stack;
        let masks = mask.as_ref().map(columns);
        let mut last = Vec::new();
        for (layer, directions) in self.directions.chunks(self.stack.ways()).enumerate() {
            if layer > 0 {
                values = dropped(values, dropout, pass);
            }
            let top = layer + 1 == self.stack.layers;
            let (mut ends, mut outputs) = (Vec::new(), Vec::new());
            for (way, direction) in directions.iter().enumerate() {
                let states = direction.run(cell, values.clone(), masks.as_deref(), way == 1);
                let end = if way == 1 { states.first() } else { states.last() };
                ends.extend(end.cloned());
                if !top || output == Output::Sequence {
                    outputs.push(Tensor::stack::<3>(states, 1));
                }
            }
            last = ends;
            if !outputs.is_empty() {
                values = Tensor::cat(outputs, 2);
                if let Some(mask) = &mask {
                    values = values * mask.clone().unsqueeze_dim::<3>(2);
                }
            }
        }
        match output {
            Output::Last => Signal::Flat(Tensor::cat(last, 1)),
            Output::Sequence => Signal::Sequence { values, mask },
        }
    }
}

impl Direction {
    /// The state `[batch, units]` behind each step, in the order of the steps; `backwards` begins at the
    /// last of them.
    fn run(
        &self,
        cell: Cell,
        values: Tensor<3>,
        masks: Option<&[Tensor<2>]>,
        backwards: bool,
    ) -> Vec<Tensor<2>> {
        let (weight, bias) = (self.weight_hh.val(), self.bias_hh.val());
        let [units, gates] = weight.dims();
        // The two biases only act as their sum, but for the candidate of a GRU.
        let ahead = match cell {
            Cell::Gru => self.bias_ih.val(),
            _ => self.bias_ih.val() + bias.clone(),
        };
        let [batch, length, features] = values.dims();
        let rows = values.swap_dims(0, 1).reshape([length * batch, features]);
        let inputs = linear(rows, self.weight_ih.val(), Some(ahead));
        let mut inputs = slabs(inputs.reshape([length, batch * gates]));
        if backwards {
            inputs.reverse();
        }
        let device = weight.device();
        let mut state = Tensor::zeros([batch, units], &device);
        let mut memory = Tensor::zeros([batch, units], &device);
        let mut states = Vec::with_capacity(length);
        for (step, input) in inputs.into_iter().enumerate() {
            let input = input.reshape([batch, gates]);
            let (next, remembered) = match cell {
                Cell::Rnn => ((input + state.clone().matmul(weight.clone())).tanh(), None),
                Cell::Lstm => {
                    let sum = input + state.clone().matmul(weight.clone());
                    let gate = |number: usize| sum.clone().narrow(1, number * units, units);
                    let kept = sigmoid(gate(1)) * memory.clone();
                    let remembered = kept + sigmoid(gate(0)) * gate(2).tanh();
                    (sigmoid(gate(3)) * remembered.clone().tanh(), Some(remembered))
                }
                Cell::Gru => {
                    let held = linear(state.clone(), weight.clone(), Some(bias.clone()));
                    let both =
                        sigmoid(input.clone().narrow(1, 0, 2 * units) + held.clone().narrow(1, 0, 2 * units));
                    let reset = both.clone().narrow(1, 0, units);
                    let update = both.narrow(1, units, units);
                    let candidate =
                        (input.narrow(1, 2 * units, units) + reset * held.narrow(1, 2 * units, units)).tanh();
                    (candidate.clone() + update * (state.clone() - candidate), None)
                }
            };
            let place = if backwards { length - 1 - step } else { step };
            let keep = |old: Tensor<2>, new: Tensor<2>| match masks {
                Some(masks) => old.clone() + masks[place].clone() * (new - old),
                None => new,
            };
            state = flushed(keep(state, next));
            if let Some(remembered) = remembered {
                memory = flushed(keep(memory, remembered));
            }
            states.push(state.clone());
        }
        if backwards {
            states.reverse();
        }
        states
    }
}

/// The same numbers, through which a gradient below 2⁻¹⁰⁹ goes as 0.
///
/// Over many steps gradients vanish, and numbers below 2⁻¹²⁶ are far slower to multiply on
/// most processors. Both factors are powers of 2, so the way there and back is exact; on its way back a
/// gradient is multiplied by 2⁻⁴⁰ first, and what is then below the least of all numbers is 0.
fn flushed(state: Tensor<2>) -> Tensor<2> {
    const THERE: f64 = (1_u64 << 40) as f64;
    if state.is_autodiff() { state.mul_scalar(THERE).mul_scalar(1.0 / THERE) } else { state }
}

/// The columns `[batch, 1]` of a mask.
fn columns(mask: &Tensor<2>) -> Vec<Tensor<2>> {
    let [_, length] = mask.dims();
    (0..length).map(|step| mask.clone().narrow(1, step, 1)).collect()
}

/// The rows of a matrix. It is cut in halves and those again: the gradient of each cut is as large as
/// what was cut, so cutting off row by row would cost the square of their number.
fn slabs(matrix: Tensor<2>) -> Vec<Tensor<2>> {
    let [rows, _] = matrix.dims();
    if rows <= 1 {
        return vec![matrix];
    }
    let half = rows / 2;
    let mut all = slabs(matrix.clone().narrow(0, 0, half));
    all.extend(slabs(matrix.narrow(0, half, rows - half)));
    all
}
