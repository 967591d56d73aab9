//! Metrics of predicted numbers.

/// Root of the mean squared error.
pub(super) fn rmse(predictions: &[f32], targets: &[f32]) -> f64 {
    (squares(predictions, targets) / targets.len() as f64).sqrt()
}

/// Mean absolute error.
pub(super) fn mae(predictions: &[f32], targets: &[f32]) -> f64 {
    errors(predictions, targets).map(f64::abs).sum::<f64>() / targets.len() as f64
}

/// Share of the targets' variance that is explained. As scikit-learn: without any spread, 1 for a
/// perfect prediction and else 0.
pub(super) fn r2(predictions: &[f32], targets: &[f32]) -> f64 {
    let mean = targets.iter().copied().map(f64::from).sum::<f64>() / targets.len() as f64;
    let spread: f64 = targets.iter().map(|target| (f64::from(*target) - mean).powi(2)).sum();
    let squares = squares(predictions, targets);
    match (spread > 0.0, squares > 0.0) {
        (true, _) => 1.0 - squares / spread,
        (false, true) => 0.0,
        (false, false) => 1.0,
    }
}

fn squares(predictions: &[f32], targets: &[f32]) -> f64 {
    errors(predictions, targets).map(|error| error * error).sum()
}

fn errors(predictions: &[f32], targets: &[f32]) -> impl Iterator<Item = f64> {
    predictions.iter().zip(targets).map(|(prediction, target)| f64::from(*prediction) - f64::from(*target))
}
