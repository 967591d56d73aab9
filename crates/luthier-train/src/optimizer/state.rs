//! The state of an optimizer as names, numbers and bytes, for checkpoints.

use serde::{Deserialize, Serialize};

use super::prodigy::Distance;
use super::rule::Memory;
use super::values::Values;
use super::{Method, Optimizer};

/// All that an optimizer remembers. Equal runs have equal states, in the same order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OptimizerState {
    /// Tensors by names such as `0.weight.mean`, parameter by parameter.
    pub tensors: Vec<(String, Vec<f32>)>,
    /// The rest.
    pub scalars: Scalars,
}

/// The numbers that an optimizer remembers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scalars {
    /// The steps of each parameter; 0 for one that has had none, of which there are no tensors.
    pub steps: Vec<u64>,
    /// A running product of each parameter (`NAdam`; 1 elsewhere).
    pub products: Vec<f64>,
    /// The estimate of the distance (Prodigy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) distance: Option<Distance>,
}

impl Optimizer {
    /// What it remembers.
    pub(crate) fn state(&self) -> OptimizerState {
        let distance = match &self.method {
            Method::Each(_) => None,
            Method::Prodigy(_, distance) => Some(*distance),
        };
        let mut state = OptimizerState {
            tensors: Vec::new(),
            scalars: Scalars { steps: Vec::new(), products: Vec::new(), distance },
        };
        for (place, memory) in self.places.iter().zip(&self.memories) {
            state.scalars.steps.push(memory.as_ref().map_or(0, |memory| memory.time));
            state.scalars.products.push(memory.as_ref().map_or(1.0, |memory| memory.product));
            let Some(memory) = memory else { continue };
            for (slot, values) in self.method.slots(place).iter().zip(memory.slots.to_host()) {
                state.tensors.push((format!("{}.{}", place.parameter.name, slot.name), values));
            }
        }
        state
    }

    /// Remembers what [`Optimizer::state`] gave.
    ///
    /// # Errors
    ///
    /// What is missing from it, left over or of another size. The optimizer is then as it was.
    pub(crate) fn restore(&mut self, state: OptimizerState) -> Result<(), String> {
        let OptimizerState { mut tensors, scalars } = state;
        let count = self.places.len();
        if scalars.steps.len() != count || scalars.products.len() != count {
            return Err(format!(
                "the optimizer's state is of {} parameters, expected {count}",
                scalars.steps.len()
            ));
        }
        let mut memories = Vec::with_capacity(count);
        for (place, (time, product)) in
            self.places.iter().zip(scalars.steps.into_iter().zip(scalars.products))
        {
            if time == 0 {
                memories.push(None);
                continue;
            }
            let mut kept = Vec::new();
            for slot in self.method.slots(place) {
                let name = format!("{}.{}", place.parameter.name, slot.name);
                let found = tensors.iter().position(|(given, _)| *given == name);
                let Some(found) = found else {
                    return Err(format!("the optimizer's state has no tensor {name}"));
                };
                let (_, values) = tensors.swap_remove(found);
                if values.len() != place.parameter.len() {
                    return Err(format!(
                        "the optimizer's tensor {name} has {} values, expected {}",
                        values.len(),
                        place.parameter.len()
                    ));
                }
                kept.push(values);
            }
            memories.push(Some(Memory { time, product, slots: Values::Host(kept) }));
        }
        if let Some((name, _)) = tensors.first() {
            return Err(format!("the optimizer has no place for the tensor {name}"));
        }
        match (&mut self.method, scalars.distance) {
            (Method::Each(_), None) => {}
            (Method::Prodigy(_, distance), Some(given)) => *distance = given,
            _ => return Err("the optimizer's state is of another optimizer".to_owned()),
        }
        self.memories = memories;
        Ok(())
    }
}
