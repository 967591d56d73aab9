//! What training computes on CPUs: forward and backward passes of layers over plain slices.
//!
//! A kernel knows nothing of networks, of gradients' graphs or of training. It is given slices and writes
//! slices; it allocates nothing that is not reused. Activations are kept with their channels last:
//! `[batch, height, width, channels]` or `[batch, features]`.
//!
//! **Bits.** The order of every sum follows from shapes alone, never from the number of threads: work is
//! cut into tasks by shape, each number of a result is the business of one task, and partial sums are added
//! in a fixed order. Tasks run on the Rayon pool that is current.

pub mod matmul;
mod parallel;
mod scratch;
mod simd;

pub use matmul::{Matrix, MatrixMut, matmul};
