//! Batches, made ahead of the step that trains on them.

use std::collections::VecDeque;
use std::sync::Arc;

use luthier_core::Streams;

use crate::batch::Batch;
use crate::data::DataError;
use crate::prefetch::{Prefetch, Request};
use crate::prepared::Prepared;

/// Batches that are made ahead.
const DEPTH: usize = 2;

/// Makes batches, on a thread of its own where making them takes time: where images are decoded or examples
/// changed. A batch depends on its request alone, so nothing but the speed depends on the thread.
pub(super) struct Feeder {
    data: Arc<Prepared>,
    seed: u64,
    ahead: Option<Prefetch>,
    asked: VecDeque<Request>,
    /// A batch that is no longer needed, for its memory.
    spare: Batch,
}

impl Feeder {
    pub(super) fn new(data: Arc<Prepared>, seed: u64) -> Self {
        let ahead = data.takes_time().then(|| {
            let data = Arc::clone(&data);
            // Without a thread, batches are made when they are needed.
            let make = move |Request { step, rows, strength }: &Request| {
                make(&data, seed, *step, rows, *strength, Batch::default())
            };
            Prefetch::new(DEPTH, 1, make).ok()
        });
        Self { data, seed, ahead: ahead.flatten(), asked: VecDeque::new(), spare: Batch::default() }
    }

    /// The batch of `rows` for the pass of this number. `next` are the rows that will probably follow, in as many
    /// at a time.
    pub(super) fn batch(
        &mut self,
        pass: u64,
        rows: &[usize],
        strength: f64,
        next: &[usize],
    ) -> Result<Batch, DataError> {
        let Some(ahead) = &mut self.ahead else {
            let spare = std::mem::take(&mut self.spare);
            return make(&self.data, self.seed, pass, rows, strength, spare);
        };
        let request = Request { step: pass, rows: rows.to_vec(), strength };
        // What was asked for and is not needed, because the size of steps has changed, say.
        while self.asked.front().is_some_and(|asked| *asked != request) {
            self.asked.pop_front();
            drop(ahead.next());
        }
        if self.asked.is_empty() {
            ahead.request(request.clone());
            self.asked.push_back(request);
        }
        for (rows, step) in next.chunks(rows.len()).zip(pass + 1..) {
            if self.asked.len() > DEPTH {
                break;
            }
            let request = Request { step, rows: rows.to_vec(), strength };
            if !self.asked.contains(&request) {
                ahead.request(request.clone());
                self.asked.push_back(request);
            }
        }
        self.asked.pop_front();
        ahead.next().unwrap_or_else(|| make(&self.data, self.seed, pass, rows, strength, Batch::default()))
    }

    /// Takes a batch back whose step is done.
    pub(super) fn give(&mut self, batch: Batch) {
        self.spare = batch;
    }
}

/// The batch, in the memory of `spare`.
fn make(
    data: &Prepared,
    seed: u64,
    pass: u64,
    rows: &[usize],
    strength: f64,
    spare: Batch,
) -> Result<Batch, DataError> {
    let mut batch = spare;
    data.training_batch(rows, strength, Streams::new(seed), pass, &mut batch)?;
    Ok(batch)
}
