//! Work in tasks on the current pool.

use rayon::prelude::*;

/// Cuts `output` into chunks of `size` numbers (the last may be shorter) and calls `task` for each with its
/// number. How the chunks are spread over threads changes no result: each is written by its own task.
pub(crate) fn chunks(output: &mut [f32], size: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
    if output.len() <= size || rayon::current_num_threads() == 1 {
        output.chunks_mut(size.max(1)).enumerate().for_each(|(number, chunk)| task(number, chunk));
    } else {
        output.par_chunks_mut(size).enumerate().for_each(|(number, chunk)| task(number, chunk));
    }
}

/// As [`chunks`], of two outputs at once: the task with a number gets the chunk with that number of each, and
/// there are as many of both.
pub(crate) fn pairs_of_chunks<A: Send, B: Send>(
    (first, size): (&mut [A], usize),
    (second, other): (&mut [B], usize),
    task: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    if first.len() <= size || rayon::current_num_threads() == 1 {
        let pairs = first.chunks_mut(size.max(1)).zip(second.chunks_mut(other.max(1)));
        pairs.enumerate().for_each(|(number, (first, second))| task(number, first, second));
    } else {
        let pairs = first.par_chunks_mut(size).zip(second.par_chunks_mut(other));
        pairs.enumerate().for_each(|(number, (first, second))| task(number, first, second));
    }
}

#[cfg(test)]
pub(crate) fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("threads can be started").install(work)
}
