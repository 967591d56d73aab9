//! Measuring how fast steps of different sizes are, for `batch_size = "auto"`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use luthier_core::{Purpose, Streams};

use super::Run;
use super::gradients::Gradients;
use super::pass::{Examples, Passed};
use crate::batch::Batch;
use crate::batch_size::{Auto, AutoChoice, Throughput};
use crate::data::DataError;
use crate::trainable::Model;

/// A step that takes longer than this tells enough; larger ones are not tried.
const LONGEST: Duration = Duration::from_secs(2);

/// The fastest of so many steps counts: what else the machine does can only slow them down.
const REPEATS: usize = 3;

impl<M: Model> Run<M> {
    /// Chooses the size of steps by measuring some. The run stays as it was.
    pub(super) fn choose_batch_size(&mut self, auto: &Auto) -> Result<AutoChoice, DataError> {
        let data = Arc::clone(&self.setup.data);
        let rows = &data.split().train;
        let fits = self.fits_in_memory();
        let mut curve: Vec<Throughput> = Vec::new();
        for size in auto.candidates(fits, rows.len()) {
            let mut fastest = Duration::MAX;
            for _ in 0..REPEATS {
                let started = Instant::now();
                self.try_step(&rows[..size])?;
                fastest = fastest.min(started.elapsed());
                if fastest > LONGEST {
                    break;
                }
            }
            let examples_per_second = size as f64 / fastest.as_secs_f64().max(1e-9);
            curve.push(Throughput { size, examples_per_second });
            if fastest > LONGEST {
                break;
            }
        }
        Ok(auto.choose(&curve, fits, rows.len()))
    }

    /// Forward and backward on `rows`, without any consequence.
    fn try_step(&mut self, rows: &[usize]) -> Result<(), DataError> {
        let (data, streams) = (&self.setup.data, Streams::new(self.setup.seed));
        let mut batch = Batch::default();
        data.training_batch(rows, 1.0, streams, 0, &mut batch)?;
        let examples = match &self.work.features {
            Some(features) => {
                Examples { batch: Batch::new(features.rows(rows), batch.targets), shape: features.shape }
            }
            None => Examples { batch, shape: data.shape() },
        };
        let passed = self.pass(&examples, &mut streams.at(Purpose::Dropout, 0), 1.0);
        if let (Some(Passed { gradients: Gradients::Host(gradients), .. }), Some(plan)) =
            (passed, &mut self.work.plan)
        {
            plan.give(gradients);
        }
        Ok(())
    }

    /// How many examples a step can have: what their values between the layers take of half the memory
    /// that is free.
    fn fits_in_memory(&self) -> usize {
        (free_memory() / 2 / self.bytes_per_example()).max(1) as usize
    }
}

/// The memory that is free, in bytes; 2 GiB where the system does not tell.
fn free_memory() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    });
    told.map_or(2 << 30, |kibibytes| kibibytes << 10)
}
