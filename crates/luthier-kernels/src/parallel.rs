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

#[cfg(test)]
pub(crate) fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("threads can be started").install(work)
}
