//! Batches that are read, decoded and augmented ahead of the step that trains on them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::batch::Batch;
use crate::data::DataError;

/// A batch that will be needed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// The step that trains on it: the position in the stream of its augmentation.
    pub step: u64,
    /// Its rows.
    pub rows: Vec<usize>,
    /// The strength of its augmentation.
    pub strength: f64,
}

/// A request and where its batch is waited for.
type Job = (Request, SyncSender<Result<Batch, DataError>>);

/// Makes batches on threads of its own, and hands them out in the order in which they were asked for.
///
/// What a batch is depends on its request alone, so the result is the same with any number of threads. No
/// more batches are in memory than were requested and not yet taken. Dropping it ends the threads, after
/// the batches that they are at.
pub(crate) struct Prefetch {
    requests: Option<SyncSender<Job>>,
    waiting: VecDeque<Receiver<Result<Batch, DataError>>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Prefetch {
    /// Starts `threads` threads (at least one), on which `make` makes the batches; `depth` requests may wait.
    ///
    /// # Errors
    /// What the operating system says where it gives no thread.
    pub(crate) fn new(
        depth: usize,
        threads: usize,
        make: impl Fn(&Request) -> Result<Batch, DataError> + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Job>(depth.max(1));
        let (receiver, make) = (Arc::new(Mutex::new(receiver)), Arc::new(make));
        let stop = Arc::new(AtomicBool::new(false));
        let mut prefetch = Self {
            requests: Some(sender),
            waiting: VecDeque::new(),
            threads: Vec::new(),
            stop: Arc::clone(&stop),
        };
        for _ in 0..threads.max(1) {
            let (receiver, make, stop) = (Arc::clone(&receiver), Arc::clone(&make), Arc::clone(&stop));
            let work = move || {
                loop {
                    let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((request, answer)) = job else { return };
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Nobody may wait for it any more; then it is dropped.
                    if answer.send(make(&request)).is_err() {
                        return;
                    }
                }
            };
            prefetch.threads.push(std::thread::Builder::new().name("luthier-data".into()).spawn(work)?);
        }
        Ok(prefetch)
    }

    /// Asks for a batch. Waits while as many requests are unread as may be.
    pub(crate) fn request(&mut self, request: Request) {
        let (sender, receiver) = sync_channel(1);
        self.waiting.push_back(receiver);
        if let Some(requests) = &self.requests {
            // If no thread is left, `next` says so.
            drop(requests.send((request, sender)));
        }
    }

    /// How many batches were requested and not yet taken.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The batch that was requested first of those not yet taken; waits until it is made. Nothing if none
    /// was requested.
    pub(crate) fn next(&mut self) -> Option<Result<Batch, DataError>> {
        let batch = self.waiting.pop_front()?.recv();
        Some(batch.unwrap_or_else(|_| {
            Err(DataError::Encoding("the thread that reads the data has ended before its time".into()))
        }))
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.requests = None;
        self.waiting.clear();
        for thread in self.threads.drain(..) {
            // A panic there was told to whoever waited for the batch.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    fn request(step: u64) -> Request {
        Request { step, rows: vec![step as usize], strength: 1.0 }
    }

    fn batch(request: &Request) -> Batch {
        Batch::new(vec![request.step as f32], vec![0.0])
    }

    #[test]
    fn batches_come_in_the_order_of_the_requests() {
        let make = |request: &Request| {
            // The first takes longest.
            std::thread::sleep(Duration::from_millis(20_u64.saturating_sub(10 * request.step)));
            Ok(batch(request))
        };
        let mut prefetch = Prefetch::new(4, 3, make).expect("threads");
        (0..4).for_each(|step| prefetch.request(request(step)));
        assert_eq!(prefetch.waiting(), 4);
        for step in 0..4 {
            assert_eq!(prefetch.next().expect("requested").expect("made").inputs, [step as f32]);
        }
        assert!(prefetch.next().is_none());
    }

    #[test]
    fn an_error_comes_in_its_place_and_the_next_batch_after_it() {
        let make = |request: &Request| match request.step {
            1 => Err(DataError::Encoding("broken".into())),
            _ => Ok(batch(request)),
        };
        let mut prefetch = Prefetch::new(2, 1, make).expect("a thread");
        (0..3).for_each(|step| prefetch.request(request(step)));
        assert!(prefetch.next().expect("requested").is_ok());
        assert_eq!(prefetch.next().expect("requested").expect_err("broken").to_string(), "broken");
        assert!(prefetch.next().expect("requested").is_ok());
    }

    #[test]
    fn dropping_it_ends_the_work() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let make = move |request: &Request| {
            counted.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
            Ok(batch(request))
        };
        let mut prefetch = Prefetch::new(50, 1, make).expect("a thread");
        (0..50).for_each(|step| prefetch.request(request(step)));
        drop(prefetch);
        assert!(made.load(Ordering::Relaxed) < 50);
        // `make` is dropped with the last thread, and with it the counter's other owner.
        assert_eq!(Arc::strong_count(&made), 1);
    }

    #[test]
    fn a_thread_that_panics_is_an_error() {
        let mut prefetch = Prefetch::new(1, 1, |_| panic!("in a test")).expect("a thread");
        prefetch.request(request(0));
        let error = prefetch.next().expect("requested").expect_err("a panic").to_string();
        assert!(error.contains("ended before its time"), "{error}");
    }
}
