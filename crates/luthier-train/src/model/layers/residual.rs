//! Residual blocks (He et al. 2016): `activation(body(x) + shortcut(x))`.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::model::builder::Builder;
use crate::model::plan::{Planner, ResidualKernel, planned};
use crate::model::stage::Stage;
use crate::model::{Activation, Pass, Signal};
use crate::shape::Shape;

use super::size::named;
use super::{Conv1dLayer, ConvLayer, DenseLayer, Layer, activation};

luthier_core::settings! {
    /// Layers with a connection around them. Where they change the shape, the connection is a
    /// projection: a convolution with a kernel of 1, or a dense layer for vectors.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ResidualLayer {
        /// The layers that are gone around.
        residual: Vec<Layer>;
        /// Activation behind the sum.
        activation: Activation = Activation::None;
    }
}

/// A residual block. Without stages in the shortcut, it is the identity.
#[derive(Module, Debug)]
pub(crate) struct Residual {
    body: Vec<Stage>,
    shortcut: Vec<Stage>,
    #[module(skip)]
    activation: Activation,
}

impl ResidualLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let before = builder.shape();
        let body = |builder: &mut Builder<'_>| {
            for (number, layer) in self.residual.iter().enumerate() {
                layer
                    .build(builder)
                    .map_err(|reason| format!("its layer {} ({}): {reason}", number + 1, layer.kind()))?;
            }
            Ok(())
        };
        let shortcut = |builder: &mut Builder<'_>, after: Shape| project(before, after, builder);
        build("residual", ("body", body), ("shortcut", shortcut), self.activation, builder)
    }
}

/// Adds a residual block: the names that its body's and shortcut's stages begin with, and what builds
/// them. The body comes first among the parameters. The shortcut is given the shape behind the body and
/// starts from that before it; it builds nothing to be the identity.
///
/// # Errors
///
/// Why the two do not fit each other, or what was built.
pub(crate) fn build(
    label: &str,
    (body_name, body): (&str, impl FnOnce(&mut Builder<'_>) -> Result<(), String>),
    (shortcut_name, shortcut): (&str, impl FnOnce(&mut Builder<'_>, Shape) -> Result<(), String>),
    activation: Activation,
    builder: &mut Builder<'_>,
) -> Result<(), String> {
    let before = builder.shape();
    builder.composite(label, |builder| {
        let body = builder.part(body_name, body)?;
        let after = builder.shape();
        builder.set_shape(before);
        let shortcut = builder.part(shortcut_name, |builder| shortcut(builder, after))?;
        if builder.shape() != after {
            return Err(format!(
                "the connection around the block gives {}, and the block {}",
                named(builder.shape()),
                named(after)
            ));
        }
        Ok(Stage::Residual(Residual { body, shortcut, activation }))
    })
}

/// From one shape to another by a projection, or nothing if they are equal.
fn project(before: Shape, after: Shape, builder: &mut Builder<'_>) -> Result<(), String> {
    if before == after {
        return Ok(());
    }
    // Windows of 1 at this distance leave `to` of `from` places.
    let distance = |from: usize, to: usize| {
        let stride = from.div_ceil(to.max(1)).max(1);
        (stride <= 1024 && (from.saturating_sub(1)) / stride + 1 == to && from >= to).then_some(stride)
    };
    match (before, after) {
        (Shape::Flat(_), Shape::Flat(units)) => DenseLayer::linear(units).build(builder),
        (
            Shape::Image { height, width, .. },
            Shape::Image { channels, height: after_height, width: after_width },
        ) => match (distance(height, after_height), distance(width, after_width)) {
            (Some(rows), Some(columns)) if rows == columns => {
                ConvLayer::new(channels, 1, rows, 0).build(builder)
            }
            _ => Err(unlike(before, after)),
        },
        (Shape::Sequence { length, .. }, Shape::Sequence { length: after_length, features }) => {
            match distance(length, after_length) {
                Some(1) => DenseLayer::linear(features).build(builder),
                Some(stride) => Conv1dLayer::new(features, 1, stride, 0).build(builder),
                None => Err(unlike(before, after)),
            }
        }
        _ => Err(unlike(before, after)),
    }
}

fn unlike(before: Shape, after: Shape) -> String {
    format!(
        "{} come in and its layers make {} of them, which no projection can be added to; padding \"same\" \
         or a stride that divides the size keeps them alike",
        named(before),
        named(after)
    )
}

impl Residual {
    /// Its kernel for CPUs.
    pub(crate) fn plan(&self, planner: &mut Planner<'_>) -> bool {
        let before = planner.shape();
        // The parameters are counted in the order of the fields.
        let Some(body) = planner.branch(&self.body) else { return false };
        let after = planner.shape();
        planner.set_shape(before);
        let Some(shortcut) = planner.branch(&self.shortcut) else { return false };
        planner.push(ResidualKernel::new(body, shortcut, planned(self.activation)), after)
    }

    pub(crate) fn forward(&self, signal: Signal, pass: &mut Pass<'_>) -> Signal {
        let around = self.shortcut.iter().fold(signal.clone(), |signal, stage| stage.forward(signal, pass));
        let through = self.body.iter().fold(signal, |signal, stage| stage.forward(signal, pass));
        activation::forward(self.activation, sum(through, around))
    }
}

fn sum(one: Signal, other: Signal) -> Signal {
    match (one, other) {
        (Signal::Image(one), Signal::Image(other)) => Signal::Image(one + other),
        (Signal::Sequence { values: one, mask }, Signal::Sequence { values: other, .. }) => {
            let length = one.dims()[1].min(other.dims()[1]);
            let first = |values: Tensor<3>| values.narrow(1, 0, length);
            let mask = mask.map(|mask| mask.narrow(1, 0, length));
            Signal::Sequence { values: first(one) + first(other), mask }
        }
        (one, other) => Signal::Flat(one.flat() + other.flat()),
    }
}
