//! What training computes on CPUs: forward and backward passes of layers over plain slices.
//!
//! A kernel knows nothing of networks, of gradients' graphs or of training. It is given slices and writes
//! slices; it allocates nothing that is not reused. Activations are kept with their channels last:
//! `[batch, height, width, channels]` or `[batch, features]`.
//!
//! **Bits.** The order of every sum follows from shapes alone, never from the number of threads: work is
//! cut into tasks by shape, each number of a result is the business of one task, and partial sums are added
//! in a fixed order. Tasks run on the Rayon pool that is current.

pub mod activation;
pub mod batch_norm;
mod columns;
mod conv;
pub mod dense;
pub mod elementwise;
mod embedding;
pub mod layer_norm;
pub mod math;
pub mod matmul;
mod parallel;
pub mod pool;
mod recurrent;
mod scratch;
mod simd;

pub use activation::Activation;
pub use batch_norm::{BatchNorm, Statistics};
pub use conv::{Conv2d, Method};
pub use dense::Dense;
pub use embedding::Embedding;
pub use layer_norm::{GroupNorm, LayerNorm};
pub use matmul::{Matrix, MatrixMut, matmul};
pub use pool::{GlobalPool, Pool2d};
pub use recurrent::{Cell, Gradients, Recurrent, States, Weights};
pub use simd::{processor_class, vectorized};
