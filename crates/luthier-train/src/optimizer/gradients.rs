//! Between a network and its optimizer: weights and gradients as lists of flat tensors.

use std::collections::VecDeque;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

use crate::model::Network;

/// The tensors of `network`, flat and without autodiff, in the order in which they are visited.
pub(crate) fn read_weights(network: &Network) -> Vec<Tensor<1>> {
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
pub(crate) fn read_gradients(network: &Network, gradients: &Gradients) -> Vec<Option<Tensor<1>>> {
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
pub(crate) fn write_weights(network: Network, weights: Vec<Tensor<1>>) -> Network {
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
