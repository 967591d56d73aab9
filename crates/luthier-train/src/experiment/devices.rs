//! Which device a trial is computed on, where there are several.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Devices that trials share: each takes one with the fewest trials, so that there is one for each as long as there
/// are enough.
pub(super) struct Devices<D> {
    all: Vec<D>,
    /// How many trials each device has.
    trials: Mutex<Vec<usize>>,
}

/// A device in the hands of a trial, until it is dropped.
pub(super) struct Taken<'a, D> {
    devices: &'a Devices<D>,
    index: usize,
}

impl<D> Devices<D> {
    /// `first`, and `others`.
    pub(super) fn new(first: D, others: impl IntoIterator<Item = D>) -> Self {
        let all: Vec<D> = std::iter::once(first).chain(others).collect();
        let trials = Mutex::new(vec![0; all.len()]);
        Self { all, trials }
    }

    /// The first device, for what is no trial.
    pub(super) fn first(&self) -> &D {
        &self.all[0]
    }

    /// One of those with the fewest trials; of these the first.
    pub(super) fn take(&self) -> Taken<'_, D> {
        let mut trials = self.trials();
        let index = (0..trials.len()).min_by_key(|index| trials[*index]).unwrap_or(0);
        trials[index] += 1;
        Taken { devices: self, index }
    }

    fn trials(&self) -> MutexGuard<'_, Vec<usize>> {
        // Numbers are never half changed.
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D> Deref for Taken<'_, D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.devices.all[self.index]
    }
}

impl<D> Drop for Taken<'_, D> {
    fn drop(&mut self) {
        self.devices.trials()[self.index] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trial_has_a_device_of_its_own_while_there_are_enough() {
        let devices = Devices::new("a", ["b", "c"]);
        let (a, b, c) = (devices.take(), devices.take(), devices.take());
        assert_eq!((*a, *b, *c), ("a", "b", "c"));
        drop(b);
        let again = devices.take();
        assert_eq!(*again, "b");
        // One too many shares, and gives back.
        let shared = devices.take();
        assert_eq!(*shared, "a");
        drop((a, c));
        assert_eq!(*devices.take(), "c");
    }
}
