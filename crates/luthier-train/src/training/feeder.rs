//! Batches, made ahead of the step that trains on them.

use std::collections::VecDeque;
use std::sync::Arc;

use luthier_core::{Purpose, Streams};

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
}

impl Feeder {
    pub(super) fn new(data: Arc<Prepared>, seed: u64) -> Self {
        let ahead = data.takes_time().then(|| {
            let data = Arc::clone(&data);
            // Without a thread, batches are made when they are needed.
            Prefetch::new(DEPTH, 1, move |request| make(&data, seed, request)).ok()
        });
        Self { data, seed, ahead: ahead.flatten(), asked: VecDeque::new() }
    }

    /// The batch of `request`. `next` are the requests that will probably follow.
    pub(super) fn batch(
        &mut self,
        request: Request,
        next: impl Iterator<Item = Request>,
    ) -> Result<Batch, DataError> {
        let Some(ahead) = &mut self.ahead else { return make(&self.data, self.seed, &request) };
        let needed = request.clone();
        // What was asked for and is not needed, because the size of steps has changed, say.
        while self.asked.front().is_some_and(|asked| *asked != request) {
            self.asked.pop_front();
            drop(ahead.next());
        }
        if self.asked.is_empty() {
            ahead.request(request.clone());
            self.asked.push_back(request);
        }
        for request in next {
            if self.asked.len() > DEPTH {
                break;
            }
            if !self.asked.contains(&request) {
                ahead.request(request.clone());
                self.asked.push_back(request);
            }
        }
        self.asked.pop_front();
        ahead.next().unwrap_or_else(|| make(&self.data, self.seed, &needed))
    }
}

fn make(data: &Prepared, seed: u64, request: &Request) -> Result<Batch, DataError> {
    let mut rng = Streams::new(seed).at(Purpose::Augment, request.step);
    data.training_batch(&request.rows, request.strength, &mut rng)
}
