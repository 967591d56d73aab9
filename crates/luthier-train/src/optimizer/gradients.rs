//! Between a network and its optimizer: weights and gradients as lists of flat tensors.

use std::collections::VecDeque;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use luthier_core::config::bounds;
use luthier_kernels::elementwise::sum_of_squares;

use super::parameter::{Parameter, Role};
use crate::model::host;

luthier_core::kinds! {
    /// How gradients that are too large are made smaller, before the optimizer sees them.
    #[derive(Debug, Clone, PartialEq)]
    pub enum GradientClip ("a table with `norm` or `value`") by key {
        /// By the norm of all gradients together (Pascanu, Mikolov and Bengio 2013), as
        /// `torch.nn.utils.clip_grad_norm_`: they are multiplied by `min(1, norm / (‖g‖ + 1e-6))`.
        "norm" => Norm(ClipNorm),
        /// Each number by itself, as `torch.nn.utils.clip_grad_value_`.
        "value" => Value(ClipValue),
    }
}

luthier_core::settings! {
    /// Clipping by the norm of all gradients.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ClipNorm {
        /// The largest norm that is left alone; 0.1 to 10.
        norm: f64, bounds::POSITIVE;
    }
}

luthier_core::settings! {
    /// Clipping number by number.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ClipValue {
        /// The largest size of a number; 1e-3 to 1.
        value: f64, bounds::POSITIVE;
    }
}

/// The tensors of `network`, flat and without autodiff, in the order in which they are visited.
pub(crate) fn read_weights<M: Module>(network: &M) -> Vec<Tensor<1>> {
    struct Reader(Vec<Tensor<1>>);
    impl ModuleVisitor for Reader {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(flat(param.val().inner()));
        }
    }
    let mut reader = Reader(Vec::new());
    network.visit(&mut reader);
    reader.0
}

/// The gradient of each tensor of `network`, flat; nothing for those that are not trained or had no part
/// in the loss. Drop `gradients` before they are changed: a tensor with one owner need not be copied.
pub(crate) fn read_gradients<M: Module>(network: &M, gradients: &Gradients) -> Vec<Option<Tensor<1>>> {
    struct Reader<'a>(&'a Gradients, Vec<Option<Tensor<1>>>);
    impl ModuleVisitor for Reader<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push(param.val().grad(self.0).map(flat));
        }
    }
    let mut reader = Reader(gradients, Vec::new());
    network.visit(&mut reader);
    reader.1
}

/// `network` with other weights, in the order of [`read_weights`]. What had no gradient gets none.
pub(crate) fn write_weights<M: Module>(network: M, weights: Vec<Tensor<1>>) -> M {
    struct Writer(VecDeque<Tensor<1>>);
    impl ModuleMapper for Writer {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(values) = self.0.pop_front() else { return param };
            param.map(|old| {
                let new = values.reshape(old.dims());
                match (old.is_autodiff(), old.is_require_grad()) {
                    (true, true) => Tensor::from_inner(new).require_grad(),
                    (true, false) => Tensor::from_inner(new),
                    _ => new,
                }
            })
        }
    }
    network.map(&mut Writer(weights.into()))
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let count = tensor.dims().iter().product::<usize>();
    tensor.reshape([count])
}

/// The largest number of values that is summed in one go: Burn sums larger tensors in an order that depends
/// on the number of threads.
const CHUNK: usize = 1 << 20;

/// The sum of a tensor, of shape `[1]`, in an order that depends on its size alone.
pub(crate) fn sum(tensor: Tensor<1>) -> Tensor<1> {
    let [count] = tensor.dims();
    if count <= CHUNK {
        return tensor.sum();
    }
    let chunk = |start: usize| tensor.clone().narrow(0, start, CHUNK.min(count - start)).sum();
    sum(Tensor::cat((0..count).step_by(CHUNK).map(chunk).collect(), 0))
}

/// The sum of each tensor. All of them are read from the device at once.
pub(crate) fn sums(tensors: Vec<Tensor<1>>) -> Vec<f64> {
    if tensors.is_empty() {
        return Vec::new();
    }
    let sums = tensors.into_iter().map(sum).collect();
    host(Tensor::cat(sums, 0)).into_iter().map(f64::from).collect()
}

/// The L2 norm of all gradients together.
pub(crate) fn norm(gradients: &[Option<Tensor<1>>]) -> f64 {
    let squares = gradients.iter().flatten().map(|gradient| gradient.clone().square()).collect();
    libm::sqrt(sums(squares).iter().sum())
}

