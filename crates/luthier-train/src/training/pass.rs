//! Forward and backward through the model: by its plan, or by Burn's graph.

use burn::tensor::Tensor;
use luthier_core::Rng;

use super::gradients::Gradients;
use super::{Run, Work};
use crate::batch::Batch;
use crate::loss::Term;
use crate::model::plan::Plan;
use crate::model::{Pass, Signal, backward, host};
use crate::optimizer::gradients::read_gradients;
use crate::shape::Shape;
use crate::trainable::Model;

/// What a step trains on.
pub(super) struct Examples {
    /// The inputs, of the model or of what comes behind its features, with their targets.
    pub(super) batch: Batch,
    /// The shape of an input.
    pub(super) shape: Shape,
}

/// What a pass came to.
pub(super) struct Passed {
    pub(super) gradients: Gradients,
    /// The sum of the losses, with that of their weights.
    pub(super) loss: Term,
    running: Running,
}

/// Statistics that were measured on the way: the place of a parameter, and its new value.
enum Running {
    Host(Vec<(usize, Vec<f32>)>),
    Device(Vec<(usize, Tensor<1>)>),
}

impl<M: Model> Run<M> {
    /// Forward and backward on some examples, without any consequence but the [`Work::outputs`]; nothing if the loss
    /// is no number.
    pub(super) fn pass(&mut self, examples: &Examples, rng: &mut Rng, dropout: f64) -> Option<Passed> {
        let Examples { batch: Batch { inputs, targets, mixed }, shape } = examples;
        let count = targets.len();
        let pairs = mixed.as_ref().map(|mixed| (&mixed.targets[..], &mixed.share[..]));
        let Work { plan, features, loss, outputs, loss_memory: memory, .. } = &mut self.work;
        let mut pass = Pass::training(rng, dropout);
        if let Some(plan) = plan {
            let mut running = Vec::new();
            outputs.clear();
            outputs.extend_from_slice(plan.forward(inputs, count, &mut pass, &mut running));
            let mut gradient = plan.memory(outputs.len());
            let loss = loss.gradient_into(outputs, targets, pairs, memory, &mut gradient);
            if !loss.sum.is_finite() {
                return None;
            }
            plan.backward(inputs, count, gradient);
            let gradients = Gradients::Host(plan.take_gradients());
            return Some(Passed { gradients, loss, running: Running::Host(running) });
        }
        let (model, device) = (&self.state.model, self.setup.device.clone().autodiff());
        let signal = Signal::new(inputs.clone(), count, *shape, &device);
        let by_graph = if features.is_some() {
            model.forward_rest(signal, &mut pass)
        } else {
            model.forward(signal, &mut pass)
        };
        let running = Running::Device(std::mem::take(&mut pass.running));
        *outputs = host(by_graph.clone().inner());
        // The graph is freed by going backward, so that is done even if the loss is not finite.
        let (gradient, loss) = loss.gradient(outputs, targets, pairs);
        let graph = backward(by_graph, gradient);
        let gradients = Gradients::Device(read_gradients(model, &graph));
        drop(graph);
        loss.sum.is_finite().then_some(Passed { gradients, loss, running })
    }

    /// Takes over the statistics of a pass.
    pub(super) fn follow_running(&mut self, passed: &mut Passed) {
        match (&mut passed.running, &mut self.work.plan) {
            (Running::Host(running), Some(plan)) => plan.set_running(std::mem::take(running)),
            (Running::Device(running), _) if !running.is_empty() => {
                let running = std::mem::take(running);
                self.replace(|model| model.with_running(running));
            }
            _ => {}
        }
    }

    /// Compiles a plan of the model, or of what comes behind its features, if there is one for it.
    pub(super) fn compile(&mut self) {
        let wanted = self.setup.plan && self.setup.device == burn::tensor::Device::flex();
        self.work.plan = if wanted { self.state.model.plan(self.work.features.is_some()) } else { None };
    }

    /// The model with the weights that it has now, with gradients.
    pub(super) fn current(&self) -> M {
        match &self.work.plan {
            Some(plan) => plan.write_to(self.state.model.clone(), &self.setup.device),
            None => self.state.model.clone(),
        }
    }

    /// The plan that the model is computed by; nothing where it is Burn's graph.
    pub fn plan(&self) -> Option<&Plan> {
        self.work.plan.as_ref()
    }
}
