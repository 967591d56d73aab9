//! Cross-validation: what is known of the folds that are done.

use luthier_core::Metrics;
use serde::{Deserialize, Serialize};

/// The folds of a trial that are done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folds {
    measured: Vec<Fold>,
    models: Vec<Vec<u8>>,
    /// What they took.
    seconds: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fold {
    value: f64,
    metrics: Metrics,
}

/// What stands before the bytes of a checkpoint.
#[derive(Serialize, Deserialize)]
struct Header {
    folds: Vec<Fold>,
    #[serde(default)]
    seconds: f64,
    /// The lengths of the models.
    models: Vec<usize>,
}

impl Folds {
    /// How many are done.
    pub(crate) fn done(&self) -> usize {
        self.measured.len()
    }

    /// The seconds that they took.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Adds one with its best value, what was measured with it, its model file, and the seconds that it took.
    pub(crate) fn add(&mut self, value: f64, metrics: Metrics, model: Vec<u8>, seconds: f64) {
        self.seconds += seconds;
        self.measured.push(Fold { value, metrics });
        self.models.push(model);
    }

    /// The mean value, and the mean of each metric that all folds have.
    pub(crate) fn mean(&self) -> (f64, Metrics) {
        let count = self.measured.len() as f64;
        let mut means = Metrics::default();
        if let Some(first) = self.measured.first() {
            for (name, _) in first.metrics.iter() {
                let values: Option<Vec<f64>> =
                    self.measured.iter().map(|fold| fold.metrics.get(name)).collect();
                if let Some(values) = values {
                    means.insert(name, values.iter().sum::<f64>() / count);
                }
            }
        }
        (self.measured.iter().map(|fold| fold.value).sum::<f64>() / count, means)
    }

    /// The model of the fold with the median value, of two the lower one: neither the luckiest split nor
    /// the unluckiest.
    pub(crate) fn into_typical(mut self) -> Vec<u8> {
        let mut order: Vec<usize> = (0..self.measured.len()).collect();
        order.sort_by(|a, b| self.measured[*a].value.total_cmp(&self.measured[*b].value));
        order
            .get((order.len().saturating_sub(1)) / 2)
            .map(|i| self.models.swap_remove(*i))
            .unwrap_or_default()
    }

    /// The folds with the checkpoint of the run on the next one, which may be empty.
    pub(crate) fn to_bytes(&self, run: &[u8]) -> Vec<u8> {
        let models = self.models.iter().map(Vec::len).collect();
        let header = Header { folds: self.measured.clone(), seconds: self.seconds, models };
        // Numbers and names can always be written as JSON.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        self.models.iter().for_each(|model| bytes.extend(model));
        bytes.extend(run);
        bytes
    }

    /// What [`Folds::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// A message if the bytes are no such checkpoint.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Self, Vec<u8>), String> {
        let broken = || "the checkpoint of the folds was cut off or altered; remove it".to_owned();
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(broken)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| broken())?;
        let (header, mut rest) = rest.split_at_checked(length).ok_or_else(broken)?;
        let header: Header = serde_json::from_slice(header).map_err(|_| broken())?;
        let mut folds = Self { measured: header.folds, models: Vec::new(), seconds: header.seconds };
        for length in header.models {
            let (model, behind) = rest.split_at_checked(length).ok_or_else(broken)?;
            folds.models.push(model.to_vec());
            rest = behind;
        }
        if folds.models.len() == folds.measured.len() { Ok((folds, rest.to_vec())) } else { Err(broken()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folds() -> Folds {
        let mut folds = Folds::default();
        for (value, model) in [(0.9, "a"), (0.5, "b"), (0.7, "c")] {
            let mut metrics = Metrics::default();
            metrics.insert("val_accuracy", value);
            folds.add(value, metrics, model.as_bytes().to_vec(), 0.5);
        }
        folds
    }

    #[test]
    fn the_value_is_the_mean_and_the_model_that_of_the_median() {
        let (value, metrics) = folds().mean();
        assert!((value - 0.7).abs() < 1e-12);
        assert_eq!(metrics.get("val_accuracy"), Some(value));
        assert_eq!(folds().into_typical(), b"c");
    }

    #[test]
    fn they_survive_as_bytes_and_no_shorter_bytes_are_taken() {
        let bytes = folds().to_bytes(b"run");
        let (read, run) = Folds::from_bytes(&bytes).expect("folds");
        assert_eq!((read.mean().0, read.models, run), (folds().mean().0, folds().models, b"run".to_vec()));
        for length in 0..bytes.len() - 3 {
            assert!(Folds::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
    }
}
