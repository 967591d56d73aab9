//! Vector instructions, chosen at run time.

/// Does `work` compiled for the widest vectors of this processor. What is to become vector instructions
/// has to be inlined into it: mark functions that it calls `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
