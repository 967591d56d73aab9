//! Vector instructions, chosen at run time.

/// Does `work` compiled for the widest vectors of this processor. What is to become vector instructions
/// has to be inlined into it: mark the closure, those within it and functions that it calls
/// `#[inline(always)]`. What is not inlined is compiled for the least of all processors, without a warning.
#[allow(clippy::inline_always, reason = "vectors come of what is inlined here")]
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
