//! The curves that there are.

use luthier_core::config::{Documented as _, Field};

use super::clock::Time;
use super::{
    By, Cosine, CosineRestarts, Exponential, FormulaCurve, Join, Linear, MultiStep, OneCycle, Plateau,
    Points, Polynomial, Product, Step,
};

luthier_core::kinds! {
    /// The course of a value.
    ///
    /// Here t counts epochs that are done and T those of the horizon, both after the warm-up for curves
    /// that are stretched over the training.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Curve ("a schedule: a kind by name, a table with `kind`, a list of points such as [[0, 0.1], [5, 0.01]], or a formula such as \"0.1 * 0.95^epoch\"") {
        /// It stays: base.
        "constant" => Constant,
        /// It drops by a factor every so many epochs: base factor^floor(t / every). PyTorch's `StepLR`.
        "step" => Step(Step),
        /// It drops by a factor at each of some epochs. PyTorch's `MultiStepLR`.
        "multi_step" => MultiStep(MultiStep),
        /// It falls by a factor each epoch: base factor^t. PyTorch's `ExponentialLR`.
        "exponential" => Exponential(Exponential),
        /// It falls as a power: base (end + (1 - end) (1 - t / T)^power). PyTorch's `PolynomialLR`.
        "polynomial" => Polynomial(Polynomial),
        /// It goes in a straight line from one share of the value to another. PyTorch's `LinearLR`.
        "linear" => Linear(Linear),
        /// It falls with the root of the steps s: base sqrt(w / max(s, w)), with w the steps of the
        /// warm-up (Vaswani et al. 2017, scaled so that its peak is the value as it was set).
        "inverse_sqrt" => InverseSqrt,
        /// It falls along half a cosine wave: base (end + (1 - end) (1 + cos(pi t / T)) / 2) (Loshchilov
        /// and Hutter 2017). PyTorch's `CosineAnnealingLR`, without its rise after the end.
        "cosine" => Cosine(Cosine),
        /// Cosines one after the other, each of which begins at the value as it was set (Loshchilov and
        /// Hutter 2017). PyTorch's `CosineAnnealingWarmRestarts`.
        "cosine_restarts" => CosineRestarts(CosineRestarts),
        /// It rises and falls once (Smith and Topin 2018). The value as it was set is the peak. PyTorch's
        /// `OneCycleLR`, without its cycle of the momentum.
        "one_cycle" => OneCycle(OneCycle),
        /// Values at some epochs, with steps or straight lines between them. They are the values
        /// themselves, not factors.
        "points" => Points(Points),
        /// A formula of epoch, step, progress, base and metrics. It gives the value itself.
        "formula" => Formula(FormulaCurve),
        /// Schedules one after the other. PyTorch's `SequentialLR`.
        "join" => Join(Join),
        /// Schedules on top of each other: each takes the value of the one before for its base, so that
        /// factors multiply. PyTorch's `ChainedScheduler`.
        "product" => Product(Product),
        /// It stays until a metric no longer gets better, then drops by a factor. PyTorch's
        /// `ReduceLROnPlateau`.
        "plateau" => Plateau(Plateau),
        /// It keeps its ratio to the learning rate: base times the factor of the learning rate.
        "tied" => Tied,
    }
}

impl Curve {
    /// The value at `time`.
    pub(super) fn value(&self, base: f64, time: &Time<'_>) -> f64 {
        match self {
            Self::Constant | Self::Plateau(_) => base,
            Self::Step(curve) => base * curve.factor(time),
            Self::MultiStep(curve) => base * curve.factor(time),
            Self::Exponential(curve) => base * curve.factor(time),
            Self::Polynomial(curve) => base * curve.factor(time),
            Self::Linear(curve) => base * curve.factor(time),
            Self::InverseSqrt => base * super::decay::inverse_sqrt(time),
            Self::Cosine(curve) => base * curve.factor(time),
            Self::CosineRestarts(curve) => base * curve.factor(time),
            Self::OneCycle(curve) => base * curve.factor(time),
            Self::Points(curve) => curve.value(time),
            Self::Formula(curve) => curve.value(base, time),
            Self::Join(join) => join.value(base, time),
            Self::Product(product) => product.value(base, time),
            Self::Tied => base * time.clock.tied,
        }
    }

    /// When it changes where the file does not say.
    pub(super) fn by(&self) -> By {
        match self {
            Self::Step(_) | Self::MultiStep(_) | Self::Exponential(_) => By::Epoch,
            _ => By::Step,
        }
    }

    /// The keys of the kind of this name, beside those that go with any curve.
    pub fn fields(kind: &str) -> &'static [Field] {
        match kind {
            "step" => Step::FIELDS,
            "multi_step" => MultiStep::FIELDS,
            "exponential" => Exponential::FIELDS,
            "polynomial" => Polynomial::FIELDS,
            "linear" => Linear::FIELDS,
            "cosine" => Cosine::FIELDS,
            "cosine_restarts" => CosineRestarts::FIELDS,
            "one_cycle" => OneCycle::FIELDS,
            "points" => Points::FIELDS,
            "formula" => FormulaCurve::FIELDS,
            "join" => Join::FIELDS,
            "product" => Product::FIELDS,
            "plateau" => Plateau::FIELDS,
            _ => &[],
        }
    }
}