/// The clipped gradients, and their norm before. A norm that is not finite makes them all NaN or 0, as in
/// PyTorch; the loop stops at such a step anyway.
pub(crate) fn clip(clip: &GradientClip, gradients: Vec<Option<Tensor<1>>>) -> (Vec<Option<Tensor<1>>>, f64) {
    let norm = norm(&gradients);
    let clipped = match clip {
        GradientClip::Norm(clip) => {
            let factor = clip.norm / (norm + 1e-6);
            if factor >= 1.0 {
                return (gradients, norm);
            }
            each(gradients, |gradient| gradient.mul_scalar(factor))
        }
        GradientClip::Value(clip) => each(gradients, |gradient| gradient.clamp(-clip.value, clip.value)),
    };
    (clipped, norm)
}

/// [`norm`] of gradients on the host; an empty one is none.
pub(crate) fn norm_on_host(gradients: &[Vec<f32>]) -> f64 {
    libm::sqrt(gradients.iter().map(|gradient| sum_of_squares(gradient)).sum())
}

/// [`clip`] on the host: the norm before it is given.
pub(crate) fn clip_on_host(clip: &GradientClip, gradients: &mut [Vec<f32>]) -> f64 {
    let norm = norm_on_host(gradients);
    match clip {
        GradientClip::Norm(clip) => {
            let factor = clip.norm / (norm + 1e-6);
            // A norm that is no number makes all of them NaN.
            if factor < 1.0 || factor.is_nan() {
                scale(gradients, factor);
            }
        }
        GradientClip::Value(clip) => {
            let limit = clip.value as f32;
            gradients.iter_mut().flatten().for_each(|it| *it = it.clamp(-limit, limit));
        }
    }
    norm
}

fn scale(gradients: &mut [Vec<f32>], factor: f64) {
    gradients.iter_mut().flatten().for_each(|it| *it *= factor as f32);
}

/// [`accumulate`] on the host: adds `scale · new` to `sum`, which begins empty.
pub(crate) fn accumulate_on_host(sum: &mut Vec<Vec<f32>>, mut new: Vec<Vec<f32>>, share: f64) {
    if share != 1.0 {
        scale(&mut new, share);
    }
    if sum.is_empty() {
        *sum = new;
        return;
    }
    for (sum, new) in sum.iter_mut().zip(&new) {
        sum.iter_mut().zip(new).for_each(|(sum, new)| *sum += new);
    }
}

/// [`update_to_weight`] on the host.
pub(crate) fn update_to_weight_on_host(
    parameters: &[Parameter],
    before: &[Vec<f32>],
    after: &[Vec<f32>],
) -> f64 {
    let (mut way, mut size) = (0.0, 0.0);
    for ((parameter, before), after) in parameters.iter().zip(before).zip(after) {
        if parameter.role != Role::Running {
            let steps: Vec<f32> = after.iter().zip(before).map(|(after, before)| after - before).collect();
            way += sum_of_squares(&steps);
            size += sum_of_squares(before);
        }
    }
    if size == 0.0 { 0.0 } else { libm::sqrt(way / size) }
}

fn each(
    gradients: Vec<Option<Tensor<1>>>,
    change: impl Fn(Tensor<1>) -> Tensor<1>,
) -> Vec<Option<Tensor<1>>> {
    gradients.into_iter().map(|gradient| gradient.map(&change)).collect()
}

/// `sum + scale · new`. It begins with an empty `sum`. With the share of each batch in all examples as
/// `scale`, the result is the gradient of the mean loss over all of them.
pub(crate) fn accumulate(
    sum: Vec<Option<Tensor<1>>>,
    new: Vec<Option<Tensor<1>>>,
    scale: f64,
) -> Vec<Option<Tensor<1>>> {
    let new = if scale == 1.0 { new } else { each(new, |gradient| gradient.mul_scalar(scale)) };
    if sum.is_empty() {
        return new;
    }
    let add = |pair: (Option<Tensor<1>>, Option<Tensor<1>>)| match pair {
        (Some(sum), Some(new)) => Some(sum + new),
        (one, other) => one.or(other),
    };
    sum.into_iter().zip(new).map(add).collect()
}

/// How far a step went as a share of where it began: `‖after - before‖ / ‖before‖` over all that is trained.
/// About 1e-3 is usual; much more is a sign of a learning rate that is too large.
pub(crate) fn update_to_weight(parameters: &[Parameter], before: &[Tensor<1>], after: &[Tensor<1>]) -> f64 {
    let mut squares = Vec::with_capacity(2 * before.len());
    for ((parameter, before), after) in parameters.iter().zip(before).zip(after) {
        if parameter.role != Role::Running {
            squares.push((after.clone() - before.clone()).square());
            squares.push(before.clone().square());
        }
    }
    let squares = sums(squares);
    let way: f64 = squares.iter().step_by(2).sum();
    let size: f64 = squares.iter().skip(1).step_by(2).sum();
    if size == 0.0 { 0.0 } else { libm::sqrt(way / size) }
}

#[cfg(test)]
mod tests;
