//! The nodes of a plan, and the walk over them in both directions.

use super::sequence::Steps;
use crate::model::Pass;
use crate::shape::Shape;

/// What a forward pass carries along.
pub(crate) struct Forward<'a, 'p, 'r> {
    /// Examples.
    pub(crate) batch: usize,
    pub(crate) steps: &'a Steps,
    pub(crate) weights: &'a [Vec<f32>],
    pub(crate) pass: &'a mut Pass<'r>,
    /// Statistics that were measured: the place of the parameter, and its new value.
    pub(crate) running: &'p mut Vec<(usize, Vec<f32>)>,
}

/// What a backward pass carries along.
pub(crate) struct Backward<'a> {
    pub(crate) batch: usize,
    pub(crate) steps: &'a Steps,
    pub(crate) weights: &'a [Vec<f32>],
    /// Empty for what is not trained.
    pub(crate) gradients: &'a mut [Vec<f32>],
    pub(crate) buffers: &'a mut Buffers,
}

impl Backward<'_> {
    /// Where the gradients of weights and of the biases behind them go, as far as they are trained.
    pub(crate) fn of_layer(
        gradients: &mut [Vec<f32>],
        weight: usize,
        bias: Option<usize>,
    ) -> (Option<&mut [f32]>, Option<&mut [f32]>) {
        let (first, second) = gradients.split_at_mut(weight + 1);
        let weight = first.last_mut().filter(|it| !it.is_empty()).map(Vec::as_mut_slice);
        let bias = bias.and_then(|_| second.first_mut()).filter(|it| !it.is_empty()).map(Vec::as_mut_slice);
        (weight, bias)
    }
}

/// Memory for gradients between nodes.
#[derive(Default)]
pub(crate) struct Buffers {
    free: Vec<Vec<f32>>,
    /// Gradients of parameters that are not in use.
    pub(crate) spare: Option<Vec<Vec<f32>>>,
}

impl Buffers {
    /// So many numbers of any value.
    pub(crate) fn take(&mut self, len: usize) -> Vec<f32> {
        // The one that fits best, so that large ones stay for large needs.
        let fitting = (0..self.free.len()).min_by_key(|at| self.free[*at].capacity().abs_diff(len));
        let mut buffer = fitting.map(|at| self.free.swap_remove(at)).unwrap_or_default();
        buffer.resize(len, 0.0);
        buffer
    }

    /// Turns `dy` into as many numbers as `work` writes, and takes its memory back.
    pub(crate) fn turn(
        &mut self,
        dy: Vec<f32>,
        len: usize,
        work: impl FnOnce(&[f32], &mut [f32]),
    ) -> Vec<f32> {
        let mut dx = self.take(len);
        work(&dy, &mut dx);
        self.give(dy);
        dx
    }

    /// Takes memory back.
    pub(crate) fn give(&mut self, buffer: Vec<f32>) {
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
    }
}

/// A layer of a plan.
pub(crate) trait Kernel: Send {
    /// What it is, in words.
    fn name(&self) -> String;

    /// Computes `y` for `x`.
    fn forward(&mut self, run: &mut Forward<'_, '_, '_>, x: &[f32], y: &mut [f32]);

    /// The same where what comes out takes the place of what came in. Only where [`Kernel::in_place`] says so.
    fn forward_in_place(&mut self, run: &mut Forward<'_, '_, '_>, y: &mut [f32]) {
        let _ = (run, y);
        unreachable!("{} does not work in place", self.name());
    }

    /// Computes the gradients of its parameters from `dy`, the gradient by what came out, and turns `dy` into the
    /// gradient by what came in, if that `is_wanted`. `xy` is what came in
    /// (what came out for a kernel in place) and what came out.
    fn backward(
        &mut self,
        run: &mut Backward<'_>,
        xy: (&[f32], &[f32]),
        dy: Vec<f32>,
        is_wanted: bool,
    ) -> Vec<f32>;

    /// Takes a rectifier behind it into itself, if it can.
    fn rectify(&mut self) -> bool {
        false
    }

    /// Whether it may write over what came in.
    fn in_place(&self) -> bool {
        false
    }

    /// Whether its backward pass needs what came out as it came out, not only where that was 0.
    fn keeps_output(&self) -> bool {
        false
    }

    /// Whether it has parameters that are trained, itself or within.
    fn is_trained(&self) -> bool {
        false
    }
}

/// A kernel with its place in the row.
#[allow(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub(crate) struct Node {
    pub(crate) kernel: Box<dyn Kernel>,
    /// Numbers that come out of it for one example, or for a step of one.
    size: usize,
    /// Whether they are for each step.
    by_step: bool,
    /// Whether it acts as in evaluation.
    pub(crate) quiet: bool,
    /// Whether what comes out is written over what comes in.
    in_place: bool,
    /// Whether something in front of it is trained.
    wanted: bool,
    output: Vec<f32>,
}

impl Node {
    /// A node behind which an example has this shape.
    pub(crate) fn new(kernel: Box<dyn Kernel>, shape: Shape, quiet: bool) -> Self {
        let (size, by_step) = match shape {
            Shape::Sequence { features, .. } => (features, true),
            shape => (shape.size(), false),
        };
        Self { kernel, size, by_step, quiet, in_place: false, wanted: false, output: Vec::new() }
    }

    pub(crate) fn name(&self) -> String {
        self.kernel.name()
    }
}

/// Decides where nodes work in place and which gradients are wanted: `outside` says whether that by what comes
/// into the first node is.
pub(crate) fn link(nodes: &mut [Node], outside: bool) {
    let mut wanted = outside;
    let mut free = false;
    for node in nodes {
        node.wanted = wanted;
        wanted |= node.kernel.is_trained();
        node.in_place = free && node.kernel.in_place();
        free = !node.kernel.keeps_output();
    }
}

/// What came out of the last of `nodes`, or `x` if nothing did.
fn last<'a>(nodes: &'a [Node], x: &'a [f32]) -> &'a [f32] {
    nodes.iter().rev().find(|node| !node.in_place).map_or(x, |node| &node.output)
}

/// Walks forward; gives what comes out of the last node.
pub(crate) fn forward<'a>(nodes: &'a mut [Node], run: &mut Forward<'_, '_, '_>, x: &'a [f32]) -> &'a [f32] {
    for place in 0..nodes.len() {
        let (before, rest) = nodes.split_at_mut(place);
        let node = &mut rest[0];
        run.pass.quiet = node.quiet;
        if node.in_place {
            if let Some(before) = before.iter_mut().rev().find(|node| !node.in_place) {
                node.kernel.forward_in_place(run, &mut before.output);
            }
        } else {
            let rows = if node.by_step { run.batch * run.steps.length } else { run.batch };
            node.output.resize(rows * node.size, 0.0);
            node.kernel.forward(run, last(before, x), &mut node.output);
        }
    }
    run.pass.quiet = false;
    last(nodes, x)
}

/// Walks backward from `dy`, the gradient by what came out of the last node; gives the gradient by `x` if it is
/// wanted.
pub(crate) fn backward(
    nodes: &mut [Node],
    run: &mut Backward<'_>,
    x: &[f32],
    mut dy: Vec<f32>,
) -> Option<Vec<f32>> {
    for place in (0..nodes.len()).rev() {
        let (before, rest) = nodes.split_at_mut(place);
        let node = &mut rest[0];
        if !node.wanted && !node.kernel.is_trained() {
            run.buffers.give(dy);
            return None;
        }
        let input = last(before, x);
        let output = if node.in_place { input } else { &node.output };
        dy = node.kernel.backward(run, (input, output), dy, node.wanted);
    }
    Some(dy)
}
